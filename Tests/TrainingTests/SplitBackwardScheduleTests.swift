import Documents
import Testing
import Training

@Suite struct SplitBackwardScheduleTests {
  /// Every schedule with split backward passes, p 2…6, v 1…3, m up to 26, that exists.
  static let shapes: [PipelineScheduleTests.Shape] = {
    let orders = (1...3).map(Strategy.Schedule.zeroBubble(chunkCount:)) + [.zeroBubbleV, .dualPipeV]
    return orders.flatMap { order in
      (2...6).flatMap { p in
        (1...26).compactMap { m in
          (try? PipelineSchedule(order, stageCount: p, microBatchCount: m)).map {
            PipelineScheduleTests.Shape(order: order, schedule: $0)
          }
        }
      }
    }
  }()

  /// The steps of a stage in PyTorch's words.
  static func text(_ order: Strategy.Schedule, p: Int, m: Int, stage: Int) throws -> String {
    let lines = try PipelineSchedule(order, stageCount: p, microBatchCount: m).csv.split(separator: "\n")
    return String(lines[stage].map { $0 == "," ? " " : $0 })
  }

  @Test func `ZB-V of two stages and four micro-batches is PyTorch's list`() throws {
    #expect(
      try Self.text(.zeroBubbleV, p: 2, m: 4, stage: 0)
        == """
        0F0 0F1 0F2 3F0 3I0 3W0 3F1 3I1 3W1 0F3 0I0 0W0 3F2 3I2 3W2 0I1 0W1 3F3 3I3 3W3 0I2 0W2 0I3 0W3
        """)
    #expect(
      try Self.text(.zeroBubbleV, p: 2, m: 4, stage: 1)
        == """
        1F0 2F0 1F1 2F1 2I0 2W0 1F2 1I0 1W0 2F2 2I1 2W1 1F3 1I1 1W1 2F3 2I2 2W2 1I2 2I3 1I3 1W2 2W3 1W3
        """)
  }

  @Test func `ZB-H1 puts the weight gradient of stage r off by r pairs`() throws {
    #expect(
      try Self.text(.zeroBubble(chunkCount: 1), p: 3, m: 4, stage: 0)
        == "0F0 0F1 0F2 0I0 0W0 0F3 0I1 0W1 0I2 0W2 0I3 0W3")
    #expect(
      try Self.text(.zeroBubble(chunkCount: 1), p: 3, m: 4, stage: 2)
        == "2F0 2I0 2F1 2I1 2F2 2I2 2W0 2F3 2I3 2W1 2W2 2W3")
  }

  @Test func `DualPipeV runs forward and backward passes of two chunks in pairs, but for the last stage's first`()
    throws
  {
    #expect(
      try Self.text(.dualPipeV, p: 2, m: 4, stage: 0)
        == """
        0F0 0F1 0F2 3F0 3I0 3W0 3F1 (0F3;3B1)OVERLAP_F_B (3F2;0B0)OVERLAP_F_B 3B2 (3F3;0B1)OVERLAP_F_B 3B3 0I2 0W2 0I3 0W3
        """
    )
    #expect(
      try Self.text(.dualPipeV, p: 2, m: 4, stage: 1)
        == """
        1F0 2F0 1F1 2F1 1F2 2B0 (2F2;1B0)OVERLAP_F_B (1F3;2B1)OVERLAP_F_B (2F3;1B1)OVERLAP_F_B 2B2 1B2 2I3 1I3 2W3 1W3
        """)
  }

  @Test func `Every list is legal, and micro-batches follow each other in every pass and chunk`() {
    for shape in Self.shapes {
      #expect(shape.schedule.defect == nil, "\(shape)")
      for stage in 0..<shape.schedule.stageCount {
        for chunk in 0..<shape.schedule.chunkCount {
          let steps = shape.schedule.steps(ofStage: stage).filter { $0.chunkIndex == chunk }
          let forward = steps.filter { $0.pass == .forward }.map(\.microBatchIndex)
          let input = steps.filter(\.pass.givesInputGradient).map(\.microBatchIndex)
          let weight = steps.filter(\.pass.endsMicroBatch).map(\.microBatchIndex)
          let all = Array(0..<shape.schedule.microBatchCount)
          // Gradients are summed in the order of 1F1B, so that sums round alike.
          #expect(forward == all && input == all && weight == all, "\(shape), stage \(stage), chunk \(chunk)")
        }
      }
    }
  }

  @Test func `The closed forms of what waits for weight gradients are what a walk finds`() {
    #expect(Self.shapes.count > 200)
    for shape in Self.shapes {
      let schedule = shape.schedule
      let closed = shape.order.passesInFlight(
        stageCount: schedule.stageCount, microBatchCount: schedule.microBatchCount)
      for stage in 0..<schedule.stageCount {
        #expect(closed.count(stage: stage) == schedule.inFlightCount(ofStage: stage), "\(shape), stage \(stage)")
        var moments: [PassesInFlight.Moment] = []
        closed.forEachMoment(ofStage: stage) { moments.append($0) }
        let walked = schedule.moments(ofStage: stage)
        for part: KeyPath<PassesInFlight.Moment, Int> in [
          \.count, \.awaitingCount, \.awaitingInLastChunk, \.inLastChunk,
        ] {
          #expect(
            moments.map { $0[keyPath: part] }.max() == walked.map { $0[keyPath: part] }.max(),
            "\(shape), stage \(stage), \(part)")
        }
        // In whatever proportion passes and what waits weigh.
        for weight in [0, 1, 3, 10] {
          func heaviest(_ moments: some Sequence<PassesInFlight.Moment>) -> Int? {
            moments.map { 2 * $0.count + weight * $0.awaitingCount }.max()
          }
          #expect(heaviest(moments) == heaviest(walked), "\(shape), stage \(stage), weight \(weight)")
        }
      }
      #expect(closed.inFirstChunk == schedule.inFlightCount(ofStage: 0, chunk: 0), "\(shape)")
    }
  }

  @Test func `Along a V the first and the last virtual stage are on stage 0, and the bottom is on the last`() throws {
    let schedule = try PipelineSchedule(.zeroBubbleV, stageCount: 4, microBatchCount: 8)
    #expect((0..<4).map { schedule.virtualStageIndex(stage: $0, chunk: 1) } == [7, 6, 5, 4])
    for virtualStage in 0..<8 {
      let place = try #require(schedule.place(ofVirtualStage: virtualStage))
      let stated = Strategy.Schedule.zeroBubbleV.place(ofVirtualStage: virtualStage, stageCount: 4)
      #expect(place == (stated.stage, stated.chunk))
    }
  }

  @Test func `Lists that cannot be run are refused`() throws {
    let good = try PipelineSchedule(.zeroBubbleV, stageCount: 2, microBatchCount: 4)
    func edited(_ edit: (inout [PipelineStep]) -> Void) -> PipelineScheduleDefect? {
      var steps = (0..<2).map(good.steps(ofStage:))
      edit(&steps[0])
      return PipelineSchedule(
        steps: steps, chunkCount: 2, microBatchCount: 4, virtualStageIndex: good.virtualStageIndex
      ).defect
    }
    func step(_ pass: PipelineStep.Pass, _ microBatch: Int, _ chunk: Int) -> PipelineStep {
      PipelineStep(pass: pass, microBatchIndex: microBatch, chunkIndex: chunk)
    }
    #expect(edited { _ in } == nil)
    #expect(
      edited { $0.swapAt(3, 4) } == .early(step(.inputGradient, 0, 1), before: step(.forward, 0, 1), stage: 0))
    #expect(
      edited { $0.swapAt(4, 5) } == .early(step(.weightGradient, 0, 1), before: step(.inputGradient, 0, 1), stage: 0))
    #expect(edited { $0.removeLast() } == .missing(step(.weightGradient, 3, 0), stage: 0))
    #expect(
      edited { $0.removeAll { $0 == step(.weightGradient, 0, 1) } } == .missing(step(.weightGradient, 0, 1), stage: 0))
    #expect(edited { $0.append($0[0]) } == .repeated(step(.forward, 0, 0), stage: 0))
    #expect(edited { $0.append(step(.backward, 0, 1)) } == .repeated(step(.backward, 0, 1), stage: 0))
    let paired = PipelineSchedule(
      steps: (0..<2).map(good.steps(ofStage:)), pairs: [[0], []], chunkCount: 2, microBatchCount: 4,
      virtualStageIndex: good.virtualStageIndex)
    #expect(paired.defect == .noPair(stage: 0, index: 0))
  }

  @Test func `A schedule written as PyTorch's text is read back as the same`() throws {
    for shape in Self.shapes {
      #expect(try PipelineSchedule(csv: shape.schedule.csv) == shape.schedule, "\(shape)")
    }
    // Empty cells are waits, and may stand anywhere.
    let spaced = try PipelineSchedule(.zeroBubbleV, stageCount: 2, microBatchCount: 4)
    let text = "," + spaced.csv.split(separator: ",", omittingEmptySubsequences: false).joined(separator: ",,")
    #expect(try PipelineSchedule(csv: text) == spaced)
    for bad in [
      "0F0,0X0\n", "0F\n", "F0\n", "(0F0;0B0\n", "(0F0)OVERLAP_F_B\n", "0F0\n0F1\n", "", "0F99999999999999999999\n",
    ] {
      #expect(throws: ScheduleTextError.self, "\(bad)") { try PipelineSchedule(csv: bad) }
    }
  }

  @Test func `Too few micro-batches or stages are refused with their number`() {
    func refusal(_ order: Strategy.Schedule, _ p: Int, _ m: Int) -> PipelineScheduleError? {
      do throws(PipelineScheduleError) {
        _ = try PipelineSchedule(order, stageCount: p, microBatchCount: m)
        return nil
      } catch {
        return error
      }
    }
    #expect(refusal(.dualPipeV, 4, 7) == .tooFewMicroBatches(.dualPipeV, microBatchCount: 7, stageCount: 4))
    #expect(refusal(.dualPipeV, 4, 8) == nil)
    #expect(refusal(.zeroBubbleV, 4, 6) == .tooFewMicroBatches(.zeroBubbleV, microBatchCount: 6, stageCount: 4))
    #expect(refusal(.zeroBubbleV, 4, 7) == nil)
    #expect(refusal(.zeroBubble(chunkCount: 1), 4, 3) != nil && refusal(.zeroBubble(chunkCount: 1), 4, 5) == nil)
    #expect(refusal(.zeroBubble(chunkCount: 2), 4, 11) == .microBatchesMakeNoGroups(microBatchCount: 11, stageCount: 4))
    #expect(refusal(.zeroBubbleV, 1, 8) == .tooFewStages(stageCount: 1))
    #expect(refusal(.dualPipeV, 4, 7)?.description.contains("at least 8 micro-batches") == true)
  }
}
