public import Documents

/// Verdicts, and how many layers fit.
extension MemoryModel {
  /// The largest peak that still has a verdict at least as good, bytes.
  public func limitBytes(_ verdict: Prediction.Verdict) -> Int {
    switch verdict {
    case .fits where isFragile: 0
    case .fits: Int(Double(capacityBytes) * memory.comfortableFraction)
    case .risky: Int(Double(capacityBytes) * memory.limitFraction)
    case .unfit: .max
    }
  }

  /// What a peak means on this device.
  public func verdict(peakBytes: Int) -> Prediction.Verdict {
    peakBytes <= limitBytes(.fits) ? .fits : peakBytes <= limitBytes(.risky) ? .risky : .unfit
  }

  /// The most layers that a stage can hold within a limit; 0 if not even one, `layerCount` at most.
  ///
  /// - Complexity: a few evaluations: bytes never fall with layers and grow along at most a few lines, so that the
  ///   straight line between what fits and what does not soon finds the step.
  func layerCapacity(stage: Int, limitBytes limit: Int, layerCount: Int) -> Int {
    var (fitting, fittingBytes) = (1, stageMemory(stage: stage, layerCount: 1).peakBytes)
    guard fittingBytes <= limit else { return 0 }
    var (unfit, unfitBytes) = (layerCount, stageMemory(stage: stage, layerCount: layerCount).peakBytes)
    guard unfitBytes > limit, layerCount > 1 else { return layerCount }
    while unfit - fitting > 1 {
      let share = Double(limit - fittingBytes) / Double(unfitBytes - fittingBytes)
      let middle = min(max(fitting + Int(share * Double(unfit - fitting)), fitting + 1), unfit - 1)
      let bytes = stageMemory(stage: stage, layerCount: middle).peakBytes
      if bytes <= limit { (fitting, fittingBytes) = (middle, bytes) } else { (unfit, unfitBytes) = (middle, bytes) }
    }
    return fitting
  }

  /// The most layers each stage can hold within a limit; nil when some stage cannot hold one, or all together not all
  /// layers.
  ///
  /// - Complexity: O(stages).
  public func layerCapacities(limitBytes: Int, layerCount: Int) -> [Int]? {
    let p = strategy.pipelineDegree
    if strategy.schedule.isInterleaved || p == 1 {
      // Every stage holds the same.
      let each = layerCount / p
      for stage in 0..<p where stageMemory(stage: stage, layerCount: each).peakBytes > limitBytes { return nil }
      return [Int](repeating: each, count: p)
    }
    var capacities: [Int] = []
    capacities.reserveCapacity(p)
    var total = 0
    for stage in 0..<p {
      let capacity = layerCapacity(stage: stage, limitBytes: limitBytes, layerCount: layerCount - (p - 1))
      if capacity == 0 { return nil }
      capacities.append(capacity)
      total += capacity
    }
    return total >= layerCount ? capacities : nil
  }
}
