import Costing
import Documents

/// What a stage can be: its layers, and what it trades for memory.
struct StageOption {
  let layers: Int
  let choice: StageChoice?
  let forwardSeconds: Double
  let backwardSeconds: Double
  /// Its first micro-batch's, where that takes longer than another one's: under zeroth-order training, whose weights are
  /// brought up to date in it.
  let firstSeconds: Double
  /// What it does after its last backward pass, the sum of tied embeddings aside.
  let tail: StageCost.Tail
  /// What follows its last backward pass.
  let tailSeconds: Double
  /// Optimizer states that each of its devices keeps in the host's memory.
  let hostBytes: Int

  var workSeconds: Double { forwardSeconds + backwardSeconds }

  /// The choices of all stages; nil where they choose nothing.
  static func choices(_ options: [StageOption]) -> [StageChoice]? {
    options[0].choice == nil ? nil : options.compactMap(\.choice)
  }
}

extension IterationCost {
  /// The first micro-batch through a stage, seconds.
  fileprivate func firstSeconds(stage: Int, _ content: Split.Stage, passes: PassSeconds) -> Double {
    strategy.update == .zerothOrder
      ? visitSeconds(stage: stage, content, isFirstVisit: true) : passes.forward + passes.backward
  }
}

/// The options of every stage of one strategy that keep a limit of memory and can be part of a best split.
///
/// A stage recomputes no more than it must, and has no more layers on the host, since that only adds time: there is one option for a number of layers, and
/// a second if offloading its optimizer saves recomputation or makes it fit at all. What couples stages, layers apart,
/// is the memory of the nodes they share.
struct StageOptions {
  let stageCount: Int
  let layerCount: Int
  /// The most layers of each stage.
  private(set) var capacities: [Int]
  /// The same of all stages from each on.
  private(set) var capacityFrom: [Int]
  /// Whether some stage has a choice for a number of layers.
  let hasAlternatives: Bool
  /// Nodes that hold parts of several stages: devices by stage, and the bytes they may offload together.
  let sharedHosts: [[(stage: Int, deviceCount: Int)]]
  let hostLimitBytes: Int

  /// By stage and layers, two places each.
  private var table: [StageOption?]
  private let most: Int

  /// Options between two questions whether to stop.
  private static let optionsPerLook = 64

  /// - Parameter isTimed: whether anybody asks how long the options take.
  /// - Returns: nil when the layers do not fit.
  /// - Throws: ``Stopped``.
  init?(
    _ cost: IterationCost, freedom: StageFreedom, limit: MemoryLimit, isTimed: Bool = true, watch: StopWatch = .never
  ) throws(Stopped) {
    guard
      let memoryCapacities = cost.layerCapacities(within: limit, freedom: freedom)
    else { return nil }
    let p = cost.strategy.pipelineDegree
    let shares = freedom.choosesOffload || cost.strategy.hosting != .none ? cost.hostShares : []
    let hostLimit = cost.hostLimitBytes ?? 0
    // A node's devices of one stage alone.
    var devicesPerNode = [Int](repeating: 0, count: p)
    for share in shares {
      for part in share { devicesPerNode[part.stage] = max(devicesPerNode[part.stage], part.deviceCount) }
    }
    most = memoryCapacities.max() ?? 0
    var table = [StageOption?](repeating: nil, count: p * (most + 1) * 2)
    var capacities = [Int](repeating: 0, count: p)
    var hasAlternatives = false
    for stage in 0..<p {
      for layers in (cost.strategy.hasEqualStages ? memoryCapacities[stage] : 1)...memoryCapacities[stage] {
        if layers % Self.optionsPerLook == 0 { try watch.check() }
        func option(offloads: Bool) -> StageOption? {
          var choice: StageChoice?
          if freedom.choosesRecomputation {
            guard
              let count = cost.leastRecomputedLayerCount(
                stage: stage, layerCount: layers, offloadsOptimizer: offloads, within: limit)
            else { return nil }
            choice = StageChoice(recomputedLayerCount: count, offloadsOptimizer: offloads)
          } else if freedom.choosesHostedLayers {
            guard let count = cost.leastHostedLayerCount(stage: stage, layerCount: layers, within: limit) else {
              return nil
            }
            choice = StageChoice(recomputedLayerCount: 0, hostedLayerCount: count)
          } else if freedom.choosesOffload {
            let chunk = layers / cost.strategy.virtualStageCount
            choice = StageChoice(
              recomputedLayerCount: cost.strategy.recompute == .full ? chunk : 0, offloadsOptimizer: offloads)
          }
          let content = Split.Stage(layerCount: layers, choice: choice)
          let memory = cost.stageMemory(stage: stage, content)
          guard cost.holds(memory, stage: stage, within: limit), memory.hostBytes * devicesPerNode[stage] <= hostLimit
          else {
            return nil
          }
          guard isTimed else {
            return StageOption(
              layers: layers, choice: choice, forwardSeconds: 0, backwardSeconds: 0, firstSeconds: 0, tail: .none,
              tailSeconds: 0,
              hostBytes: memory.hostBytes)
          }
          let passes = cost.passSeconds(stage: stage, content)
          let tail = cost.tail(stage: stage, content)
          return StageOption(
            layers: layers, choice: choice, forwardSeconds: passes.forward, backwardSeconds: passes.backward,
            firstSeconds: cost.firstSeconds(stage: stage, content, passes: passes), tail: tail,
            tailSeconds: cost.tailSeconds(stage: stage, tail), hostBytes: memory.hostBytes)
        }
        let kept = option(offloads: false)
        var offloaded: StageOption?
        if freedom.choosesOffload, kept?.choice?.recomputedLayerCount != 0 {
          offloaded = option(offloads: true)
          if let kept, let other = offloaded, kept.choice?.recomputedLayerCount == other.choice?.recomputedLayerCount {
            offloaded = nil
          }
        }
        guard kept != nil || offloaded != nil else { continue }
        hasAlternatives = hasAlternatives || kept != nil && offloaded != nil
        let place = (stage * (most + 1) + layers) * 2
        table[place] = kept ?? offloaded
        table[place + 1] = kept == nil ? nil : offloaded
        capacities[stage] = layers
      }
      if capacities[stage] == 0 { return nil }
    }
    let capacityFrom = Self.capacityFrom(capacities, layerCount: cost.layerCount)
    guard capacityFrom[0] >= cost.layerCount else { return nil }
    self.table = table
    self.capacities = capacities
    self.capacityFrom = capacityFrom
    self.hasAlternatives = hasAlternatives
    stageCount = p
    layerCount = cost.layerCount
    hostLimitBytes = hostLimit
    sharedHosts = shares.filter { $0.count > 1 }
  }

  private static func capacityFrom(_ capacities: [Int], layerCount: Int) -> [Int] {
    var capacityFrom = [Int](repeating: 0, count: capacities.count + 1)
    for stage in capacities.indices.reversed() {
      capacityFrom[stage] = min(layerCount, capacityFrom[stage + 1] + capacities[stage])
    }
    return capacityFrom
  }

  /// Numbers of layers of all stages times all that may be before them: what a search among splits goes through at least.
  var size: Int { stageCount * layerCount * most }

  /// Those options alone that keep a condition; nil where they do not hold all layers.
  func keeping(_ isKept: (_ stage: Int, _ option: StageOption) -> Bool) -> StageOptions? {
    var kept = self
    for stage in 0..<stageCount {
      kept.capacities[stage] = 0
      for layers in 1...capacities[stage] {
        let place = (stage * (most + 1) + layers) * 2
        for place in [place, place + 1] {
          guard let option = table[place] else { continue }
          if isKept(stage, option) { kept.capacities[stage] = layers } else { kept.table[place] = nil }
        }
      }
      if kept.capacities[stage] == 0 { return nil }
    }
    kept.capacityFrom = Self.capacityFrom(kept.capacities, layerCount: layerCount)
    return kept.capacityFrom[0] >= layerCount ? kept : nil
  }

  /// Layers as even as the stages' options allow; nil where they do not, or nodes do not hold it.
  var evenest: [StageOption]? {
    var counts = capacities.indices.map { min(capacities[$0], layerCount / stageCount) }
    var left = layerCount - counts.reduce(0, +)
    while left > 0,
      let least = counts.indices.filter({ counts[$0] < capacities[$0] }).min(by: { counts[$0] < counts[$1] })
    {
      counts[least] += 1
      left -= 1
    }
    let chosen = counts.indices.compactMap { stage in
      let (first, second) = options(stage: stage, layers: counts[stage])
      return first ?? second
    }
    return chosen.count == stageCount && left == 0 && hostsHold(chosen) ? chosen : nil
  }

  /// The options of a stage with a given number of layers, one that does not offload first.
  @inline(__always)
  func options(stage: Int, layers: Int) -> (StageOption?, StageOption?) {
    let place = (stage * (most + 1) + layers) * 2
    return (table[place], table[place + 1])
  }

  /// The least seconds of a stage by its number of layers, from none; infinite where it has no option.
  func least(stage: Int, _ seconds: (StageOption) -> Double) -> [Double] {
    (0...capacities[stage]).map { layers in
      let (first, second) = options(stage: stage, layers: layers)
      return min(first.map(seconds) ?? .infinity, second.map(seconds) ?? .infinity)
    }
  }

  /// Whether the nodes hold what the stages offload, or the first of them.
  func hostsHold(_ chosen: [StageOption]) -> Bool {
    sharedHosts.allSatisfy { share in
      share.reduce(0) { sum, part in
        part.stage < chosen.count ? sum + part.deviceCount * chosen[part.stage].hostBytes : sum
      } <= hostLimitBytes
    }
  }
}
