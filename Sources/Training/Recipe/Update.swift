import Documents

/// How the optimizer's steps follow from gradients: what one iteration is.
package enum Update: Sendable, Hashable {
  /// One step an iteration, with the mean of the gradients of all replicas' micro-batches.
  case synchronous
  /// One step an iteration along random directions, by the losses at weights that were moved along each of them: forward
  /// passes alone (``Documents/ZerothOrder``). What lies on the host is moved when its weights come for the next iteration.
  case zerothOrder
  /// Rounds of synchronous iterations in each worker by itself, and an outer step of all workers after each
  /// (``Documents/OuterStep``): the all-reduce of what they have moved by is in flight during the next round where steps are
  /// late, otherwise it is waited for.
  case outer

  /// What every rank does in an iteration or a round, in this order.
  package func cycle(of shape: IterationShape, _ stretch: Stretch = .usual) -> [Phase] {
    switch self {
    case .synchronous:
      let replicas = shape.strategy.replicaCount
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
    case .outer:
      let iteration = Update.synchronous.cycle(of: shape)
      // What the last iteration has updated is gathered once, after the outer step.
      let iterations =
        (1..<shape.strategy.outer.period).flatMap { _ in iteration } + iteration.filter { $0 != .exchange(.step) }
      let step: [Phase] = [
        .exchange(.outerScalars), .compute(.outerStep(workerCount: shape.strategy.workerDegree)), .exchange(.step),
      ]
      guard shape.isLate else {
        return iterations + [.compute(.takeProgress), .launch(.outer), .await(.outer)] + step
      }
      switch stretch {
      case .opening: return iterations + [.compute(.takeProgress), .compute(.returnToAnchor), .exchange(.step)]
      case .usual: return [.launch(.outer)] + iterations + [.await(.outer), .compute(.takeProgress)] + step
      case .closing: return [.launch(.outer), .await(.outer)] + step
      }
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
  /// The same begun, beside all that follows until it is awaited.
  case launch(Moment)
  case await(Moment)
  /// A computation on the states of everything on the rank.
  case compute(Computation)
}
