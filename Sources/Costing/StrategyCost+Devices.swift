public import Documents

/// What a strategy costs on nodes with different devices: what it costs on each kind alone, and which stage is on which.
///
/// Ranks of a stage wait for each other in every collective, so that a stage on several kinds runs at the pace of the
/// slowest, and each of its devices has to hold what the layout gives it.
final class DeviceKinds: Sendable {
  /// By kind, as if all nodes were of it.
  let costs: [StrategyCost]
  /// The kinds on which each stage lies.
  let kindsOfStage: [[Int]]
  /// Of those, the one that takes longest for a layer.
  let paceOfStage: [Int]

  init(_ costs: [StrategyCost], kindsOfStage: [[Int]]) {
    self.costs = costs
    self.kindsOfStage = kindsOfStage
    paceOfStage = kindsOfStage.map { kinds in
      kinds.max { costs[$0].launchedLayer.sum < costs[$1].launchedLayer.sum } ?? 0
    }
  }
}

extension StrategyCost {
  /// The cost on the device that sets a stage's pace.
  public func pace(ofStage stage: Int) -> StrategyCost {
    guard let devices else { return self }
    return devices.costs[devices.paceOfStage[stage]]
  }

  /// The costs on the kinds of device that a stage lies on.
  private func kinds(ofStage stage: Int) -> [StrategyCost] {
    guard let devices else { return [self] }
    return devices.kindsOfStage[stage].map { devices.costs[$0] }
  }

  /// Peak bytes of a device of a stage; of several kinds, the one with the least room to spare.
  public func stageMemory(stage: Int, layerCount: Int, choice: StageChoice? = nil) -> Prediction.StageMemory {
    guard devices != nil else { return memory.stageMemory(stage: stage, layerCount: layerCount, choice: choice) }
    var tightest: (memory: Prediction.StageMemory, room: Int)?
    for kind in kinds(ofStage: stage) {
      let memory = kind.memory.stageMemory(stage: stage, layerCount: layerCount, choice: choice)
      let room = kind.memory.limitBytes(.risky) - memory.peakBytes
      if room < tightest?.room ?? .max { tightest = (memory, room) }
    }
    return tightest?.memory ?? memory.stageMemory(stage: stage, layerCount: layerCount, choice: choice)
  }

  /// The largest peak of a stage within a limit, bytes: that of its smallest device.
  public func limitBytes(_ limit: MemoryLimit, stage: Int) -> Int {
    guard devices != nil else { return memory.limitBytes(limit) }
    return kinds(ofStage: stage).map { $0.memory.limitBytes(limit) }.min() ?? 0
  }

  /// Whether a stage's memory keeps a limit.
  public func holds(_ stageMemory: Prediction.StageMemory, stage: Int, within limit: MemoryLimit) -> Bool {
    stageMemory.peakBytes <= limitBytes(limit, stage: stage)
  }

  /// What the stages' peaks mean, the worst of them.
  public func verdict(of stageMemory: [Prediction.StageMemory]) -> Prediction.Verdict {
    let verdicts = stageMemory.enumerated().flatMap { stage, memory in
      kinds(ofStage: stage).map { $0.memory.verdict(peakBytes: memory.peakBytes) }
    }
    return verdicts.contains(.unfit) ? .unfit : verdicts.contains(.risky) ? .risky : .fits
  }

  /// The fewest recomputed layers per chunk with which a stage keeps a limit; nil if no number does.
  public func leastRecomputedLayerCount(
    stage: Int, layerCount: Int, offloadsOptimizer: Bool, within limit: MemoryLimit
  ) -> Int? {
    var least = 0
    for kind in kinds(ofStage: stage) {
      guard
        let count = kind.memory.leastRecomputedLayerCount(
          stage: stage, layerCount: layerCount, offloadsOptimizer: offloadsOptimizer,
          limitBytes: kind.memory.limitBytes(limit))
      else { return nil }
      least = max(least, count)
    }
    return least
  }

  /// The most layers each stage can hold within a limit, whatever it chooses; nil when some stage cannot hold one, or all
  /// together not all layers.
  public func layerCapacities(within limit: MemoryLimit, freedom: StageFreedom) -> [Int]? {
    guard devices != nil else {
      return memory.layerCapacities(limitBytes: memory.limitBytes(limit), layerCount: layerCount, freedom: freedom)
    }
    let capacities = (0..<strategy.pipelineDegree).map { stage in
      kinds(ofStage: stage).map {
        $0.memory.layerCapacity(
          stage: stage, limitBytes: $0.memory.limitBytes(limit), layerCount: layerCount, freedom: freedom)
      }.min() ?? 0
    }
    return capacities.contains(0) || capacities.reduce(0, +) < layerCount ? nil : capacities
  }

  // MARK: Bounds

  /// No split takes less, seconds: with n layers on stage i, m micro-batches take at least `m · n · t_i` there, so that
  /// layers in proportion to speed are the best of all splits, whole or not: `m · L / Σ 1/t_i`.
  ///
  /// Where stages may keep what they do not recompute, t is that of a kept layer. On the last stage the head may run while
  /// the device would wait for launches.
  func mixedBoundSeconds(freedom: StageFreedom) -> Double {
    let p = strategy.pipelineDegree, m = Double(microBatchCount)
    func layerSeconds(_ stage: Int) -> Double {
      let pace = pace(ofStage: stage)
      if freedom.choosesRecomputation {
        return stage == p - 1 ? pace.keptLayer.sum : pace.launchedKeptLayer.sum
      }
      return stage == p - 1 ? pace.layer.sum : pace.launchedLayer.sum
    }
    let tail = pace(ofStage: 0).leastTailSeconds + fixedSeconds
    if strategy.schedule.isInterleaved || p == 1 {
      let slowest = (0..<p).map(layerSeconds).max() ?? 0
      return m * Double(layerCount / p) * slowest + tail
    }
    let rate = (0..<p).reduce(0) { $0 + 1 / layerSeconds($1) }
    return m * Double(layerCount) / rate + tail
  }
}
