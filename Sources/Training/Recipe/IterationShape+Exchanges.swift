package import Documents

/// What an iteration's exchanges are of: sizes, groups, and the collectives that each consists of.
extension IterationShape {
  /// How replicas divide weights, gradients and optimizer states of all but routed experts.
  package var sharding: Sharding { strategy.sharding }

  /// How those that hold a part divide its states.
  package func sharding(of part: ModelPart) -> Sharding {
    part.isOfExperts ? strategy.expertSharding : strategy.sharding
  }

  /// The grid of ranks on which a part is divided.
  package func mesh(of part: ModelPart) -> Mesh { part.isOfExperts ? strategy.expertMesh : mesh }

  private func sharding(of exchange: Exchange) -> Sharding {
    exchange.isOfExperts ? strategy.expertSharding : strategy.sharding
  }

  private func mesh(of exchange: Exchange) -> Mesh { exchange.isOfExperts ? strategy.expertMesh : mesh }

  /// Whether everything on a rank is reduced and gathered at once, once an iteration: where whole gradients are kept.
  /// Otherwise each part is, and its gradient in every micro-batch.
  package var reducesOnce: Bool { sharding.gradientDegree == 1 }

  /// What every rank does in an iteration, or a round of them.
  package func cycle(_ stretch: Stretch = .usual) -> [Phase] { update.cycle(of: self, stretch) }

  /// How an iteration moves the weights.
  private var update: Update {
    switch strategy.update {
    case .firstOrder: .synchronous
    case .zerothOrder: .zerothOrder
    case .outer: .outer
    }
  }

  /// What ranks exchange at a moment, see ``Documents/Sharding/exchanges(at:in:)``.
  package func exchanges(at moment: Moment) -> [Exchange] { exchanges[moment.rawValue] }

  /// Those that a part takes part in.
  func exchanges(at moment: Moment, of part: ModelPart) -> [Exchange] {
    exchanges(at: moment).filter { $0.isOfExperts == part.isOfExperts }
  }

  /// How often a moment comes in an iteration of a part that a rank holds.
  package func count(of moment: Moment, _ part: ModelPart) -> Int {
    let isUsedByHead = part == .embedding && sharesTokenTable
    if isZerothOrder { return moment.count(microBatchCount: visitedMicroBatches.count, useCount: isUsedByHead ? 2 : 1) }
    // Forward and backward; a tied head on the embedding's stage needs the embedding's matrix as well, and so do further
    // predictions.
    return moment.count(
      microBatchCount: schedule.microBatchCount, useCount: isUsedByHead ? 4 : 2)
  }

  /// The parts that an exchange is of, one by one, of those on a rank; one that is nil where it is of all at once.
  package func parts(of exchange: Exchange, held: [ModelPart]) -> [ModelPart?] {
    exchange.isPartByPart ? held.filter { $0.isOfExperts == exchange.isOfExperts } : [nil]
  }

  /// Elements of the whole tensor that an exchange is of, or of whose shards it is, on the ranks of a stage.
  ///
  /// - Parameter part: nil for everything that a rank holds, of routed experts or of all else.
  package func elementCount(of exchange: Exchange, part: ModelPart?, stage: Int) -> Int {
    func held(_ count: (ModelPart) -> Int) -> Int {
      if let part { return count(part) }
      return parameters(ofStage: stage).entries.reduce(0) {
        $0 + ($1.part.isOfExperts == exchange.isOfExperts ? count($1.part) : 0)
      }
    }
    return switch exchange.content {
    case .weights, .updatedWeights, .gradient, .progress: held(parameterCount)
    case .partialGradient: held(partialGradientCount)
    case .tiedMatrixGradient:
      copiesTokenTable && (stage == 0 || stage == strategy.headStage) ? matrixElementCount : 0
    case .scalars: isZerothOrder ? job.zerothOrder.evaluationCount : 2
    case .anchorStep: job.outer.penalty.asksForAnchorStep ? 1 : 0
    }
  }

  /// Bytes on the wire of all that an exchange is of, on the ranks of a stage.
  ///
  /// - Parameter part: nil for everything that a rank holds, of routed experts or of all else.
  package func byteCount(of exchange: Exchange, part: ModelPart?, stage: Int) -> Int {
    exchange.byteCount(
      elementCount: elementCount(of: exchange, part: part, stage: stage),
      elementByteCount: exchange.elementByteCount(job),
      narrowCount: narrowCount(of: exchange, part: part, stage: stage), format: gatheredFormat)
  }

  /// Of the elements of an exchange those that are gathered in the format that they are multiplied in.
  package func narrowCount(of exchange: Exchange, part: ModelPart?, stage: Int) -> Int {
    guard exchange.gathersWeights, gatheredFormat != nil else { return 0 }
    if let part { return productParameterCount(of: part) }
    return parameters(ofStage: stage).entries.reduce(0) {
      $0 + ($1.part.isOfExperts == exchange.isOfExperts ? productParameterCount(of: $1.part) : 0)
    }
  }

  /// Of a tensor of a given number of elements, those that an exchange is of, as one of its ranks sees them: what all
  /// members of its group together hold.
  package func elementCount(of exchange: Exchange, rank: Int, whole elementCount: Int) -> Int {
    if exchange.content == .progress { return ownedElementCount(rank: rank) }
    guard let family = exchange.family else { return elementCount }
    let mesh = mesh(of: exchange)
    return sharding(of: exchange).elementCount(
      over: family, ofReplica: mesh.replica(ofRank: rank), replicaCount: mesh.replicaCount, elementCount: elementCount)
  }

  /// Elements whose optimizer states, and outer states, a rank keeps.
  package func ownedElementCount(rank: Int) -> Int {
    sharding.ownedElementCount(
      ofReplica: mesh.replica(ofRank: rank), replicaCount: strategy.replicaCount,
      partElementCounts: parameters(ofStage: mesh.coordinate(ofRank: rank, along: .pipeline)).entries.map(\.range.count)
    )
  }

  /// What a rank does of an exchange: one collective, two where gradients are quantised, none of no elements.
  ///
  /// - Parameter part: one that the rank holds; nil for everything that it holds.
  package func collectives(of exchange: Exchange, part: ModelPart?, rank: Int) -> [Collective] {
    let stage = mesh.coordinate(ofRank: rank, along: .pipeline)
    let whole = elementCount(of: exchange, part: part, stage: stage)
    guard whole > 0 else { return [] }
    let group = exchange.group(containing: rank, sharding: sharding(of: exchange), in: mesh(of: exchange))
    let count = elementCount(of: exchange, rank: rank, whole: whole)
    func collective(
      _ kind: CollectiveKind, over group: RankGroup, elementCount: Int, _ quantisation: Quantisation? = nil,
      hop: Exchange.Hop? = nil, isOfBytes: Bool = false
    ) -> Collective {
      let operand = Operand.exchanged(exchange, part, hop)
      let elementByteCount =
        isOfBytes ? 1 : quantisation == nil ? exchange.elementByteCount(job) : Quantisation.wordByteCount
      let route = routes.route(
        of: CollectiveRoutes.Question(kind, of: operand, over: group, byteCount: elementCount * elementByteCount))
      return Collective(
        kind, of: operand, over: group.ranks, elementCount: elementCount, elementByteCount: elementByteCount,
        traffic: exchange.traffic, route: route, quantisation: quantisation)
    }
    if exchange.content == .progress {
      guard count > 0 else { return [] }
      return exchange.workerCollectives(of: count).map {
        collective($0.kind, over: group, elementCount: $0.elementCount, exchange.quantisation, hop: $0.hop)
      }
    }
    if let hops = exchange.hops(of: count, in: group, devicesPerNode: devicesPerNode) {
      let quantisation = exchange.quantisation
      let across = collective(
        .allToAll, over: hops.acrossGroup(of: rank), elementCount: hops.acrossWordCount, quantisation, hop: .across)
      guard hops.insideCount > 1 else { return [across] }
      return [
        collective(
          .allToAll, over: hops.insideGroup(of: rank), elementCount: hops.insideWordCount, quantisation, hop: .inside),
        across,
      ]
    }
    if let words = exchange.gatheredWordCount(of: count, in: group, devicesPerNode: devicesPerNode) {
      return [collective(.allGather, over: group, elementCount: words, exchange.quantisation)]
    }
    let narrow = narrowCount(of: exchange, part: part, stage: stage)
    if narrow > 0 {
      let bytes = exchange.byteCount(
        elementCount: count, elementByteCount: exchange.elementByteCount(job),
        narrowCount: elementCount(of: exchange, rank: rank, whole: narrow), format: gatheredFormat)
      return [collective(exchange.kind, over: group, elementCount: bytes, isOfBytes: true)]
    }
    return [collective(exchange.kind, over: group, elementCount: count)]
  }
}
