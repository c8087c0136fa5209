import Costing
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

  @Test func `Stages that wait for each other are a deadlock that names both waits`() {
    // Stage 0 wants the gradient of 0 before it sends 1; stage 1 wants 1 before it gives the gradient of 0.
    let steps = [
      [Self.forward(0), Self.backward(0), Self.forward(1), Self.backward(1)],
      [Self.forward(0), Self.forward(1), Self.backward(0), Self.backward(1)],
    ]
    let error = #expect(throws: PipelineDeadlock.self) { try Self.times.walk(steps) }
    #expect(
      error?.description
        == "stage 0 waits at step 1, B0.0, for B0.0 of stage 1; stage 1 waits at step 1, F1.0, for F1.0 of stage 0")
  }

  @Test func `A step whose source nobody runs is a deadlock`() {
    let error = #expect(throws: PipelineDeadlock.self) {
      try Self.times.walk([[], [Self.forward(0), Self.backward(0)]])
    }
    #expect(error?.waits.map(\.event.stageIndex) == [1])
    #expect(error?.waits.first?.source == PipelineEvent(.forward, stageIndex: 0, microBatchIndex: 0))
  }

  @Test func `A backward pass before the stage's own forward pass is a deadlock`() {
    let steps = [[Self.backward(0), Self.forward(0)], [Self.forward(0), Self.backward(0)]]
    #expect(throws: PipelineDeadlock.self) { try Self.times.walk(steps) }
  }

  @Test func `A list worked out by hand ends when it should`() throws {
    // F0 0–1, on stage 1 F0 1.5–2.5, B0 2.5–4.5, back on stage 0 at 5, B0 5–7.
    let steps = [[Self.forward(0), Self.backward(0)], [Self.forward(0), Self.backward(0)]]
    #expect(try Self.times.walk(steps) == [7, 4.5])
  }

  /// All forwards, then all backwards (Huang et al. 2019, arXiv 1811.06965) is two flow shops of equal jobs, one after the
  /// other: Σ (f + b) + 2 Σ l + (m − 1)(max f + max b). No kind of schedule has these lists.
  @Test func `All forwards, then all backwards takes two flow shops`() throws {
    let times = PipelineTimes(
      stageCount: 3, forwardSeconds: [1, 3, 2], backwardSeconds: [5, 4, 2], transferSeconds: [0.25, 2])
    for m in 1...6 {
      let list = (0..<m).map(Self.forward) + (0..<m).map(Self.backward)
      let ends = try times.walk(Array(repeating: list, count: 3))
      #expect(ends.max() == 17 + 4.5 + Double(m - 1) * 8, "m \(m)")
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
