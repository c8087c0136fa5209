import Costing
import Documents

/// The lattice with a lower bound for every strategy that fits into memory with some split of its layers.
struct PricedLattice: Sendable {
  /// A strategy that fits, with its bound.
  struct Candidate: Sendable {
    let strategy: Strategy
    /// What its stages may decide for themselves.
    let freedom: StageFreedom
    /// No split scores less, seconds; the surcharge is in it when no split fits comfortably.
    let boundSeconds: Double
    /// The best verdict that some split can have.
    let verdict: Prediction.Verdict
    let branchIndex: Int
    let microBatchCostIndex: Int
  }

  /// What the candidates of one mesh share.
  struct BranchCosts: Sendable {
    let layout: LayoutCost
    /// Those of every strategy that fits are priced.
    var microBatches: MicroBatchPricing

    /// - Parameter other: the same mesh's with the nodes in another order, of which all but the order is taken.
    init(_ branch: Lattice.Branch, model: CostModel, sharing other: BranchCosts? = nil) {
      if let other {
        layout = model.layoutCost(branch.mesh, sharing: other.layout)
        microBatches = other.microBatches
        return
      }
      let layout = model.layoutCost(branch.mesh)
      self.layout = layout
      microBatches = MicroBatchPricing(model, layout: layout, branch.microBatchKeys)
    }

    /// What a strategy that fits with no split holds, from the parts it shares.
    mutating func memory(of unfit: Unfit, model: CostModel) -> IterationMemory {
      microBatches.memory(of: unfit.strategy, unfit.microBatchCostIndex, layout: layout, model: model)
    }

    /// The whole cost of a strategy of the mesh, from the parts it shares.
    func cost(of strategy: Strategy, microBatchCostIndex: Int, model: CostModel) -> IterationCost {
      model.cost(of: strategy, layout: layout, microBatches: microBatches.costs(once: microBatchCostIndex))
    }
  }

  /// A strategy that fits with no split.
  struct Unfit: Sendable {
    let strategy: Strategy
    let freedom: StageFreedom
    let branchIndex: Int
    let microBatchCostIndex: Int
  }

  /// A strategy whose devices would hold theirs, but whose nodes' memory does not.
  struct HostShort: Sendable {
    let strategy: Strategy
    /// What its devices have in a node's memory, bytes.
    let hostBytes: Int
  }

  /// One mesh's share of the work, computed by one thread.
  struct PricedBranch: Sendable {
    var costs: BranchCosts
    var candidates: [Candidate] = []
    var unfit: [Unfit] = []
    var leastHostShort: HostShort?
    var rejections: [String: Int] = [:]
    var enumeratedCount = 0
  }

  /// In the lattice's order.
  let candidates: [Candidate]
  /// Indices of candidates, least bound first; ties in the lattice's order.
  let order: [Int]
  let branches: [BranchCosts]
  /// Strategies that fit with no split, in the lattice's order.
  let unfit: FlattenSequence<[[Unfit]]>
  /// Of those that want for memory of the nodes alone, the one that wants least; nil where none does.
  let leastHostShort: HostShort?
  let rejections: [String: Int]
  let enumeratedCount: Int

  let memoryRejectedCount: Int

  /// - Parameters:
  ///   - branches: in the lattice's order.
  ///   - rejections: where enumeration was cut above them.
  private init(_ branches: [PricedBranch], rejections: [String: Int]) {
    // Room is made once: there are a hundred thousand of them.
    var candidates: [Candidate] = []
    candidates.reserveCapacity(branches.reduce(0) { $0 + $1.candidates.count })
    for branch in branches { candidates += branch.candidates }
    self.candidates = candidates
    unfit = branches.map(\.unfit).joined()
    memoryRejectedCount = branches.reduce(0) { $0 + $1.unfit.count }
    leastHostShort = branches.compactMap(\.leastHostShort).min { $0.hostBytes < $1.hostBytes }
    self.branches = branches.map(\.costs)
    var rejections = rejections
    for branch in branches { rejections.merge(branch.rejections, uniquingKeysWith: +) }
    self.rejections = rejections
    enumeratedCount = branches.reduce(0) { $0 + $1.enumeratedCount } + rejections.values.reduce(0, +)
    order = candidates.indices.sorted {
      (candidates[$0].boundSeconds, $0) < (candidates[$1].boundSeconds, $1)
    }
  }

  /// A lattice with the nodes in several orders, priced together.
  ///
  /// - Parameters:
  ///   - models: the same but for the order of the nodes, at least one; of several, none with measured links.
  ///   - concessions: what is given up so that something fits.
  ///   - pointLimit: how many strategies to price at most, here and there in the lattice; nil for all.
  ///   - other: the same lattice with the nodes in another order, none of whose links were measured: what passes cost
  ///     is the same.
  /// - Returns: in the order of the models.
  /// - Throws: ``Stopped``.
  static func priced(
    _ models: [CostModel], pattern: StrategyPattern, allowance: Allowance = .exact, capabilities: Capabilities? = nil,
    concessions: Concessions = Concessions(), threadCount: Int, pointLimit: Int? = nil,
    sharing other: PricedLattice? = nil,
    watch: StopWatch = .never
  ) throws(Stopped) -> [PricedLattice] {
    let lattice = Lattice(
      model: models[0], pattern: pattern, allowance: allowance, capabilities: capabilities,
      concessions: concessions)
    let meshes = pointLimit.map { lattice.meshes.thinned(to: max(1, $0 / Self.sampledPointsPerMesh)) } ?? lattice.meshes
    let mostPerMesh = pointLimit.map { max(1, $0 / max(1, meshes.count)) }
    let branches = valuesBesideEachOther(meshes.count, threadCount: threadCount) { index in
      try? Self.price(
        meshes[index], of: lattice, branchIndex: index, models: models, layerSplit: capabilities?.layerSplit ?? .any,
        searchesHosting: concessions.searchesHosting, pointLimit: mostPerMesh, sharing: other?.branches[index],
        watch: watch)
    }.compactMap { $0 }
    guard branches.count == meshes.count else { throw Stopped() }
    return models.indices.map { place in
      PricedLattice(branches.map { $0[place] }, rejections: lattice.rejections)
    }
  }

  /// Of a sample, on average.
  private static let sampledPointsPerMesh = 32
  /// Strategies between two questions whether to stop.
  private static let pointsPerLook = 64

  /// Best first.
  static let verdicts = [Prediction.Verdict.fits, .risky]

  private static func price(
    _ mesh: Mesh, of lattice: Lattice, branchIndex: Int, models: [CostModel], layerSplit: Capabilities.LayerSplit,
    searchesHosting: Bool, pointLimit: Int?, sharing other: BranchCosts?, watch: StopWatch
  ) throws(Stopped) -> [PricedBranch] {
    try watch.check()
    let (whole, rejections) = lattice.branch(mesh)
    let branch = pointLimit.map(whole.thinned) ?? whole
    var orders: [BranchPricing] = []
    for model in models {
      let costs = BranchCosts(branch, model: model, sharing: orders.first?.priced.costs ?? other)
      var priced = PricedBranch(costs: costs)
      priced.rejections = rejections
      priced.enumeratedCount = branch.points.count
      orders.append(
        BranchPricing(
          model: model, layerSplit: layerSplit, searchesHosting: searchesHosting, branch: branch,
          branchIndex: branchIndex, priced: priced))
    }
    var microBatches = orders[0].priced.costs.microBatches
    var known = models.count > 1 ? StageCapacities(deviceCount: models[0].cluster.devices.count) : nil
    for (number, point) in branch.points.enumerated() {
      if number % Self.pointsPerLook == 0 { try watch.check() }
      known?.begin(stageCount: point.strategy.pipelineDegree)
      // What a stage costs on a model of device is the same in all orders.
      var shared = BranchPricing.Shared()
      for place in orders.indices {
        orders[place].price(point, shared: &shared, microBatches: &microBatches, known: &known)
      }
    }
    return orders.map {
      var branch = $0.priced
      branch.costs.microBatches = microBatches
      return branch
    }
  }

  /// The whole cost of a candidate, from the parts it shares.
  func cost(of candidate: Candidate, model: CostModel) -> IterationCost {
    branches[candidate.branchIndex].cost(
      of: candidate.strategy, microBatchCostIndex: candidate.microBatchCostIndex, model: model)
  }
}

extension Lattice.Branch {
  /// So many points at most, evenly spaced, and what they need.
  fileprivate func thinned(to limit: Int) -> Self {
    var places: [Int: Int] = [:]
    var keys: [MicroBatchKey] = []
    let points = points.thinned(to: limit).map { point in
      let place = places[point.microBatchCostIndex] ?? keys.count
      if place == keys.count {
        places[point.microBatchCostIndex] = place
        keys.append(microBatchKeys[point.microBatchCostIndex])
      }
      return Lattice.Point(strategy: point.strategy, freedom: point.freedom, microBatchCostIndex: place)
    }
    return Self(mesh: mesh, microBatchKeys: keys, points: points)
  }
}

extension Array {
  /// So many elements at most, evenly spaced.
  fileprivate func thinned(to limit: Int) -> [Element] {
    count <= limit ? self : (0..<limit).map { self[$0 * count / limit] }
  }
}

extension MicroBatchPricing {
  /// What a strategy of the mesh holds.
  ///
  /// - Parameter index: of its micro-batches.
  mutating func memory(
    of strategy: Strategy, _ index: Int, layout: LayoutCost, model: CostModel
  ) -> IterationMemory {
    let kept = kept(index)
    return model.memory(of: strategy, layout: layout, kept: kept) { costs(index) }
  }
}
