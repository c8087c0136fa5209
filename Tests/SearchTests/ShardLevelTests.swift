import Costing
import Documents
import JSONText
import TestSupport
import Testing

@testable import Search

@Suite("Shard levels are found where they are better")
struct ShardLevelTests {
  /// A GPT of 12.9 billion parameters on 16 nodes of Frontier: pairs of dies, nodes of eight, the cluster of 128.
  private static func frontier(globalBatch: Int) throws -> CostModel {
    let shape = try ModelDescription(
      name: "gpt-13b", family: .gpt, layerCount: 40, hiddenSize: 5_120, headCount: 40, feedForwardSize: 20_480,
      vocabularySize: 51_200, hasGatedFeedForward: false, hasTiedEmbeddings: true, positionCount: 2_048)
    return try CostModel(
      cluster: Shipped.catalog.cluster("frontier-16"),
      job: TrainingJob(model: shape, sequenceLength: 2_048, globalBatch: globalBatch))
  }

  @Test("Pair, node and cluster on Frontier, where many micro-batches make a step")
  func threeLevels() throws {
    let model = try Self.frontier(globalBatch: 4_096)
    let search = PlanSearch(model: model)
    let result = search.run()
    let plan = try #require(search.plan(of: result, toolVersion: "test"))
    let sharding = plan.strategy.sharding
    // What passes gather from in most micro-batches, where gradients are summed in each, and where once a step.
    #expect(
      [sharding.secondaryDegree ?? sharding.weightDegree, sharding.gradientDegree, sharding.optimizerDegree]
        == [2, 8, 128])
    #expect(plan.strategy.tensorDegree == 1 && plan.strategy.pipelineDegree == 1)
    #expect(plan.certificate.ending == .exhausted && plan.certificate.gap < 1e-9)

    // The plan says what the known schemes would cost: they are slower, or do not fit.
    let own = try #require(plan.shardingOptions.first)
    #expect(own.iterationSeconds == plan.prediction.iterationSeconds && own.peakBytes == plan.prediction.peakBytes)
    for name in ["ZeRO 3", "hybrid within the node", "hpZ"] {
      let other = try #require(plan.shardingOptions.first { $0.name == name })
      #expect(other.iterationSeconds > own.iterationSeconds || other.verdict == .unfit, "\(name)")
    }
    let kind = try #require(plan.alternatives.first { $0.family == "without shard levels" })
    #expect(kind.iterationSeconds > plan.prediction.iterationSeconds && !kind.strategy.hasShardLevels)
  }

  @Test("Weights over the pair, gradients over the node, optimizer states over all, when there is no second copy")
  func reconstruction() throws {
    let pattern = try StrategyPattern(text: "tensor=1,pipeline=1,secondary_shards=1", source: "--fix")
    let best = try #require(PlanSearch(model: Self.frontier(globalBatch: 4_096), pattern: pattern).run().best.first)
    #expect(best.strategy.sharding == Sharding(weightDegree: 2, gradientDegree: 8, optimizerDegree: 128))
  }

  /// A reduction once a step costs as much as one in the only micro-batch.
  @Test("With few micro-batches gradients are reduced over all replicas")
  func fewMicroBatches() throws {
    let best = try #require(PlanSearch(model: Self.frontier(globalBatch: 256)).run().best.first)
    #expect(best.strategy.sharding.gradientDegree == best.strategy.dataDegree)
  }

  @Test("With levels no stage needs less than with the same kinds of state divided among all")
  func memory() throws {
    for seed in UInt64(500)...508 {
      let problem = try RandomProblem(seed: seed)
      let samples = PlanSearch(
        model: problem.model, allowance: Allowance(quantisationTolerance: 1)
      ).pricingSamples()
      for sample in samples where sample.strategy.hasShardLevels {
        let strategy = sample.strategy
        let whole = strategy.with(\.sharding, Sharding(strategy.zeroStage, replicaCount: strategy.dataDegree))
        let p = strategy.pipelineDegree
        let split = Split.even(
          layerCount: problem.model.job.model.layerCount, stageCount: p, chunkCount: strategy.virtualStageCount)
        func memory(_ strategy: Strategy) -> [Prediction.StageMemory] {
          problem.model.cost(of: strategy, layout: sample.layout, microBatches: sample.microBatches)
            .memory.stageMemory(of: split)
        }
        let own = memory(strategy), least = memory(whole)
        for (stage, pair) in zip(own, least).enumerated() {
          #expect(pair.0.peakBytes >= pair.1.peakBytes, "\(problem.description): \(strategy.text), stage \(stage)")
        }
      }
    }
  }
}
