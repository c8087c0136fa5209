import Documents

/// A lower bound on the iteration time over all splits, in closed form: what every strategy of the lattice gets.
extension IterationCost {
  /// No split of the layers takes less, seconds.
  ///
  /// The largest of these, with p stages, m micro-batches, W the work of one micro-batch on all stages and R₀ = W and
  /// all transfers there and back:
  /// - *spread*: each stage works m times after the first micro-batch has passed those before it. The least maximum
  ///   over all, even fractional, splits is `W / (1 − (1 − 1/m)^p)`.
  /// - *cycles*: stage 0 lets p micro-batches in before the first is out, so R₀ is paid ⌊(m−1)/p⌋ + 1 times, and for
  ///   the rest r of m − 1 once more the last r stages (critical cycles of 1F1B; see ``OneForwardOneBackwardBound``).
  /// - *heaviest*: some stage has ⌈L/p⌉ layers; its work follows and precedes a whole pass.
  /// - *ends*: the first stage has the embedding and a layer, the last the head and a layer.
  /// - *pace*: the spread where a layer takes t_i on stage i. An iteration of T is enough for stage i only if
  ///   `m · w_i + Σ_{j<i} w_j ≤ T`, with w_j the work of a micro-batch on stage j, of which `w_j / t_j` layers are the
  ///   fruit. By linear duality no w have more layers than `T · Σ y_i` for any y ≥ 0 with `m · y_i + Σ_{k>i} y_k ≥ 1/t_i`,
  ///   of which the least is found from the last stage on: `L / Σ y_i`. With one model of device the spread is never less.
  ///
  /// With interleaving and equal chunks all stages have L/p layers, and a stage's work follows its first arrival; where chunks
  /// may differ see ``chunkLayoutBoundSeconds(keeping:workSeconds:)``. Where stages lie on
  /// several models of device, any stage may be the one that a term speaks of, so that it is taken on the fastest.
  /// - Complexity: O(1) with one model of device, O(stages) with several.
  package var boundSeconds: Double { leastSeconds(localSeconds: localBoundSeconds) }

  /// The same of a worker alone.
  private var localBoundSeconds: Double {
    if strategy.update == .zerothOrder { return visitBoundSeconds(within: nil) }
    let p = strategy.pipelineDegree
    guard p > 1 else { return wholeSeconds(choice: nil) }
    if strategy.schedule.splitsBackward { return splitBackwardBoundSeconds }
    if strategy.schedule.isInterleaved, !laysOutChunks {
      return interleavedBoundSeconds(keeping: false, firstRecomputed: nil, lastRecomputed: nil)
    }
    let waiting = waitingSeconds(self[lastStage].layers)
    let work = workSeconds(keeping: false, addedSeconds: max(0, self[lastStage].head.sum - waiting))
    if laysOutChunks { return chunkLayoutBoundSeconds(keeping: false, workSeconds: work) }
    return pipelineBoundSeconds(keeping: false, workSeconds: work, recomputedCount: nil)
  }

  /// No split of the layers takes less where stages choose for themselves, seconds.
  ///
  /// Stages recompute no more than their memory asks for: what all of them can keep leaves at least the rest of the
  /// layers to recompute. Offloading adds time, so that bounds without it hold.
  /// - Complexity: O(stages · log layers).
  package func boundSeconds(freedom: StageFreedom, within limit: MemoryLimit) -> Double {
    var known: StageCapacities?
    return boundSeconds(freedom: freedom, within: limit, known: &known)
  }

  /// The same.
  ///
  /// - Parameter known: as for ``layerCapacities(within:freedom:known:)``.
  package func boundSeconds(
    freedom: StageFreedom, within limit: MemoryLimit, known: inout StageCapacities?
  ) -> Double {
    leastSeconds(localSeconds: localBoundSeconds(freedom: freedom, within: limit, known: &known))
  }

  /// The same of a worker alone.
  private func localBoundSeconds(
    freedom: StageFreedom, within limit: MemoryLimit, known: inout StageCapacities?
  ) -> Double {
    if freedom.choosesHostedLayers { return visitBoundSeconds(within: limit) }
    guard freedom.choosesRecomputation else { return localBoundSeconds }
    if strategy.schedule.splitsBackward { return splitBackwardBoundSeconds }
    let p = strategy.pipelineDegree
    func least(_ stage: Int, offloads: Bool) -> Int? {
      let layers = p == 1 ? [allLayers] : memory.fewestBytesLayers(layerCount / p, ofStage: stage)
      return layers.compactMap {
        memory.leastRecomputedLayerCount(stage: stage, $0, offloadsOptimizer: offloads, within: limit)
      }.min()
    }
    if p == 1 {
      return (freedom.choosesOffload ? [false, true] : [false]).reduce(.infinity) { bound, offloads in
        guard let count = least(0, offloads: offloads) else { return bound }
        return min(
          bound, wholeSeconds(choice: StageChoice(recomputedLayerCount: count, offloadsOptimizer: offloads)))
      }
    }
    if strategy.schedule.isInterleaved, !laysOutChunks {
      return interleavedBoundSeconds(
        keeping: true, firstRecomputed: least(0, offloads: freedom.choosesOffload),
        lastRecomputed: least(lastStage, offloads: freedom.choosesOffload))
    }
    let left =
      layerCount
      - memory.keptLayerCount(
        upTo: layerCount, within: limit, layerCount: layerCount - (p - 1), offloadsOptimizer: freedom.choosesOffload,
        known: &known)
    // A recomputed layer adds at least this, on a stage that waits for its launches or on one that does not; the head
    // may run while the last stage would wait.
    let each = leastOfAll { cost in
      let counts = kinds.counts
      func added(_ kind: LayerCounts.Kind) -> Double {
        let layer = cost.layers[kind], kept = cost.keptLayers[kind]
        return min(layer.launched.sum - kept.launched.sum, layer.device.sum - kept.device.sum)
      }
      if counts.experts == 0 { return added(.dense) }
      return counts.dense == 0 ? added(.experts) : min(added(.dense), added(.experts))
    }
    let waiting = waitingSeconds(self[lastStage].keptLayers)
    let work = workSeconds(
      keeping: true, addedSeconds: max(0, Double(left) * each + self[lastStage].head.sum - waiting))
    if laysOutChunks { return chunkLayoutBoundSeconds(keeping: true, workSeconds: work) }
    return pipelineBoundSeconds(keeping: true, workSeconds: work, recomputedCount: 0)
  }

  /// The least that any model of device takes, seconds.
  @inline(__always)
  private func leastOfAll(_ seconds: (StageCost) -> Double) -> Double {
    var least = seconds(costs[0])
    for index in 1..<max(1, costs.count) { least = min(least, seconds(costs[index])) }
    return least
  }

  /// A micro-batch takes this on all stages together at least, whatever the split, seconds.
  ///
  /// - Parameters:
  ///   - keeping: whether stages may keep what the strategy recomputes.
  ///   - addedSeconds: beside embedding and layers, such as by a head that runs while
  ///     its device would wait for launches anyway.
  private func workSeconds(keeping: Bool, addedSeconds: Double) -> Double {
    let counts = kinds.counts
    var layers = Double(counts.dense) * leastOfAll { $0.layers(keeping: keeping).dense.launched.sum }
    if counts.experts > 0 {
      layers += Double(counts.experts) * leastOfAll { $0.layers(keeping: keeping).experts.launched.sum }
    }
    return self[0].embedding.sum + layers + addedSeconds
  }

  /// What the host makes the most layers that the last stage may have wait, while the head may run.
  private func waitingSeconds(_ layers: ByKind<LayerSeconds>) -> Double {
    Double(layerCount - strategy.pipelineDegree + 1)
      * layers.most(among: kinds.counts) { $0.launched.sum - $0.device.sum }
  }

  /// The least of a layer of any kind on any device, seconds.
  @inline(__always)
  func leastLayer(keeping: Bool, _ seconds: (PassSeconds) -> Double) -> Double {
    let counts = kinds.counts
    return leastOfAll { $0.layers(keeping: keeping).least(among: counts) { seconds($0.launched) } }
  }

  /// For each of its layers a stage is busy in an iteration for so many seconds at least, rounding aside; 0 where weights move
  /// without gradients, whose stages are bound otherwise.
  ///
  /// - Parameter keeping: whether stages may keep what the strategy recomputes.
  package func leastBusySeconds(keeping: Bool) -> Double {
    guard strategy.update.hasGradients else { return 0 }
    // The last stage's may hide their launches under the head.
    let least = leastOfAll { $0.layers(keeping: keeping).least(among: kinds.counts) { $0.device.sum } }
    return Double(microBatchCount) * least * (1 - 1e-9)
  }

  /// So many layers that no others of a model take less of a stage.
  private func quickest(_ count: Int, on cost: StageCost, keeping: Bool) -> LayerCounts {
    let counts = kinds.counts, layers = cost.layers(keeping: keeping)
    if counts.experts == 0 { return LayerCounts(dense: count) }
    let isDense = counts.dense > 0 && layers.dense.device.sum <= layers.experts.device.sum
    return isDense ? LayerCounts(dense: count) : LayerCounts(dense: 0, experts: count)
  }

  /// Layers as the speed of their stages and the pipeline's filling allow, see ``boundSeconds``.
  ///
  /// On the last stage the head may run while the device would wait for launches.
  private func paceSeconds(keeping: Bool) -> Double {
    guard costs.count > 1 else { return 0 }
    let layers = (0...lastStage).map { stage in
      self[stage].layers(keeping: keeping).least(among: kinds.counts) {
        stage == lastStage ? $0.device.sum : $0.launched.sum
      }
    }
    let m = Double(microBatchCount)
    if strategy.schedule.isInterleaved {
      return m * Double(layerCount / strategy.pipelineDegree) * (layers.max() ?? 0)
    }
    // Σ of y over the stages from the last to this one.
    var sum = 0.0
    for seconds in layers.reversed() { sum += max(0, (1 / seconds - sum) / m) }
    return Double(layerCount) / sum
  }

  /// An iteration without a pipeline.
  private func wholeSeconds(choice: StageChoice?) -> Double {
    let content = allLayers.content(choice)
    return Double(microBatchCount) * passSeconds(stage: 0, content).sum + tailSeconds(stage: 0, content) + fixedSeconds
  }

  /// - Parameters:
  ///   - keeping: whether stages may keep what the strategy recomputes.
  ///   - work: no split has less work in a micro-batch.
  ///   - recomputedCount: 0 if stages may keep what they have room for, nil if they do as the strategy says.
  private func pipelineBoundSeconds(
    keeping: Bool, workSeconds work: Double, recomputedCount: Int?
  ) -> Double {
    let p = strategy.pipelineDegree
    let m = Double(microBatchCount)
    let forward = leastLayer(keeping: keeping, \.forward)
    let backward = leastLayer(keeping: keeping, \.backward)
    let firstKind = kinds.counts(in: 0..<1).dense > 0 ? LayerCounts.Kind.dense : .experts
    let first = self[0].layers(keeping: keeping)[firstKind].launched, embedding = self[0].embedding
    let last = self[lastStage].passSeconds(
      kinds.counts(in: layerCount - 1..<layerCount), recomputed: recomputedCount == 0 ? LayerCounts.none : nil,
      isFirst: false, isLast: true)
    let transfer = leastTransferSeconds

    let roundTrip = work + 2 * transfer * Double(p - 1)
    let spread = work / (1 - power(1 - 1 / m, p))
    let cycles = (microBatchCount - 1) / p, rest = (microBatchCount - 1) % p
    var bound = Double(1 + cycles) * roundTrip
    if rest > 0 {
      bound += Double(rest - 1) * (forward + backward) + last.forward + last.backward + 2 * transfer * Double(rest - 1)
    }
    bound = max(bound, spread)
    let heaviest = Double((layerCount + p - 1) / p)
    // On stage i, m − 1 backward passes and the forward passes that no warm-up has done; warm-up is longest on stage 0.
    let forwards = Double(max(0, microBatchCount - p))
    bound = max(bound, roundTrip + heaviest * ((m - 1) * backward + forwards * forward))
    bound = max(bound, roundTrip + (m - 1) * (last.forward + last.backward))
    bound = max(
      bound,
      roundTrip + (m - 1) * (first.backward + embedding.backward) + forwards * (first.forward + embedding.forward))
    return max(bound, paceSeconds(keeping: keeping)) + leastTailSeconds + fixedSeconds
  }

  /// - Parameters:
  ///   - keeping: whether stages may keep what the strategy recomputes.
  ///   - firstRecomputed: recomputed layers of each chunk of the first stage; nil is what the strategy says.
  ///   - lastRecomputed: likewise of the last.
  private func interleavedBoundSeconds(
    keeping: Bool, firstRecomputed: Int?, lastRecomputed: Int?
  ) -> Double {
    let p = strategy.pipelineDegree, v = strategy.virtualStageCount
    let m = Double(microBatchCount)
    let stageLayers = layerCount / p, chunk = stageLayers / v
    let embedding = self[0].embedding
    // The last stage starts when its first chunk's micro-batch has passed all stages before it, and what comes out of
    // its last backward passes them again.
    let chunkWork = Double(chunk) * leastLayer(keeping: keeping, \.sum)
    let before = Double(p - 1) * (chunkWork + 2 * leastTransferSeconds) + embedding.forward + embedding.backward
    // Of the last stage's chunks one has the head.
    func some(_ count: Int, of cost: StageCost, recomputed: Int?, isFirst: Bool, isLast: Bool) -> PassSeconds {
      let layers = quickest(count, on: cost, keeping: keeping)
      return cost.passSeconds(
        layers,
        recomputed: recomputed.map {
          layers.experts > 0 ? LayerCounts(dense: 0, experts: min(count, $0)) : LayerCounts(dense: min(count, $0))
        }, isFirst: isFirst, isLast: isLast)
    }
    let lastChunk = some(chunk, of: self[lastStage], recomputed: lastRecomputed, isFirst: false, isLast: true)
    let otherChunk = some(chunk, of: self[lastStage], recomputed: lastRecomputed, isFirst: false, isLast: false)
    let last = before + m * (Double(v - 1) * otherChunk.sum + lastChunk.forward + lastChunk.backward)
    let firstStage = some(
      stageLayers, of: self[0], recomputed: firstRecomputed.map { $0 * v }, isFirst: true, isLast: false)
    return max(last, m * firstStage.sum, paceSeconds(keeping: keeping)) + leastTailSeconds + fixedSeconds
  }

  /// The cheapest of the boundaries, for bounds that do not look at each, seconds.
  var leastTransferSeconds: Double { leastOfAll { $0.leastTransferSeconds(byteCount: boundaryByteCount) } }

  /// Stage 0 does this after the pipeline at least: with one layer, and with all
  /// hidden that overlap could hide; seconds.
  private var leastTailSeconds: Double {
    let count = hasEqualStages ? layerCount / strategy.pipelineDegree : 1
    let counts = kinds.counts
    var least = Double.infinity
    if counts.dense > 0 { least = self[0].unhidableTailSeconds(stage: 0, LayerCounts(dense: count)) }
    if counts.experts > 0 {
      least = min(least, self[0].unhidableTailSeconds(stage: 0, LayerCounts(dense: 0, experts: count)))
    }
    return least + embeddingSumSeconds
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
