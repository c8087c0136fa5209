package import Documents

/// What workers send each other once a round.
extension Strategy {
  /// What ranks exchange at the moments of an outer step: what every worker has moved by, summed over workers, and within
  /// each worker how far the anchor has moved, where the step asks for it. Nothing at other moments.
  ///
  /// The all-reduce runs between ranks that have the same place in every worker, and is of the elements whose optimizer
  /// states they keep: outer states are divided as those are.
  ///
  /// - Returns: those whose groups have more than one rank.
  func outerExchanges(at moment: Moment) -> [Exchange] {
    func sum(_ content: Exchange.Content, _ ranks: Exchange.Ranks, _ count: Int, _ format: OuterStep.Format) -> Exchange
    {
      Exchange(
        content: content, ranks: ranks, rankCount: count, divisor: 1, format: format == .bf16 ? .bf16 : .fp32,
        quantisation: format.quantisation, isPartByPart: false)
    }
    let exchanges: [Exchange] =
      switch moment {
      case .outer: [sum(.progress, .workers, workerDegree, outer.format)]
      case .outerScalars: [sum(.anchorStep, .all, mesh.blockSize(below: .worker), .fp32)]
      default: []
      }
    return exchanges.filter { $0.rankCount > 1 }
  }
}

extension OuterOptimizer.Penalty {
  /// Whether it has to be known how far the anchor has moved.
  package var asksForAnchorStep: Bool { if case .gapAware = self { true } else { false } }
}

extension Sharding {
  /// Of parts that a rank holds, the elements whose optimizer states a replica keeps: where whole gradients are kept
  /// everything on the rank is cut at once, otherwise each part.
  ///
  /// - Parameter partElementCounts: of every part on the rank.
  package func ownedElementCount(ofReplica replica: Int, replicaCount: Int, partElementCounts: [Int]) -> Int {
    func owned(_ elementCount: Int) -> Int {
      ranges(ofReplica: replica, replicaCount: replicaCount, elementCount: elementCount).optimizer.count
    }
    return gradientDegree == 1
      ? owned(partElementCounts.reduce(0, +)) : partElementCounts.reduce(0) { $0 + owned($1) }
  }
}

extension Exchange {
  /// One collective of an exchange among workers.
  package struct WorkerCollective: Sendable, Hashable {
    package let kind: CollectiveKind
    /// Of the whole tensor; for an all-to-all, of one rank's send buffer.
    package let elementCount: Int
    /// Bytes of an element on the wire.
    package let elementByteCount: Int
    /// Where it has got to, if there are two.
    package let hop: Hop?
  }

  /// What the sum over workers of so many elements consists of: one all-reduce of fp32 numbers. Rounded ones take two hops,
  /// so that no partial sum is rounded and all workers see the same words: every worker sends each owner of a chunk its
  /// rounded numbers, the owner adds them up in fp32, in the order of workers, and rounds the sum once; then all gather
  /// these words.
  ///
  /// Of codes each chunk is a run of words, as long as the longest chunk's.
  package func workerCollectives(of elementCount: Int) -> [WorkerCollective] {
    guard format == .bf16 || quantisation != nil else {
      return [WorkerCollective(kind: .allReduce, elementCount: elementCount, elementByteCount: 4, hop: nil)]
    }
    let count = quantisation?.gatheredWordCount(elementCount: elementCount, rankCount: rankCount) ?? elementCount
    let byteCount = quantisation == nil ? 2 : Quantisation.wordByteCount
    return [
      WorkerCollective(kind: .allToAll, elementCount: count, elementByteCount: byteCount, hop: .toOwners),
      WorkerCollective(kind: .allGather, elementCount: count, elementByteCount: byteCount, hop: .fromOwners),
    ]
  }
}
