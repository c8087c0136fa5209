import Documents

/// How the replicas of a mesh may divide weights, gradients and optimizer states.
///
/// Degrees are 1, as many replicas as one instance of each level of the cluster's links holds, and all; weights,
/// gradients and optimizer states take every nesting of three of them, with a secondary partition at every degree
/// between 1 and the weights'. In a pipeline only optimizer states are divided by levels. ZeRO's stages are among these
/// and come first, so that of equals the plainest wins.
///
/// Degrees between two levels are not looked at unless they are fixed.
struct ShardingChoices {
  /// One way.
  struct Choice: Sendable {
    let zeroStage: Strategy.ZeroStage
    /// Nil where the stage says it all.
    let sharding: Sharding?
  }

  private let levels: [ClusterDescription.Level]
  private let devicesPerNode: Int
  private let pattern: StrategyPattern
  private let allowance: Allowance

  /// - Parameters:
  ///   - pattern: what is fixed; degrees that it states need not be a level's.
  ///   - allowance: what may change values.
  init(cluster: ClusterDescription, pattern: StrategyPattern, allowance: Allowance) {
    levels = cluster.levels
    devicesPerNode = cluster.devicesPerNode
    self.pattern = pattern
    self.allowance = allowance
  }

  /// All ways to divide a mesh's states, and the rule that is broken where there is none.
  func choices(_ mesh: Mesh) -> (all: [Choice], violation: StrategyViolation?) {
    let replicas = mesh.replicaCount
    guard replicas > 1 else {
      let alone = Sharding(.none, replicaCount: 1)
      return pattern.matches(alone)
        ? ([Choice(zeroStage: pattern.zeroStage ?? .none, sharding: nil)], nil) : ([], notNested(replicas))
    }
    let classic = Strategy.ZeroStage.allCases.map { Sharding($0, replicaCount: replicas) }
    let isPiped = mesh.degree(of: .pipeline) > 1
    let levelled = exact(mesh).filter { !classic.contains($0) }
    let exact = classic + levelled
    let quantised = isPiped ? [] : exact.flatMap { quantisations(of: $0, mesh: mesh) }
    let all = (exact + quantised).filter {
      pattern.matches($0) && (pattern.zeroStage ?? $0.stage) == $0.stage
    }
    if all.isEmpty {
      let dividesMore = [pattern.weightDegree, pattern.gradientDegree].contains { ($0 ?? 1) > 1 }
      return ([], isPiped && dividesMore ? .shardLevelsInPipeline : notNested(replicas))
    }
    return (all.map { Choice(zeroStage: $0.stage, sharding: $0) }, nil)
  }

  private func notNested(_ replicas: Int) -> StrategyViolation {
    .shardsNotNested(
      weights: pattern.weightDegree ?? 1, gradients: pattern.gradientDegree ?? 1,
      optimizer: pattern.optimizerDegree ?? 1, replicas: replicas)
  }

  /// 1, the replicas in an instance of each level, and all, ascending.
  private func degrees(_ mesh: Mesh) -> [Int] {
    let replicas = mesh.replicaCount, tensor = mesh.blockSize(below: .context)
    let inside = levels.compactMap { level -> Int? in
      let members = level.span / tensor
      return level.span % tensor == 0 && members > 1 && members < replicas && replicas % members == 0
        ? members : nil
    }
    return [1] + inside + [replicas]
  }

  /// Every nesting of the degrees, nothing quantised.
  private func exact(_ mesh: Mesh) -> [Sharding] {
    let degrees = degrees(mesh), isPiped = mesh.degree(of: .pipeline) > 1
    let none = isPiped ? [1] : degrees
    var shardings: [Sharding] = []
    for weights in pattern.weightDegree.map({ [$0] }) ?? none {
      for gradients in pattern.gradientDegree.map({ [$0] }) ?? none where gradients % weights == 0 {
        for optimizer in pattern.optimizerDegree.map({ [$0] }) ?? degrees {
          for secondary in [1] + secondaries(degrees, weights: weights) {
            let sharding = Sharding(
              weightDegree: weights, gradientDegree: gradients, optimizerDegree: optimizer,
              secondaryDegree: secondary > 1 ? secondary : nil)
            if sharding.violation(replicaCount: mesh.replicaCount, hasPipeline: isPiped) == nil {
              shardings.append(sharding)
            }
          }
        }
      }
    }
    return shardings
  }

  /// Degrees of a secondary partition.
  private func secondaries(_ degrees: [Int], weights: Int) -> [Int] {
    if let fixed = pattern.secondaryDegreeOrOne { return fixed > 1 ? [fixed] : [] }
    return degrees.filter { $0 > 1 && $0 < weights }
  }

  /// The same degrees with weights, gradients or both quantised, as far as that is
  /// allowed and some group leaves its node.
  private func quantisations(of sharding: Sharding, mesh: Mesh) -> [Sharding] {
    guard allowance.quantisationTolerance != nil else { return [] }
    return [(true, false), (false, true), (true, true)].compactMap { weights, gradients in
      let quantised = sharding.quantising(weights: weights, gradients: gradients)
      let strategy = Strategy(mesh: mesh.with(.pipeline, degree: 1), sharding: quantised)
      let error = strategy.quantisationError(devicesPerNode: devicesPerNode)
      guard !weights || error.weights > 0, !gradients || error.gradients > 0 else { return nil }
      return allowance.permits(strategy, devicesPerNode: devicesPerNode) ? quantised : nil
    }
  }
}
