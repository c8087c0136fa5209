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

  /// What a stage of so many layers chooses at either end of what it may: between none and all, memory is no less than at the
  /// better of the two.
  private struct Extreme {
    let recomputesLayers: Bool, offloadsOptimizer: Bool, hostsLayers: Bool

    func choice(layerCount: Int, chunkCount: Int) -> StageChoice {
      StageChoice(
        recomputedLayerCount: recomputesLayers ? (layerCount + chunkCount - 1) / chunkCount : 0,
        offloadsOptimizer: offloadsOptimizer, hostedLayerCount: hostsLayers ? layerCount : 0)
    }
  }

  /// Of a stage that chooses nothing: one array for all, since stages are asked by the million.
  private static let asSaid: [Extreme?] = [nil]

  /// Those of a freedom; nil alone where a stage does as the strategy says.
  private func extremes(of freedom: StageFreedom) -> [Extreme?] {
    if freedom == .none { return Self.asSaid }
    // Few layers may need less where none is on the host, and no buffers are.
    if freedom.choosesHostedLayers {
      return [true, false].map { Extreme(recomputesLayers: false, offloadsOptimizer: false, hostsLayers: $0) }
    }
    return (freedom.choosesOffload ? [false, true] : [false]).flatMap { offloads in
      (freedom.choosesRecomputation ? [false, true] : [strategy.recompute == .full]).map {
        Extreme(recomputesLayers: $0, offloadsOptimizer: offloads, hostsLayers: false)
      }
    }
  }

  /// The peak of a stage with the first of some layers, at one end of what it may choose.
  private func peakBytes(stage: Int, _ layers: StageLayers, first count: Int, _ extreme: Extreme?) -> Int {
    let choice = extreme?.choice(layerCount: count, chunkCount: strategy.virtualStageCount)
    return stageMemory(stage: stage, layers.first(count).content(choice)).peakBytes
  }

  /// The best verdict that so many layers can have on a stage, whatever kinds they are of and whatever it chooses; nil where
  /// they do not fit.
  func bestVerdict(
    stage: Int, layerCount: Int, of kinds: LayerKinds, freedom: StageFreedom, noBetterThan best: Prediction.Verdict
  ) -> Prediction.Verdict? {
    let limit = limitBytes(best), mostBytes = limitBytes(.risky)
    var found: Prediction.Verdict?
    let kindsFirst = extremes(of: kinds)
    for extreme in extremes(of: freedom) {
      for layers in kindsFirst {
        let bytes = peakBytes(stage: stage, layers, first: layerCount, extreme)
        if bytes <= limit { return best }
        if bytes <= mostBytes { found = .risky }
      }
    }
    return found
  }

  /// The most layers a stage can hold within a limit, whatever it chooses; 0 if not as many as it must.
  func layerCapacity(stage: Int, limitBytes: Int, _ kinds: LayerKinds, freedom: StageFreedom) -> Int {
    let p = strategy.pipelineDegree, layerCount = kinds.layerCount
    let isFixed = strategy.hasEqualStages && !laysOutChunks
    var most = isFixed ? (layerCount + p - 1) / p : layerCount - (p - 1)
    if laysOutChunks {
      most = min(most, ChunkLayouts.mostLayers(ofStageOf: strategy, layerCount: layerCount))
    }
    return layerCapacity(
      stage: stage, limitBytes: limitBytes, kinds, extremes(of: freedom), from: isFixed ? most : 1, to: most)
  }

  /// The most layers, from `least` to `most`, that a stage can hold at one of some ends of what it may choose; 0 if not even
  /// the least.
  private func layerCapacity(
    stage: Int, limitBytes: Int, _ kinds: LayerKinds, _ extremes: [Extreme?], from least: Int, to most: Int
  ) -> Int {
    var capacity = 0
    let kindsFirst = self.extremes(of: kinds)
    for extreme in extremes {
      for layers in kindsFirst {
        func bytes(_ count: Int) -> Int { peakBytes(stage: stage, layers, first: count, extreme) }
        // Nothing holds more than all that are asked for, nor more than another where not one more fits.
        if capacity > 0, capacity == most || bytes(capacity + 1) > limitBytes { continue }
        capacity = max(capacity, Self.mostLayers(from: least, to: most, within: limitBytes, peakBytes: bytes))
      }
    }
    return capacity
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
    let extreme = Extreme(recomputesLayers: false, offloadsOptimizer: offloadsOptimizer, hostsLayers: false)
    return layerCapacity(stage: stage, limitBytes: limitBytes, kinds, [extreme], from: 1, to: layerCount)
  }
}
