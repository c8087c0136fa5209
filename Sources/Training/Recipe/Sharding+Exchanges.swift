package import Documents

/// When states are exchanged in an iteration.
package enum Moment: Int, Sendable, Hashable, CaseIterable {
  /// Before a pass uses a part's weights for the first time in an iteration.
  case firstUse
  /// Before any later pass that uses them.
  case laterUse
  /// After a part's backward pass of a micro-batch.
  case partBackward
  /// After the last backward pass of an iteration.
  case lastBackward
  /// When every rank has the gradient that it answers for.
  case scalars
  /// After the optimizer's step.
  case step
  /// When workers have trained a round.
  case outer
  /// Before an outer step.
  case outerScalars

  /// Whether it comes in the course of passes.
  var isOfPasses: Bool { [.firstUse, .laterUse, .partBackward].contains(self) }

  /// How often it comes in an iteration; those of outer steps come in a round.
  ///
  /// - Parameters:
  ///   - microBatchCount: micro-batches of each pipeline.
  ///   - useCount: passes of a micro-batch that use the part's weights.
  package func count(microBatchCount: Int, useCount: Int) -> Int {
    switch self {
    case .laterUse: microBatchCount * useCount - 1
    case .partBackward: microBatchCount
    case .firstUse, .lastBackward, .scalars, .step, .outer, .outerScalars: 1
    }
  }
}

extension Strategy {
  /// What ranks exchange at a moment of an iteration. Zeroth-order training has no gradients: it gathers weights, and sums
  /// losses.
  package func exchanges(at moment: Moment) -> [Exchange] {
    switch (update, moment) {
    case (.outer, .outer), (.outer, .outerScalars): outerExchanges(at: moment)
    case (_, .outer), (_, .outerScalars): []
    case (.firstOrder, _), (.outer, _), (.zerothOrder, .firstUse), (.zerothOrder, .laterUse), (.zerothOrder, .scalars):
      sharding.exchanges(at: moment, in: mesh)
    case (.zerothOrder, .partBackward), (.zerothOrder, .lastBackward), (.zerothOrder, .step): []
    }
  }
}

extension Strategy {
  /// What ranks that hold the same routed experts exchange of them at a moment: what replicas do of everything else, among
  /// fewer. Nothing of experts is held whole in a tensor group and computed in part.
  package func expertExchanges(at moment: Moment) -> [Exchange] {
    guard update == .firstOrder else { return [] }
    return expertSharding.exchanges(at: moment, in: expertMesh).filter { $0.family != nil }.map(\.ofExperts)
  }
}

extension Sharding {
  /// What ranks exchange at a moment of an iteration, in this order: the one statement of it, which seconds, bytes sent,
  /// bytes held, rank programs and their checks are derived from.
  ///
  /// With w, g, o as in ``Sharding``, N replicas, and n the elements of a part where gradients are divided (g > 1), of
  /// everything on a rank where they are whole:
  ///
  /// | moment | collective | over | elements |
  /// |---|---|---|---|
  /// | first use | gather weights (ZeRO 3, Rajbhandari et al. 2020) | weights, w | n |
  /// | later uses | the same, or within the secondary copy (hpZ, Wang et al. 2023) | weights, w, or secondary, s | n |
  /// | a part's backward, g > 1 | reduce gradients to shards (ZeRO 2) | weights, w | n |
  /// | | | gradients, g/w | n/w |
  /// | last backward | reduce gradients to shards (ZeRO 1) | optimizer, o/g | n/g |
  /// | | sum gradients | replicas, N/o | n/o |
  /// | step | gather updated weights | optimizer, o/g | n/g |
  /// | | | gradients, g/w | n/w |
  ///
  /// Gathers over all families but the secondary may be quantised (qwZ), and so may reductions to shards (qgZ). Before
  /// gradients are reduced, tensor groups sum those that each of their ranks has computed in part. First and last stage
  /// sum the gradient of a matrix that they share; whether they share one, and how many gradients are partial, is the
  /// model's affair: an exchange of no elements does not take place.
  ///
  /// - Returns: those whose groups have more than one rank.
  package func exchanges(at moment: Moment, in mesh: Mesh) -> [Exchange] {
    let w = weightDegree, g = gradientDegree, o = optimizerDegree
    let isPartByPart = g > 1
    func over(
      _ family: Family, _ content: Exchange.Content, dividedBy divisor: Int, _ format: Exchange.Format,
      _ quantisation: Quantisation?
    ) -> Exchange {
      Exchange(
        content: content, ranks: .replicas(family),
        rankCount: spacing(of: family, replicaCount: mesh.replicaCount).count, divisor: divisor, format: format,
        quantisation: quantisation, isPartByPart: isPartByPart)
    }
    func gather(_ content: Exchange.Content, over family: Family, dividedBy divisor: Int = 1) -> Exchange {
      over(family, content, dividedBy: divisor, .weights, quantisesWeights && family != .secondary ? .weights : nil)
    }
    func reduce(over family: Family, dividedBy divisor: Int, _ format: Exchange.Format) -> Exchange {
      over(family, .gradient, dividedBy: divisor, format, quantisesGradients && family != .replicas ? .gradients : nil)
    }
    func sum(_ content: Exchange.Content, _ ranks: Exchange.Ranks, _ count: Int, _ format: Exchange.Format) -> Exchange
    {
      Exchange(
        content: content, ranks: ranks, rankCount: count, divisor: 1, format: format, quantisation: nil,
        isPartByPart: isPartByPart && content == .partialGradient)
    }
    let partial = sum(
      .partialGradient, .tensorGroup, mesh.degree(of: .tensor), isPartByPart ? .weights : .accumulatedGradients)
    let tied = sum(.tiedMatrixGradient, .pipelineEnds, min(2, mesh.degree(of: .pipeline)), .accumulatedGradients)
    let replicas = reduce(over: .replicas, dividedBy: o, .accumulatedGradients)

    let exchanges: [Exchange]
    switch moment {
    case .firstUse: exchanges = [gather(.weights, over: .weights)]
    case .laterUse: exchanges = [gather(.weights, over: secondaryDegree == nil ? .weights : .secondary)]
    case .partBackward:
      exchanges =
        isPartByPart
        ? [
          partial, reduce(over: .weights, dividedBy: 1, .weights), reduce(over: .gradients, dividedBy: w, .weights),
        ] : []
    case .lastBackward where isPartByPart:
      exchanges = [tied, reduce(over: .optimizer, dividedBy: g, .accumulatedGradients), replicas]
    // The sums of the replicas first, so that both stages add up the same numbers in the same order. With the optimizer
    // sharded nobody holds the whole sum afterwards, and shards of the two stages are not the same elements.
    case .lastBackward where o == 1: exchanges = [partial, replicas, tied]
    case .lastBackward:
      exchanges = [partial, tied, reduce(over: .optimizer, dividedBy: g, .accumulatedGradients), replicas]
    // Workers train apart from each other: nothing of an iteration leaves one.
    case .scalars: exchanges = [sum(.scalars, .all, mesh.blockSize(below: .worker), .fp32)]
    // The outer groups first, so that what crosses the slow links crosses them once.
    case .step:
      exchanges = [
        gather(.updatedWeights, over: .optimizer, dividedBy: g),
        gather(.updatedWeights, over: .gradients, dividedBy: w),
      ]
    case .outer, .outerScalars: exchanges = []
    }
    return exchanges.filter { $0.rankCount > 1 }
  }
}
