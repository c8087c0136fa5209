import Foundation

/// What symmetric quantisation by groups does to a tensor: the relative L2 error ‖x̂ − x‖ / ‖x‖, in expectation, of
/// numbers that are normally distributed.
///
/// A group with largest magnitude A is rounded to multiples of Δ = A / 2^(b − 1), from −2^(b − 1) to 2^(b − 1) − 1: to
/// the nearest, but the positive tip, for which there is no code, is Δ too small. The largest magnitude of n numbers
/// has the distribution (2Φ(a) − 1)^n, is of either sign alike, and the others are normal within it; over each cell of
/// the rounding the squared error is an integral in closed form. Weights and gradients are not exactly normal, so a
/// tolerance is of this figure, not a guarantee about theirs.
package enum QuantisationError {
  /// Of weights as they are gathered, once.
  package static let weights = relative(.weights)
  /// Of gradients as they are exchanged, once.
  package static let gradients = relative(.gradients)

  private static func relative(_ quantisation: Quantisation) -> Double {
    relative(bits: quantisation.bitCount, groupLength: quantisation.groupLength)
  }

  /// √(E‖x̂ − x‖² / E‖x‖²) of one rounding.
  ///
  /// - Parameters:
  ///   - bits: of a code, sign included.
  ///   - groupLength: numbers that share a step.
  package static func relative(bits: Int, groupLength: Int) -> Double {
    let n = Double(groupLength), codes = 1 << (bits - 1)
    var squares = 0.0
    LargestMagnitude.forEach(of: groupLength, stepsPerUnit: 64) { largest, share, inside in
      let delta = largest / Double(codes)
      var others = 0.0
      for code in -codes..<codes {
        let centre = Double(code) * delta
        others += NormalMoments(
          from: code == -codes ? -largest : centre - delta / 2, to: code == codes - 1 ? largest : centre + delta / 2
        ).squaredDistance(to: centre)
      }
      squares += share * (delta * delta / 2 + (n - 1) * others / inside)
    }
    return (squares / n).squareRoot()
  }
}

extension Strategy {
  /// Relative error that quantised collectives leave in what they move, an
  /// iteration's rounds together; 0 where nothing is quantised.
  ///
  /// Rounds are independent, so that k of them leave √k times the error of one. Weights are rounded once
  /// by each group that leaves its node on their way from optimizer shard to use, a second copy's
  /// gathers aside; gradients twice where such a group has several ranks on each node, once within the
  /// node and once between nodes, and once where it has one.
  ///
  /// - Parameter devicesPerNode: of the cluster that the strategy runs on.
  package func quantisationError(devicesPerNode: Int) -> (weights: Double, gradients: Double) {
    let data = mesh.replicaGroup(containing: 0)
    // Of each family of groups the members on a node, where some group leaves its node and lies evenly on several.
    let members = [Sharding.Family.weights, .gradients, .optimizer].map { family -> Int? in
      guard sharding.spacing(of: family, replicaCount: data.count).count > 1 else { return nil }
      return sharding.groups(of: family, inDataGroup: data).compactMap {
        $0.nodeSplit(devicesPerNode: devicesPerNode)?.insideCount
      }.max()
    }
    var weightRounds = 0, gradientRounds = 0
    if sharding.quantisesWeights { weightRounds = members.count { $0 != nil } }
    if sharding.quantisesGradients {
      gradientRounds = members.reduce(0) { $0 + ($1.map { $0 > 1 ? 2 : 1 } ?? 0) }
    }
    return (
      weightRounds > 0 ? QuantisationError.weights * Double(weightRounds).squareRoot() : 0,
      gradientRounds > 0 ? QuantisationError.gradients * Double(gradientRounds).squareRoot() : 0
    )
  }
}
