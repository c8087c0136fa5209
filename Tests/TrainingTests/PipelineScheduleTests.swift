import Documents
import Testing
import Training

@Suite struct PipelineScheduleTests {
  static func text(_ steps: [PipelineStep]) -> String {
    steps.map(\.description).joined(separator: " ")
  }

  /// Every schedule with p 1…6, v 1…3, m 1…12 that exists.
  static let schedules: [PipelineSchedule] = {
    var schedules: [PipelineSchedule] = []
    for order in (1...3).map(Strategy.Schedule.init(chunkCount:)) {
      for p in 1...6 {
        for m in 1...12 {
          if let schedule = try? PipelineSchedule(order, stageCount: p, microBatchCount: m) {
            schedules.append(schedule)
          }
        }
      }
    }
    return schedules
  }()

  static func name(_ schedule: PipelineSchedule) -> String {
    "\(schedule.order.name), p \(schedule.stageCount), v \(schedule.chunkCount), m \(schedule.microBatchCount)"
  }

  @Test func `1F1B warms up by the stages below, then alternates`() throws {
    let schedule = try PipelineSchedule(
      .oneForwardOneBackward, stageCount: 3, microBatchCount: 4)
    #expect(Self.text(schedule.steps(ofStage: 0)) == "F0.0 F1.0 F2.0 B0.0 F3.0 B1.0 B2.0 B3.0")
    #expect(Self.text(schedule.steps(ofStage: 1)) == "F0.0 F1.0 B0.0 F2.0 B1.0 F3.0 B2.0 B3.0")
    #expect(Self.text(schedule.steps(ofStage: 2)) == "F0.0 B0.0 F1.0 B1.0 F2.0 B2.0 F3.0 B3.0")
  }

  @Test func `Interleaved stages take groups of p micro-batches through chunk after chunk`() throws {
    let schedule = try PipelineSchedule(
      .interleaved(chunkCount: 2), stageCount: 2, microBatchCount: 4)
    #expect(
      Self.text(schedule.steps(ofStage: 0))
        == "F0.0 F1.0 F0.1 F1.1 F2.0 B0.1 F3.0 B1.1 F2.1 B0.0 F3.1 B1.0 B2.1 B3.1 B2.0 B3.0")
    #expect(
      Self.text(schedule.steps(ofStage: 1))
        == "F0.0 F1.0 F0.1 B0.1 F1.1 B1.1 F2.0 B0.0 F3.0 B1.0 F2.1 B2.1 F3.1 B3.1 B2.0 B3.0")
  }

  @Test func `Interleaved stages pair passes with as many micro-batches as stages, too`() throws {
    let schedule = try PipelineSchedule(
      .interleaved(chunkCount: 2), stageCount: 2, microBatchCount: 2)
    #expect(Self.text(schedule.steps(ofStage: 0)) == "F0.0 F1.0 F0.1 F1.1 B0.1 B1.1 B0.0 B1.0")
    #expect(Self.text(schedule.steps(ofStage: 1)) == "F0.0 F1.0 F0.1 B0.1 F1.1 B1.1 B0.0 B1.0")
  }

  @Test func `Every pass of every micro-batch and chunk runs once, forward before backward`() {
    for schedule in Self.schedules {
      for stage in 0..<schedule.stageCount {
        var done: Set<PipelineStep> = []
        for step in schedule.steps(ofStage: stage) {
          #expect(
            done.insert(step).inserted, "\(Self.name(schedule)), stage \(stage): \(step) twice")
          #expect(step.microBatchIndex < schedule.microBatchCount, "\(Self.name(schedule))")
          #expect(step.chunkIndex < schedule.chunkCount, "\(Self.name(schedule))")
          if step.pass == .backward {
            let forward = PipelineStep(
              pass: .forward, microBatchIndex: step.microBatchIndex, chunkIndex: step.chunkIndex)
            #expect(done.contains(forward), "\(Self.name(schedule)), stage \(stage): \(step)")
          }
        }
        #expect(done.count == 2 * schedule.passCount, "\(Self.name(schedule)), stage \(stage)")
      }
    }
  }

  @Test func `A stage holds its warm-up and one pass more at most, and in the end nothing`() {
    for schedule in Self.schedules {
      for stage in 0..<schedule.stageCount {
        var inFlight = 0
        var peak = 0
        for step in schedule.steps(ofStage: stage) {
          inFlight += step.pass == .forward ? 1 : -1
          peak = max(peak, inFlight)
        }
        #expect(inFlight == 0, "\(Self.name(schedule)), stage \(stage)")
        #expect(
          peak == min(schedule.warmUpCount(ofStage: stage) + 1, schedule.passCount),
          "\(Self.name(schedule)), stage \(stage)")
      }
    }
  }

  @Test func `The virtual stage of a chunk is chunk times stages plus stage`() throws {
    let schedule = try PipelineSchedule(
      .interleaved(chunkCount: 3), stageCount: 4, microBatchCount: 8)
    #expect(schedule.virtualStageIndex(stage: 1, chunk: 2) == 9)
  }

  @Test func `A shape without a schedule is refused with its numbers`() {
    func refusal(_ order: Strategy.Schedule, _ p: Int, _ m: Int)
      -> PipelineScheduleError?
    {
      do throws(PipelineScheduleError) {
        _ = try PipelineSchedule(order, stageCount: p, microBatchCount: m)
        return nil
      } catch {
        return error
      }
    }
    #expect(refusal(.oneForwardOneBackward, 0, 1) == .stageCountBelowOne(stageCount: 0))
    #expect(refusal(.oneForwardOneBackward, 1, 0) == .microBatchCountBelowOne(microBatchCount: 0))
    #expect(refusal(.interleaved(chunkCount: 1), 2, 4) == .tooFewChunks(chunkCount: 1))
    #expect(refusal(.interleaved(chunkCount: 2), 1, 4) == .tooFewStages(stageCount: 1))
    let odd = refusal(.interleaved(chunkCount: 2), 4, 6)
    #expect(odd == .microBatchesNotMultipleOfStages(microBatchCount: 6, stageCount: 4))
    #expect(odd?.description.contains("multiple of its 4 stages, found 6") == true)
    #expect(refusal(.interleaved(chunkCount: 2), 4, 8) == nil)
    #expect(refusal(.oneForwardOneBackward, 1, 1) == nil)
  }
}
