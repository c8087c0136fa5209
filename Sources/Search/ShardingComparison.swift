package import Costing
package import Documents
import Training

/// Why a plan divides its states by levels: the same strategy with the known schemes' degrees, priced side by side.
package enum ShardingComparison {
  /// The strategy's own degrees, then the known schemes of its layout that can be run and
  /// differ: ZeRO of the same stage, ZeRO 3, hybrid within the node, hpZ and ZeRO++. Empty
  /// where replicas divide their states as a ZeRO stage says.
  ///
  /// Layers, recomputation and micro-batch stay as they are; another scheme might do better
  /// with others, which the best of every other kind tells.
  ///
  /// - Parameters:
  ///   - strategy: breaks no rule.
  ///   - model: arranged as the plan is.
  /// - Complexity: O(ranks · largest degree) for each, for counting bytes.
  package static func options(
    of strategy: Strategy, split: Split, model: CostModel
  ) -> [ShardingOption] {
    guard strategy.hasShardLevels else { return [] }
    var options: [ShardingOption] = []
    for (name, sharding) in schemes(of: strategy, devicesPerNode: model.cluster.devicesPerNode) {
      guard !options.contains(where: { $0.sharding == sharding }) else { continue }
      var other = strategy.with(\.sharding, sharding)
      // Not every scheme's gathers may be narrow.
      if other.narrowWeightsViolation(model.job) != nil { other.holdsNarrowWeights = false }
      guard model.violation(of: other) == nil,
        other.contradiction(of: split, optimizer: model.job.optimizer, host: model.cluster.host) == nil
      else {
        continue
      }
      let prediction = model.prediction(of: model.cost(of: other), split: split)
      let traffic = model.traffic(of: other, split: split)
      options.append(
        ShardingOption(
          name: name, sharding: sharding, iterationSeconds: prediction.iterationSeconds,
          peakBytes: prediction.peakBytes, verdict: prediction.verdict,
          sentBytes: model.cluster.levels.indices.map { traffic.byteCount(.data, level: $0) }))
    }
    return options
  }

  private static func schemes(of strategy: Strategy, devicesPerNode: Int) -> [(String, Sharding)] {
    let own = strategy.sharding, n = strategy.replicaCount
    let stage = Sharding(strategy.zeroStage, replicaCount: n)
    var schemes = [("this plan", own)]
    if own.isQuantised { schemes.append(("the same, exact", own.exact)) }
    schemes.append(("ZeRO \(strategy.zeroStage.rawValue)", stage))
    guard strategy.pipelineDegree == 1 else { return schemes }
    schemes.append(("ZeRO 3", Sharding(.weights, replicaCount: n)))
    let inside = devicesPerNode % strategy.tensorDegree == 0 ? devicesPerNode / strategy.tensorDegree : 1
    guard inside > 1, inside < n, n % inside == 0 else { return schemes }
    let whole = Sharding(weightDegree: n, gradientDegree: n, optimizerDegree: n, secondaryDegree: inside)
    return schemes + [
      ("hybrid within the node", Sharding(weightDegree: inside, gradientDegree: inside, optimizerDegree: inside)),
      ("hpZ", whole), ("ZeRO++", whole.quantising(weights: true, gradients: true)),
    ]
  }
}
