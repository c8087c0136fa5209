import Documents
import Training

/// The whole model trained by one rank along random directions: what zeroth-order plans have to agree with.
///
/// Where tensor groups do not divide matrices the agreement is to the bit, whatever is divided, moved or deferred: passes
/// compute the same numbers, perturbed weights and steps are computed element by element, and the losses of groups of replicas
/// with sequences of their own are added in one order, as the executor adds them.
struct SerialZerothOrder: Sendable {
  /// What one iteration did.
  struct Step: Sendable {
    /// Mean cross-entropy over all tokens of the global batch, at each place where it is evaluated.
    let losses: [Float]
    /// Along each direction.
    let gradients: [Float]
    /// Weights after the step, by part, as full tensors (tensor degree 1).
    let parameters: [ModelPart: [Float]]
  }

  let model: SerialReference
  let settings: ZerothOrder
  /// Groups of replicas with sequences of their own.
  let shareCount: Int

  /// Trains from the initial values.
  func run(stepCount: Int) -> [Step] {
    let layouts = model.layouts, format = model.shard.arithmetic
    var weights = layouts.map { $0.initialValues(seed: model.shard.seed).map(format.rounded) }
    return (0..<stepCount).map { step in
      let directions = (0..<settings.directionCount).map { index in
        layouts.map { $0.numbers(of: Direction(seed: settings.seed, iteration: step, index: index)) }
      }
      let losses = (0..<settings.evaluationCount).map { index -> Float in
        let evaluation = ZerothOrder.Evaluation(index)
        let perturbed = weights.indices.map {
          settings.perturbed(
            weights[$0], for: evaluation, along: directions[evaluation.direction][$0], format: format)
        }
        return loss(step: step, weights: perturbed)
      }
      let gradients = settings.gradients(ofLosses: losses)
      for part in weights.indices {
        weights[part] = settings.stepped(
          weights[part], by: gradients, along: directions.map { $0[part] }, format: format)
      }
      return Step(
        losses: losses, gradients: gradients,
        parameters: Dictionary(uniqueKeysWithValues: zip(layouts.map(\.part), weights)))
    }
  }

  /// The mean loss, as the sum of what groups of replicas have of it.
  private func loss(step: Int, weights: [[Float]]) -> Float {
    let batch = model.globalBatch / shareCount
    let tokens = Double(model.globalBatch) * Double(model.shard.sequenceLength)
    var sum: Float = 0
    for share in 0..<shareCount {
      var own = 0.0
      for first in stride(from: share * batch, to: (share + 1) * batch, by: model.microBatch) {
        var saved = [SavedActivations](repeating: SavedActivations(), count: weights.count)
        let sequences = MicroBatch(step: step, sequences: Array(first..<first + model.microBatch))
        own += model.forward(sequences, weights: weights, saved: &saved).loss
      }
      sum += Float(own / tokens)
    }
    return sum
  }
}
