import Costing
import Documents
import JSONText
import TestSupport
import Testing

@testable import Search

/// Plans that need their nodes' memory, and optimizers with fewer states.
@Suite struct HostedPlanTests {
  private static func model(
    _ model: ModelDescription, device: String, nodes: Int = 1, hostGigabytes: Int? = nil, globalBatch: Int,
    sequenceLength: Int, framework: String? = nil, optimizer: Optimizer = .adam, accumulatesInFP32: Bool = true
  ) throws -> CostModel {
    let profile = try Shipped.catalog.device(device)
    var levels = [ClusterDescription.Level(name: "nvlink", span: 8, bytesPerSecond: 300e9)]
    if nodes > 1 {
      levels.append(
        .init(name: "net", span: 8 * nodes, bytesPerSecond: 50e9, sharedBytesPerSecond: 400e9))
    }
    let cluster = try ClusterDescription(
      name: "test", device: profile, nodeNames: (0..<nodes).map { "n\($0)" }, devicesPerNode: 8, levels: levels,
      host: hostGigabytes.map { .init(memoryBytes: $0 * 1_000_000_000, bytesPerSecond: 31e9) })
    let job = try TrainingJob(
      model: model, sequenceLength: sequenceLength, globalBatch: globalBatch, precision: .bf16,
      accumulatesGradientsInFP32: accumulatesInFP32, optimizer: optimizer)
    return try CostModel(cluster: cluster, job: job, frameworkName: framework ?? profile.frameworks[0].name)
  }

  private static func llama33B() throws -> ModelDescription {
    try ModelDescription(
      name: "llama-33b", family: .llama, layerCount: 60, hiddenSize: 6656, headCount: 52, feedForwardSize: 17920,
      vocabularySize: 32000, hasGatedFeedForward: true, hasTiedEmbeddings: false)
  }

  /// Mixtral 8x7B's states are 747 GB, of which 8 H100 have 640 at most: it trains there with a part of the update, the experts'
  /// among it, on the host, and not without.
  @Test func aMixtureTrainsOnOneNodeWithItsHost() throws {
    func plan(hostGigabytes: Int?) throws -> Plan? {
      let model = try Self.model(
        Shipped.catalog.model("mixtral-8x7b"), device: "h100-sxm5-80gb", hostGigabytes: hostGigabytes, globalBatch: 16,
        sequenceLength: 4_096, framework: "megatron-lm")
      return PlanSearch(model: model, capabilities: .megatronLM).plan(toolVersion: "test")
    }
    #expect(try plan(hostGigabytes: nil) == nil)
    let found = try #require(try plan(hostGigabytes: 2_000))
    #expect(found.strategy.hosting.updatePercent > 0 && !found.strategy.hosting.holdsWeights)
    #expect(found.prediction.stageMemory.allSatisfy { $0.hostBytes > 0 })
  }

  /// LLaMA 33B on 8 A100 of 40 GB under DeepSpeed trains with optimizer and weights on the host where that has 750 to
  /// 800 GB, and fails on the host with 600 GB (people's reports).
  @Test func llama33BNeedsATerabyteOfItsHost() throws {
    func search(hostGigabytes: Int) throws -> PlanSearch {
      let model = try Self.model(
        Self.llama33B(), device: "a100-sxm4-40gb", hostGigabytes: hostGigabytes, globalBatch: 64, sequenceLength: 2048)
      return PlanSearch(model: model, capabilities: .deepSpeed)
    }
    let roomy = try search(hostGigabytes: 1_000)
    let plan = try #require(roomy.plan(toolVersion: "test"))
    #expect(plan.strategy.hosting.updatePercent == 100)
    #expect(try Plan(parse(Array(plan.json.text(style: .pretty).utf8), source: "plan")) == plan)
    let narrow = try search(hostGigabytes: 600).run()
    #expect(narrow.best.isEmpty)
    let needed = try #require(narrow.shortage?.neededHostBytes)
    #expect((650_000_000_000...850_000_000_000).contains(needed), "\(needed)")
  }

  /// Nothing lies on the host where everything fits on the devices, or where the framework has no such thing.
  @Test func nothingIsOnTheHostWithoutNeed() throws {
    let small = try Self.model(
      Shipped.catalog.model("llama-2-7b"), device: "a100-sxm4-80gb", hostGigabytes: 1_000, globalBatch: 64,
      sequenceLength: 2048)
    let found = PlanSearch(model: small, capabilities: .deepSpeed).run()
    #expect(found.best.first?.strategy.hosting == Hosting.none)
    let large = try Self.model(
      Self.llama33B(), device: "a100-sxm4-40gb", hostGigabytes: 1_000, globalBatch: 64, sequenceLength: 2048)
    #expect(PlanSearch(model: large, capabilities: .nanotron).run().best.isEmpty)
    // What is fixed is kept, needed or not.
    let fixed = PlanSearch(
      model: small, pattern: try StrategyPattern(text: "host_update_percent=50,zero_stage=3", source: "fix"),
      capabilities: .deepSpeed
    ).run()
    #expect(fixed.best.first?.strategy.hosting == Hosting(updatePercent: 50))
    #expect(fixed.best[0].iterationSeconds > found.best[0].iterationSeconds)
  }

  /// 70B on 8 A100 of 80 GB in bf16 with a paged 8-bit Adam trains (people's reports); with fp32 states it fits nowhere.
  @Test func statesOf8BitsMakeALargeModelFit() throws {
    func best(_ optimizer: Optimizer, accumulatesInFP32: Bool) throws -> PlanSearch.Completion? {
      let model = try Self.model(
        Shipped.catalog.model("llama-3-70b"), device: "a100-sxm4-80gb", hostGigabytes: 1_000, globalBatch: 8,
        sequenceLength: 2048, optimizer: optimizer, accumulatesInFP32: accumulatesInFP32)
      return PlanSearch(
        model: model, pattern: try StrategyPattern(text: "host_update_percent=0,host_weights=false", source: "fix")
      ).run().best.first
    }
    #expect(
      try best(Optimizer(moments: .int8, masterWeights: .none, isPaged: true), accumulatesInFP32: false) != nil)
    #expect(try best(.adam, accumulatesInFP32: true) == nil)
  }

  /// Llama 3 70B on 32 devices, pipeline 8 and FSDP 4, all states in bf16: a micro-batch of 4 is too much for H100 of
  /// 80 GB and runs on H200; a smaller one runs on both.
  @Test func theMicroBatchDecidesWhereStatesAreOf16Bits() throws {
    func verdict(_ device: String, microBatch: Int) throws -> Prediction.Verdict {
      let model = try Self.model(
        Shipped.catalog.model("llama-3-70b"), device: device, nodes: 4, globalBatch: 128, sequenceLength: 1024,
        optimizer: Optimizer(moments: .bf16, masterWeights: .none), accumulatesInFP32: false)
      let pattern = try StrategyPattern(
        text: "pipeline=8,data=4,zero_stage=3,recompute=none,micro_batch=\(microBatch)", source: "strategy")
      return try Estimate(model: model, pattern: pattern).prediction.verdict
    }
    #expect(try verdict("h100-sxm5-80gb", microBatch: 4) == .unfit)
    #expect(try verdict("h200-sxm5-141gb", microBatch: 4) != .unfit)
    #expect(try verdict("h100-sxm5-80gb", microBatch: 1) != .unfit)
  }
}
