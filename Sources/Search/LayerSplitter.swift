import Costing
import Documents

/// Finds the split of layers into pipeline stages that makes one strategy fastest, within the memory of every stage.
///
/// Layers are alike, so a split is a composition of L into p positive parts. Every lower bound of the pipeline's time is
/// a maximum of terms that depend on one stage's layers and on the layers before it, so a dynamic programme over (stage,
/// layers used) gives the least bound over all splits; a depth-first search then evaluates, exactly, the splits whose
/// bound is below the best found. When that search ends by itself its answer is the best split there is.
struct LayerSplitter {
  /// What is known of one strategy's best split.
  struct Outcome {
    /// The best split found; nil when none was evaluated.
    var layerCounts: [Int]?
    /// Its exact iteration time; infinite when none was evaluated.
    var iterationSeconds: Double
    /// No split takes less.
    var lowerBoundSeconds: Double
    /// Whether every split below the cutoff was looked at or ruled out: what was found is the best there is.
    var isExhausted: Bool
  }

  /// Stage × micro-batch steps that may be simulated for one strategy: a count, so that answers do not depend on speed.
  static let eventBudget = 4_000_000

  private let cost: StrategyCost
  private let bounds: SplitBounds
  private let capacities: [Int]
  /// Least and most layers of the stages from i on.
  private let capacityFrom: [Int]
  private var best: Outcome
  private var budget = LayerSplitter.eventBudget
  private var current: [Int] = []
  private var scratch: EvaluationScratch

  /// The best split whose stages all have a verdict at least as good, if it is faster than `cutoffSeconds`.
  ///
  /// - Returns: nil when the layers do not fit at all.
  static func bestSplit(
    of cost: StrategyCost, verdict: Prediction.Verdict, cutoffSeconds: Double, scratch: inout EvaluationScratch
  ) -> Outcome? {
    guard let capacities = cost.layerCapacities(limitBytes: cost.memory.limitBytes(verdict)) else { return nil }
    if cost.strategy.virtualStageCount > 1 || cost.strategy.pipelineDegree == 1 {
      let even = evenLayerCounts(
        layerCount: cost.layerCount,
        virtualStageCount: cost.strategy.pipelineDegree * cost.strategy.virtualStageCount)
      let seconds = cost.iterationSeconds(layerCounts: even, scratch: &scratch)
      return Outcome(layerCounts: even, iterationSeconds: seconds, lowerBoundSeconds: seconds, isExhausted: true)
    }
    var splitter = LayerSplitter(cost: cost, capacities: capacities, cutoffSeconds: cutoffSeconds, scratch: scratch)
    splitter.run(cutoffSeconds: cutoffSeconds)
    scratch = splitter.scratch
    return splitter.best
  }

  private init(cost: StrategyCost, capacities: [Int], cutoffSeconds: Double, scratch: EvaluationScratch) {
    self.cost = cost
    self.capacities = capacities
    self.scratch = scratch
    let p = capacities.count
    var capacityFrom = [Int](repeating: 0, count: p + 1)
    for stage in stride(from: p - 1, through: 0, by: -1) {
      capacityFrom[stage] = min(cost.layerCount, capacityFrom[stage + 1] + capacities[stage])
    }
    self.capacityFrom = capacityFrom
    bounds = SplitBounds(cost: cost, capacities: capacities, capacityFrom: capacityFrom)
    best = Outcome(
      layerCounts: nil, iterationSeconds: .infinity, lowerBoundSeconds: bounds.leastSeconds, isExhausted: false)
  }

  private mutating func run(cutoffSeconds: Double) {
    current.reserveCapacity(capacities.count)
    best.isExhausted =
      best.lowerBoundSeconds >= cutoffSeconds
      || descend(stage: 0, used: 0, boundSeconds: 0, cutoffSeconds: cutoffSeconds)
    // What was pruned is not below the best found, nor below the cutoff.
    if best.isExhausted {
      best.lowerBoundSeconds = min(best.iterationSeconds, max(best.lowerBoundSeconds, cutoffSeconds))
    }
  }

  /// Explores all splits of the layers that are left among the stages from `stage` on.
  /// - Returns: whether nothing was left out for lack of budget.
  private mutating func descend(stage: Int, used: Int, boundSeconds: Double, cutoffSeconds: Double) -> Bool {
    let p = capacities.count
    if stage == p {
      guard budget > 0 else { return false }
      budget -= p * cost.microBatchCount
      let seconds = cost.iterationSeconds(layerCounts: current, scratch: &scratch)
      if seconds < best.iterationSeconds {
        best.iterationSeconds = seconds
        best.layerCounts = current
      }
      return true
    }
    let left = cost.layerCount - used
    let most = min(capacities[stage], left - (p - stage - 1))
    let least = max(1, left - capacityFrom[stage + 1])
    guard least <= most else { return true }
    // Children by their bound; ties by fewer layers.
    var children: [(bound: Double, layers: Int)] = []
    for layers in least...most {
      let bound = max(boundSeconds, bounds.seconds(stage: stage, used: used, layers: layers))
      if bound < limit(cutoffSeconds) { children.append((bound, layers)) }
    }
    children.sort { $0 < $1 }
    for child in children where child.bound < limit(cutoffSeconds) {
      current.append(child.layers)
      let isExhausted = descend(
        stage: stage + 1, used: used + child.layers, boundSeconds: child.bound, cutoffSeconds: cutoffSeconds)
      current.removeLast()
      if !isExhausted { return false }
    }
    return true
  }

  /// What a split has to beat.
  private func limit(_ cutoffSeconds: Double) -> Double { min(cutoffSeconds, best.iterationSeconds) }
}
