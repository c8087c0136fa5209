import Costing
import Documents
import Search
import TestSupport
import Testing

/// Activations of some layers on the host, which Megatron-LM has in any number.
@Suite struct HostedActivationTests {
  private static func model(sequenceLength: Int) throws -> CostModel {
    let job = try TrainingJob(
      model: Shipped.catalog.model("llama-3-8b"), sequenceLength: sequenceLength, globalBatch: 16)
    return try CostModel(cluster: Shipped.catalog.cluster("dgx-h100-1"), job: job, frameworkName: "megatron-lm")
  }

  private static let fixed =
    "tensor=1,pipeline=1,data=8,micro_batch=1,zero_stage=1,recompute=none,host_update_percent=0,flash_attention=true"

  /// The best of every number of layers that fits, all but the last among them.
  private static func best(_ model: CostModel) throws -> (score: Double, activations: HostedActivations)? {
    let bare = try StrategyPattern(text: fixed, source: "test").completed(
      deviceCount: 8, flashAttention: true, overlap: model.framework.overlapsGradientReduce)
    var scratch = EvaluationScratch(), found: (score: Double, activations: HostedActivations)?
    for activations in [.onDevice] + (1...30).map(HostedActivations.layers) + [.allButLast] {
      let cost = model.cost(of: bare.with(\.hosting, Hosting(activations: activations)))
      let split = Split([32]), memory = cost.memory.stageMemory(of: split), verdict = cost.memory.verdict(of: memory)
      guard verdict != .unfit, cost.memory.hostHolds(memory) else { continue }
      let score =
        cost.iterationSeconds(of: split, scratch: &scratch) * (verdict == .fits ? 1 : PlanSearch.headroomSurcharge)
      if score < found?.score ?? .infinity { found = (score, activations) }
    }
    return found
  }

  @Test(arguments: [8_192, 12_288])
  func thePlanHasTheNumberOfLayersThatBruteForceFinds(sequenceLength: Int) throws {
    let model = try Self.model(sequenceLength: sequenceLength)
    let best = try #require(try Self.best(model))
    let plan = try #require(
      PlanSearch(
        model: model, pattern: StrategyPattern(text: Self.fixed, source: "test"), capabilities: .megatronLM
      ).run().best.first)
    #expect(best.activations.isOfSomeLayers, "\(best.activations)")
    #expect(plan.strategy.hosting.activations == best.activations)
    #expect(abs(plan.scoreSeconds - best.score) <= 1e-12 * best.score)
  }

  /// Every number is tried of few layers, 32 of many, and none of one, which has nothing to spare.
  @Test func whatIsTried() {
    func tried(_ layers: Int) -> [HostedActivations] {
      HostedActivations.searched(modelLayerCount: layers, counts: true)
    }
    #expect(tried(1) == [.onDevice, .allButLast] && tried(2) == tried(1))
    #expect(tried(4) == [.onDevice, .layers(1), .layers(2), .allButLast])
    #expect(tried(34).count == 34 && tried(126).count == 34 && tried(126)[32] == .layers(124))
    #expect(HostedActivations.searched(modelLayerCount: 80, counts: false) == [.onDevice, .allButLast])
  }

  @Test func numbersOfLayersAreAFrameworksOwn() throws {
    let job = try TrainingJob(model: Shipped.catalog.model("llama-3-8b"), sequenceLength: 4_096, globalBatch: 16)
    func refusal(_ table: Capabilities, _ text: String) throws -> String? {
      let strategy = try StrategyPattern(text: text, source: "test").completed(
        deviceCount: 8, flashAttention: true, overlap: true)
      return table.refusal(ofHosting: strategy, job: job)?.rule
    }
    #expect(try refusal(.megatronLM, "data=8,zero_stage=1,host_activations=12") == nil)
    #expect(try refusal(.megatronLM, "data=4,pipeline=2,zero_stage=1,host_activations=12") != nil)
    #expect(try refusal(.megatronFSDP, "data=8,zero_stage=3,host_activations=12") == nil)
    #expect(try refusal(.megatronFSDP, "data=8,zero_stage=3,host_update_percent=50") != nil)
    #expect(try refusal(.deepSpeed, "data=8,zero_stage=3,recompute=full,host_activations=true") == nil)
    #expect(
      try refusal(.deepSpeed, "data=8,zero_stage=3,recompute=full,host_activations=12")?.contains("of none") == true)
  }
}
