import Costing
import Documents
import Search
import TestSupport
import Testing

/// Sentences of a search that were once not true.
@Suite struct UntrueReasonTests {
  @Test func aKindThatWasNotLookedAtIsNotSaidToNotFit() throws {
    let model = try CostModel(
      cluster: Shipped.catalog.cluster("dgx-a100-1"),
      job: TrainingJob(model: Shipped.catalog.model("gpt2"), sequenceLength: 1_024, globalBatch: 16))
    // One step prices the lattice, and one follows each progress; the kinds come after these, without progress.
    var lastStepOfBest = 1
    let whole = PlanSearch(model: model).run(progress: { _, _ in lastStepOfBest += 1 })
    #expect(whole.families.allSatisfy { $0.completion != nil })
    let stopped = PlanSearch(model: model, options: .init(repeatedStop: (lastStepOfBest, .user))).run()
    #expect(stopped.best == whole.best)
    #expect(stopped.certificate.ending == .exhausted && stopped.certificate.proofs == whole.certificate.proofs)
    // So that the plan can be asked for again and come out the same.
    #expect(stopped.certificate.stoppedAfter == lastStepOfBest)
    #expect(stopped.families.allSatisfy { $0.completion != nil })
  }

  @Test func whatWouldFitKeepsWhatIsFixed() throws {
    let model = try CostModel(
      cluster: Shipped.catalog.cluster("dgx-a100-1"),
      job: TrainingJob(model: Shipped.catalog.model("llama-2-7b"), sequenceLength: 4_096, globalBatch: 64))
    #expect(!PlanSearch(model: model).run().best.isEmpty)
    // Whole copies of the parameters on every device: more nodes do not help.
    let pattern = try StrategyPattern(text: "tensor=1,pipeline=1,zero_stage=0", source: "--fix")
    let shortage = try #require(PlanSearch(model: model, pattern: pattern).run().shortage)
    #expect(shortage.sufficientNodeCount == nil)
    #expect(shortage.sufficientSequenceLength == nil)
  }
}
