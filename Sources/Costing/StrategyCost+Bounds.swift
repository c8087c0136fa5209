import Documents

/// A lower bound on the iteration time over all splits, in closed form: what every strategy of the lattice gets.
extension StrategyCost {
  /// No split of the layers takes less, seconds.
  ///
  /// The largest of these, with p stages, m micro-batches, W the work of one micro-batch on all stages and R₀ = W and
  /// all transfers there and back:
  /// - *spread*: each stage works m times after the first micro-batch has passed those before it. The least maximum over
  ///   all, even fractional, splits is `W / (1 − (1 − 1/m)^p)`.
  /// - *cycles*: stage 0 lets p micro-batches in before the first is out, so R₀ is paid ⌊(m−1)/p⌋ + 1 times, and for the
  ///   rest r of m − 1 once more the last r stages (critical cycles of 1F1B; see ``OneForwardOneBackwardBound``).
  /// - *heaviest*: some stage has ⌈L/p⌉ layers; its work follows and precedes a whole pass.
  /// - *ends*: the first stage has the embedding and a layer, the last the head and a layer.
  ///
  /// With interleaving all stages have L/p layers, and a stage's work follows its first arrival.
  /// - Complexity: O(1).
  public var boundSeconds: Double {
    if devices != nil { return mixedBoundSeconds(freedom: .none) }
    let p = strategy.pipelineDegree
    guard p > 1 else { return wholeSeconds(choice: nil) }
    if strategy.schedule.isInterleaved {
      return interleavedBoundSeconds(layerWork: launchedLayer.sum, firstRecomputed: nil, lastRecomputed: nil)
    }
    return pipelineBoundSeconds(workSeconds: leastWorkSeconds(stageCount: p), recomputedCount: nil)
  }

  /// No split of the layers takes less where stages choose for themselves, seconds.
  ///
  /// Stages recompute no more than their memory asks for: what all of them can keep leaves at least the rest of the
  /// layers to recompute. Offloading adds time, so that bounds without it hold.
  /// - Complexity: O(stages · log layers).
  public func boundSeconds(freedom: StageFreedom, within limit: MemoryLimit) -> Double {
    if devices != nil { return mixedBoundSeconds(freedom: freedom) }
    guard freedom.choosesRecomputation else { return boundSeconds }
    let p = strategy.pipelineDegree, v = strategy.virtualStageCount, limitBytes = memory.limitBytes(limit)
    func least(_ stage: Int, offloads: Bool) -> Int? {
      memory.leastRecomputedLayerCount(
        stage: stage, layerCount: layerCount / p, offloadsOptimizer: offloads, limitBytes: limitBytes)
    }
    if p == 1 {
      return (freedom.choosesOffload ? [false, true] : [false]).reduce(.infinity) { bound, offloads in
        guard let count = least(0, offloads: offloads) else { return bound }
        return min(
          bound, wholeSeconds(choice: StageChoice(recomputedLayerCount: count, offloadsOptimizer: offloads)))
      }
    }
    if strategy.schedule.isInterleaved {
      return interleavedBoundSeconds(
        layerWork: launchedKeptLayer.sum, firstRecomputed: least(0, offloads: freedom.choosesOffload).map { $0 * v },
        lastRecomputed: least(p - 1, offloads: freedom.choosesOffload).map { $0 * v })
    }
    var left = layerCount
    for stage in 0..<p where left > 0 {
      left -= memory.keptLayerCapacity(
        stage: stage, limitBytes: limitBytes, layerCount: layerCount - (p - 1),
        offloadsOptimizer: freedom.choosesOffload)
    }
    // What a recomputed layer adds at least, on a stage that waits for its launches or on one that does not; the head
    // may run while the last stage would wait.
    let added = Double(max(0, left)) * min(launchedLayer.sum - launchedKeptLayer.sum, layer.sum - keptLayer.sum)
    let waiting = Double(layerCount - p + 1) * (launchedKeptLayer.sum - keptLayer.sum)
    let work = embedding.sum + Double(layerCount) * launchedKeptLayer.sum + max(0, added + head.sum - waiting)
    return pipelineBoundSeconds(workSeconds: work, recomputedCount: 0)
  }

  /// An iteration without a pipeline.
  private func wholeSeconds(choice: StageChoice?) -> Double {
    let whole = passSeconds(
      layerCount: layerCount, recomputedCount: recomputedCount(choice), isFirst: true, isLast: true)
    return Double(microBatchCount) * (whole.forward + whole.backward)
      + tailSeconds(stage: 0, layerCount: layerCount, choice: choice) + fixedSeconds
  }

  /// - Parameters:
  ///   - work: no split has less work in a micro-batch.
  ///   - recomputedCount: 0 if stages may keep what they have room for, nil if they do as the strategy says.
  private func pipelineBoundSeconds(workSeconds work: Double, recomputedCount: Int?) -> Double {
    let p = strategy.pipelineDegree
    let m = Double(microBatchCount)
    let layer = recomputedCount == nil ? launchedLayer : launchedKeptLayer
    let layerWork = layer.forward + layer.backward
    let last = passSeconds(layerCount: 1, recomputedCount: recomputedCount, isFirst: false, isLast: true)

    let roundTrip = work + 2 * leastTransferSeconds * Double(p - 1)
    let spread = work / (1 - power(1 - 1 / m, p))
    let cycles = (microBatchCount - 1) / p, rest = (microBatchCount - 1) % p
    var bound = Double(1 + cycles) * roundTrip
    if rest > 0 {
      bound +=
        Double(rest - 1) * layerWork + last.forward + last.backward + 2 * leastTransferSeconds * Double(rest - 1)
    }
    bound = max(bound, spread)
    let heaviest = Double((layerCount + p - 1) / p)
    // On stage i, m − 1 backward passes and the forward passes that no warm-up has done; warm-up is longest on stage 0.
    let forwards = Double(max(0, microBatchCount - p))
    bound = max(bound, roundTrip + heaviest * ((m - 1) * layer.backward + forwards * layer.forward))
    bound = max(bound, roundTrip + (m - 1) * (last.forward + last.backward))
    bound = max(
      bound,
      roundTrip + (m - 1) * (layer.backward + embedding.backward) + forwards * (layer.forward + embedding.forward))
    return bound + leastTailSeconds + fixedSeconds
  }

  private func interleavedBoundSeconds(layerWork: Double, firstRecomputed: Int?, lastRecomputed: Int?) -> Double {
    let p = strategy.pipelineDegree
    let m = Double(microBatchCount)
    let stageLayers = layerCount / p
    let chunkWork = Double(stageLayers / strategy.virtualStageCount) * layerWork
    // The last stage starts when its first chunk's micro-batch has passed all stages before it, and what comes out of
    // its last backward passes them again.
    let before = Double(p - 1) * (chunkWork + 2 * leastTransferSeconds) + embedding.forward + embedding.backward
    // Of the last stage's chunks one has the head.
    let chunk = stageLayers / strategy.virtualStageCount
    let lastRecomputed = lastRecomputed.map { $0 / strategy.virtualStageCount }
    let lastChunk = passSeconds(layerCount: chunk, recomputedCount: lastRecomputed, isFirst: false, isLast: true)
    let otherChunk = passSeconds(layerCount: chunk, recomputedCount: lastRecomputed, isFirst: false, isLast: false)
    let others = Double(strategy.virtualStageCount - 1)
    let last = before + m * (others * otherChunk.sum + lastChunk.forward + lastChunk.backward)
    let firstStage = passSeconds(
      layerCount: stageLayers, recomputedCount: firstRecomputed, isFirst: true, isLast: false)
    let first = m * firstStage.sum
    return max(last, first) + leastTailSeconds + fixedSeconds
  }

  /// The cheapest of the boundaries, for bounds that do not look at each.
  private var leastTransferSeconds: Double {
    var least = Double.infinity
    let bytes = Double(boundaryByteCount)
    for boundary in layout.boundaries { least = min(least, boundary.seconds(byteCount: bytes)) }
    return least.isFinite ? least + boundaryGatherSeconds : 0
  }

  /// What stage 0 does after the pipeline at least: with one layer, and with all hidden that overlap could hide.
  var leastTailSeconds: Double {
    let layers = strategy.schedule.isInterleaved ? layerCount / strategy.pipelineDegree : 1
    return unhidableTailSeconds(stage: 0, layerCount: layers)
  }

  /// `base` to a whole power, by squaring.
  private func power(_ base: Double, _ exponent: Int) -> Double {
    var result = 1.0, square = base, rest = exponent
    while rest > 0 {
      if rest & 1 == 1 { result *= square }
      square *= square
      rest >>= 1
    }
    return result
  }
}
