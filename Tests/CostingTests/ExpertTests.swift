import Documents
import TestSupport
import Testing
import Training

@testable import Costing

/// Layers with experts: what they exchange, hold and keep, against published tables and an account of their own.
@Suite struct ExpertTests {
  private static func model(_ name: String) throws -> ModelDescription { try Shipped.catalog.model(name) }

  private static func experts(
    _ name: String, _ degree: Int, _ dispatcher: Strategy.Dispatcher, devicesPerNode: Int = .max
  ) throws -> (recipe: Recipe, experts: RoutedExperts) {
    let job = try TrainingJob(model: model(name), sequenceLength: 4_096, globalBatch: 512)
    var strategy = Strategy(mesh: [.data: degree], usesFlashAttention: true)
    strategy.expertDegree = degree
    strategy.dispatcher = dispatcher
    let recipe = Recipe(
      job: job, strategy: strategy, vocabularySize: job.model.vocabularySize, devicesPerNode: devicesPerNode)
    return (recipe, try #require(recipe.experts))
  }

  /// Bytes that a rank sends of an operand in a pass.
  private func sent(_ recipe: Recipe, _ tensor: RoutedTensor, _ ranks: TensorCollective.Ranks, of count: Int) -> Double
  {
    recipe.steps(.expertBlock, .forward).reduce(0) { sum, step in
      guard case .collective(let it) = step, it.operand == .routed(tensor), it.ranks == ranks else { return sum }
      return sum + Double(it.byteCount) * Double(count - 1) / Double(count)
    }
  }

  // MARK: Exchanges

  /// MB of one rank in one direction, bf16, 4,096 tokens: every copy of a token, and its copies to distinct ranks. Without
  /// groups of experts, which make a token's ranks fewer.
  @Test(arguments: [
    ("kimi-k2", 64, 462.4, 441.7), ("qwen3-235b-a22b", 32, 260.0, 239.2), ("qwen3-30b-a3b", 8, 117.4, 78.4),
    ("gpt-oss-120b", 64, 92.9, 91.8), ("gpt-oss-120b", 8, 82.6, 69.0),
  ])
  func exchangesAreThoseOfTheTable(_ name: String, _ degree: Int, _ all: Double, _ distinct: Double) throws {
    for (dispatcher, megabytes) in [(Strategy.Dispatcher.allToAll, all), (.deepEP, distinct)] {
      let (recipe, _) = try Self.experts(name, degree, dispatcher)
      for tensor in [RoutedTensor.tokens, .outputs] {
        let sent = sent(recipe, tensor, .expertGroup, of: degree) / 1e6
        #expect(abs(sent - megabytes) <= 0.051, "\(dispatcher) \(tensor.rawValue): \(sent)")
      }
    }
  }

  /// Seconds of exchanges by hand: an all-to-all has a latency for each peer, and its weights are a message of their own; one kernel
  /// that sends to all at once has the slowest hop's, and weights travel in its messages.
  @Test(arguments: [Strategy.Dispatcher.allToAll, .hybridEP])
  func latenciesOfWaysOfTokens(dispatcher: Strategy.Dispatcher) throws {
    let cluster = try Shipped.catalog.cluster("gb200-nvl72-64")
    let job = try TrainingJob(
      model: Self.model("qwen3-235b-a22b"), sequenceLength: 4_096, globalBatch: 1_024, precision: .bf16)
    var strategy = Strategy(mesh: [.data: cluster.deviceCount], zeroStage: .optimizer, usesFlashAttention: true)
    strategy.expertDegree = 32
    strategy.dispatcher = dispatcher
    let links = LayoutLinks(strategy.mesh, on: Fabric(cluster))
    let recipe = Recipe(job: job, strategy: strategy, vocabularySize: job.model.vocabularySize, devicesPerNode: 64)
    let groups = links.expertGroups(of: strategy, recipe)
    let fabric = cluster.device.fabric, peers = 31.0, share = peers / 32 / (900e9 * fabric.scaleUpEfficiency)
    var seen = 0
    for case .collective(let collective) in recipe.steps(.expertBlock, .forward) where collective.ranks == .expertGroup
    {
      let ofBytes = Double(collective.byteCount) * share
      let isWeights = collective.operand == .routed(.weights)
      let expected =
        dispatcher == .allToAll
        ? fabric.collectiveSeconds + peers * fabric.scaleUpLatencySeconds + ofBytes
        : isWeights ? ofBytes : fabric.collectiveSeconds + fabric.scaleUpLatencySeconds + ofBytes
      #expect(agrees(groups.seconds(of: collective), expected, relative: 1e-9), "\(collective)")
      seen += 1
    }
    #expect(seen == 3)
  }

  /// DeepSeek-V3: a token's experts are from 4 of 8 groups, which lie on 8 nodes.
  @Test func groupsOfExpertsLimitNodesAndRanks() throws {
    let (recipe, experts) = try Self.experts("deepseek-v3", 64, .deepEP, devicesPerNode: 8)
    #expect(experts.nodeCount == 8)
    #expect(abs(experts.distinctGroupCount(of: 8) - 3.629) < 5e-4)
    #expect(abs(experts.distinctGroupCount(of: 64) - 7.359) < 5e-4)
    let across = sent(recipe, .tokens, .expertsAcross, of: 8), inside = sent(recipe, .tokens, .expertsInside, of: 8)
    #expect(abs(across - 7.0 / 8 * experts.distinctGroupCount(of: 8) * 4_096 * 7_168 * 2) < 20_000)
    #expect(abs(inside - 7.0 / 8 * experts.distinctGroupCount(of: 64) * 4_096 * 7_168 * 2) < 20_000)
    // Without groups, as DeepEP counts.
    let (_, free) = try Self.experts("qwen3-235b-a22b", 32, .deepEP)
    #expect(abs(free.distinctGroupCount(of: 32) - 7.359) < 5e-4)
    let (_, eight) = try Self.experts("qwen3-30b-a3b", 8, .deepEP)
    #expect(abs(eight.distinctGroupCount(of: 8) - 5.339) < 5e-4)
  }

  /// With balanced routing every rank sends what a map of tokens to experts says: expert j of token t is (t·k + j) mod E.
  @Test(arguments: [2, 4, 8]) func allToAllIsTheRoutingMaps(_ degree: Int) throws {
    let (recipe, experts) = try Self.experts("mixtral-8x7b", degree, .allToAll)
    var rows = 0
    for token in 0..<4_096 {
      for choice in 0..<experts.perToken {
        let expert = (token * experts.perToken + choice) % experts.count
        // Of rank 0.
        if expert / experts.localCount != 0 { rows += 1 }
      }
    }
    #expect(sent(recipe, .tokens, .expertGroup, of: degree) == Double(rows * 4_096 * 2))
    #expect(sent(recipe, .weights, .expertGroup, of: degree) == Double(rows * 4))
  }

  // MARK: Memory

  /// A framework that adds nothing of its own, whose loss is fused.
  private static func framework() -> DeviceProfile.Framework {
    var framework = Fixture.framework()
    framework.memory.logitsBytesPerEntry = 6
    return framework
  }

  /// Peak allocations of models of four layers, the first of them dense, on 8 devices (SimuMax's measurements on B200; bf16,
  /// fp32 gradients, sequences of 4,096, micro-batches of 1).
  @Test(arguments: [("deepseek-v3", 104.30), ("deepseek-v2", 45.63)])
  func savedActivationsAndStatesAreWithinThreePercentOfMeasuredOnes(_ name: String, _ gibibytes: Double) throws {
    let shape = try Self.fourLayers(name)
    let job = try TrainingJob(model: shape, sequenceLength: 4_096, globalBatch: 256)
    var strategy = Strategy(mesh: [.data: 8], zeroStage: .optimizer, usesFlashAttention: true)
    strategy.expertDegree = 8
    let memory = Fixture.memory(job, strategy, framework: Self.framework())
    let kinds = LayerKinds(of: shape)
    let peak = memory.stageMemory(stage: 0, StageLayers(0..<4, of: kinds).content(nil)).peakBytes
    let counted = Double(peak) / Double(1 << 30)
    #expect(abs(counted / gibibytes - 1) < 0.03, "\(counted) GiB of \(gibibytes)")
  }

  private static func fourLayers(_ name: String) throws -> ModelDescription {
    let isThird = name == "deepseek-v3"
    var experts = ModelDescription.Experts(
      count: isThird ? 256 : 160, perToken: isThird ? 8 : 6, feedForwardSize: isThird ? 2_048 : 1_536)
    experts.sharedFeedForwardSize = isThird ? 2_048 : 3_072
    experts.denseLayers = [0]
    return try ModelDescription(
      name: name, family: .llama, layerCount: 4, hiddenSize: isThird ? 7_168 : 5_120, headCount: 128,
      feedForwardSize: isThird ? 18_432 : 12_288, vocabularySize: isThird ? 129_280 : 102_400,
      hasGatedFeedForward: true, hasTiedEmbeddings: false,
      latent: ModelDescription.LatentAttention(
        queryRank: 1_536, keyValueRank: 512, plainSize: 128, rotarySize: 64, valueSize: 128), experts: experts)
  }

  /// Bytes a token that a layer with experts of DeepSeek-V3 keeps: 458 kB, of it routed 213, attention 164.
  @Test func whatALayerKeepsOfATokenIsTheTables() throws {
    let (recipe, _) = try Self.experts("deepseek-v3", 8, .allToAll)
    var all = 0, routed = 0
    for case .piece(let piece, let operations) in recipe.steps(.expertBlock, .forward) {
      for case .keep(let tensor) in operations {
        all += tensor.byteCount
        if piece == .experts { routed += tensor.byteCount }
      }
    }
    let (h, a) = (7_168, 128)
    let attention = 4 * 1_536 + 2 * (512 + 64) + 2 * 512 + 4 * a * 192 + 4 * a * 128 + 4 * a
    let expected = 8 * h + attention + 9 * 256 + 8 * (2 * h + 6 * 2_048 + 4) + 6 * 2_048
    #expect(all == 4_096 * expected)
    #expect(routed == 4_096 * 8 * (2 * h + 6 * 2_048 + 4))
    #expect(abs(Double(expected) / 458_000 - 1) < 0.005)
  }

  /// What ranks hold is dense/TP + experts/(ETP·EP), optimizer states over replicas and over those with the same experts.
  @Test func statesAreDividedByTheGridTheyLieOn() throws {
    let shape = try Self.model("deepseek-v3")
    let job = try TrainingJob(model: shape, sequenceLength: 4_096, globalBatch: 256)
    var strategy = Strategy(
      mesh: [.tensor: 2, .data: 16], zeroStage: .optimizer, usesSequenceParallelism: true, usesFlashAttention: true)
    strategy.expertDegree = 8
    let memory = Fixture.memory(job, strategy, framework: Self.framework())
    let held = memory.stageMemory(stage: 0, StageLayers(0..<61, of: LayerKinds(of: shape)).content(nil))
    let dense = shape.layerParameters(.dense), routed = shape.layerParameters(.experts)
    let vocabulary = shape.paddedVocabularySize(multiple: Self.framework().vocabularyMultiple, tensorDegree: 2)
    let prediction = shape.predictionLayerParameters
    let ofAll =
      3 * dense.perRank(tensorDegree: 2) + 58 * routed.perRank(tensorDegree: 2) + prediction.perRank(tensorDegree: 2)
      + shape.embeddingParameters(vocabularySize: vocabulary).perRank(tensorDegree: 2)
      + shape.headParameters(vocabularySize: vocabulary).perRank(tensorDegree: 2)
    let ofExperts = 59 * 256 / 8 * 3 * 7_168 * 2_048
    #expect(held.weightBytes == 2 * (ofAll + ofExperts))
    #expect(held.gradientBytes == 4 * (ofAll + ofExperts))
    // 16 replicas of the rest, 4 of each expert.
    #expect(held.optimizerBytes == 12 * ((ofAll + 15) / 16 + (ofExperts + 3) / 4))
  }

  // MARK: Traffic

  /// Experts' gradients are reduced among the ranks that hold the same experts, over EDP and not over all replicas.
  @Test func gradientsOfExpertsAreReducedAmongTheirOwnReplicas() throws {
    let shape = try Self.model("mixtral-8x7b")
    let job = try TrainingJob(model: shape, sequenceLength: 1_024, globalBatch: 64)
    let cluster = try Fixture.node(of: 16)
    let model = try CostModel(cluster: cluster, job: job)
    func traffic(_ expert: Int) throws -> (data: Int, expert: Int) {
      var strategy = Strategy(mesh: [.data: 16], zeroStage: .optimizer, usesFlashAttention: true)
      strategy.expertDegree = expert
      #expect(model.violation(of: strategy) == nil)
      let count = model.traffic(of: strategy, split: .even(layerCount: 32, stageCount: 1), routes: CollectiveRoutes())
      func total(_ kind: TrafficKind) -> Int {
        (0..<count.levelCount).reduce(0) { $0 + count.byteCount(kind, level: $1) }
      }
      return (total(.data), total(.expert))
    }
    let layer = shape.layerParameters(.experts)
    func moved(_ parameters: Int, among n: Int) -> Int { 6 * parameters * (n - 1) }
    let rest = shape.parameterCount - 32 * layer.ofExperts
    for (expert, replicas) in [(1, 16), (2, 8), (8, 2)] {
      let routed = 32 * layer.ofExperts / expert
      // A ring of each group: reduced in fp32 and gathered in bf16, of all ranks together.
      let expected = moved(rest, among: 16) + expert * moved(routed, among: replicas)
      let found = try traffic(expert)
      #expect(found.data == expected, "expert degree \(expert)")
      // There and back, forward and backward, of 4 micro-batches of 1,024 tokens on each rank.
      let rows = 4 * 32 * 16 * 1_024 * 2 * (expert - 1) / expert
      #expect(found.expert == 4 * rows * 4_096 * 2 + 2 * rows * 4)
    }
  }

  /// Where the whole way of tokens is run again they are sent there and back once more, of three passes in place of two.
  @Test func tokensAreSentAgainWhereTheirWayIsRecomputed() throws {
    let job = try TrainingJob(model: Self.model("mixtral-8x7b"), sequenceLength: 1_024, globalBatch: 64)
    let model = try CostModel(cluster: Fixture.node(of: 16), job: job)
    func sent(_ modules: Strategy.RecomputeModules) -> (tokens: Int, data: Int) {
      var strategy = Strategy(mesh: [.data: 16], zeroStage: .optimizer, usesFlashAttention: true)
      strategy.expertDegree = 8
      if !modules.isEmpty { (strategy.recompute, strategy.recomputeModules) = (.selective, modules) }
      #expect(model.violation(of: strategy) == nil)
      let count = model.traffic(of: strategy, split: .even(layerCount: 32, stageCount: 1), routes: CollectiveRoutes())
      func total(_ kind: TrafficKind) -> Int {
        (0..<count.levelCount).reduce(0) { $0 + count.byteCount(kind, level: $1) }
      }
      return (total(.expert), total(.data))
    }
    let plain = sent([]), again = sent(.experts)
    #expect(2 * again.tokens == 3 * plain.tokens && again.data == plain.data)
    #expect(sent([.expertActivation, .norms]) == plain)
  }

  // MARK: Time

  /// What modules take again is what the passes of the recipe say, computation and exchanges apart; memory is what is left.
  @Test func modulesArePricedAsTheirPasses() throws {
    let job = try TrainingJob(model: Self.model("deepseek-v3"), sequenceLength: 4_096, globalBatch: 64)
    let model = try CostModel(cluster: Fixture.node(of: 8), job: job)
    func cost(_ recompute: Strategy.Recompute, _ modules: Strategy.RecomputeModules = []) -> StageCost {
      var strategy = Strategy(mesh: [.data: 8], recompute: recompute, usesFlashAttention: true)
      strategy.expertDegree = 8
      strategy.recomputeModules = modules
      return model.cost(of: strategy)[0]
    }
    let none = cost(.none), full = cost(.full)
    var least = none.memory.layerActivationBytes.experts
    for set: Strategy.RecomputeModules in [
      .expertActivation, [.expertActivation, .latentProjections], [.latentProjections, .experts],
    ] {
      let some = cost(.selective, set)
      let passes = some.microBatch.layers.experts, plain = none.microBatch.layers.experts
      let extra = passes.backwardSeconds - plain.backwardSeconds
      #expect(passes.forwardSeconds == plain.forwardSeconds)
      #expect(extra > 0 && extra < plain.forwardSeconds)
      // Exchanges go with the whole way of tokens alone.
      let exchanged = passes.backwardExpertSeconds - plain.backwardExpertSeconds
      #expect(set.contains(.experts) ? agrees(exchanged, plain.forwardExpertSeconds) : exchanged == 0)
      #expect(some.memory.layerActivationBytes.experts < least)
      least = some.memory.layerActivationBytes.experts
      #expect(some.layers.experts.launchFloorSeconds >= none.layers.experts.launchFloorSeconds)
    }
    #expect(least > full.memory.layerActivationBytes.experts)
    // What predicts a further token is recomputed with the rest.
    #expect(full.microBatch.head.recomputeSeconds > 0 && none.microBatch.head.recomputeSeconds == 0)
  }

  /// Rows are what grouped products live on: twice the experts on a rank, half the rows of each, take longer.
  @Test func fewerRowsOfEachExpertTakeLonger() throws {
    func seconds(_ degree: Int) throws -> Double {
      let (recipe, _) = try Self.experts("qwen3-30b-a3b", degree, .allToAll)
      let rates = ComputeRates(
        DeviceSpeed(Fixture.device(), precision: .bf16), framework: Fixture.framework(),
        job: try TrainingJob(model: Self.model("qwen3-30b-a3b"), sequenceLength: 4_096, globalBatch: 512))
      return Account(recipe, .expertBlock, .forward, on: rates).gemmSeconds
    }
    #expect(try seconds(8) < seconds(4))
    #expect(try seconds(4) < seconds(2))
  }

  /// A load above the mean is waited for: λ rows of computation and of what is kept.
  @Test func theFullestRankIsWaitedFor() throws {
    var job = try TrainingJob(model: Self.model("qwen3-30b-a3b"), sequenceLength: 4_096, globalBatch: 512)
    var strategy = Strategy(mesh: [.data: 8], zeroStage: .optimizer, usesFlashAttention: true)
    strategy.expertDegree = 8
    func layer(_ job: TrainingJob) throws -> (seconds: Double, bytes: Int) {
      let model = try CostModel(cluster: Fixture.node(of: 8), job: job)
      let cost = model.cost(of: strategy)[0]
      return (cost.layers.experts.device.forward, cost.memory.layerActivationBytes.experts)
    }
    let balanced = try layer(job)
    job.expertLoad = 1.5
    let uneven = try layer(job)
    #expect(uneven.seconds > 1.1 * balanced.seconds)
    #expect(uneven.bytes - balanced.bytes == 4_096 * 8 / 2 * (2 * 2_048 + 6 * 768 + 4))
  }
}
