import Costing
import Documents
import Training

extension PricedLattice {
  /// Points of a mesh that differ in shard degrees of the same kinds of state only.
  private struct MemoryClass: Hashable {
    let microBatchCostIndex: Int
    /// Chunks a stage, and how backward passes are split, in one number.
    let schedule: Int
    let zeroStage: Strategy.ZeroStage
    let freedom: StageFreedom
    let hosting: Hosting
    let holdsNarrowWeights: Bool
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
      freedom = point.freedom
      hosting = point.strategy.hosting
      holdsNarrowWeights = point.strategy.holdsNarrowWeights
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

  /// A strategy of a mesh to look others up by: hashed by what points differ in most, since it has more parts than are worth
  /// it.
  private struct Sought: Hashable {
    let strategy: Strategy

    func hash(into hasher: inout Hasher) {
      var digest = strategy.microBatch
      func add(_ value: Int) { digest = digest &* 0x1_0001 &+ value }
      add(strategy.schedule.chunkCount)
      add(strategy.zeroStage.rawValue)
      add(strategy.recompute == .none ? 0 : strategy.recompute == .full ? 1 : 2)
      add(Int(strategy.recomputeModules.rawValue))
      add(strategy.expertDegree)
      add(strategy.overlapsExperts ? 1 : 0)
      add(strategy.dispatcher.sendsOnce ? 1 : 0)
      if strategy.hasShardLevels {
        let sharding = strategy.sharding
        for degree in [sharding.weightDegree, sharding.gradientDegree, sharding.optimizerDegree] { add(degree) }
      }
      hasher.combine(digest)
    }
  }

  /// Points of a mesh that differ in their micro-batch only.
  private struct TokenClass: Hashable {
    let strategy: Sought
    let freedom: StageFreedom

    /// Nil where more tokens at a time may need less memory: with fewer passes in flight than order alone would keep, or
    /// where how the host runs ahead of the device changes; and where parts lie on the host.
    ///
    /// - Parameters:
    ///   - globalBatch: the job's.
    ///   - runsAhead: whether a host that runs ahead of its device adds to what is kept.
    init?(_ point: Lattice.Point, globalBatch: Int, runsAhead: Bool) {
      var strategy = point.strategy
      let p = strategy.pipelineDegree
      guard strategy.update != .zerothOrder, !strategy.usesHost, !point.freedom.choosesHostedLayers else { return nil }
      let microBatchCount = strategy.microBatchCount(globalBatch: globalBatch)
      guard p == 1 || microBatchCount > p || !runsAhead else { return nil }
      let inFlight = strategy.schedule.passesInFlight(
        stageCount: p, microBatchCount: microBatchCount, combines: strategy.overlapsExperts)
      guard inFlight.splitting == .none, inFlight.onFirstStage <= inFlight.passCount else { return nil }
      strategy.microBatch = 1
      self.strategy = Sought(strategy: strategy)
      freedom = point.freedom
    }
  }

  /// Prices the points of a mesh one after another, with the nodes in one order.
  struct BranchPricing {
    let model: CostModel
    let layerSplit: Capabilities.LayerSplit
    let searchesHosting: Bool
    /// Whether any strategy of the mesh recomputes modules.
    let searchesModules: Bool
    /// Whether any has shard levels.
    let searchesShardLevels: Bool
    let branchIndex: Int
    // Of the model what every point asks for, since a copy of all of it costs more than the answer.
    private let globalBatch: Int
    private let runsAhead: Bool
    private let isMixed: Bool
    var priced: PricedBranch
    /// Of all shardings of a stage ZeRO's own needs least memory: with levels no verdict is better.
    private var leastMemory: [MemoryClass: [Prediction.Verdict]] = [:]
    /// Of strategies that do not simply fit, the verdicts that are left to those with larger micro-batches.
    private var fewestTokens: [TokenClass: [Prediction.Verdict]] = [:]
    private var enough: [Sought: [HostUse]] = [:]
    /// Of strategies without modules, sets of them that fit; where stages have equal layers, more only adds time.
    private var enoughModules: [Sought: [Strategy.RecomputeModules]] = [:]

    init(
      model: CostModel, layerSplit: Capabilities.LayerSplit, searchesHosting: Bool, branch: Lattice.Branch,
      branchIndex: Int, priced: PricedBranch
    ) {
      self.model = model
      self.layerSplit = layerSplit
      self.searchesHosting = searchesHosting
      searchesModules = branch.microBatchKeys.contains { !$0.modules.isEmpty }
      searchesShardLevels = branch.points.contains { $0.strategy.hasShardLevels }
      self.branchIndex = branchIndex
      self.priced = priced
      globalBatch = model.job.globalBatch
      runsAhead = model.framework.memory.pendingActivationFactor != 0
      isMixed = model.cluster.isMixed
    }

    private func unfit(_ point: Lattice.Point) -> Unfit {
      Unfit(
        strategy: point.strategy, freedom: point.freedom, branchIndex: branchIndex,
        microBatchCostIndex: point.microBatchCostIndex)
    }

    /// What is known of a point in another order.
    struct Shared {
      var memory: IterationMemory?
      var cost: IterationCost?
    }

    /// - Parameters:
    ///   - shared: the point in another order, then in this one.
    ///   - microBatches: those of the mesh, in any order.
    ///   - known: what stages hold, of the point in other orders.
    mutating func price(
      _ point: Lattice.Point, shared: inout Shared, microBatches: inout MicroBatchPricing,
      known: inout StageCapacities?
    ) {
      if searchesHosting, point.strategy.usesHost,
        enough[Sought(strategy: point.strategy.bare)]?.contains(where: { $0.isPart(of: HostUse(point.strategy)) })
          == true
      {
        // The same with less on the host fits, and recomputes nothing: more only adds time.
        priced.rejections["more on the host than has to be", default: 0] += 1
        return
      }
      if point.strategy.recomputesModules,
        enoughModules[Sought(strategy: point.strategy.withoutModules)]?.contains(where: {
          $0.isSubset(of: point.strategy.recomputeModules.covered)
        }) == true
      {
        priced.rejections["more recomputed than has to be", default: 0] += 1
        return
      }
      let memoryClass = searchesShardLevels ? MemoryClass(point) : nil
      let tokenClass = isMixed ? nil : TokenClass(point, globalBatch: globalBatch, runsAhead: runsAhead)
      var verdicts = tokenClass.flatMap { fewestTokens[$0] } ?? PricedLattice.verdicts
      // Both are what is left of all, from the best on.
      if let memoryClass, point.strategy.hasShardLevels, let least = leastMemory[memoryClass],
        least.count < verdicts.count
      {
        verdicts = least
      }
      if verdicts.isEmpty {
        if let memoryClass, !point.strategy.hasShardLevels { leastMemory[memoryClass] = [] }
        priced.unfit.append(unfit(point))
        return
      }
      let layout = priced.costs.layout
      let memory =
        shared.memory?.on(layout)
        ?? microBatches.memory(of: point.strategy, point.microBatchCostIndex, layout: layout, model: model)
      shared.memory = memory
      let own = (layerSplit.split(of: point.strategy, model.job.model).map { [$0] } ?? memory.fewSplits)?.map {
        // The bound, and every reader of plans, wants a layer on every stage.
        $0.layerCounts.contains(0) ? .unfit : memory.verdict(of: memory.stageMemory(of: $0))
      }
      let verdict =
        if let own {
          verdicts.first { limit in own.contains { $0 == .fits || $0 == limit } }
        } else {
          memory.bestVerdict(noBetterThan: verdicts[0], freedom: point.freedom, known: &known)
        }
      let left = verdict.map { $0 == .fits ? PricedLattice.verdicts : [.risky] } ?? []
      if let memoryClass, !point.strategy.hasShardLevels { leastMemory[memoryClass] = left }
      if let tokenClass, left.count < PricedLattice.verdicts.count { fewestTokens[tokenClass] = left }
      if point.strategy.usesHost, let limit = memory.hostLimitBytes {
        let needed = memory.leastHostBytes
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
        memory.hasEqualStages
      {
        enough[Sought(strategy: point.strategy.bare), default: []].append(HostUse(point.strategy))
      }
      if searchesModules, verdict == .fits, point.freedom == .none, memory.hasEqualStages,
        point.strategy.recompute == .none || point.strategy.recomputesModules
      {
        enoughModules[Sought(strategy: point.strategy.withoutModules), default: []].append(
          point.strategy.recomputeModules.covered)
      }
      let cost =
        shared.cost?.on(layout)
        ?? model.cost(of: memory, microBatches: microBatches.costs(point.microBatchCostIndex))
      shared.cost = cost
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
  fileprivate var withoutModules: Strategy {
    var copy = self
    copy.recompute = .none
    copy.recomputeModules = []
    return copy
  }

  /// With everything on the devices, and nothing recomputed; weights as they are stored, since they are narrow wherever less is
  /// on the host if they are where more is.
  fileprivate var bare: Strategy {
    var copy = withoutModules
    copy.hosting = .none
    copy.outer.isHosted = false
    copy.holdsNarrowWeights = false
    return copy
  }
}
