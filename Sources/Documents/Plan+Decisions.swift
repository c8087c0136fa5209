import JSONText

/// Every decision of a plan, and whether it bears on the values that are computed.
extension Plan {
  /// What a decision does to the training's result.
  package enum DecisionClass: String, Sendable, CaseIterable {
    /// The same sums, in another order or place.
    case exact
    /// The same method with rounded values.
    case numericallyDifferent = "numerically-different"
    /// Another optimisation, whose result is another model.
    case algorithmicallyDifferent = "algorithmically-different"
  }

  /// One decision.
  package struct Decision: Sendable, Equatable {
    /// What was decided, as documents call it.
    package let name: String
    package let effect: DecisionClass
    /// Relative error of the values that are changed, see ``QuantisationError``, to four decimals; nil where none are.
    package let relativeError: Double?

    init(_ name: String, _ effect: DecisionClass = .exact, relativeError: Double? = nil) {
      self.name = name
      self.effect = effect
      // What other machines' mathematical libraries make of the last digits is no difference.
      self.relativeError = relativeError.map { ($0 * 1e4).rounded() / 1e4 }
    }
  }

  /// The plan's decisions, in a fixed order; those that were open only.
  package var decisions: [Decision] {
    var decisions = [Decision("degrees"), Decision("micro_batch"), Decision("layer_split")]
    if let chosenPrecision {
      let error = chosenPrecision.productError
      decisions.append(
        error > 0 ? Decision("precision", .numericallyDifferent, relativeError: error) : Decision("precision"))
    }
    // Shards are rounded from fp32 at once, and not to bf16 before.
    if strategy.holdsNarrowWeights { decisions.append(Decision("narrow_weights", .numericallyDifferent)) }
    if strategy.update == .zerothOrder { decisions.append(Decision("update", .algorithmicallyDifferent)) }
    if strategy.update == .outer {
      decisions.append(Decision("update", .algorithmicallyDifferent))
      decisions.append(Decision("worker", .algorithmicallyDifferent))
      decisions.append(Decision("outer_period", .algorithmicallyDifferent))
      decisions.append(Decision("outer_staleness", .algorithmicallyDifferent))
      if strategy.outer.format.isRounded {
        decisions.append(
          Decision("outer_format", .numericallyDifferent, relativeError: strategy.outer.format.relativeError))
      }
      if strategy.outer.isHosted { decisions.append(Decision("host_outer")) }
    }
    if strategy.perturbationDegree > 1 { decisions.append(Decision("perturbation")) }
    if strategy.hosting.holdsWeights { decisions.append(Decision("host_weights")) }
    if strategy.hosting.activations != .onDevice { decisions.append(Decision("host_activations")) }
    if strategy.hosting.updatePercent > 0 { decisions.append(Decision("host_update_percent")) }
    if strategy.recompute != .none { decisions.append(Decision("recompute")) }
    if split.choices?.contains(where: \.offloadsOptimizer) == true { decisions.append(Decision("offload_optimizer")) }
    if strategy.replicaCount > 1 { decisions.append(Decision("sharding")) }
    let error = strategy.quantisationError(devicesPerNode: cluster.devicesPerNode)
    if strategy.sharding.quantisesWeights {
      decisions.append(Decision("quantise_weights", .numericallyDifferent, relativeError: error.weights))
    }
    if strategy.sharding.quantisesGradients {
      decisions.append(Decision("quantise_gradients", .numericallyDifferent, relativeError: error.gradients))
    }
    return decisions
  }

  var decisionsSection: JSON {
    .array(
      decisions.map {
        object(
          ("decision", .string($0.name)), ("class", .string($0.effect.rawValue)),
          ("relative_error", $0.relativeError.map(JSON.number)))
      })
  }
}
