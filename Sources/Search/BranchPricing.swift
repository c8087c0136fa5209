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

  /// Points of a mesh that differ in their micro-batch only.
  private struct TokenClass: Hashable {
    let strategy: Strategy
    let freedom: StageFreedom

    /// Nil where more tokens at a time may need less memory: with fewer passes in flight than order alone would keep, or
    /// where how the host runs ahead of the device changes; and where parts lie on the host, or devices differ.
    init?(_ point: Lattice.Point, model: CostModel) {
      let strategy = point.strategy, p = strategy.pipelineDegree
      guard strategy.update != .zerothOrder, !strategy.usesHost, !point.freedom.choosesHostedLayers,
        !model.cluster.isMixed
      else { return nil }
      let microBatchCount = strategy.microBatchCount(globalBatch: model.job.globalBatch)
      guard p == 1 || microBatchCount > p || model.framework.memory.pendingActivationFactor == 0 else { return nil }
      let inFlight = strategy.schedule.passesInFlight(
        stageCount: p, microBatchCount: microBatchCount, combines: strategy.overlapsExperts)
      guard inFlight.splitting == .none, inFlight.onFirstStage <= inFlight.passCount else { return nil }
      self.strategy = strategy.with(\.microBatch, 1)
      freedom = point.freedom
    }
  }

  /// Prices the points of a mesh one after another, with the nodes in one order.
  struct BranchPricing {
    let model: CostModel
    let layerSplit: Capabilities.LayerSplit
    let searchesHosting: Bool
    /// Whether any strategy of the lattice recomputes modules.
    let searchesModules: Bool
    let branchIndex: Int
    var priced: PricedBranch
    /// Of all shardings of a stage ZeRO's own needs least memory: with levels no verdict is better.
    private var leastMemory: [MemoryClass: [Prediction.Verdict]] = [:]
    /// Of strategies that do not simply fit, the verdicts that are left to those with larger micro-batches.
    private var fewestTokens: [TokenClass: [Prediction.Verdict]] = [:]
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
      let memoryClass = MemoryClass(point), tokenClass = TokenClass(point, model: model)
      var verdicts = tokenClass.flatMap { fewestTokens[$0] } ?? PricedLattice.verdicts
      // Both are what is left of all, from the best on.
      if point.strategy.hasShardLevels, let least = leastMemory[memoryClass], least.count < verdicts.count {
        verdicts = least
      }
      if verdicts.isEmpty {
        if !point.strategy.hasShardLevels { leastMemory[memoryClass] = [] }
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
      let left = verdict.map { $0 == .fits ? PricedLattice.verdicts : [.risky] } ?? []
      if !point.strategy.hasShardLevels { leastMemory[memoryClass] = left }
      if let tokenClass, left.count < PricedLattice.verdicts.count { fewestTokens[tokenClass] = left }
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
      if searchesModules, verdict == .fits, point.freedom == .none, cost.hasEqualStages,
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
