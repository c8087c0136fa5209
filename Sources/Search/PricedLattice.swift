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
    /// By key, then by model of device.
    let microBatches: [[MicroBatchCost]]

    /// - Parameter other: the same mesh's with the nodes in another order, of which all but the order is taken.
    init(_ branch: Lattice.Branch, model: CostModel, sharing other: BranchCosts? = nil) {
      if let other {
        layout = model.layoutCost(branch.mesh, sharing: other.layout)
        microBatches = other.microBatches
        return
      }
      let layout = model.layoutCost(branch.mesh)
      self.layout = layout
      microBatches = model.microBatchCosts(layout: layout, branch.microBatchKeys)
    }

    /// The whole cost of a strategy of the mesh, from the parts it shares.
    func cost(of strategy: Strategy, microBatchCostIndex: Int, model: CostModel) -> IterationCost {
      model.cost(of: strategy, layout: layout, microBatches: microBatches[microBatchCostIndex])
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
  private struct PricedBranch: Sendable {
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
  let unfit: [Unfit]
  /// Of those that want for memory of the nodes alone, the one that wants least; nil where none does.
  let leastHostShort: HostShort?
  let rejections: [String: Int]
  let enumeratedCount: Int

  var memoryRejectedCount: Int { unfit.count }

  /// - Parameters:
  ///   - branches: in the lattice's order.
  ///   - rejections: where enumeration was cut above them.
  private init(_ branches: [PricedBranch], rejections: [String: Int]) {
    candidates = branches.flatMap(\.candidates)
    unfit = branches.flatMap(\.unfit)
    leastHostShort = branches.compactMap(\.leastHostShort).min { $0.hostBytes < $1.hostBytes }
    self.branches = branches.map(\.costs)
    var rejections = rejections
    for branch in branches { rejections.merge(branch.rejections, uniquingKeysWith: +) }
    self.rejections = rejections
    enumeratedCount = branches.reduce(0) { $0 + $1.enumeratedCount } + rejections.values.reduce(0, +)
    let candidates = candidates
    order = candidates.indices.sorted {
      (candidates[$0].boundSeconds, $0) < (candidates[$1].boundSeconds, $1)
    }
  }

  /// A lattice with the nodes in several orders, priced together.
  ///
  /// - Parameters:
  ///   - models: the same but for the order of the nodes, at least one; of several, none with measured links.
  ///   - searchesHosting: whether what hosts may hold and do is walked.
  ///   - pointLimit: how many strategies to price at most, here and there in the lattice; nil for all.
  ///   - other: the same lattice with the nodes in another order, none of whose links were measured: what passes cost
  ///     is the same.
  /// - Returns: in the order of the models.
  /// - Throws: ``Stopped``.
  static func priced(
    _ models: [CostModel], pattern: StrategyPattern, allowance: Allowance = .exact, capabilities: Capabilities? = nil,
    searchesHosting: Bool = false, threadCount: Int, pointLimit: Int? = nil, sharing other: PricedLattice? = nil,
    watch: StopWatch = .never
  ) throws(Stopped) -> [PricedLattice] {
    let lattice = Lattice(
      model: models[0], pattern: pattern, allowance: allowance, capabilities: capabilities,
      searchesHosting: searchesHosting)
    let meshes = pointLimit.map { lattice.meshes.thinned(to: max(1, $0 / Self.sampledPointsPerMesh)) } ?? lattice.meshes
    let mostPerMesh = pointLimit.map { max(1, $0 / max(1, meshes.count)) }
    let branches = valuesBesideEachOther(meshes.count, threadCount: threadCount) { index in
      try? Self.price(
        meshes[index], of: lattice, branchIndex: index, models: models, layerSplit: capabilities?.layerSplit ?? .any,
        searchesHosting: searchesHosting, pointLimit: mostPerMesh, sharing: other?.branches[index], watch: watch)
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
  private static let verdicts = [Prediction.Verdict.fits, .risky]

  /// Points of a mesh that differ in shard degrees of the same kinds of state only.
  private struct MemoryClass: Hashable {
    let microBatchCostIndex: Int
    /// Chunks a stage, and how backward passes are split, in one number.
    let schedule: Int
    let zeroStage: Strategy.ZeroStage
    let choosesRecomputation: Bool
    let choosesOffload: Bool
    let hosting: Hosting
    let perturbationDegree: Int
    /// The update, and of outer steps all that bears on memory, in one number: points are looked up by the million.
    let update: Int

    init(_ point: Lattice.Point) {
      microBatchCostIndex = point.microBatchCostIndex
      let schedule = point.strategy.schedule
      self.schedule =
        8 * schedule.chunkCount + (schedule.splitsBackward ? 1 : 0) + (schedule.isV ? 2 : 0)
        + (schedule == .dualPipeV ? 4 : 0)
      zeroStage = point.strategy.zeroStage
      choosesRecomputation = point.freedom.choosesRecomputation
      choosesOffload = point.freedom.choosesOffload
      hosting = point.strategy.hosting
      perturbationDegree = point.strategy.perturbationDegree
      let outer = point.strategy.outer
      update =
        switch point.strategy.update {
        case .firstOrder: 0
        case .zerothOrder: 1
        case .outer: 2 + outer.staleness + (outer.isHosted ? 2 : 0) + 4 * outer.format.byteCount
        }
    }
  }

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
          model: model, layerSplit: layerSplit, searchesHosting: searchesHosting,
          searchesModules: branch.microBatchKeys.contains { !$0.modules.isEmpty }, branchIndex: branchIndex,
          priced: priced))
    }
    var known = models.count > 1 ? StageCapacities(deviceCount: models[0].cluster.devices.count) : nil
    for (number, point) in branch.points.enumerated() {
      if number % Self.pointsPerLook == 0 { try watch.check() }
      known?.begin(stageCount: point.strategy.pipelineDegree)
      // What a stage costs on a model of device is the same in all orders.
      var cost: IterationCost?
      for place in orders.indices { orders[place].price(point, cost: &cost, known: &known) }
    }
    return orders.map(\.priced)
  }

  /// Prices the points of a mesh one after another, with the nodes in one order.
  private struct BranchPricing {
    let model: CostModel
    let layerSplit: Capabilities.LayerSplit
    let searchesHosting: Bool
    /// Whether any strategy of the lattice recomputes modules.
    let searchesModules: Bool
    let branchIndex: Int
    var priced: PricedBranch
    /// Of all shardings of a stage ZeRO's own needs least memory: with levels no verdict is better.
    private var leastMemory: [MemoryClass: [Prediction.Verdict]] = [:]
    private var enough: [Strategy: [HostUse]] = [:]
    /// Of strategies without modules, sets of them that fit; where stages have equal layers, more only adds time.
    private var enoughModules: [Strategy: [Strategy.RecomputeModules]] = [:]

    init(
      model: CostModel, layerSplit: Capabilities.LayerSplit, searchesHosting: Bool, searchesModules: Bool,
      branchIndex: Int, priced: PricedBranch
    ) {
      self.model = model
      self.layerSplit = layerSplit
      self.searchesHosting = searchesHosting
      self.searchesModules = searchesModules
      self.branchIndex = branchIndex
      self.priced = priced
    }

    private func unfit(_ point: Lattice.Point) -> Unfit {
      Unfit(
        strategy: point.strategy, freedom: point.freedom, branchIndex: branchIndex,
        microBatchCostIndex: point.microBatchCostIndex)
    }

    /// - Parameters:
    ///   - shared: the point's cost in another order, then in this one.
    ///   - known: what stages hold, of the point in other orders.
    mutating func price(_ point: Lattice.Point, cost shared: inout IterationCost?, known: inout StageCapacities?) {
      if searchesHosting, point.strategy.usesHost,
        enough[point.strategy.bare]?.contains(where: { $0.isPart(of: HostUse(point.strategy)) }) == true
      {
        // The same with less on the host fits, and recomputes nothing: more only adds time.
        priced.rejections["more on the host than has to be", default: 0] += 1
        return
      }
      if point.strategy.recomputesModules,
        enoughModules[point.strategy.withoutModules]?.contains(where: {
          $0.isSubset(of: point.strategy.recomputeModules.covered)
        }) == true
      {
        priced.rejections["more recomputed than has to be", default: 0] += 1
        return
      }
      let memoryClass = MemoryClass(point)
      let verdicts =
        point.strategy.hasShardLevels ? leastMemory[memoryClass] ?? PricedLattice.verdicts : PricedLattice.verdicts
      if verdicts.isEmpty {
        priced.unfit.append(unfit(point))
        return
      }
      let costs = priced.costs
      let cost =
        shared?.on(costs.layout)
        ?? costs.cost(of: point.strategy, microBatchCostIndex: point.microBatchCostIndex, model: model)
      shared = cost
      let own = (layerSplit.split(of: point.strategy, model.job.model).map { [$0] } ?? cost.fewSplits)?.map {
        // The bound, and every reader of plans, wants a layer on every stage.
        $0.layerCounts.contains(0) ? .unfit : cost.verdict(of: cost.stageMemory(of: $0))
      }
      let verdict =
        if let own {
          verdicts.first { limit in own.contains { $0 == .fits || $0 == limit } }
        } else {
          cost.bestVerdict(noBetterThan: verdicts[0], freedom: point.freedom, known: &known)
        }
      if !point.strategy.hasShardLevels {
        leastMemory[memoryClass] = verdict.map { $0 == .fits ? PricedLattice.verdicts : [.risky] } ?? []
      }
      if point.strategy.usesHost, let limit = cost.hostLimitBytes {
        let needed = cost.leastHostBytes
        if needed > limit {
          priced.rejections["nodes' memory is too small for what the host would hold", default: 0] += 1
          if verdict != nil, needed < priced.leastHostShort?.hostBytes ?? .max {
            priced.leastHostShort = HostShort(strategy: point.strategy, hostBytes: needed)
          }
          return
        }
      }
      guard let verdict else {
        priced.unfit.append(unfit(point))
        return
      }
      if searchesHosting, verdict == .fits, point.freedom == .none, point.strategy.recompute == .none,
        cost.hasEqualStages
      {
        enough[point.strategy.bare, default: []].append(HostUse(point.strategy))
      }
      if searchesModules, verdict == .fits, point.freedom == .none, point.strategy.hasEqualStages,
        point.strategy.recompute == .none || point.strategy.recomputesModules
      {
        enoughModules[point.strategy.withoutModules, default: []].append(point.strategy.recomputeModules.covered)
      }
      // The limit of a risky split bounds both; with more room less is recomputed.
      var bound = cost.boundSeconds(freedom: point.freedom, within: MemoryLimit(.risky), known: &known)
      if verdict == .fits, point.freedom.choosesRecomputation {
        bound = min(
          bound * PlanSearch.headroomSurcharge,
          cost.boundSeconds(freedom: point.freedom, within: MemoryLimit(.fits), known: &known))
      }
      priced.candidates.append(
        Candidate(
          strategy: point.strategy, freedom: point.freedom,
          boundSeconds: verdict == .fits ? bound : bound * PlanSearch.headroomSurcharge,
          verdict: verdict, branchIndex: branchIndex, microBatchCostIndex: point.microBatchCostIndex))
    }
  }

  /// What a strategy that fits with no split costs, from the parts it shares.
  func cost(of unfit: Unfit, model: CostModel) -> IterationCost {
    branches[unfit.branchIndex].cost(
      of: unfit.strategy, microBatchCostIndex: unfit.microBatchCostIndex, model: model)
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

/// What a strategy has on its hosts.
private struct HostUse {
  let hosting: Hosting
  let holdsOuterStates: Bool

  init(_ strategy: Strategy) {
    hosting = strategy.hosting
    holdsOuterStates = strategy.outer.isHosted
  }

  /// Whether another has all of it on its hosts.
  func isPart(of other: Self) -> Bool {
    hosting.isPart(of: other.hosting) && (!holdsOuterStates || other.holdsOuterStates)
  }
}

extension Strategy {
  /// Whether anything lies on the hosts that no stage chose to put there.
  var usesHost: Bool { hosting != .none || outer.isHosted }

  /// With no module recomputed.
  fileprivate var withoutModules: Strategy { with(\.recompute, .none).with(\.recomputeModules, []) }

  /// With everything on the devices, and nothing recomputed.
  fileprivate var bare: Strategy { withoutModules.with(\.hosting, .none).with(\.outer.isHosted, false) }
}
