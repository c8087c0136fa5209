import Documents

/// What ranks exchange, with whom, of what size and how often, against the strategy.
extension ProgramCheck {
  /// Collectives run over the groups of their kind, and are of their tensors' sizes.
  func groups(of program: RankProgram) throws(ProgramDefect) {
    let pipeline = mesh.group(along: .pipeline, containing: program.rank).ranks
    for (index, step) in program.steps.enumerated() {
      guard case .collective(let collective) = step.operation else { continue }
      guard collective.group.contains(program.rank) else { throw .notAMember(place(program, index)) }
      let expected =
        switch collective.traffic {
        case .tensor: mesh.group(along: .tensor, containing: program.rank).ranks
        case .data: replicas(of: collective, rank: program.rank)
        case .embedding: [pipeline[0], pipeline[pipeline.count - 1]]
        case .control: mesh.ranks.ranks
        case .pipeline: [Int]()
        }
      guard collective.group == expected else { throw .noGroup(place(program, index), group: collective.group) }
      let elements = elementCount(of: collective, rank: program.rank)
      guard collective.elementCount == elements else { throw .elements(place(program, index), expected: elements) }
    }
  }

  /// The replicas among which a tensor is reduced, gathered or exchanged.
  private func replicas(of collective: Collective, rank: Int) -> [Int] {
    guard let family = collective.operand.family(shape.sharding) else { return [] }
    let group = shape.group(of: family, containing: rank)
    guard collective.kind == .allToAll, let exchange = exchange(of: collective.operand, family, rank: rank) else {
      return group.ranks
    }
    return (collective.operand.isOfNode ? exchange.acrossGroup(of: rank) : exchange.insideGroup(of: rank)).ranks
  }

  private func exchange(of operand: Operand, _ family: Sharding.Family, rank: Int) -> QuantisedExchange? {
    shape.exchange(
      over: shape.group(of: family, containing: rank),
      elementCount: shape.elementCount(over: family, rank: rank, of: wholeCount(of: operand, rank: rank)))
  }

  /// Elements of the whole tensor that an operand is, or is a shard of.
  private func wholeCount(of operand: Operand, rank: Int) -> Int {
    let held = shape.parameters(ofStage: mesh.coordinate(ofRank: rank, along: .pipeline))
    return switch operand {
    case .stream, .branch, .columnInput, .arrived: shape.activationElementCount
    case .tokenMaximum, .tokenTarget, .tokenSum: shape.tokenCount
    case .weights(let part), .secondaryWeights(let part), .updatedWeights(let part, _), .gradient(let part, _),
      .nodeGradient(let part, _):
      shape.parameterCount(of: part)
    case .allWeights, .allGradients, .allNodeGradients, .gradientShards: held.count
    case .replicatedGradients: held.entries.reduce(0) { $0 + shape.partialGradientCount(of: $1.part) }
    case .replicatedGradientsOf(let part): shape.partialGradientCount(of: part)
    case .tiedMatrixGradient: shape.matrixElementCount
    case .scalars: 2
    }
  }

  private func elementCount(of collective: Collective, rank: Int) -> Int {
    let operand = collective.operand, whole = wholeCount(of: operand, rank: rank)
    guard collective.traffic == .data, let family = operand.family(shape.sharding) else { return whole }
    let count = shape.elementCount(over: family, rank: rank, of: whole)
    guard let quantisation = collective.quantisation else { return count }
    guard collective.kind == .allToAll else {
      return quantisation.gatheredWordCount(elementCount: count, rankCount: collective.group.count)
    }
    guard let exchange = exchange(of: operand, family, rank: rank) else { return 0 }
    return operand.isOfNode ? exchange.acrossWordCount : exchange.insideWordCount
  }

  // MARK: How often

  /// Gradients and weights are exchanged as often as the strategy says, in the way it says.
  func exchanges(of program: RankProgram) throws(ProgramDefect) {
    var found: [Exchange: Int] = [:]
    for step in program.steps {
      guard case .collective(let it) = step.operation, it.operand.isOfParameters else { continue }
      found[Exchange(operand: it.operand, kind: it.kind, quantisation: it.quantisation), default: 0] += 1
    }
    let expected = expectedExchanges(rank: program.rank)
    // In an order of their own: that of a set differs from run to run.
    for exchange in Set(found.keys).union(expected.keys).sorted(by: { "\($0)" < "\($1)" }) {
      let wanted = expected[exchange] ?? 0, got = found[exchange] ?? 0
      if wanted != got {
        throw .exchanges(
          exchange.operand, exchange.kind, exchange.quantisation, rank: program.rank, expected: wanted, found: got)
      }
    }
  }

  private struct Exchange: Hashable {
    let operand: Operand
    let kind: CollectiveKind
    let quantisation: Quantisation?
  }

  private func expectedExchanges(rank: Int) -> [Exchange: Int] {
    let stage = mesh.coordinate(ofRank: rank, along: .pipeline), sharding = shape.sharding
    let held = shape.parameters(ofStage: stage), parts = held.entries.map(\.part)
    let m = shape.schedule.microBatchCount
    var expected: [Exchange: Int] = [:]
    func add(_ operand: Operand, _ kind: CollectiveKind, _ count: Int, quantisation: Quantisation? = nil) {
      expected[Exchange(operand: operand, kind: kind, quantisation: quantisation), default: 0] += count
    }
    func degree(_ family: Sharding.Family) -> Int { shape.group(of: family, containing: rank).count }
    func gather(_ operand: Operand, _ count: Int) {
      guard let family = operand.family(sharding), degree(family) > 1, count > 0 else { return }
      let quantisation = shape.weightQuantisation(over: shape.group(of: family, containing: rank))
      add(operand, .allGather, count, quantisation: family == .secondary ? nil : quantisation)
    }
    func reduce(_ operand: Operand, _ nodeOperand: Operand, _ count: Int) {
      guard let family = operand.family(sharding) else { return }
      guard let exchange = exchange(of: operand, family, rank: rank) else { return add(operand, .reduceScatter, count) }
      if exchange.insideCount > 1 { add(operand, .allToAll, count, quantisation: .gradients) }
      add(nodeOperand, .allToAll, count, quantisation: .gradients)
    }

    if mesh.worldSize > 1 { add(.scalars, .allReduce, 1) }
    if shape.reducesOnce {
      if parts.contains(where: { shape.partialGradientCount(of: $0) > 0 }) { add(.replicatedGradients, .allReduce, 1) }
      if shape.copiesTiedMatrix, stage == 0 || stage == mesh.degree(of: .pipeline) - 1 {
        add(.tiedMatrixGradient, .allReduce, 1)
      }
      let isSharded = sharding.optimizerDegree > 1
      if isSharded { reduce(.allGradients, .allNodeGradients, 1) }
      if degree(.replicas) > 1 { add(isSharded ? .gradientShards : .allGradients, .allReduce, 1) }
      if isSharded { gather(.allWeights, 1) }
      return expected
    }
    for part in parts {
      if shape.partialGradientCount(of: part) > 0 { add(.replicatedGradientsOf(part), .allReduce, m) }
      for family in shape.microBatchFamilies { reduce(.gradient(part, family), .nodeGradient(part, family), m) }
      if degree(.optimizer) > 1 { reduce(.gradient(part, .optimizer), .nodeGradient(part, .optimizer), 1) }
      if degree(.replicas) > 1 { add(.gradient(part, .replicas), .allReduce, 1) }
      // Forward and backward; a tied head on the embedding's stage needs the embedding's matrix as well.
      let uses = m * (part == .embedding && !shape.headOwnsMatrix ? 4 : 2)
      let ofSecondary = sharding.secondaryDegree == nil ? 0 : uses - 1
      gather(.weights(part), uses - ofSecondary)
      gather(.secondaryWeights(part), ofSecondary)
      gather(.updatedWeights(part, .optimizer), 1)
      gather(.updatedWeights(part, .gradients), 1)
    }
    return expected
  }

  // MARK: The secondary copy

  /// Slices of the secondary copy are kept once of every part, after its first gather and before any gather from them, and
  /// dropped once, before the parameters change and after the last.
  func secondary(of program: RankProgram) throws(ProgramDefect) {
    let hasSecondary = shape.sharding.secondaryDegree != nil
    var gathered: Set<ModelPart> = [], kept: Set<ModelPart> = []
    var drops = 0
    for (index, step) in program.steps.enumerated() {
      switch step.operation {
      case .compute(.keepSecondary(let part)):
        guard gathered.contains(part), drops == 0, kept.insert(part).inserted else {
          throw .secondary(place(program, index))
        }
      case .compute(.dropSecondary):
        guard hasSecondary else { throw .secondary(place(program, index)) }
        drops += 1
      case .compute(.updateParameters):
        guard drops == (hasSecondary ? 1 : 0) else { throw .secondary(place(program, index)) }
      case .collective(let collective):
        switch collective.operand {
        case .secondaryWeights(let part):
          guard kept.contains(part), drops == 0 else { throw .secondary(place(program, index)) }
        case .weights(let part) where hasSecondary:
          guard gathered.insert(part).inserted else { throw .secondary(place(program, index)) }
        default: continue
        }
      default: continue
      }
    }
    let stage = mesh.coordinate(ofRank: program.rank, along: .pipeline)
    let expected = hasSecondary ? shape.parameters(ofStage: stage).entries.count : 0
    guard kept.count == expected else {
      throw .once("keeps secondary slices", rank: program.rank, count: kept.count, expected: expected)
    }
  }
}

extension Operand {
  /// Whether it is of parameters or of the iteration, and not of a pass.
  fileprivate var isOfParameters: Bool {
    switch self {
    case .stream, .branch, .columnInput, .tokenMaximum, .tokenTarget, .tokenSum, .arrived: false
    default: true
    }
  }

  /// The groups of replicas over which it is reduced or gathered; nil for what replicas do not exchange.
  fileprivate func family(_ sharding: Sharding) -> Sharding.Family? {
    switch self {
    case .weights: .weights
    case .secondaryWeights: .secondary
    case .updatedWeights(_, let family), .gradient(_, let family), .nodeGradient(_, let family): family
    case .allWeights, .allNodeGradients: .optimizer
    case .allGradients: sharding.optimizerDegree > 1 ? .optimizer : .replicas
    case .gradientShards: .replicas
    default: nil
    }
  }
}
