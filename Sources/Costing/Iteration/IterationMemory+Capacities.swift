package import Documents

/// How many layers the stages of a strategy can hold.
extension IterationMemory {
  /// The best verdict that a split of the layers can have, whatever stages choose; nil where none fits.
  ///
  /// - Parameters:
  ///   - best: fits, or risky where it is known that nothing simply fits.
  ///   - known: as for ``layerCapacities(within:freedom:known:)``.
  package func bestVerdict(
    noBetterThan best: Prediction.Verdict, freedom: StageFreedom, known: inout StageCapacities?
  ) -> Prediction.Verdict? {
    // Most strategies fit with even shares or, with no stage that holds one, not at all: neither takes the search for what
    // each stage can hold.
    if known == nil {
      let first = evenShareVerdict(stage: 0, freedom: freedom, noBetterThan: best)
      let bounding = laterStagesHoldNoLess && lastStage > 2
      func all(_ stages: [Int], have verdict: Prediction.Verdict?) -> Bool {
        (stages + [lastStage]).allSatisfy {
          evenShareVerdict(stage: $0, freedom: freedom, noBetterThan: best) == verdict
        }
      }
      let others = bounding ? [first == nil ? lastStage - 1 : 1] : Array(0...lastStage).dropFirst().dropLast()
      if first == best || first == nil, lastStage == 0 || all(others, have: first) { return first }
    }
    guard holdAllLayers(within: MemoryLimit(.risky), freedom: freedom, known: &known) else { return nil }
    guard best == .fits, holdAllLayers(within: MemoryLimit(.fits), freedom: freedom, known: &known) else {
      return .risky
    }
    return .fits
  }

  /// Whether of the stages between the first and the last each holds as many layers as the one before it.
  private var laterStagesHoldNoLess: Bool { models.count == 1 && models[0].laterStagesHoldNoLess }

  /// The best verdict of a stage with as many layers as it has where they are split evenly, rounded up; nil where it does not
  /// hold them: if none does, all together do not hold all layers.
  private func evenShareVerdict(
    stage: Int, freedom: StageFreedom, noBetterThan best: Prediction.Verdict
  ) -> Prediction.Verdict? {
    let share = (layerCount + lastStage) / (lastStage + 1)
    var worst = best
    for device in layout.devices[stage] {
      guard
        let verdict = models[device].bestVerdict(
          stage: stage, layerCount: share, of: kinds, freedom: freedom, noBetterThan: best)
      else { return nil }
      if verdict == .risky { worst = .risky }
    }
    return worst
  }

  /// The most layers that a stage can hold within a limit, whatever it chooses, on each of its devices.
  private func layerCapacity(
    _ stage: Int, within limit: MemoryLimit, freedom: StageFreedom, known: inout StageCapacities?
  ) -> Int {
    layout.devices[stage].reduce(Int.max) { least, device in
      let model = models[device]
      return min(
        least,
        StageCapacities.capacity(&known, stage: stage, device: device, within: limit, isKept: false) {
          model.layerCapacity(stage: stage, limitBytes: model.limitBytes(limit), kinds, freedom: freedom)
        })
    }
  }

  /// Whether each stage can hold a layer within a limit and all together all of them, see
  /// ``layerCapacities(within:freedom:known:)``.
  ///
  /// Where later stages hold no less, those that are looked at bound what the others hold from both sides.
  private func holdAllLayers(within limit: MemoryLimit, freedom: StageFreedom, known: inout StageCapacities?) -> Bool {
    guard laterStagesHoldNoLess, lastStage > 2 else {
      return layerCapacities(within: limit, freedom: freedom, known: &known) != nil
    }
    var total = 0
    for stage in [0, lastStage] {
      let capacity = layerCapacity(stage, within: limit, freedom: freedom, known: &known)
      if capacity == 0 { return false }
      total += capacity
    }
    let least = layerCapacity(1, within: limit, freedom: freedom, known: &known)
    if least == 0 { return false }
    var rest = lastStage - 1
    for stage in (2..<lastStage).reversed() where total + rest * least < layerCount {
      let most = layerCapacity(stage, within: limit, freedom: freedom, known: &known)
      if total + rest * most < layerCount { return false }
      total += most
      rest -= 1
    }
    return total + rest * least >= layerCount
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
    // The first stage tells most often that there is no room.
    let first = layerCapacity(0, within: limit, freedom: freedom, known: &known)
    guard first > 0 else { return nil }
    let capacities = capacities(first: first) { layerCapacity($0, within: limit, freedom: freedom, known: &known) }
    return capacities.contains(0) || capacities.reduce(0, +) < layerCount ? nil : capacities
  }

  /// The most layers, `enough` at most, that all stages together hold within a limit without recomputing any.
  ///
  /// - Parameters:
  ///   - enough: as many are all that is asked for.
  ///   - layerCount: of each stage at most.
  func keptLayerCount(
    upTo enough: Int, within limit: MemoryLimit, layerCount: Int, offloadsOptimizer: Bool,
    known: inout StageCapacities?
  ) -> Int {
    func capacity(_ stage: Int) -> Int {
      layout.devices[stage].reduce(.max) { least, device in
        let model = models[device]
        return min(
          least,
          StageCapacities.capacity(&known, stage: stage, device: device, within: limit, isKept: true) {
            model.keptLayerCapacity(
              stage: stage, limitBytes: model.limitBytes(limit), kinds, layerCount: layerCount,
              offloadsOptimizer: offloadsOptimizer)
          })
      }
    }
    let first = capacity(0)
    if first >= enough { return enough }
    if laterStagesHoldNoLess, lastStage > 2, first + (lastStage - 1) * capacity(1) >= enough { return enough }
    return min(enough, capacities(first: first, capacity).reduce(0, +))
  }

  /// What each stage holds, by as few questions as tell: where later stages hold no less, and two of them the same, so do all
  /// between.
  private func capacities(first: Int, _ capacity: (_ stage: Int) -> Int) -> [Int] {
    guard laterStagesHoldNoLess, lastStage > 3 else { return [first] + (0..<lastStage).map { capacity($0 + 1) } }
    var all = [Int](repeating: first, count: lastStage + 1)
    func fill(between low: Int, _ high: Int) {
      guard high - low > 1 else { return }
      if all[low] == all[high] {
        for stage in low + 1..<high { all[stage] = all[low] }
        return
      }
      let middle = (low + high) / 2
      all[middle] = capacity(middle)
      fill(between: low, middle)
      fill(between: middle, high)
    }
    for stage in [1, lastStage - 1, lastStage] { all[stage] = capacity(stage) }
    fill(between: 1, lastStage - 1)
    return all
  }
}
