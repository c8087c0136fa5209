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
    let p = strategy.pipelineDegree
    let m = Double(microBatchCount)
    guard p > 1 else {
      let whole = passSeconds(layerCount: layerCount, isFirst: true, isLast: true)
      return m * (whole.forward + whole.backward) + tailSeconds(stage: 0, layerCount: layerCount) + fixedSeconds
    }
    let work = leastWorkSeconds(stageCount: p)
    let layer = launchedLayer
    let layerWork = layer.forward + layer.backward
    if strategy.virtualStageCount > 1 { return interleavedBoundSeconds(layerWork: layerWork) }
    let last = passSeconds(layerCount: 1, isFirst: false, isLast: true)

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

  private func interleavedBoundSeconds(layerWork: Double) -> Double {
    let p = strategy.pipelineDegree
    let m = Double(microBatchCount)
    let stageLayers = layerCount / p
    let chunkWork = Double(stageLayers / strategy.virtualStageCount) * layerWork
    // The last stage starts when its first chunk's micro-batch has passed all stages before it, and what comes out of
    // its last backward passes them again.
    let before = Double(p - 1) * (chunkWork + 2 * leastTransferSeconds) + embedding.forward + embedding.backward
    // Of the last stage's chunks one has the head.
    let chunk = stageLayers / strategy.virtualStageCount
    let lastChunk = passSeconds(layerCount: chunk, isFirst: false, isLast: true)
    let last =
      before + m * (Double(stageLayers - chunk) * layerWork + lastChunk.forward + lastChunk.backward)
    let first = m * (Double(stageLayers) * layerWork + embedding.forward + embedding.backward)
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
  private var leastTailSeconds: Double {
    let layers = strategy.virtualStageCount > 1 ? layerCount / strategy.pipelineDegree : 1
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
