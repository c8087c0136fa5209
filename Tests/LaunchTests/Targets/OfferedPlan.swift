import Documents
import JSONText
import TestSupport

@testable import Costing

/// A random plan that a framework offers: of a small model whose details are stated, on a small cluster.
struct OfferedPlan: CustomStringConvertible {
  let plan: Plan
  let description: String

  /// - Throws: when two thousand draws make nothing that the framework runs.
  init(seed: Int, for table: Capabilities) throws {
    var random = SeededGenerator(seed: seed)
    for _ in 0..<2_000 {
      guard let plan = try Self.draw(&random, for: table) else { continue }
      self.plan = plan
      description = "seed \(seed): \(plan.strategy.json.text(style: .compact)) \(plan.split.layerCounts)"
      return
    }
    throw Exhausted()
  }

  struct Exhausted: Error {}

  private static func draw(_ random: inout SeededGenerator, for table: Capabilities) throws -> Plan? {
    func pick<Value>(_ values: [Value]) -> Value { values.randomElement(using: &random) ?? values[0] }
    func flip() -> Bool { Bool.random(using: &random) }
    let tensor = pick([1, 1, 2, 4]), pipeline = pick([1, 1, 2, 4]), data = pick([1, 2, 4, 8, 16])
    let chunks = pipeline > 1 && flip() ? pick([2, 3, 4]) : 1
    let exchange = table.contextExchanges.randomElement(using: &random)?.exchange,
      context = exchange == nil ? 1 : pick([1, 2, 4])
    let mesh: Mesh = [.tensor: tensor, .pipeline: pipeline, .data: data, .context: context]
    let replicas = data * context
    guard mesh.worldSize <= 64 else { return nil }
    // Layers in every chunk, uneven where stages have one.
    let counts =
      chunks > 1
      ? Array(repeating: pick([1, 2]), count: pipeline * chunks)
      : (0..<pipeline).map { _ in Int.random(in: 1...4, using: &random) }
    let microBatch = pick([1, 2, 3]), microBatchCount = pick([1, 2, 3, 4, 6, 8])
    if chunks > 1,
      Strategy.Schedule.groupSize(stageCount: pipeline, microBatchCount: microBatchCount) == nil
        || table.interleaving == .none
    {
      return nil
    }
    let schedules = [Strategy.Schedule(chunkCount: chunks)] + splitSchedules(chunks, pipeline, microBatchCount)
    let degrees = [1, 2, 4, 8, 16, 32, 64].filter { replicas % $0 == 0 }
    let part = pick(degrees)
    let sharding =
      switch Int.random(in: 0...6, using: &random) {
      case 0...3: Sharding(pick(Strategy.ZeroStage.allCases), replicaCount: replicas)
      case 4: Sharding(weightDegree: part, gradientDegree: part, optimizerDegree: part)
      case 5: Sharding(weightDegree: 1, gradientDegree: 1, optimizerDegree: part)
      default:
        Sharding(
          weightDegree: replicas, gradientDegree: replicas, optimizerDegree: replicas,
          secondaryDegree: part > 1 && part < replicas ? part : nil, quantisesWeights: replicas > 1 && flip(),
          quantisesGradients: replicas > 1 && flip())
      }
    guard sharding.violation(replicaCount: replicas, hasPipeline: false) == nil else { return nil }
    var strategy = Strategy(
      mesh: mesh, schedule: pick(schedules), microBatch: microBatch, sharding: sharding,
      recompute: pick([.none, .full]), usesSequenceParallelism: tensor > 1 && flip(), usesFlashAttention: true,
      overlapsGradientReduce: true)
    strategy.overlapsTensorExchange =
      strategy.usesSequenceParallelism && table.tensorOverlap.map { !$0.isAlways } ?? false && flip()
    if context > 1, let exchange {
      strategy.contextExchange = exchange
      if exchange == .allToAllRing { strategy.contextInnerDegree = 2 }
    }
    if let offer = table.hosting, flip() {
      let withWeights = offer.updates == .withWeights
      strategy.hosting = Hosting(
        updatePercent: withWeights ? 100 : offer.updates == .never ? 0 : pick([0, 50, 100]),
        holdsWeights: withWeights || offer.holdsWeights && flip(),
        activations: pick([.onDevice, .onDevice, .allButLast] + (counts.reduce(0, +) > 2 ? [.layers(1)] : [])))
    }
    // One replica whose host has its weights is one shard of ZeRO 3, which no strategy of one replica says.
    guard strategy.hosting.violation(strategy, layerCount: counts.reduce(0, +), hasHost: true) == nil,
      replicas > 1 || !strategy.hosting.holdsWeights
    else {
      return nil
    }
    let job = try TrainingJob(
      model: model(layerCount: counts.reduce(0, +), &random), sequenceLength: pick([128, 256]),
      globalBatch: data * microBatch * microBatchCount,
      precision: pick([.bf16, .bf16, .fp16] + table.precisions.filter { $0.products != nil }),
      accumulatesGradientsInFP32: flip(), optimizer: optimizer(&random, of: table))
    if flip() { strategy = strategy.withNarrowWeights(job) }
    let split = split(counts, of: job.model, strategy: strategy, for: table)
    guard table.refusal(of: strategy, split: split, job: job) == nil, strategy.exclusion == nil else { return nil }
    let cluster = try Shipped.smallCluster(
      mesh.worldSize, device: job.precision.products == nil ? "a100-sxm4-80gb" : "b200-sxm-180gb")
    guard context == 1 || strategy.violation(job: job, deviceCount: mesh.worldSize, hasFlashAttention: true) == nil
    else {
      return nil
    }
    return Plan(stating: strategy, split: split, on: try CostModel(cluster: cluster, job: job))
  }

  /// Schedules with split backward passes over so many chunks a stage that the micro-batches are enough for.
  private static func splitSchedules(_ chunks: Int, _ pipeline: Int, _ microBatchCount: Int) -> [Strategy.Schedule] {
    guard chunks > 1 else { return [] }
    let all: [Strategy.Schedule] = [.zeroBubble(chunkCount: chunks)] + (chunks == 2 ? [.zeroBubbleV, .dualPipeV] : [])
    return all.filter { microBatchCount >= $0.leastMicroBatchCount(stageCount: pipeline) }
  }

  private static func optimizer(_ random: inout SeededGenerator, of table: Capabilities) -> Optimizer {
    let offer = table.optimizers.randomElement(using: &random) ?? table.optimizers[0]
    let rule = offer.rules.randomElement(using: &random) ?? .adam
    let optimizer = Optimizer(
      rule, moments: rule == .sgd ? .fp32 : offer.moments.randomElement(using: &random) ?? .fp32,
      masterWeights: offer.masterWeights.randomElement(using: &random) ?? .fp32)
    // Remainders are beside bf16 weights only.
    return optimizer.contradiction(.fp16) == nil ? optimizer : .adam
  }

  /// The layers as drawn, or as the framework's own rule has them.
  private static func split(
    _ counts: [Int], of model: ModelDescription, strategy: Strategy, for table: Capabilities
  ) -> Split {
    guard case .rule(let rule) = table.layerSplit else { return Split(counts, stageCount: strategy.pipelineDegree) }
    return rule.split(of: model, among: strategy)
  }

  private static func model(layerCount: Int, _ random: inout SeededGenerator) throws -> ModelDescription {
    func pick<Value>(_ values: [Value]) -> Value { values.randomElement(using: &random) ?? values[0] }
    let scaling = ModelDescription.RotaryScaling(
      .llama3, factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalPositionCount: 8_192)
    return try ModelDescription(
      name: "random", family: .llama, layerCount: layerCount, hiddenSize: pick([64, 128]), headCount: 8,
      keyValueHeadCount: pick([4, 8]), headSize: pick([nil, 32]), feedForwardSize: pick([128, 344, 1_024]),
      vocabularySize: pick([101, 1_024]), hasGatedFeedForward: true, hasTiedEmbeddings: pick([true, false]),
      hasQueryKeyValueBias: pick([true, false]), hasQueryKeyNorm: pick([true, false]),
      details: ModelDescription.Details(
        activation: .silu, normEpsilon: pick([1e-5, 1e-6]), rotaryBase: pick([10_000, 500_000, 1e6]),
        rotaryScaling: pick([nil, scaling]), maximumPositionCount: pick([256, 8_192]),
        attentionWindow: pick([nil, 4_096]),
        initialisationDeviation: pick([0.02, 0.01])))
  }
}
