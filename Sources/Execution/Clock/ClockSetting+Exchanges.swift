import Costing
import Documents
import Training

/// What exchanges of states take on the clock: what the cost model takes them for, on the stage's slowest group.
extension ClockSetting {
  /// A collective, when all of its ranks have come.
  func price(of collective: Collective, place: Int) -> FlowPrice {
    guard case .exchanged(let exchange, let part, let hop) = collective.operand,
      let group = RankGroup(collective.group)
    else { return FlowPrice() }
    let stage = stage(ofPlace: place)
    var price: FlowPrice
    switch exchange.content {
    // The model leaves these out.
    case .partialGradient: return FlowPrice()
    case .progress:
      // Both hops of rounded numbers are in the price; the second carries it.
      guard hop != .toOwners else { return FlowPrice() }
      price = FlowPrice(bytesSeconds: outer[stage].allReduce)
    case .scalars, .anchorStep:
      guard contends else { return FlowPrice() }
      price = self.price(model.communicationGroup(group), of: collective)
    case .tiedMatrixGradient: price = FlowPrice(bytesSeconds: cost.embeddingSumSeconds)
    case .weights,
      .gradient where exchange.format == .weights:
      // Both hops of a quantised reduction are in the price; the second carries it.
      guard hop != .inside else { return FlowPrice() }
      price = FlowPrice(
        bytesSeconds: cost[stage].seconds(
          of: exchange, elementCount: shape.elementCount(of: exchange, part: part, stage: stage),
          narrowCount: shape.narrowCount(of: exchange, part: part, stage: stage)))
    case .updatedWeights:
      let routed = tails[stage].routedGatherShare
      price = FlowPrice(
        bytesSeconds: tails[stage].gatherSeconds * (exchange.isOfExperts ? routed : 1 - routed)
          * share(of: part, exchange, at: .step, stage))
    case .gradient:
      guard hop != .inside else { return FlowPrice() }
      let routed = tails[stage].routedReduceShare
      price = FlowPrice(
        bytesSeconds: tails[stage].reduceSeconds * (exchange.isOfExperts ? routed : 1 - routed)
          * share(of: part, exchange, at: .lastBackward, stage))
    }
    if contends, price.bytesSeconds > 0 {
      price.uses = uses(of: group, place: place, isOfExperts: exchange.isOfExperts)
    }
    return price
  }

  /// The links that a collective takes: those of the simulated rank's node where replicas are alike, otherwise those of every
  /// node that holds members, each with all ranks that take part there.
  ///
  /// - Parameter isOfExperts: whether it is among ranks that hold the same experts, which may be neighbours of a tensor group.
  private func uses(of group: RankGroup, place: Int, isOfExperts: Bool) -> [SharedLink.Use] {
    guard !areReplicasAlike else {
      return model.uses(
        ofCollectiveOver: group, at: ranks[place], memberCount: mesh.blockSize(below: .pipeline))
    }
    let perNode = model.cluster.devicesPerNode
    // Ranks of a node that do the same in groups of their own.
    let ofExperts = shape.strategy.expertDegree * shape.strategy.expertTensorDegree
    let t = isOfExperts ? min(ofExperts, mesh.degree(of: .tensor)) : mesh.degree(of: .tensor)
    var uses: [SharedLink.Use] = [], first = 0
    let members = group.ranks
    while first < members.count {
      let node = members[first] / perNode
      let inside = members[first...].prefix { $0 / perNode == node }.count
      uses += model.uses(ofCollectiveOver: group, at: members[first], memberCount: t * inside)
      first += inside
    }
    return uses
  }

  /// Seconds of a collective that nothing hides, by the group's own price.
  private func price(_ group: CommunicationGroup, of collective: Collective) -> FlowPrice {
    let bytes = Double(collective.elementCount * collective.elementByteCount)
    let latency = group.allReduceSeconds(byteCount: 0)
    return FlowPrice(latencySeconds: latency, bytesSeconds: group.allReduceSeconds(byteCount: bytes) - latency)
  }

  /// Bytes of the whole tensor on a stage.
  private func byteCount(_ exchange: Exchange, _ part: ModelPart?, _ stage: Int) -> Int {
    shape.byteCount(of: exchange, part: part, stage: stage)
  }

  /// The share of one collective in what a stage exchanges at a moment that is priced as a whole: by its bytes, and
  /// by how many exchanges follow each other.
  private func share(of part: ModelPart?, _ exchange: Exchange, at moment: Moment, _ stage: Int) -> Double {
    let alike = shape.exchanges(at: moment).count {
      $0.content == exchange.content && $0.isOfExperts == exchange.isOfExperts
    }
    return Double(byteCount(exchange, part, stage)) / Double(byteCount(exchange, nil, stage)) / Double(alike)
  }
}

extension RankGroup {
  /// The group of evenly spaced ranks; nil of ranks that are none.
  fileprivate init?(_ ranks: [Int]) {
    guard let first = ranks.first else { return nil }
    self.init(first: first, stride: ranks.count > 1 ? ranks[1] - first : 1, count: ranks.count)
  }
}
