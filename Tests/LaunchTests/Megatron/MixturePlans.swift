import Costing
import Documents
import JSONText
import TestSupport

@testable import Launch

/// Plans of small mixtures of experts that nobody searched for, the same for the same seed: every rule of routers, every
/// division of experts, layers and chunks of any number.
struct MixturePlans {
  private var random: SeededGenerator
  private let cluster: ClusterDescription
  private let target: any LaunchTarget.Type
  /// Models that the framework cannot be told, of those drawn.
  private(set) var refusedModels = 0

  init(seed: Int, for target: any LaunchTarget.Type = MegatronLMTarget.self) throws {
    random = SeededGenerator(seed: seed)
    cluster = try Shipped.catalog.cluster("dgx-h100-4")
    self.target = target
  }

  private var isForMegatron: Bool { target == MegatronLMTarget.self }

  /// The next plan that the framework runs.
  mutating func next() throws -> Plan {
    while true {
      if let plan = try candidate(), target.refusal(of: plan) == nil { return plan }
    }
  }

  private mutating func pick<Value>(_ values: [Value]) -> Value { values.randomElement(using: &random) ?? values[0] }

  private mutating func candidate() throws -> Plan? {
    let pipeline = pick([1, 1, 2, 4]), chunks = pipeline > 1 ? pick([1, 2, 3]) : 1
    let stages = pipeline * chunks
    var layers = [Int](repeating: pick([1, 2]), count: stages)
    if pick([true, false]) { for stage in layers.indices { layers[stage] += pick([0, 0, 1]) } }
    let layerCount = layers.reduce(0, +)
    guard let model = try? model(layerCount: layerCount) else { return nil }
    let job = try TrainingJob(
      model: model, sequenceLength: 512, globalBatch: 64,
      precision: pick([.bf16, .bf16, .bf16, isForMegatron ? .fp16 : .fp8Current, .fp32]),
      accumulatesGradientsInFP32: true)
    guard target.capabilities.refusal(of: job) == nil else {
      refusedModels += 1
      return nil
    }
    let tensor = pick([1, 2, 4]), context = pick([1, 1, 2])
    let data = cluster.deviceCount / (tensor * pipeline * context)
    var strategy = Strategy(
      mesh: [.tensor: tensor, .pipeline: pipeline, .data: data, .context: context],
      schedule: Strategy.Schedule(chunkCount: chunks), microBatch: pick([1, 2]),
      recompute: pick(Strategy.Recompute.allCases), usesSequenceParallelism: tensor > 1,
      usesFlashAttention: job.precision.is16Bit, overlapsGradientReduce: pick([true, false]) || !isForMegatron)
    let replicas = data * context, parts = pick([1, 2, 4, 8, 16, 32].filter { replicas % $0 == 0 })
    strategy.sharding = Sharding(weightDegree: 1, gradientDegree: 1, optimizerDegree: pick([1, replicas, parts]))
    if !isForMegatron, pipeline == 1 {
      let (shards, divides) = (strategy.sharding.optimizerDegree, pick([true, false]))
      strategy.sharding = Sharding(
        weightDegree: divides ? shards : 1, gradientDegree: shards, optimizerDegree: shards)
    }
    strategy.contextExchange = isForMegatron ? pick([.ring, .allToAll]) : .allGather
    strategy = strategy.with(
      Strategy.ExpertDivision(
        expertDegree: pick([1, 2, 4, 8]), tensorDegree: pick([1, 1, 2, 4]),
        dispatcher: pick(Strategy.Dispatcher.allCases), overlaps: pick([true, false]) && isForMegatron))
    guard let costs = try? CostModel(cluster: cluster, job: job), costs.violation(of: strategy) == nil else {
      return nil
    }
    return Plan(stating: strategy, split: Split(layers, stageCount: pipeline), on: costs)
  }

  private mutating func model(layerCount: Int) throws -> ModelDescription {
    let hasBias = pick([false, false, true])
    var experts = ModelDescription.Experts(
      count: pick([8, 16, 64]), perToken: pick([1, 2, 4, 8]), feedForwardSize: pick([128, 192, 512]))
    experts.sharedFeedForwardSize = pick([0, 0, 256])
    experts.hasSharedGate = experts.sharedFeedForwardSize > 0 && pick([true, false])
    experts.score = pick([.softmax, .sigmoid])
    experts.hasCorrectionBias = pick([true, false])
    experts.normalisesWeights = pick([true, true, false])
    experts.routedScale = pick([1, 2.5])
    experts.groups = pick([nil, nil, ModelDescription.Experts.Groups(count: 4, kept: 2)])
    experts.denseLayers = pick([[], [0], [0, 1], Array(stride(from: 1, to: layerCount, by: 2))]).filter {
      $0 < layerCount
    }
    experts.hasBias = hasBias
    experts.hasRouterBias = hasBias
    let family: ModelDescription.Family = pick([.llama, .llama, .llama, .gpt])
    let latent = pick([
      nil, nil,
      ModelDescription.LatentAttention(
        queryRank: pick([nil, 96]), keyValueRank: 64, plainSize: 32, rotarySize: 16, valueSize: 24),
    ])
    var form = ModelDescription.Form(of: family, positionCount: family == .gpt ? 512 : 0)
    form.hasSinks = pick([false, false, true])
    var details = ModelDescription.Details(activation: pick([.silu, .quickGELU]))
    if let latent, pick([true, false]) { addYaRN(to: &details, headSize: latent.headSize) }
    if details.activation == .quickGELU { details.particulars[.gateOffset] = pick([nil, 1]) }
    details.particulars[.gateLimit] = pick([nil, 7])
    return try ModelDescription(
      name: "mixture", family: family, layerCount: layerCount, hiddenSize: 256, headCount: 8,
      keyValueHeadCount: latent == nil ? 4 : 8,
      feedForwardSize: pick([512, 1_024]), vocabularySize: 1_000, hasGatedFeedForward: true,
      hasTiedEmbeddings: pick([true, false]), positionCount: family == .gpt ? 512 : 0, hasQueryKeyValueBias: hasBias,
      hasAttentionOutputBias: hasBias, hasFeedForwardBias: hasBias && !experts.denseLayers.isEmpty, latent: latent,
      experts: experts, predictionDepth: pick([0, 0, 1, 2]), form: form, details: details)
  }

  /// YaRN's scales of rotations and of scores by the two numbers that files state.
  private mutating func addYaRN(to details: inout ModelDescription.Details, headSize: Int) {
    let (own, ofAll) = pick([(1.0, 0.0), (1, 1), (0.707, 0.707), (1.2, 0)])
    func scale(_ number: Double) -> Double { ModelDescription.RotaryScaling.yarnScale(number, factor: 40) }
    details.rotaryScaling = ModelDescription.RotaryScaling(
      .yarn, factor: 40, originalPositionCount: 4_096, fastBeta: 32, slowBeta: 1,
      attentionFactor: own == 1 && ofAll == 0 ? nil : scale(own) / scale(ofAll))
    if ofAll > 0 {
      details.particulars[.scoreScale] = scale(ofAll) * scale(ofAll) / Double(headSize).squareRoot()
    }
  }
}
