import Documents
import TestSupport
import Testing

@testable import Costing

/// What holds of every strategy, on strategies drawn at random for shipped clusters and models.
@Suite struct IterationCostPropertyTests {
  /// One strategy that breaks no rule, with a split of the layers.
  struct Sample: CustomStringConvertible {
    let model: CostModel
    let cost: IterationCost
    let split: Split
    let seed: UInt64

    var description: String {
      "seed \(seed): \(model.cluster.name), \(model.job.model.name), batch \(model.job.globalBatch), \(cost.strategy.text), \(split.layerCounts)"
    }
  }

  static let clusterNames = ["dgx-a100-1", "dgx-a100-4", "dgx-h100-16", "frontier-16", "a100-hdr-16", "v100-edr-16"]
  /// With tied embeddings, and without.
  static let modelNames = ["gpt2", "megatron-22b", "llama-3-8b", "qwen2-7b"]

  private let clusters: [ClusterDescription]
  private let models: [ModelDescription]

  init() throws {
    clusters = try Self.clusterNames.map { try Shipped.catalog.cluster($0) }
    models = try Self.modelNames.map { try Shipped.catalog.model($0) }
    #expect(Set(models.map(\.hasTiedEmbeddings)).count == 2)
  }

  /// The sample of a seed; nil where the draw breaks a rule.
  private func sample(seed: UInt64) throws -> Sample? {
    var generator = SeededGenerator(seed: seed)
    func pick<Element>(_ elements: [Element]) throws -> Element {
      try #require(elements.randomElement(using: &generator))
    }
    let cluster = try pick(clusters), model = try pick(models)
    let n = cluster.deviceCount
    let t = try pick([1, 2, 4, 8, 16].filter { n % $0 == 0 })
    let p = try pick([1, 2, 3, 4, 6, 8, 12, 16, 32].filter { n / t % $0 == 0 && $0 <= model.layerCount })
    let d = n / t / p
    let b = try pick([1, 2, 4]), v = p > 1 ? try pick([1, 1, 2, 3]) : 1
    let m = v > 1 ? p * (try pick([1, 2, 3])) : try pick([1, 2, 3, 5, 8, p, 2 * p + 1, 24])
    let zeroStage = try pick(Strategy.ZeroStage.allCases)
    let strategy = Strategy(
      mesh: [.tensor: t, .pipeline: p, .data: d], schedule: .init(chunkCount: v), microBatch: b,
      zeroStage: zeroStage, sharding: try pick([nil, try sharding(replicaCount: d, hasPipeline: p > 1, pick)]),
      recompute: try pick(Strategy.Recompute.allCases),
      usesSequenceParallelism: try pick([true, false]) && t > 1, usesFlashAttention: try pick([true, false]),
      overlapsGradientReduce: try pick([true, false]))
    let costing = try CostModel(
      cluster: cluster,
      job: TrainingJob(
        model: model, sequenceLength: 1024, globalBatch: m * d * b, precision: .fp16,
        accumulatesGradientsInFP32: try pick([true, false])))
    guard costing.violation(of: strategy) == nil else { return nil }
    var counts = Split.even(layerCount: model.layerCount, stageCount: p, chunkCount: v).layerCounts
    if v == 1 {
      for _ in 0..<(try pick([0, 1, 4, 3 * p])) {
        let from = Int.random(in: 0..<p, using: &generator), to = Int.random(in: 0..<p, using: &generator)
        if counts[from] > 1 {
          counts[from] -= 1
          counts[to] += 1
        }
      }
    }
    return Sample(model: costing, cost: costing.cost(of: strategy), split: Split(counts, stageCount: p), seed: seed)
  }

  /// Nested degrees, with a secondary partition or quantised collectives half of the time where rules allow them.
  private func sharding(replicaCount: Int, hasPipeline: Bool, _ pick: ([Int]) throws -> Int) throws -> Sharding? {
    func divisors(_ number: Int) -> [Int] { (1...number).filter { number % $0 == 0 } }
    let o = try pick(divisors(replicaCount)), g = hasPipeline ? 1 : try pick(divisors(o)), w = try pick(divisors(g))
    let s = try pick(divisors(w))
    let sharding = Sharding(
      weightDegree: w, gradientDegree: g, optimizerDegree: o,
      secondaryDegree: try pick([0, 1]) == 1 && s > 1 && s < w ? s : nil,
      quantisesWeights: try pick([0, 1]) == 1 && !hasPipeline,
      quantisesGradients: try pick([0, 1]) == 1 && !hasPipeline)
    return o > 1 ? sharding : nil
  }

  /// Of so many draws, those that break no rule: about half.
  private func samples(drawCount: UInt64) throws -> [Sample] {
    let samples = try (0..<drawCount).compactMap(sample)
    #expect(samples.count > drawCount / 4)
    #expect(samples.contains { $0.cost.strategy.schedule.isInterleaved })
    #expect(samples.contains { $0.cost.embeddingSumSeconds > 0 })
    for pipelined in [false, true] {
      #expect(
        samples.contains { $0.cost.strategy.hasShardLevels && ($0.cost.strategy.pipelineDegree > 1) == pipelined })
    }
    #expect(samples.contains { $0.cost.strategy.sharding.secondaryDegree != nil })
    #expect(samples.contains { $0.cost.strategy.sharding.quantisesGradients })
    return samples
  }

  @Test func noSplitIsFasterThanTheBound() throws {
    var scratch = EvaluationScratch()
    for sample in try samples(drawCount: 6000) {
      let seconds = sample.cost.iterationSeconds(of: sample.split, scratch: &scratch)
      // Both sum the same terms in another order.
      #expect(sample.cost.boundSeconds <= seconds * (1 + 1e-9), "\(sample)")
    }
  }

  @Test func thePartsOfAnIterationAddUpToIt() throws {
    for sample in try samples(drawCount: 1000) {
      let prediction = sample.model.prediction(of: sample.cost, split: sample.split)
      let parts = prediction.timeSplit.parts
      let sum = parts.reduce(0) { $0 + $1.seconds }
      #expect(agrees(sum, prediction.iterationSeconds, relative: 1e-9), "\(sample)")
      #expect(parts.allSatisfy { $0.seconds >= 0 }, "\(sample)")
    }
  }

  @Test func aStageWithALayerLessNeverMakesTheIterationLonger() throws {
    var scratch = EvaluationScratch()
    for sample in try samples(drawCount: 1000) {
      let seconds = sample.cost.iterationSeconds(of: sample.split, scratch: &scratch)
      for stage in sample.split.layerCounts.indices.prefix(4) where sample.split.layerCounts[stage] > 1 {
        var fewer = sample.split.layerCounts
        fewer[stage] -= 1
        let faster = sample.cost.iterationSeconds(
          of: Split(fewer, stageCount: sample.split.stageCount), scratch: &scratch)
        #expect(faster <= seconds * (1 + 1e-12), "\(sample), stage \(stage)")
      }
    }
  }

  @Test func theSameQuestionHasTheSameAnswerToTheLastBit() throws {
    var scratch = EvaluationScratch()
    for seed in 0..<300 as Range<UInt64> {
      guard let first = try sample(seed: seed), let second = try sample(seed: seed) else { continue }
      let prediction = first.model.prediction(of: first.cost, split: first.split)
      #expect(prediction == second.model.prediction(of: second.cost, split: second.split), "\(first)")
      // The same scratch for one strategy after another leaves nothing behind.
      let again = first.cost.iterationSeconds(of: first.split, scratch: &scratch)
      #expect(again.bitPattern == prediction.iterationSeconds.bitPattern, "\(first)")
    }
  }

  /// What the search prunes measured clusters with: every pair of nodes as fast as
  /// the fastest, rings of whole nodes as fast as any can be.
  @Test func noOrderOfTheNodesIsFasterThanTheBestLinks() throws {
    let cluster = try Shipped.catalog.cluster("a100-hdr-16"), model = try Shipped.catalog.model("megatron-22b")
    var scratch = EvaluationScratch()
    var generator = SeededGenerator(seed: 7)
    var levelled = 0
    for _ in 0..<60 {
      func pick<Element>(_ elements: [Element]) throws -> Element {
        try #require(elements.randomElement(using: &generator))
      }
      let t = try pick([1, 2, 4, 8]), p = try pick([1, 1, 2, 4])
      let d = cluster.deviceCount / t / p
      let strategy = Strategy(
        mesh: [.tensor: t, .pipeline: p, .data: d],
        sharding: try sharding(replicaCount: d, hasPipeline: p > 1, pick), recompute: .full)
      let costing = try CostModel(
        cluster: cluster,
        job: TrainingJob(model: model, sequenceLength: 1024, globalBatch: 2 * d, precision: .bf16))
      guard costing.violation(of: strategy) == nil else { continue }
      if strategy.hasShardLevels { levelled += 1 }
      func seconds(_ model: CostModel) -> Double {
        model.cost(of: strategy).iterationSeconds(
          of: .even(layerCount: model.job.model.layerCount, stageCount: p), scratch: &scratch)
      }
      let best = seconds(costing.assumingBestLinks())
      for _ in 0..<3 {
        let order = Array(0..<cluster.nodeCount).shuffled(using: &generator)
        #expect(best <= seconds(costing.arranged(order)) * (1 + 1e-12), "\(strategy.text), \(order)")
      }
    }
    #expect(levelled > 20)
  }
}
