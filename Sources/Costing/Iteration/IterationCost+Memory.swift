package import Documents

/// Bytes of stages, and what their devices can hold.
extension IterationCost {
  /// Peak bytes of a device of a stage; of several models, the one with the least room to spare.
  package func stageMemory(stage: Int, _ content: Split.Stage) -> Prediction.StageMemory {
    let devices = layout.devices[stage]
    var tightest = costs[devices[0]].memory.stageMemory(stage: stage, content)
    guard devices.count > 1 else { return tightest }
    var least = costs[devices[0]].memory.limitBytes(.risky) - tightest.peakBytes
    for cost in onEachDevice(stage).dropFirst() {
      let memory = cost.memory.stageMemory(stage: stage, content)
      let room = cost.memory.limitBytes(.risky) - memory.peakBytes
      if room < least { (tightest, least) = (memory, room) }
    }
    return tightest
  }

  /// Peak bytes of a device of each stage when the layers are split as given.
  package func stageMemory(of split: Split) -> [Prediction.StageMemory] {
    (0...lastStage).map { stageMemory(stage: $0, content(of: split, stage: $0)) }
  }

  /// The largest peak of a stage within a limit, bytes: that of its smallest device.
  package func limitBytes(_ limit: MemoryLimit, stage: Int) -> Int {
    onEachDevice(stage).reduce(.max) { min($0, $1.memory.limitBytes(limit)) }
  }

  /// Whether a stage's memory keeps a limit.
  package func holds(_ stageMemory: Prediction.StageMemory, stage: Int, within limit: MemoryLimit) -> Bool {
    stageMemory.peakBytes <= limitBytes(limit, stage: stage)
  }

  /// What the stages' peaks mean, the worst of them.
  package func verdict(of stageMemory: [Prediction.StageMemory]) -> Prediction.Verdict {
    var worst = Prediction.Verdict.fits
    for (stage, memory) in stageMemory.enumerated() {
      for cost in onEachDevice(stage) {
        switch cost.memory.verdict(peakBytes: memory.peakBytes) {
        case .unfit: return .unfit
        case .risky: worst = .risky
        case .fits: break
        }
      }
    }
    return worst
  }

  /// The fewest recomputed layers per chunk with which a stage keeps a limit; nil if no number does.
  package func leastRecomputedLayerCount(
    stage: Int, _ layers: StageLayers, offloadsOptimizer: Bool, within limit: MemoryLimit
  ) -> Int? {
    var least = 0
    for cost in onEachDevice(stage) {
      guard
        let count = cost.memory.leastRecomputedLayerCount(
          stage: stage, layers, offloadsOptimizer: offloadsOptimizer,
          limitBytes: cost.memory.limitBytes(limit))
      else { return nil }
      least = max(least, count)
    }
    return least
  }

  /// The most layers, up to `layerCount`, that a stage can hold within a limit without recomputing any.
  func keptLayerCapacity(
    stage: Int, within limit: MemoryLimit, layerCount: Int, offloadsOptimizer: Bool, known: inout StageCapacities?
  ) -> Int {
    layout.devices[stage].reduce(.max) { least, device in
      let cost = costs[device]
      return min(
        least,
        StageCapacities.capacity(&known, stage: stage, device: device, within: limit, isKept: true) {
          cost.memory.keptLayerCapacity(
            stage: stage, limitBytes: cost.memory.limitBytes(limit), kinds, layerCount: layerCount,
            offloadsOptimizer: offloadsOptimizer)
        })
    }
  }

  /// The best verdict that a split of the layers can have, whatever stages choose; nil where none fits.
  ///
  /// - Parameters:
  ///   - best: fits, or risky where it is known that nothing simply fits.
  ///   - known: as for ``layerCapacities(within:freedom:known:)``.
  package func bestVerdict(
    noBetterThan best: Prediction.Verdict, freedom: StageFreedom, known: inout StageCapacities?
  ) -> Prediction.Verdict? {
    // Most strategies fit with even shares or not at all: neither takes the search for what each stage can hold.
    if known == nil, holdEvenShares(within: MemoryLimit(best), freedom: freedom) { return best }
    guard layerCapacities(within: MemoryLimit(.risky), freedom: freedom, known: &known) != nil else { return nil }
    guard best == .fits, layerCapacities(within: MemoryLimit(.fits), freedom: freedom, known: &known) != nil else {
      return .risky
    }
    return .fits
  }

  /// Whether each stage can hold as many layers as it has where they are split evenly, rounded up.
  private func holdEvenShares(within limit: MemoryLimit, freedom: StageFreedom) -> Bool {
    let share = (layerCount + lastStage) / (lastStage + 1)
    return (0...lastStage).allSatisfy { stage in
      onEachDevice(stage).allSatisfy {
        $0.memory.layerCapacity(
          stage: stage, limitBytes: $0.memory.limitBytes(limit), kinds, freedom: freedom, upTo: share) >= share
      }
    }
  }

  /// The most layers each stage can hold within a limit, whatever it chooses; nil when some
  /// stage cannot hold one, or all together not all layers.
  ///
  /// What a node's memory can hold of offloaded states is not looked at.
  /// - Complexity: O(stages).
  package func layerCapacities(within limit: MemoryLimit, freedom: StageFreedom) -> [Int]? {
    var known: StageCapacities?
    return layerCapacities(within: limit, freedom: freedom, known: &known)
  }

  /// The same.
  ///
  /// - Parameter known: what other orders of the nodes asked for of the strategy with the same freedom; nil where there
  ///   are none.
  package func layerCapacities(
    within limit: MemoryLimit, freedom: StageFreedom, known: inout StageCapacities?
  ) -> [Int]? {
    var capacities = [Int](repeating: 0, count: strategy.pipelineDegree)
    var total = 0
    // The first stage tells most often that there is no room; the others from the last on, since none before holds more.
    let laterHoldNoLess = costs.count == 1 && costs[0].memory.laterStagesHoldNoLess
    for place in 0...lastStage {
      let stage = place == 0 ? 0 : lastStage + 1 - place
      let capacity = layout.devices[stage].reduce(Int.max) { least, device in
        let cost = costs[device]
        return min(
          least,
          StageCapacities.capacity(&known, stage: stage, device: device, within: limit, isKept: false) {
            cost.memory.layerCapacity(
              stage: stage, limitBytes: cost.memory.limitBytes(limit), kinds, freedom: freedom)
          })
      }
      if capacity == 0 { return nil }
      capacities[stage] = capacity
      total += capacity
      if laterHoldNoLess, 0 < stage, stage < lastStage, total + (stage - 1) * capacity < layerCount { return nil }
    }
    return total >= layerCount ? capacities : nil
  }
}
