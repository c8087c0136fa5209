import Costing
package import Documents

/// Why no strategy fits: the one that comes nearest, the stage that binds, and what would have to change.
package struct MemoryShortage: Sendable, Equatable {
  /// The strategy whose tightest stage needs least.
  package let strategy: Strategy
  /// What it multiplies in.
  package let precision: Precision
  /// A split with which it needs least.
  package let split: Split
  /// The stage that needs most.
  package let stageIndex: Int
  /// What that stage needs, by kind.
  package let stageMemory: Prediction.StageMemory
  /// What a device may hold at most, bytes.
  package let limitBytes: Int
  /// Memory a device would have to have, all else equal, bytes.
  package let neededDeviceBytes: Int
  /// Memory that a node would have to have for a strategy to fit whose hosts hold and do what they can; nil where no such
  /// strategy's devices hold the rest.
  package let neededHostBytes: Int?
  /// Fewest nodes among small multiples of the cluster's with which something fits; nil if not even the largest tried.
  package let sufficientNodeCount: Int?
  /// Longest sequence among halvings with which something fits; nil if none does.
  package let sufficientSequenceLength: Int?

  /// The least further recomputation with which something fits where what is fixed allows less; nil if none does.
  package let sufficientRecompute: Strategy.Recompute?

  /// How far the tightest stage is over the limit, bytes.
  package var excessBytes: Int { stageMemory.peakBytes - limitBytes }

  /// Multiples of the node count that are tried, ascending.
  private static let nodeMultiples = [2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64]

  /// - Parameters:
  ///   - pattern: what is fixed, here and in what would fit.
  ///   - allowance: what may change values, where the update is fixed.
  /// - Returns: nil when the lattice has no strategy at all, so that memory is not what is short.
  /// - Throws: ``Stopped``.
  init?(
    priced: PricedLattice, model: CostModel, pattern: StrategyPattern, allowance: Allowance = .exact,
    capabilities: Capabilities?, watch: StopWatch = .never
  ) throws(Stopped) {
    func fits(
      _ cluster: ClusterDescription, _ job: TrainingJob, _ pattern: StrategyPattern
    ) throws(Stopped) -> Bool {
      guard let model = try? CostModel(cluster: cluster, job: job, frameworkName: model.framework.name) else {
        return false
      }
      var trials = Trials(pointsLeft: .max, allowance: allowance, watch: watch)
      return try trials.fit(model, pattern, capabilities)
    }
    var nearest: (unfit: PricedLattice.Unfit, excessBytes: Int)?
    // With shard levels a strategy never needs less than with its ZeRO stage, which
    // is in the lattice unless degrees are fixed.
    let statesSharding = pattern.statesSharding
    var branches = priced.branches
    for unfit in priced.unfit where statesSharding || !unfit.strategy.hasShardLevels {
      let memory = branches[unfit.branchIndex].memory(of: unfit, model: model)
      // Only strategies that need less than the nearest so far are looked at more closely.
      if let nearest,
        try Self.split(of: memory, freedom: unfit.freedom, excessBytes: nearest.excessBytes - 1, watch: watch) == nil
      {
        continue
      }
      guard let excess = try Self.leastExcessBytes(of: memory, freedom: unfit.freedom, watch: watch) else { continue }
      nearest = (unfit, excess)
    }
    guard let nearest else { return nil }
    strategy = nearest.unfit.strategy
    precision = model.job.precision
    let memory = branches[nearest.unfit.branchIndex].memory(of: nearest.unfit, model: model)
    let split = try Self.split(
      of: memory, freedom: nearest.unfit.freedom, excessBytes: nearest.excessBytes, watch: watch)
    guard let split else { return nil }
    self.split = split
    let stages = memory.stageMemory(of: split)
    let limits = stages.indices.map { memory.limitBytes(MemoryLimit(.risky), stage: $0) }
    // The first of the stages that are furthest over what their devices may hold.
    stageIndex =
      stages.indices.max { (stages[$0].peakBytes - limits[$0], $1) < (stages[$1].peakBytes - limits[$1], $0) } ?? 0
    stageMemory = stages[stageIndex]
    limitBytes = limits[stageIndex]
    // A profile that allows next to nothing of the memory asks for more than can be counted.
    let share = model.cluster.device.limitFraction(of: model.framework)
    let needed = (Double(stageMemory.peakBytes) / share).rounded(.up)
    neededDeviceBytes = Int(exactly: needed) ?? .max
    neededHostBytes = priced.leastHostShort.map { IterationMemory.neededHostBytes($0.hostBytes) }
    sufficientNodeCount = try Self.nodeMultiples.map { $0 * model.nodeOrder.count }
      .firstToFit { (nodes) throws(Stopped) in
        guard let larger = model.cluster.resized(nodeCount: nodes) else { return false }
        return try fits(larger, model.job, pattern)
      }
    sufficientRecompute = try Self.furtherRecomputations(pattern).firstToFit { (recompute) throws(Stopped) in
      var allowing = pattern
      allowing.recompute = recompute
      return try fits(model.cluster, model.job, allowing)
    }
    let shorterLengths = Array(sequence(first: model.job.sequenceLength / 2) { $0 / 2 }.prefix { $0 >= 128 })
    sufficientSequenceLength = try shorterLengths.firstToFit { (length) throws(Stopped) in
      guard
        let shorter = try? model.job.with(sequenceLength: length)
      else { return false }
      return try fits(model.cluster, shorter, pattern)
    }
  }

  /// Kinds of recomputation beyond the fixed one, the least first.
  private static func furtherRecomputations(_ pattern: StrategyPattern) -> [Strategy.Recompute] {
    switch pattern.recompute {
    case .none?: [.selective, .full]
    case .selective: [.full]
    case .full, nil: []
    }
  }

  /// The fewest bytes beyond the devices' limits with which some split fits, by bisection: what fits within a limit
  /// fits within a larger one. Nil if none does, because hosts do not hold what stages would have to offload.
  private static func leastExcessBytes(
    of memory: IterationMemory, freedom: StageFreedom, watch: StopWatch
  ) throws(Stopped) -> Int? {
    func fits(_ excess: Int) throws(Stopped) -> Bool {
      try split(of: memory, freedom: freedom, excessBytes: excess, watch: watch) != nil
    }
    var enough = 1
    while try !fits(enough) {
      guard enough < 1 << 60 else { return nil }
      enough *= 2
    }
    var short = enough / 2
    while enough - short > 1 {
      let middle = short + (enough - short) / 2
      if try fits(middle) { enough = middle } else { short = middle }
    }
    return enough
  }

  /// A split within a given number of bytes beyond the devices' limits: the stages take what they can hold, later ones
  /// leaving room for what comes before, and offload only where they must.
  private static func split(
    of memory: IterationMemory, freedom: StageFreedom, excessBytes: Int, watch: StopWatch
  ) throws(Stopped) -> Split? {
    try watch.check()
    let limit = MemoryLimit(.risky, extraBytes: excessBytes)
    if let splits = memory.fewSplits {
      return splits.first { split in
        memory.stageMemory(of: split).enumerated().allSatisfy { memory.holds($1, stage: $0, within: limit) }
      }
    }
    guard let source = StageOptionSource(memory, freedom: freedom, limit: limit) else { return nil }
    let p = memory.strategy.pipelineDegree, v = memory.strategy.virtualStageCount
    var capacities: [Int] = []
    for stage in 0..<p {
      let capacity = try source.capacity(stage: stage, watch: watch)
      guard capacity > 0 else { return nil }
      capacities.append(capacity)
    }
    guard capacities.reduce(0, +) >= memory.layerCount else { return nil }
    var counts = [Int](repeating: memory.strategy.hasEqualStages ? memory.layerCount / p : 1, count: p)
    var left = memory.layerCount - counts.reduce(0, +)
    for stage in counts.indices where left > 0 {
      let more = min(left, capacities[stage] - counts[stage])
      counts[stage] += more
      left -= more
    }
    let split =
      memory.strategy.hasEqualStages
      ? Split.even(layerCount: memory.layerCount, stageCount: p, chunkCount: v) : Split(counts)
    let chosen = counts.indices.compactMap {
      source.options(stage: $0, StageLayers(of: split, stage: $0, memory.kinds)).0
    }
    guard chosen.count == p, source.hosts.hold(chosen) else { return nil }
    return split.with(choices: StageOption.choices(chosen))
  }
}

extension Array {
  /// The first with which something fits; `first(where:)` by the standard library would forget what is thrown.
  func firstToFit(_ fits: (Element) throws(Stopped) -> Bool) throws(Stopped) -> Element? {
    for element in self where try fits(element) { return element }
    return nil
  }
}
