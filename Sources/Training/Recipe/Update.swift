import Documents

/// How the optimizer's steps follow from gradients: what one iteration is.
package enum Update: Sendable, Hashable {
  /// One step an iteration, with the mean of the gradients of all replicas' micro-batches.
  case synchronous
  /// One step an iteration along random directions, by the losses at weights that were moved along each of them: forward
  /// passes alone (``Documents/ZerothOrder``). What lies on the host is moved when its weights come for the next iteration.
  case zerothOrder

  /// What every rank does in an iteration, in this order.
  package func cycle(of shape: IterationShape) -> [Phase] {
    switch self {
    case .synchronous:
      let replicas = shape.strategy.dataDegree
      return [.passes, .exchange(.lastBackward)]
        + (replicas > 1 ? [.compute(.averageGradients(replicaCount: replicas))] : [])
        + [.compute(.sumScalars), .exchange(.scalars)]
        + (shape.maximumGradientNorm == nil ? [] : [.compute(.clipGradients)])
        + (shape.sharding.secondaryDegree == nil ? [] : [.compute(.dropSecondary)])
        + [.compute(.updateParameters), .exchange(.step)]
    case .zerothOrder:
      return [
        .visits, .compute(.sumLosses), .exchange(.scalars), .compute(.projectGradient), .updateResident,
      ]
    }
  }
}

/// One of the things that an iteration consists of.
package enum Phase: Sendable, Hashable {
  /// The passes of the pipeline's schedule, and with each part's what is exchanged at ``Moment/firstUse``,
  /// ``Moment/laterUse`` and ``Moment/partBackward``.
  case passes
  /// Visits of all parts, one after the other, with all micro-batches and losses at once; or where a rank is a stage of
  /// several, of all its parts with each micro-batch.
  case visits
  /// The step of every part that does not lie on the host.
  case updateResident
  /// What is exchanged at a moment, of everything on the rank.
  case exchange(Moment)
  /// A computation on the states of everything on the rank.
  case compute(Computation)
}
