import Costing
import Documents
import Search

/// The best score by trying everything: every combination of degrees and methods that breaks no rule, every split of the
/// layers. Shares no code with the search but the cost of one strategy and one split.
struct BruteForce {
  /// The best score of each strategy that fits, ascending.
  let scores: [Double]
  /// Strategies that fit with no split.
  let unfitCount: Int

  init(_ model: CostModel) {
    let job = model.job, cluster = model.cluster
    let devices = cluster.deviceCount, layers = job.model.layerCount
    var scratch = EvaluationScratch()
    var scores: [Double] = []
    var unfitCount = 0
    let hasFlash = cluster.device.datasheet.hasFlashAttention
    for tensor in 1...devices where devices % tensor == 0 {
      for pipeline in 1...devices where devices % (tensor * pipeline) == 0 {
        let data = devices / tensor / pipeline
        for microBatch in 1...job.globalBatch {
          for chunks in 1...layers {
            for zero in Strategy.ZeroStage.allCases where data > 1 || zero == .none {
              for recompute in Strategy.Recompute.allCases where !(hasFlash && recompute == .selective) {
                for sequenceParallel in [false, true] {
                  let strategy = Strategy(
                    tensorDegree: tensor, pipelineDegree: pipeline, dataDegree: data, virtualStageCount: chunks,
                    microBatch: microBatch, zeroStage: zero, recompute: recompute,
                    usesSequenceParallelism: sequenceParallel, usesFlashAttention: hasFlash,
                    overlapsGradientReduce: model.framework.overlapsGradientReduce)
                  guard model.violation(of: strategy) == nil, strategy.exclusion == nil else { continue }
                  if let score = Self.bestScore(strategy, model: model, scratch: &scratch) {
                    scores.append(score)
                  } else {
                    unfitCount += 1
                  }
                }
              }
            }
          }
        }
      }
    }
    self.scores = scores.sorted()
    self.unfitCount = unfitCount
  }

  private static func bestScore(_ strategy: Strategy, model: CostModel, scratch: inout EvaluationScratch) -> Double? {
    let cost = model.cost(of: strategy)
    let layers = model.job.model.layerCount
    var best: Double?
    let splits =
      strategy.virtualStageCount > 1
      ? [
        [Int](
          repeating: layers / strategy.pipelineDegree / strategy.virtualStageCount,
          count: strategy.pipelineDegree * strategy.virtualStageCount)
      ]
      : compositions(of: layers, into: strategy.pipelineDegree)
    for split in splits {
      let stages = cost.stageLayerCounts(split)
      let verdicts = stages.indices.map {
        cost.memory.verdict(peakBytes: cost.memory.stageMemory(stage: $0, layerCount: stages[$0]).peakBytes)
      }
      if verdicts.contains(.unfit) { continue }
      let seconds = cost.iterationSeconds(layerCounts: split, scratch: &scratch)
      let score = verdicts.contains(.risky) ? seconds * PlanSearch.headroomSurcharge : seconds
      best = min(best ?? .infinity, score)
    }
    return best
  }

  /// All ways to write `total` as an ordered sum of `count` positive parts.
  static func compositions(of total: Int, into count: Int) -> [[Int]] {
    guard count > 1 else { return total >= 1 ? [[total]] : [] }
    guard total >= count else { return [] }
    return (1...(total - count + 1)).flatMap { first in
      compositions(of: total - first, into: count - 1).map { [first] + $0 }
    }
  }
}
