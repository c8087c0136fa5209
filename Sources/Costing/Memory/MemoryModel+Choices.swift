import Documents

/// What stages may decide for themselves.
package struct StageFreedom: Sendable, Hashable {
  /// How many layers are recomputed in full, from none to all.
  package let choosesRecomputation: Bool
  /// Whether optimizer states are offloaded.
  package let choosesOffload: Bool
  /// How many layers lie on the host between their visits, under zeroth-order training.
  package let choosesHostedLayers: Bool

  /// All stages as the strategy says.
  package static let none = StageFreedom(choosesRecomputation: false, choosesOffload: false)

  /// - Precondition: recomputation is chosen only where the strategy's is full, layers on the host only where weights are,
  ///   and then nothing else.
  package init(choosesRecomputation: Bool, choosesOffload: Bool, choosesHostedLayers: Bool = false) {
    self.choosesRecomputation = choosesRecomputation
    self.choosesOffload = choosesOffload
    self.choosesHostedLayers = choosesHostedLayers
  }
}

/// Memory of stages that choose.
extension MemoryModel {
  /// The fewest recomputed layers per chunk with which a stage keeps a limit; nil if no number does.
  ///
  /// No layer needs no workspace, and from the first recomputed one on every further one saves.
  /// - Complexity: O(log layers).
  package func leastRecomputedLayerCount(
    stage: Int, _ layers: StageLayers, offloadsOptimizer: Bool, limitBytes: Int
  ) -> Int? {
    func fits(_ count: Int) -> Bool {
      let choice = StageChoice(recomputedLayerCount: count, offloadsOptimizer: offloadsOptimizer)
      return stageMemory(stage: stage, layers.content(choice)).peakBytes <= limitBytes
    }
    return Self.leastCount(upTo: layers.longestChunk, fits)
  }

  /// The least count that fits, where from 1 on every larger one needs less; nil if not even the largest does.
  /// - Complexity: O(log most) questions.
  static func leastCount(upTo most: Int, _ fits: (_ count: Int) -> Bool) -> Int? {
    if fits(0) { return 0 }
    var enough = most, short = 0
    guard enough > 0, fits(enough) else { return nil }
    while enough - short > 1 {
      let middle = (enough + short) / 2
      if fits(middle) { enough = middle } else { short = middle }
    }
    return enough
  }

  /// The most layers a stage can hold within a limit, whatever it chooses; 0 if not as many as it must.
  ///
  /// - Parameter most: layers that are asked for at most.
  func layerCapacity(
    stage: Int, limitBytes: Int, _ kinds: LayerKinds, freedom: StageFreedom, upTo most: Int = .max
  ) -> Int {
    var capacity = 0
    // No order of them holds more than all that are asked for, nor more than the other where not one more fits.
    for layers in extremes(of: kinds) where capacity < most {
      if capacity > 0, freedom == .none, !strategy.hasEqualStages || laysOutChunks,
        stageMemory(stage: stage, layers.first(capacity + 1).content(nil)).peakBytes > limitBytes
      {
        continue
      }
      capacity = max(
        capacity, layerCapacity(stage: stage, limitBytes: limitBytes, layers, of: kinds, freedom: freedom, upTo: most))
    }
    return capacity
  }

  /// The same of layers in one order.
  private func layerCapacity(
    stage: Int, limitBytes: Int, _ layers: StageLayers, of kinds: LayerKinds, freedom: StageFreedom,
    upTo limit: Int
  ) -> Int {
    let p = strategy.pipelineDegree, layerCount = kinds.layerCount
    let isFixed = strategy.hasEqualStages && !laysOutChunks
    var most = isFixed ? (layerCount + p - 1) / p : layerCount - (p - 1)
    if laysOutChunks {
      most = min(most, ChunkLayouts.mostLayers(ofStageOf: strategy, layerCount: layerCount))
    }
    if !isFixed { most = min(most, limit) }
    if freedom.choosesHostedLayers {
      // Few layers may need less where none is on the host, and no buffers are.
      func capacity(hosted: (_ layers: Int) -> Int) -> Int {
        layerCapacity(limitBytes: limitBytes, layerCount: most, least: isFixed ? most : 1) { count in
          let choice = StageChoice(recomputedLayerCount: 0, hostedLayerCount: hosted(count))
          return stageMemory(stage: stage, layers.first(count).content(choice)).peakBytes
        }
      }
      return max(capacity { $0 }, capacity { _ in 0 })
    }
    if freedom == .none {
      // By a straight line where any number of layers may do, which takes fewer evaluations.
      guard isFixed else { return layerCapacity(stage: stage, limitBytes: limitBytes, layers, layerCount: most) }
      return stageMemory(stage: stage, layers.first(most).content(nil)).peakBytes <= limitBytes ? most : 0
    }
    return layerCapacity(
      stage: stage, limitBytes: limitBytes, layers, layerCount: most, freedom: freedom, least: isFixed ? most : 1)
  }

  /// All layers of a model, those of either kind first: so many of the first are the least that as many layers of a stage can
  /// take, wherever it lies, in one of the two orders. A kind may take less of states and more of activations, and what a
  /// stage takes grows by a layer's own bytes with each, so that the least has as many of one kind as there are.
  func extremes(of kinds: LayerKinds) -> [StageLayers] {
    let counts = kinds.counts
    return LayerCounts.Kind.allCases.filter { counts[$0] > 0 }.map {
      StageLayers(counts: counts, startsWith: $0, chunkCount: strategy.virtualStageCount, isOpen: laysOutChunks)
    }
  }

  /// The most layers, up to `layerCount`, that a stage can hold without recomputing any.
  func keptLayerCapacity(
    stage: Int, limitBytes: Int, _ kinds: LayerKinds, layerCount: Int, offloadsOptimizer: Bool
  ) -> Int {
    let choice = StageChoice(recomputedLayerCount: 0, offloadsOptimizer: offloadsOptimizer)
    return extremes(of: kinds).reduce(0) { most, layers in
      max(
        most,
        layerCapacity(limitBytes: limitBytes, layerCount: layerCount, least: 1) {
          stageMemory(stage: stage, layers.first($0).content(choice)).peakBytes
        })
    }
  }

  /// The most layers of one stage, from `least` to `layerCount`; 0 if not even the least.
  private func layerCapacity(
    stage: Int, limitBytes: Int, _ order: StageLayers, layerCount: Int, freedom: StageFreedom, least: Int
  ) -> Int {
    var capacity = 0
    for offloads in freedom.choosesOffload ? [false, true] : [false] {
      // Between none and all, memory is no less than at the better of the two.
      for isRecomputed in freedom.choosesRecomputation ? [false, true] : [strategy.recompute == .full] {
        capacity = max(
          capacity,
          layerCapacity(limitBytes: limitBytes, layerCount: layerCount, least: least) { layers in
            let chunkCount = strategy.virtualStageCount
            let recomputed = isRecomputed ? (layers + chunkCount - 1) / chunkCount : 0
            let choice = StageChoice(recomputedLayerCount: recomputed, offloadsOptimizer: offloads)
            return stageMemory(stage: stage, order.first(layers).content(choice)).peakBytes
          })
        if capacity == layerCount { return capacity }
      }
    }
    return capacity
  }

  /// The most layers with which a peak that grows along a line, or from one line to a steeper one, keeps a limit.
  private func layerCapacity(
    limitBytes: Int, layerCount: Int, least: Int, peakBytes: (_ layerCount: Int) -> Int
  ) -> Int {
    if peakBytes(layerCount) <= limitBytes { return layerCount }
    guard least < layerCount, peakBytes(least) <= limitBytes else { return 0 }
    var enough = least, over = layerCount
    // Almost a line: where it crosses the limit, and the next, are tried before halves.
    let low = Double(peakBytes(least)), high = Double(peakBytes(layerCount))
    let crossing = Double(least) + Double(layerCount - least) * (Double(limitBytes) - low) / (high - low)
    var next = crossing.isFinite ? Int(crossing) : (enough + over) / 2
    while over - enough > 1 {
      next = min(max(next, enough + 1), over - 1)
      if peakBytes(next) <= limitBytes {
        enough = next
        next += 1
        if next == over { break }
        if next > Int(crossing) + 1 { next = (enough + over) / 2 }
      } else {
        over = next
        next = over == Int(crossing) + 1 ? enough + 1 : (enough + over) / 2
      }
    }
    return enough
  }
}
