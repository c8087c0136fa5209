import Documents
import Testing
import Training

@Suite struct PipelineScheduleTests {
  static func text(_ steps: [PipelineStep]) -> String {
    steps.map(\.description).joined(separator: " ")
  }

  /// A schedule and what it is of.
  struct Shape: CustomStringConvertible {
    let order: Strategy.Schedule
    let schedule: PipelineSchedule

    var description: String {
      "\(order.name), p \(schedule.stageCount), v \(schedule.chunkCount), m \(schedule.microBatchCount)"
    }
  }

  /// Every schedule with p 1…6, v 1…3, m 1…22 that exists.
  static let shapes: [Shape] = {
    var shapes: [Shape] = []
    for order in (1...3).map(Strategy.Schedule.init(chunkCount:)) {
      for p in 1...6 {
        for m in 1...22 {
          if let schedule = try? PipelineSchedule(order, stageCount: p, microBatchCount: m) {
            shapes.append(Shape(order: order, schedule: schedule))
          }
        }
      }
    }
    return shapes
  }()

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

  @Test func `Groups are as many as fit, larger than the stages where they must be`() throws {
    let schedule = try PipelineSchedule(
      .interleaved(chunkCount: 2), stageCount: 2, microBatchCount: 3)
    #expect(
      Self.text(schedule.steps(ofStage: 0)) == "F0.0 F1.0 F2.0 F0.1 F1.1 F2.1 B0.1 B1.1 B2.1 B0.0 B1.0 B2.0")
    #expect(
      Self.text(schedule.steps(ofStage: 1)) == "F0.0 F1.0 F2.0 F0.1 B0.1 F1.1 B1.1 F2.1 B2.1 B0.0 B1.0 B2.0")
    func size(_ p: Int, _ m: Int) -> Int? { Strategy.Schedule.groupSize(stageCount: p, microBatchCount: m) }
    #expect([size(4, 8), size(4, 6), size(4, 10), size(4, 11), size(4, 3)] == [4, 6, 5, nil, nil])
  }

  @Test func `Every pass of every micro-batch and chunk runs once, forward before backward`() {
    for shape in Self.shapes {
      let schedule = shape.schedule
      for stage in 0..<schedule.stageCount {
        var done: Set<PipelineStep> = []
        for step in schedule.steps(ofStage: stage) {
          #expect(done.insert(step).inserted, "\(shape), stage \(stage): \(step) twice")
          #expect(step.microBatchIndex < schedule.microBatchCount, "\(shape)")
          #expect(step.chunkIndex < schedule.chunkCount, "\(shape)")
          if step.pass == .backward {
            let forward = PipelineStep(
              pass: .forward, microBatchIndex: step.microBatchIndex, chunkIndex: step.chunkIndex)
            #expect(done.contains(forward), "\(shape), stage \(stage): \(step)")
          }
        }
        #expect(done.count == 2 * schedule.microBatchCount * schedule.chunkCount, "\(shape), stage \(stage)")
      }
    }
  }

  @Test func `The closed forms of passes in flight are what a walk over the steps counts`() {
    for shape in Self.shapes {
      let schedule = shape.schedule
      let closed = shape.order.passesInFlight(
        stageCount: schedule.stageCount, microBatchCount: schedule.microBatchCount)
      for stage in 0..<schedule.stageCount {
        #expect(closed.count(stage: stage) == schedule.inFlightCount(ofStage: stage), "\(shape), stage \(stage)")
      }
      #expect(closed.inFirstChunk == schedule.inFlightCount(ofStage: 0, chunk: 0), "\(shape)")
      // The last chunk turns around at once, which the memory model relies on.
      let last = schedule.stageCount - 1
      #expect(schedule.inFlightCount(ofStage: last, chunk: schedule.chunkCount - 1) == 1, "\(shape)")
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
    let odd = refusal(.interleaved(chunkCount: 2), 4, 11)
    #expect(odd == .microBatchesMakeNoGroups(microBatchCount: 11, stageCount: 4))
    #expect(odd?.description.contains("at least its 4 stages, found 11") == true)
    #expect(refusal(.interleaved(chunkCount: 2), 4, 6) == nil)
    #expect(refusal(.interleaved(chunkCount: 2), 4, 8) == nil)
    #expect(refusal(.oneForwardOneBackward, 1, 1) == nil)
  }
}
