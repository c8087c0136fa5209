import Costing
import Documents
import JSONText
import Search
import TestSupport
import Testing

/// Experts that frameworks other than Megatron-LM divide: the search finds the best of what their tables admit.
@Suite struct FrameworkExpertPlanTests {
  private static func model(
    devices: Int, layers: Int, hidden: Int, experts count: Int, batch: Int, memoryBytes: Int
  ) throws -> CostModel {
    var experts = ModelDescription.Experts(count: count, perToken: 2, feedForwardSize: 2 * hidden)
    experts.sharedFeedForwardSize = hidden
    let shape = try ModelDescription(
      name: "small", family: .llama, layerCount: layers, hiddenSize: hidden, headCount: 8, keyValueHeadCount: 4,
      feedForwardSize: 4 * hidden, vocabularySize: 32_000, hasGatedFeedForward: true, hasTiedEmbeddings: false,
      experts: experts)
    let job = try TrainingJob(model: shape, sequenceLength: 1_024, globalBatch: batch, precision: .bf16)
    let cluster = try Shipped.smallCluster(devices)
    let device = try DeviceProfile(
      Field(
        cluster.device.json.replacing("/datasheet/memory_bytes", with: .integer(memoryBytes)), source: "device"))
    return try CostModel(cluster: cluster.replacing(device: device), job: job)
  }

  /// Every division of experts, offered or not.
  private static let divisions = [1, 2, 4, 8].flatMap { expert in
    [1, 2, 4, 8].flatMap { tensor in
      [Strategy.Dispatcher.allToAll, .allGather, .deepEP].map {
        Strategy.ExpertDivision(expertDegree: expert, tensorDegree: tensor, dispatcher: $0)
      }
    }
  }

  /// The best of every strategy that a table admits, by loops of the test's own.
  private static func best(_ model: CostModel, _ table: Capabilities) -> (score: Double, strategy: Strategy)? {
    let job = model.job, devices = model.cluster.deviceCount, layers = job.model.layerCount
    var best: (score: Double, strategy: Strategy)?
    var scratch = EvaluationScratch()
    for tensor in 1...devices where devices % tensor == 0 {
      for pipeline in 1...devices where devices % (tensor * pipeline) == 0 {
        let data = devices / tensor / pipeline
        for chunks in 1...layers where chunks == 1 || layers % (pipeline * chunks) == 0 {
          for microBatch in 1...job.globalBatch {
            for sharding in BruteForce.shardings(replicas: data, tensor: tensor, cluster: model.cluster) {
              for recompute in Strategy.Recompute.allCases {
                for division in divisions {
                  let strategy = Strategy(
                    mesh: [.tensor: tensor, .pipeline: pipeline, .data: data],
                    schedule: Strategy.Schedule(chunkCount: chunks), microBatch: microBatch, sharding: sharding,
                    recompute: recompute, usesSequenceParallelism: tensor > 1, usesFlashAttention: true,
                    overlapsGradientReduce: model.framework.overlapsGradientReduce
                  ).with(division)
                  guard model.violation(of: strategy) == nil, strategy.exclusion == nil,
                    table.refusal(of: strategy) == nil, table.refusal(of: strategy, job: job) == nil
                  else { continue }
                  let cost = model.cost(of: strategy)
                  let splits =
                    chunks == 1
                    ? BruteForce.compositions(of: layers, into: pipeline).map { Split($0) }
                    : [.even(layerCount: layers, stageCount: pipeline, chunkCount: chunks)]
                  for split in splits {
                    let verdict = cost.memory.verdict(of: cost.memory.stageMemory(of: split))
                    guard verdict != .unfit else { continue }
                    let seconds = cost.iterationSeconds(of: split, scratch: &scratch)
                    let score = verdict == .risky ? seconds * PlanSearch.headroomSurcharge : seconds
                    if score < best?.score ?? .infinity { best = (score, strategy) }
                  }
                }
              }
            }
          }
        }
      }
    }
    return best
  }

  @Test(
    "The optimum equals brute force over the table, in whose best plans ranks divide experts",
    arguments: [Capabilities.torchtitan, .deepSpeed].map(\.name))
  func optimum(name: String) throws {
    let table = try #require(Capabilities.named(name))
    var divided = 0
    for model in try [
      Self.model(devices: 4, layers: 4, hidden: 1_024, experts: 8, batch: 8, memoryBytes: 12_000_000_000),
      Self.model(devices: 8, layers: 4, hidden: 1_024, experts: 8, batch: 8, memoryBytes: 6_000_000_000),
      Self.model(devices: 8, layers: 2, hidden: 2_048, experts: 16, batch: 8, memoryBytes: 20_000_000_000),
    ] {
      // Split backward passes are not these loops'.
      let result = PlanSearch(model: model, capabilities: table).run()
      let truth = try #require(Self.best(model, table)), found = try #require(result.best.first)
      #expect(
        abs(found.scoreSeconds - truth.score) <= 1e-9 * truth.score, "\(found.strategy.text), \(truth.strategy.text)")
      #expect(result.certificate.ending == .exhausted)
      if found.strategy.expertDegree > 1 { divided += 1 }
    }
    #expect(divided > 0)
  }

  /// Where nobody divides experts under torchtitan, tensor groups divide their width and gather all tokens.
  @Test func tensorGroupsDivideWidthsThatNobodyDividesOtherwise() throws {
    let model = try Self.model(
      devices: 8, layers: 2, hidden: 2_048, experts: 16, batch: 8, memoryBytes: 80_000_000_000)
    let pattern = try StrategyPattern(text: "tensor=4,expert=1", source: "test")
    let found = try #require(PlanSearch(model: model, pattern: pattern, capabilities: .torchtitan).run().best.first)
    #expect(found.strategy.expertTensorDegree == 4 && found.strategy.dispatcher == .allGather)
    // A width that is fixed and not offered is refused by name.
    let whole = try StrategyPattern(text: "tensor=4,expert=1,expert_tensor=1", source: "test")
    let result = PlanSearch(model: model, pattern: whole, capabilities: .torchtitan).run()
    #expect(result.best.isEmpty)
    #expect(
      result.certificate.rejections.contains { $0.rule.contains("divides the width of experts by tensor groups") })
  }

  /// DeepEP leaves no room for rows that FP8 is padded with: under torchtitan HybridEP is looked at in its place.
  @Test func productsInFP8AreSearchedWithTheWaysThatTakeThem() throws {
    let job = try TrainingJob(
      model: try Shipped.catalog.model("qwen3-30b-a3b"), sequenceLength: 4_096, globalBatch: 256,
      precision: .fp8Current)
    let model = try CostModel(cluster: try Shipped.catalog.cluster("dgx-h100-4"), job: job)
    func best(_ dispatcher: String) throws -> Strategy? {
      let pattern = try StrategyPattern(text: "tensor=1,pipeline=1,expert=8\(dispatcher)", source: "test")
      return PlanSearch(model: model, pattern: pattern, capabilities: .torchtitan).run().best.first?.strategy
    }
    #expect(try best("")?.dispatcher == .hybridEP)
    #expect(try best(",moe_dispatcher=deepep") == nil)
    #expect(try best(",moe_dispatcher=alltoall")?.dispatcher == .allToAll)
  }
}
