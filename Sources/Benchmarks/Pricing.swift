import Costing
import Documents
import Search

/// How many strategies a second one core prices, by bound and exactly.
struct Pricing {
  private let model: CostModel
  private let samples: [PricingSample]

  /// - Parameter hasShardLevels: strategies with shard levels only, or without them only; nil is all.
  init(model: CostModel, hasShardLevels: Bool? = nil) {
    self.model = model
    samples = PlanSearch(model: model).pricingSamples().filter {
      hasShardLevels == nil || $0.strategy.hasShardLevels == hasShardLevels
    }
  }

  /// Bounds, memory check included: what every strategy of the lattice costs the search.
  func boundRate() -> (perSecond: Int, count: Int) {
    var sum = 0.0, count = 0
    let start = ContinuousClock.now
    while ContinuousClock.now - start < .seconds(1) {
      for sample in samples {
        let cost = model.cost(of: sample.strategy, layout: sample.layout, microBatches: sample.microBatches)
        if cost.memory.layerCapacities(within: MemoryLimit(.fits), freedom: .none) != nil { sum += cost.boundSeconds }
        count += 1
      }
    }
    let seconds = (ContinuousClock.now - start).seconds
    // The sum is printed if it is absurd, so that the loop has to be done.
    if sum < 0 { print(sum) }
    return (Int(Double(count) / seconds), samples.count)
  }

  /// Exact iteration times by the schedule's recurrence, of even splits.
  func exactRate() -> (perSecond: Int, meanEvents: Int) {
    var scratch = EvaluationScratch()
    var sum = 0.0, count = 0, events = 0
    let start = ContinuousClock.now
    outer: while true {
      for sample in samples {
        if count % 64 == 0, ContinuousClock.now - start > .seconds(1) { break outer }
        let strategy = sample.strategy
        let cost = model.cost(of: strategy, layout: sample.layout, microBatches: sample.microBatches)
        let split = Split.even(
          layerCount: cost.layerCount, stageCount: strategy.pipelineDegree, chunkCount: strategy.virtualStageCount)
        sum += cost.iterationSeconds(of: split, scratch: &scratch)
        events += split.layerCounts.count * cost.microBatchCount
        count += 1
      }
    }
    let seconds = (ContinuousClock.now - start).seconds
    if sum < 0 { print(sum) }
    return (Int(Double(count) / seconds), events / count)
  }
}
