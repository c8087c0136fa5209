import Costing
import Documents
import Launch
import TestSupport

/// Plans that nobody searched for, of shipped clusters and models, the same for the same seed.
struct RandomPlans {
  private var random: SeededGenerator
  private var costs: [String: CostModel] = [:]
  private let clusters: [ClusterDescription]
  private let models: [ModelDescription]

  init(seed: Int) throws {
    random = SeededGenerator(seed: seed)
    clusters = try ["dgx-h100-1", "dgx-a100-4", "dgx-h100-16", "frontier-16", "v100-edr-16", "aws-p5-16"].map {
      try Shipped.catalog.cluster($0)
    }
    models = try [
      "gpt2", "llama-2-7b", "llama-3-8b", "mistral-7b", "qwen2-7b", "qwen3-8b", "megatron-22b", "gpt3-175b",
    ].map {
      try Shipped.catalog.model($0)
    }
  }

  private mutating func pick<Value>(_ values: [Value]) -> Value { values.randomElement(using: &random) ?? values[0] }

  private func divisors(of number: Int) -> [Int] { (1...number).filter { number % $0 == 0 } }

  /// The next plan of those that a framework runs.
  ///
  /// - Parameter name: a name of ``Capabilities``.
  mutating func next(for capabilities: Capabilities) throws -> Plan {
    while true {
      if let plan = try candidate(for: capabilities), MegatronTargets.target(of: capabilities).refusal(of: plan) == nil
      {
        return plan
      }
    }
  }

  /// A plan of a strategy on 32 devices, whose stages are not alike.
  mutating func plan(
    of pattern: String, layers: [Int] = [15, 17], recompute: Strategy.Recompute = .none, offloads: Bool = false,
    globalBatch: Int = 64
  ) throws -> Plan {
    let model = try Shipped.catalog.model("llama-2-7b")
    let job = try TrainingJob(model: model, sequenceLength: 1024, globalBatch: globalBatch)
    let costs = try CostModel(cluster: try Shipped.catalog.cluster("dgx-h100-4"), job: job)
    let strategy = try StrategyPattern(text: pattern, source: "test").completed(
      deviceCount: 32, flashAttention: true, overlap: true
    ).with(\.recompute, recompute)
    let choices = [5, 9].map { StageChoice(recomputedLayerCount: $0, offloadsOptimizer: offloads) }
    let split = Split(
      layers, stageCount: strategy.pipelineDegree, choices: recompute == .full ? choices : nil)
    return Plan(stating: strategy, split: split, on: costs)
  }

  private mutating func candidate(for capabilities: Capabilities) throws -> Plan? {
    let cluster = pick(clusters), model = pick(models)
    let sequenceLength = pick([512, 1024, 2048]), globalBatch = pick([64, 96, 192, 384])
    let hasNarrow = cluster.devices.allSatisfy { $0.peakFLOPPerSecond(.fp8Current) > 0 }
    let precision: Precision =
      cluster.name.hasPrefix("v100")
      ? pick([.fp16, .fp32])
      : pick([.bf16, .bf16, .fp16] + (hasNarrow ? [.fp8Delayed, .fp8Current, .fp8Blockwise, .mxfp8] : []))
    guard
      var job = try? TrainingJob(
        model: model, sequenceLength: min(sequenceLength, model.positionCount > 0 ? model.positionCount : .max),
        globalBatch: globalBatch, precision: precision, accumulatesGradientsInFP32: pick([true, true, false]),
        optimizer: optimizer(precision)
      ).with(wideLayers(precision, of: capabilities))
    else { return nil }
    job.narrowsHead = capabilities.narrowHeadPrecisions.contains(precision) && pick([false, true])
    guard let costs = try? CostModel(cluster: cluster, job: job) else { return nil }
    let tensor = pick(divisors(of: cluster.devicesPerNode))
    let isPipelined = capabilities.axes.contains(.pipeline)
    let pipeline = isPipelined ? pick(divisors(of: cluster.deviceCount / tensor).filter { $0 <= 16 }) : 1
    let data = cluster.deviceCount / tensor / pipeline
    let chunks = pipeline > 1 ? pick([1, 1, 2, 4]) : 1
    var strategy = Strategy(
      mesh: [.tensor: tensor, .pipeline: pipeline, .data: data], schedule: Strategy.Schedule(chunkCount: chunks),
      microBatch: pick([1, 2, 3]), recompute: pick(Strategy.Recompute.allCases),
      usesSequenceParallelism: tensor > 1 && pick([true, false]),
      usesFlashAttention: costs.hasFlashAttention && pick([true, true, false]),
      overlapsGradientReduce: pick([true, false]))
    strategy.overlapsTensorExchange = strategy.usesSequenceParallelism && pick([true, false])
    strategy.sharding = sharding(replicaCount: data)
    strategy.hosting = Hosting(
      updatePercent: pick([0, 0, 25, 100]), activations: pick([.onDevice, .layers(1), .allButLast]))
    if pick([false, true]) { strategy = strategy.withNarrowWeights(job) }
    guard costs.violation(of: strategy) == nil else { return nil }
    let layers = layerCounts(model.layerCount, stages: pipeline, chunks: chunks)
    var choices: [StageChoice]?
    if strategy.recompute == .full, pick([true, false]) {
      let alike = pick([true, false]), smallest = layers.min() ?? 0
      let common = Int.random(in: 0...smallest, using: &random)
      choices = (0..<pipeline).map { stage in
        let least = stride(from: stage, to: layers.count, by: pipeline).map { layers[$0] }.min() ?? 0
        return StageChoice(recomputedLayerCount: alike ? common : Int.random(in: 0...least, using: &random))
      }
    }
    return Plan(stating: strategy, split: Split(layers, stageCount: pipeline, choices: choices), on: costs)
  }

  private mutating func wideLayers(_ precision: Precision, of capabilities: Capabilities) -> WideLayers {
    guard capabilities.wideLayerPrecisions.contains(precision), pick([false, true]) else { return .none }
    return WideLayers(first: pick([0, 1, 2]), last: pick([0, 1, 3]))
  }

  private mutating func optimizer(_ precision: Precision) -> Optimizer {
    pick([
      .adam, .adam, Optimizer(.sgd), Optimizer(.momentum), Optimizer(.muon),
      Optimizer(
        moments: pick(Optimizer.Moments.allCases), masterWeights: precision == .bf16 ? .remainders : .fp32),
    ])
  }

  private mutating func sharding(replicaCount n: Int) -> Sharding {
    let part = pick(divisors(of: n))
    return pick([
      Sharding(.none, replicaCount: n), Sharding(.optimizer, replicaCount: n), Sharding(.gradients, replicaCount: n),
      Sharding(.weights, replicaCount: n), Sharding(weightDegree: 1, gradientDegree: 1, optimizerDegree: part),
      Sharding(weightDegree: part, gradientDegree: part, optimizerDegree: part),
      Sharding(weightDegree: part, gradientDegree: part, optimizerDegree: n),
    ])
  }

  /// Chunks are alike; stages of one chunk have a layer or more each, by chance.
  private mutating func layerCounts(_ count: Int, stages: Int, chunks: Int) -> [Int] {
    if chunks > 1 || count % stages == 0 && pick([true, false]) {
      return Split.even(layerCount: count, stageCount: stages, chunkCount: chunks).layerCounts
    }
    var counts = [Int](repeating: 1, count: stages)
    // Mostly alike, so that runs of stages are written short.
    let usual = count / stages
    for stage in 0..<stages { counts[stage] = usual }
    for _ in 0..<(count - usual * stages) { counts[Int.random(in: 0..<stages, using: &random)] += 1 }
    if usual > 1, pick([true, false]) {
      let from = Int.random(in: 0..<stages, using: &random), to = Int.random(in: 0..<stages, using: &random)
      counts[from] -= 1
      counts[to] += 1
    }
    return counts
  }
}
