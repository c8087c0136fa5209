import Costing
import Documents
import TestSupport
import Testing
import Training

@Suite struct PipelineWalkTests {
  static let times = PipelineTimes(equalStageCount: 2, forwardSeconds: 1, backwardSeconds: 2, transferSeconds: 0.5)

  static func forward(_ microBatch: Int) -> PipelineStep {
    PipelineStep(pass: .forward, microBatchIndex: microBatch)
  }

  static func backward(_ microBatch: Int) -> PipelineStep {
    PipelineStep(pass: .backward, microBatchIndex: microBatch)
  }

  /// Any lists, one chunk a stage.
  static func schedule(_ steps: [[PipelineStep]]) -> PipelineSchedule {
    PipelineSchedule(steps: steps, chunkCount: 1, microBatchCount: 8) { stage, _ in stage }
  }

  @Test func `Stages that wait for each other are a deadlock that names both waits`() {
    // Stage 0 wants the gradient of 0 before it sends 1; stage 1 wants 1 before it gives the gradient of 0.
    let steps = [
      [Self.forward(0), Self.backward(0), Self.forward(1), Self.backward(1)],
      [Self.forward(0), Self.forward(1), Self.backward(0), Self.backward(1)],
    ]
    let error = #expect(throws: PipelineDeadlock.self) { try Self.times.endSeconds(walking: Self.schedule(steps)) }
    #expect(
      error?.description
        == "stage 0 waits at step 1, B0.0, for B0.0 of stage 1; stage 1 waits at step 1, F1.0, for F1.0 of stage 0")
  }

  @Test func `A step whose source nobody runs is a deadlock`() {
    let error = #expect(throws: PipelineDeadlock.self) {
      try Self.times.endSeconds(walking: Self.schedule([[], [Self.forward(0), Self.backward(0)]]))
    }
    #expect(error?.waits.map(\.stageIndex) == [1])
    #expect(error?.waits.first?.sourceStageIndex == 0)
    #expect(error?.waits.first?.source == Self.forward(0))
  }

  @Test func `A backward pass before the stage's own forward pass is a deadlock`() {
    let steps = [[Self.backward(0), Self.forward(0)], [Self.forward(0), Self.backward(0)]]
    #expect(throws: PipelineDeadlock.self) { try Self.times.endSeconds(walking: Self.schedule(steps)) }
  }

  @Test func `A list worked out by hand ends when it should`() throws {
    // F0 0–1, on stage 1 F0 1.5–2.5, B0 2.5–4.5, back on stage 0 at 5, B0 5–7.
    let steps = [[Self.forward(0), Self.backward(0)], [Self.forward(0), Self.backward(0)]]
    #expect(try Self.times.endSeconds(walking: Self.schedule(steps)) == [7, 4.5])
  }

  /// All forwards, then all backwards (Huang et al. 2019, arXiv 1811.06965) is two flow shops of equal jobs, one after the
  /// other: Σ (f + b) + 2 Σ l + (m − 1)(max f + max b). No kind of schedule has these lists.
  @Test func `All forwards, then all backwards takes two flow shops`() throws {
    let times = PipelineTimes(
      stageCount: 3, forwardSeconds: [1, 3, 2], backwardSeconds: [5, 4, 2], transferSeconds: [0.25, 2])
    for m in 1...6 {
      let list = (0..<m).map(Self.forward) + (0..<m).map(Self.backward)
      let ends = try times.endSeconds(walking: Self.schedule(Array(repeating: list, count: 3)))
      #expect(ends.max() == 17 + 4.5 + Double(m - 1) * 8, "m \(m)")
    }
  }

  @Test func `Chunks that turn on their stage hand over without a transfer`() throws {
    // A V: virtual stages 0 and 3 on stage 0, 1 and 2 on stage 1. F0 0–1, F1 1.5–2.5, F2 –3.5, on stage 0 F3 4–5, B3 –7,
    // on stage 1 B2 7.5–9.5, B1 –11.5, on stage 0 B0 12–14.
    func step(_ pass: PipelineStep.Pass, _ chunk: Int) -> PipelineStep {
      PipelineStep(pass: pass, microBatchIndex: 0, chunkIndex: chunk)
    }
    let lists = [step(.forward, 0), step(.forward, 1), step(.backward, 1), step(.backward, 0)]
    let schedule = PipelineSchedule(steps: [lists, lists], chunkCount: 2, microBatchCount: 1) { $1 == 0 ? $0 : 3 - $0 }
    let times = PipelineTimes(
      stageCount: 2, chunkCount: 2, forwardSeconds: [1, 1, 1, 1], backwardSeconds: [2, 2, 2, 2],
      transferSeconds: [0.5], wrapTransferSeconds: 100)
    #expect(try times.endSeconds(walking: schedule) == [14, 11.5])
  }

  @Test func `The walk is the textbook's, on lists that fit together and on lists that do not`() throws {
    var deadlockCount = 0
    for seed in 0..<400 {
      let pipeline = RandomPipeline(isInterleaved: seed % 2 == 0, seed: seed)
      let times = pipeline.times
      let schedule = try PipelineSchedule(
        pipeline.schedule, stageCount: times.stageCount, microBatchCount: pipeline.microBatchCount)
      var lists = (0..<times.stageCount).map(schedule.steps(ofStage:))
      // Some neighbours change places.
      var generator = SeededGenerator(seed: seed)
      for _ in 0..<Int.random(in: 0...2, using: &generator) {
        let stage = Int.random(in: lists.indices, using: &generator)
        let step = Int.random(in: 1..<lists[stage].count, using: &generator)
        lists[stage].swapAt(step - 1, step)
      }
      let walked = PipelineSchedule(
        steps: lists, chunkCount: times.chunkCount, microBatchCount: pipeline.microBatchCount,
        virtualStageIndex: schedule.virtualStageIndex(stage:chunk:))
      let reference = times.textbookEnds(lists)
      deadlockCount += reference == nil ? 1 : 0
      let ends = try? times.endSeconds(walking: walked)
      #expect(ends == reference, "\(pipeline)")
    }
    #expect(deadlockCount > 10 && deadlockCount < 300, "\(deadlockCount)")
  }

  @Test func `A pipeline idles for a pass down and one up, whatever its micro-batches`() throws {
    for chunkCount in 1...4 {
      for p in 1...7 {
        for m in 1...30 {
          let order = Strategy.Schedule(chunkCount: chunkCount)
          guard let schedule = try? PipelineSchedule(order, stageCount: p, microBatchCount: m) else { continue }
          #expect(try schedule.bubblePassCount() == 2 * (p - 1), "p \(p), v \(chunkCount), m \(m)")
        }
      }
    }
  }

  @Test func `Sources go down the virtual stages, turn at the last and come back up`() {
    // The chain of one micro-batch, walked from its last backward pass, through 3 stages of 2 chunks.
    var event: PipelineEvent? = PipelineEvent(.backward, stageIndex: 0, microBatchIndex: 7)
    var chain: [String] = []
    while let current = event {
      #expect(current.step.microBatchIndex == 7)
      chain.append("\(current.step.pass == .forward ? "F" : "B")\(current.step.chunkIndex * 3 + current.stageIndex)")
      event = current.source(stageCount: 3, chunkCount: 2)
    }
    #expect(chain.joined(separator: " ") == "B0 B1 B2 B3 B4 B5 F5 F4 F3 F2 F1 F0")
  }
}
