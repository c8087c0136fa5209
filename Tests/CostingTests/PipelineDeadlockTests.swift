import Costing
import Schedules
import Testing

@Suite struct PipelineDeadlockTests {
  static let times = PipelineTimes(
    equalStageCount: 2, forwardSeconds: 1, backwardSeconds: 2, transferSeconds: 0.5)

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
    let error = #expect(throws: PipelineDeadlock.self) {
      try Self.times.referenceEndSeconds(ofSteps: steps)
    }
    #expect(
      error?.description
        == "pipeline deadlock: stage 0 waits at step 1, B0.0, for B0.0 of stage 1; "
        + "stage 1 waits at step 1, F1.0, for F1.0 of stage 0")
  }

  @Test func `A step whose source nobody runs is a deadlock`() {
    let steps = [[PipelineStep](), [Self.forward(0), Self.backward(0)]]
    let error = #expect(throws: PipelineDeadlock.self) {
      try Self.times.referenceEndSeconds(ofSteps: steps)
    }
    #expect(error?.waits.map(\.event.stageIndex) == [1])
    #expect(error?.waits.first?.source == PipelineEvent(stageIndex: 0, step: Self.forward(0)))
  }

  @Test func `A backward pass before the stage's own forward pass is a deadlock`() {
    let steps = [[Self.backward(0), Self.forward(0)], [Self.forward(0), Self.backward(0)]]
    #expect(throws: PipelineDeadlock.self) { try Self.times.referenceEndSeconds(ofSteps: steps) }
  }

  @Test func `A list worked out by hand ends when it should`() throws {
    // F0 0–1, on stage 1 F0 1.5–2.5, B0 2.5–4.5, back on stage 0 at 5, B0 5–7.
    let steps = [[Self.forward(0), Self.backward(0)], [Self.forward(0), Self.backward(0)]]
    #expect(try Self.times.referenceEndSeconds(ofSteps: steps) == [7, 4.5])
  }
}
