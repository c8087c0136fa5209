import Costing
import TestSupport
import Testing

@testable import Documents
@testable import Execution

@Suite struct MiniatureTests {
  /// 1,024 devices: replicas shrink first, to two, then stages until 64 ranks are enough.
  @Test func replicasShrinkBeforeStagesAndNoKindOfGroupIsLost() throws {
    let plan = try statedPlan(
      "tensor=8,pipeline=16,micro_batch=1,recompute=full", cluster: "dgx-h100-128", model: "gpt3-175b",
      globalBatch: 512)
    let miniature = try Miniature(of: plan, rankLimit: 64)
    #expect(miniature.strategy.tensorDegree == 8)
    #expect(miniature.strategy.pipelineDegree == 4)
    #expect(miniature.strategy.dataDegree == 2)
    // Each kept stage brings its own layers, and its own first two nodes of eight.
    #expect(miniature.split.layerCounts == [6, 6, 6, 6])
    #expect(miniature.model.nodeOrder == [0, 1, 40, 41, 80, 81, 120, 121])
    #expect(miniature.changes.contains(.init(what: "pipeline degree", planned: 16, executed: 4)))
    #expect(miniature.model.job.model.hasTiedEmbeddings == plan.job.model.hasTiedEmbeddings)
    #expect(try Miniature(of: plan, rankLimit: 32).strategy.pipelineDegree == 2)
  }

  @Test func aPlanThatFitsKeepsItsDegrees() throws {
    let plan = try statedPlan(
      "tensor=4,pipeline=4,zero_stage=1", cluster: "dgx-a100-4", model: "llama-2-7b", globalBatch: 64)
    let miniature = try Miniature(of: plan, rankLimit: 64)
    #expect(miniature.strategy.worldSize == 32)
    #expect(miniature.split.layerCounts == plan.split.layerCounts)
    #expect(!miniature.changes.contains { $0.what.contains("degree") || $0.what == "layers" })
  }

  @Test func sharedKeysGatesAndNormsOfHeadsStay() throws {
    let plan = try statedPlan("tensor=2", cluster: "dgx-h100-1", model: "qwen3-8b", globalBatch: 64)
    let small = try Miniature(of: plan, rankLimit: 64).model.job.model
    #expect(small.headCount == 2 * small.keyValueHeadCount)
    #expect(small.hasGatedFeedForward && small.hasQueryKeyNorm && !small.hasTiedEmbeddings)
    #expect(small.vocabularySize % 16 != 0, "some rows are padding")
  }

  @Test func tooFewRanksAreRefusedWithWhatIsNeeded() throws {
    let plan = try statedPlan(
      "tensor=8,pipeline=4", cluster: "dgx-a100-16", model: "gpt3-175b", globalBatch: 64)
    #expect(throws: Miniature.Refusal.tooFewRanks(limit: 31, needed: 32)) { try Miniature(of: plan, rankLimit: 31) }
    #expect(try Miniature(of: plan, rankLimit: 32).strategy.worldSize == 32)
  }

  /// 4 of a node's 8 devices: the node is cut, its levels with it.
  @Test func fewerRanksThanANodeHasFillAPartOfIt() throws {
    let plan = try statedPlan("tensor=2", cluster: "frontier-16", model: "llama-3-8b", globalBatch: 64)
    let miniature = try Miniature(of: plan, rankLimit: 4)
    #expect(miniature.strategy.dataDegree == 2)
    #expect(miniature.model.cluster.levels.map(\.span) == [2, 4])
    #expect(miniature.model.linkLevel(fromRank: 0, toRank: 1) == 0)
    #expect(miniature.model.linkLevel(fromRank: 1, toRank: 2) == 1)
  }

  /// As many micro-batches as stages stay as many, a multiple stays one, and larger groups stay larger.
  @Test(arguments: [(64, 8), (8, 4), (12, 6), (20, 10), (30, 10)])
  func microBatchesKeepTheSchedule(globalBatch: Int, expected: Int) throws {
    let plan = try statedPlan(
      "tensor=4,pipeline=4,virtual_stages=2", cluster: "dgx-h100-4", model: "llama-3-8b", globalBatch: globalBatch)
    let miniature = try Miniature(of: plan, rankLimit: 64)
    #expect(miniature.strategy.microBatchCount(globalBatch: miniature.model.job.globalBatch) == expected)
  }

  @Test func everyShippedModelHasAMiniature() throws {
    for name in Shipped.catalog.names(of: .model) {
      for pattern in ["tensor=8", "tensor=2,pipeline=4,recompute=selective", "zero_stage=3,recompute=full"] {
        let model = try Shipped.catalog.model(name)
        guard model.keyValueHeadCount % 8 == 0 || pattern != "tensor=8" else { continue }
        // Tensor groups of models with experts divide sequences.
        guard model.experts == nil || !pattern.contains("tensor") else { continue }
        let plan = try statedPlan(
          pattern, cluster: Shipped.catalog.cluster("dgx-a100-1"), model: model, globalBatch: 64,
          sequenceLength: model.positionCount > 0 ? model.positionCount : 4096)
        let small = try Miniature(of: plan, rankLimit: 64).model.job.model
        #expect(small.predictionDepth == model.predictionDepth)
      }
    }
  }
}
