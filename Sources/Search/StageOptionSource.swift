import Costing
import Documents

/// Nodes that hold parts of several stages, and what they may hold of what those offload.
struct SharedHosts {
  /// By node, the stages with devices there.
  let shares: [[(stage: Int, deviceCount: Int)]]
  /// What a node may hold, bytes.
  let limitBytes: Int

  /// Whether the nodes hold what the stages offload, or the first of them.
  func hold(_ chosen: [StageOption]) -> Bool {
    shares.allSatisfy { share in
      share.reduce(0) { sum, part in
        part.stage < chosen.count ? sum + part.deviceCount * chosen[part.stage].hostBytes : sum
      } <= limitBytes
    }
  }
}

/// What the stages of one strategy can be within a limit of memory, worked out for a number of layers when it is asked for.
struct StageOptionSource {
  /// The most layers that the devices of each stage hold, whatever its node does.
  let memoryCapacities: [Int]
  let hosts: SharedHosts

  private let memory: IterationMemory
  /// Nil where nobody asks how long the options take.
  private let cost: IterationCost?
  private let freedom: StageFreedom
  private let limit: MemoryLimit
  /// The most devices of each stage on a node.
  private let devicesPerNode: [Int]

  /// - Returns: nil when the devices do not hold the layers.
  init?(_ cost: IterationCost, freedom: StageFreedom, limit: MemoryLimit) {
    self.init(cost.memory, timedBy: cost, freedom: freedom, limit: limit)
  }

  /// - Parameter cost: the same strategy's; nil where nobody asks how long the options take.
  /// - Returns: nil when the devices do not hold the layers.
  init?(_ memory: IterationMemory, timedBy cost: IterationCost? = nil, freedom: StageFreedom, limit: MemoryLimit) {
    guard let memoryCapacities = memory.layerCapacities(within: limit, freedom: freedom) else { return nil }
    self.memoryCapacities = memoryCapacities
    self.memory = memory
    self.cost = cost
    self.freedom = freedom
    self.limit = limit
    let shares = freedom.choosesOffload || memory.strategy.hosting != .none ? memory.hostShares : []
    // A node's devices of one stage alone.
    var devicesPerNode = [Int](repeating: 0, count: memory.strategy.pipelineDegree)
    for share in shares {
      for part in share { devicesPerNode[part.stage] = max(devicesPerNode[part.stage], part.deviceCount) }
    }
    self.devicesPerNode = devicesPerNode
    hosts = SharedHosts(shares: shares.filter { $0.count > 1 }, limitBytes: memory.hostLimitBytes ?? 0)
  }

  /// Numbers of layers that a stage may have.
  func layerCounts(stage: Int) -> ClosedRange<Int> {
    (memory.hasEqualStages ? memoryCapacities[stage] : 1)...memoryCapacities[stage]
  }

  /// The most layers of a stage that its devices hold, and its node what it offloads; 0 if none.
  ///
  /// What so many layers need, kept or offloaded, on the device or on the host, more of them do not need less of: what
  /// holds a number holds every smaller one.
  ///
  /// - Throws: ``Stopped``.
  /// - Complexity: O(log layers) options.
  func capacity(stage: Int, watch: StopWatch) throws(Stopped) -> Int {
    let counts = layerCounts(stage: stage)
    func holds(_ layers: Int) throws(Stopped) -> Bool {
      try watch.check()
      return memory.fewestBytesLayers(layers, ofStage: stage).contains { options(stage: stage, $0).0 != nil }
    }
    if try holds(counts.upperBound) { return counts.upperBound }
    guard try holds(counts.lowerBound) else { return 0 }
    var (enough, over) = (counts.lowerBound, counts.upperBound)
    while over - enough > 1 {
      let middle = (enough + over) / 2
      if try holds(middle) { enough = middle } else { over = middle }
    }
    return enough
  }

  /// The options of a stage with given layers, one that does not offload first; the second is nil where it saves no
  /// recomputation.
  func options(stage: Int, _ layers: StageLayers) -> (StageOption?, StageOption?) {
    let kept = option(stage: stage, layers, offloads: false)
    guard freedom.choosesOffload, kept?.choice?.recomputedLayerCount != 0 else { return (kept, nil) }
    let offloaded = option(stage: stage, layers, offloads: true)
    guard let kept else { return (offloaded, nil) }
    let savesNothing = offloaded.map { kept.choice?.recomputedLayerCount == $0.choice?.recomputedLayerCount } ?? true
    return (kept, savesNothing ? nil : offloaded)
  }

  private func option(stage: Int, _ stageLayers: StageLayers, offloads: Bool) -> StageOption? {
    let layers = stageLayers.counts.total
    var choice: StageChoice?
    if freedom.choosesRecomputation {
      guard
        let count = memory.leastRecomputedLayerCount(
          stage: stage, stageLayers, offloadsOptimizer: offloads, within: limit)
      else { return nil }
      choice = StageChoice(recomputedLayerCount: count, offloadsOptimizer: offloads)
    } else if freedom.choosesHostedLayers {
      guard let count = memory.leastHostedLayerCount(stage: stage, stageLayers, within: limit) else { return nil }
      choice = StageChoice(recomputedLayerCount: 0, hostedLayerCount: count)
    } else if freedom.choosesOffload {
      choice = StageChoice(
        recomputedLayerCount: memory.strategy.recompute == .full ? stageLayers.longestChunk : 0,
        offloadsOptimizer: offloads)
    }
    let content = stageLayers.content(choice)
    let held = memory.stageMemory(stage: stage, content)
    guard memory.holds(held, stage: stage, within: limit), held.hostBytes * devicesPerNode[stage] <= hosts.limitBytes
    else { return nil }
    guard let cost else {
      return StageOption(
        layers: layers, expertLayers: content.layers.experts, choice: choice, forwardSeconds: 0, backwardSeconds: 0,
        firstSeconds: 0, tail: .none,
        tailSeconds: 0, hostBytes: held.hostBytes)
    }
    let passes = cost.passSeconds(stage: stage, content)
    let tail = cost.tail(stage: stage, content)
    return StageOption(
      layers: layers, expertLayers: content.layers.experts, choice: choice, forwardSeconds: passes.forward,
      backwardSeconds: passes.backward,
      firstSeconds: cost.firstSeconds(stage: stage, content, passes: passes), tail: tail,
      tailSeconds: cost.tailSeconds(stage: stage, tail), hostBytes: held.hostBytes)
  }
}

extension IterationCost {
  /// The first micro-batch through a stage, seconds.
  fileprivate func firstSeconds(stage: Int, _ content: Split.Stage, passes: PassSeconds) -> Double {
    strategy.update == .zerothOrder
      ? visitSeconds(stage: stage, content, isFirstVisit: true) : passes.forward + passes.backward
  }
}
