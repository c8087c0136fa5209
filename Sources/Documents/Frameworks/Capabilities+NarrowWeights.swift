/// What frameworks have of weights that lie in the narrow format that they are multiplied in.
extension Capabilities {
  /// Weights of products that replicas gather in the format.
  package struct NarrowWeightsOffer: Sendable, Equatable {
    /// As the framework's users say it.
    package let words: String
    package let precisions: [Precision]
    /// Whether a single replica, which gathers nothing, may hold weights so.
    package var withoutGathers = true
    /// Those of them in which hosts may update; empty where it has none update.
    package var withHostUpdate: [Precision] = []
  }

  /// Why the framework does not keep weights so; nil if it does, or the strategy has them as they are stored.
  package func refusal(ofNarrowWeights strategy: Strategy, job: TrainingJob) -> Refusal? {
    guard strategy.holdsNarrowWeights else { return nil }
    let nearest = "narrow_weights=false"
    guard let offer = narrowWeights, offer.precisions.contains(job.precision) else {
      return Refusal("\(label) gathers weights of \(job.precision.rawValue) as they are stored", nearest: nearest)
    }
    if strategy.replicaCount == 1, !offer.withoutGathers {
      return Refusal("\(label) casts weights for gathers, and a single replica has none", nearest: nearest)
    }
    if strategy.hosting.updatePercent > 0, !offer.withHostUpdate.contains(job.precision) {
      return Refusal(
        "\(label) has no host update weights that lie in \(job.precision.rawValue)",
        nearest: "host_update_percent=0 or \(nearest)")
    }
    return nil
  }
}
