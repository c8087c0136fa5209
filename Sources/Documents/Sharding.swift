/// How replicas divide what each of them needs: nested degrees of weights, gradients and optimizer states.
///
/// With N replicas, `w | g | o | N`: every replica keeps 1/w of the weights, 1/g of the accumulated gradient and 1/o of
/// the optimizer states. Groups are laid out innermost first: replicas 0…w−1 hold the weights once, 0…g−1 the gradient
/// once, 0…o−1 the optimizer states once, and so on with the next. Known schemes are points of one lattice:
///
/// | scheme | w | g | o | secondary |
/// |---|---|---|---|---|
/// | data parallelism | 1 | 1 | 1 | |
/// | ZeRO 1, 2, 3 (Rajbhandari et al. 2020) | 1, 1, N | 1, N, N | N | |
/// | MiCS (Zhang et al. 2022), hybrid FSDP | Y | Y | Y | |
/// | hpZ of ZeRO++ (Wang et al. 2023) | N | N | N | Y |
/// | three levels, for pairs of dies in a node | 2 | 8 | N | |
///
/// A secondary partition keeps 1/s of the weights beside the primary 1/w from the first forward pass of an iteration to
/// the optimizer's step: gathers after the first then stay inside groups of s consecutive replicas.
///
/// Quantised collectives change values: where a group leaves its node, weights are gathered as INT8 (qwZ) and gradients
/// exchanged as INT4, once within the node and once between nodes (qgZ).
@usableFromInline package struct Sharding: Sendable, Hashable {
  // A strategy holds one, and strategies are copied by the thousand; 0 is no secondary copy.
  private let weights, gradients, optimizer, secondary: Int32

  /// Replicas that hold the weights once between them, w.
  package var weightDegree: Int { Int(weights) }
  /// Replicas that hold the accumulated gradient once, g.
  package var gradientDegree: Int { Int(gradients) }
  /// Replicas that hold the optimizer states once, o.
  package var optimizerDegree: Int { Int(optimizer) }
  /// Replicas that hold the secondary copy of the weights once, s; nil without one.
  package var secondaryDegree: Int? { secondary == 0 ? nil : Int(secondary) }
  /// Whether weights are gathered as INT8 where the group leaves its node.
  package let quantisesWeights: Bool
  /// Whether gradients are reduced as INT4 where the group leaves its node.
  package let quantisesGradients: Bool

  package init(
    weightDegree: Int, gradientDegree: Int, optimizerDegree: Int, secondaryDegree: Int? = nil,
    quantisesWeights: Bool = false, quantisesGradients: Bool = false
  ) {
    weights = Int32(clamping: weightDegree)
    gradients = Int32(clamping: gradientDegree)
    optimizer = Int32(clamping: optimizerDegree)
    secondary = secondaryDegree.map { Int32(clamping: $0) } ?? 0
    self.quantisesWeights = quantisesWeights
    self.quantisesGradients = quantisesGradients
  }

  /// A ZeRO stage among a given number of replicas.
  package init(_ stage: Strategy.ZeroStage, replicaCount: Int) {
    self.init(
      weightDegree: stage >= .weights ? replicaCount : 1, gradientDegree: stage >= .gradients ? replicaCount : 1,
      optimizerDegree: stage >= .optimizer ? replicaCount : 1)
  }

  /// The ZeRO stage that shards the same kinds of state.
  @usableFromInline package var stage: Strategy.ZeroStage {
    weightDegree > 1 ? .weights : gradientDegree > 1 ? .gradients : optimizerDegree > 1 ? .optimizer : .none
  }

  /// Replicas that hold the secondary copy once, as documents state it: 1 without one.
  @usableFromInline package var secondaryDegreeOrOne: Int { secondaryDegree ?? 1 }

  /// Whether collectives change the values that they move.
  @usableFromInline package var isQuantised: Bool { quantisesWeights || quantisesGradients }

  /// The same degrees, nothing quantised.
  package var exact: Sharding { quantising(weights: false, gradients: false) }

  /// The same degrees, with these collectives quantised and no others.
  package func quantising(weights: Bool, gradients: Bool) -> Sharding {
    Sharding(
      weightDegree: weightDegree, gradientDegree: gradientDegree, optimizerDegree: optimizerDegree,
      secondaryDegree: secondaryDegree, quantisesWeights: weights, quantisesGradients: gradients)
  }
}

extension Sharding {
  /// Why replicas cannot divide their states so; nil if they can.
  ///
  /// - Parameter hasPipeline: gradients that are reduced in every micro-batch, and weights that are gathered in every
  ///   one, defeat a pipeline: only optimizer states are divided by levels there.
  package func violation(replicaCount: Int, hasPipeline: Bool) -> StrategyViolation? {
    let degrees = [1, weightDegree, gradientDegree, optimizerDegree, replicaCount]
    for (inner, outer) in zip(degrees, degrees.dropFirst()) where inner < 1 || outer % inner != 0 {
      return .shardsNotNested(
        weights: weightDegree, gradients: gradientDegree, optimizer: optimizerDegree, replicas: replicaCount)
    }
    if let secondaryDegree {
      if secondaryDegree < 1 || weightDegree % secondaryDegree != 0 {
        return .secondaryDoesNotDivide(secondary: secondaryDegree, weights: weightDegree)
      }
      if secondaryDegree == weightDegree {
        return .secondaryIsRedundant(secondary: secondaryDegree, weights: weightDegree)
      }
    }
    if quantisesWeights, optimizerDegree == 1 { return .nothingToQuantise(what: "weights", of: "gather") }
    if quantisesGradients, optimizerDegree == 1 { return .nothingToQuantise(what: "gradients", of: "reduce to shards") }
    if hasPipeline, gradientDegree > 1 || isQuantised { return .shardLevelsInPipeline }
    return nil
  }
}
