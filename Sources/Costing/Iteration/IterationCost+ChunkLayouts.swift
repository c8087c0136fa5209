import Documents

/// Interleaved chunks that may differ in their layers.
///
/// Of V = p · v virtual stages all have k or k + 1 layers but the first and the last, which have k + 2 at most: the first,
/// with the embedding, has k − 1 at least, the last, with the head and further predictions, may have none. The ends decide
/// both k and how many have k + 1: `L − first − last = k · (V − 2) + longer`.
package struct ChunkLayouts: Sendable, Equatable {
  /// Layers of the first virtual stage.
  package let firstCount: Int
  /// Layers of the last virtual stage.
  package let lastCount: Int
  /// Layers of those between that have fewer, at least 1.
  package let shortCount: Int
  /// Of those between, how many have one layer more.
  package let longerCount: Int
  /// No layout with these ends takes less on one worker, seconds; infinite where none fits.
  package fileprivate(set) var boundSeconds = Double.infinity

  /// No stage has more layers than this, whatever its ends.
  static func mostLayers(ofStageOf strategy: Strategy, layerCount: Int) -> Int {
    let chunkCount = strategy.virtualStageCount, inner = strategy.pipelineDegree * chunkCount - 2
    return chunkCount * (layerCount / inner + 1) + 1
  }

  /// Nil where there are no such layouts.
  init?(firstCount: Int, lastCount: Int, layerCount: Int, virtualStageCount: Int) {
    let inner = virtualStageCount - 2, rest = layerCount - firstCount - lastCount
    guard inner > 0, rest >= inner else { return nil }
    (shortCount, longerCount) = rest.quotientAndRemainder(dividingBy: inner)
    guard max(firstCount, lastCount) <= shortCount + 2, firstCount >= shortCount - 1 else { return nil }
    self.firstCount = firstCount
    self.lastCount = lastCount
  }
}

extension IterationCost {
  /// No layout of chunks that may differ takes less, seconds, on one worker: in closed form, where all of them are asked for
  /// too often to look at each.
  ///
  /// The mean over the stages of what ``ChunkLayoutBound`` takes the largest of.
  ///
  /// - Parameter work: no layout has less work in a micro-batch.
  func chunkLayoutBoundSeconds(keeping: Bool, workSeconds work: Double) -> Double {
    let p = strategy.pipelineDegree, v = strategy.virtualStageCount, inner = p * v - 2
    // The fewest layers of a virtual stage between the ends, which have as many as they may.
    let short = max(1, (layerCount - 2 * (layerCount / inner + 2)) / inner)
    let layer = leastLayer(keeping: keeping, \.sum), embedding = self[0].embedding.sum
    // Of the stages before each, the embedding's and inner first chunks.
    let before =
      Double(p - 1) * (embedding + Double(p) * leastTransferSeconds)
      + Double((p - 1) * (p - 2) / 2 * short) * layer
    return (before + Double(microBatchCount) * work) / Double(p) + fixedSeconds
      + leastTailSeconds(keeping: keeping, layers: (v - 1) * short)
  }

  /// What the first stage does after the pipeline at least with so many layers, seconds.
  private func leastTailSeconds(keeping: Bool, layers count: Int) -> Double {
    let counts = kinds.counts
    // The longer backward passes are, the more of what replicas exchange they hide.
    func seconds(_ layers: LayerCounts) -> Double {
      let hiding = Split.Stage(
        layers: layers, recomputed: keeping ? layers : nil,
        choice: keeping ? StageChoice(recomputedLayerCount: layers.total) : nil)
      return self[0].tail(stage: 0, hiding).seconds
    }
    var least = Double.infinity
    if counts.dense > 0 {
      let dense = min(count, counts.dense)
      least = seconds(LayerCounts(dense: dense, experts: count - dense))
    }
    if counts.experts > 0 {
      let experts = min(count, counts.experts)
      least = min(least, seconds(LayerCounts(dense: count - experts, experts: experts)))
    }
    return least + embeddingSumSeconds
  }

  /// All layouts of chunks that may differ, by the layers of their ends, least bound first.
  ///
  /// - Parameters:
  ///   - freedom: what stages may decide for themselves.
  ///   - limit: of the stages' memory; what does not keep it has no bound.
  ///   - limitSeconds: of layouts that take as long on a worker nothing more is asked: their bounds may be any above.
  package func chunkLayouts(
    freedom: StageFreedom, within limit: MemoryLimit, below limitSeconds: Double = .infinity
  ) -> [ChunkLayouts] {
    var bound = ChunkLayoutBound(self, freedom: freedom, limit: limit)
    var all: [ChunkLayouts] = []
    forEachChunkLayouts { layouts in
      var layouts = layouts
      layouts.boundSeconds = bound.seconds(layouts, below: limitSeconds)
      if layouts.boundSeconds.isFinite { all.append(layouts) }
    }
    return all.enumerated().sorted { ($0.element.boundSeconds, $0.offset) < ($1.element.boundSeconds, $1.offset) }
      .map(\.element)
  }

  private func forEachChunkLayouts(_ body: (ChunkLayouts) -> Void) {
    let count = strategy.pipelineDegree * strategy.virtualStageCount
    // Ends of k + 2 layers leave inner ones k each at least.
    let most = min(layerCount, layerCount / (count - 2) + 2)
    for first in 0...most {
      for last in 0...most {
        if let layouts = ChunkLayouts(
          firstCount: first, lastCount: last, layerCount: layerCount, virtualStageCount: count)
        {
          body(layouts)
        }
      }
    }
  }
}

/// The least time of any layout with given ends.
///
/// Two paths through each stage:
/// - It is busy with all its chunks for all micro-batches, after the first has passed the first chunks of the stages before
///   it, and before the last comes back through these.
/// - *rounds*: the last stage alone has the head, which makes its last chunk long. While it takes a group of N micro-batches
///   through that chunk, forward and backward, for N · H seconds, it is what everybody waits for, and with its other
///   chunks another stage may be. From stage s, δ before the last, the path goes down with the first forward pass of each
///   group through the last chunk, takes all N pairs there, and comes back with the last backward pass. The order of stages
///   (``Training/PassesInFlight``) has stage s then 2δ forward passes further on than the last stage is, and before, 2δ
///   backward passes behind it: these it leaves out, between one group and the next.
///
/// Which of a stage's chunks are longer does not matter, but that the path of rounds leaves out its last one, and each longer
/// chunk only adds: with the terms of every stage by the number of its longer chunks, the least largest term of a layout
/// with n of them is the n-th smallest of those of one or more, or the largest of those of none.
private struct ChunkLayoutBound {
  private let cost: IterationCost
  private let freedom: StageFreedom
  private let limit: MemoryLimit
  /// Seconds of a layer that is not recomputed where stages choose, by kind, forward and backward; the least of all devices.
  private let denseSeconds: PassSeconds
  private let expertSeconds: PassSeconds
  /// Transfers before each stage, one way.
  private let transfersBefore: [Double]
  /// By stage and layers of both kinds.
  private var known: [Int: Least] = [:]

  /// What a stage of given layers takes at least.
  private struct Least {
    /// Of a micro-batch, seconds.
    let work: Double
    /// After its last backward pass, seconds.
    let tail: Double
  }

  init(_ cost: IterationCost, freedom: StageFreedom, limit: MemoryLimit) {
    self.cost = cost
    self.freedom = freedom
    self.limit = limit
    let keeping = freedom.choosesRecomputation
    func least(_ kind: LayerCounts.Kind) -> PassSeconds {
      cost.costs.reduce(PassSeconds(forward: .infinity, backward: .infinity)) {
        let layer = $1.layers(keeping: keeping)[kind].launched
        return PassSeconds(forward: min($0.forward, layer.forward), backward: min($0.backward, layer.backward))
      }
    }
    denseSeconds = least(.dense)
    expertSeconds = least(.experts)
    var before = [0.0]
    for stage in 0..<cost.lastStage { before.append(before[stage] + cost.transferSeconds(afterStage: stage)) }
    transfersBefore = before
  }

  /// No layout with these ends takes less, seconds.
  ///
  /// - Parameter limitSeconds: a bound that is no less is as good as the largest.
  mutating func seconds(_ layouts: ChunkLayouts, below limitSeconds: Double) -> Double {
    let p = cost.strategy.pipelineDegree, v = cost.strategy.virtualStageCount
    let m = Double(cost.microBatchCount), embedding = cost[0].embedding
    let leastTail = leastTailSeconds(layouts), headSeconds = lastChunkSeconds(layouts)
    var most = 0.0
    var longer: [Double] = [], terms: [Double] = []
    longer.reserveCapacity(p * v)
    // The last stage, with the head, has most often most to do.
    for place in 0..<p {
      let stage = place == 0 ? p - 1 : place - 1
      let isEnd = stage == 0 || stage == p - 1
      let end = stage == 0 ? layouts.firstCount : layouts.lastCount
      let least = isEnd ? end + (v - 1) * layouts.shortCount : v * layouts.shortCount
      var forwardBefore = transfersBefore[stage], backwardBefore = forwardBefore
      if stage > 0 {
        let first = cost.kinds.counts(in: 0..<starts(stage, layouts).lowerBound)
        forwardBefore += embedding.forward + seconds(first, \.forward)
        backwardBefore += embedding.backward + seconds(first, \.backward)
      }
      terms.removeAll(keepingCapacity: true)
      for added in 0...min(layouts.longerCount, isEnd ? v - 1 : v) {
        let dense = denseCounts(stage, layouts, hasLonger: added > 0, layers: least + added)
        var work = Double.infinity, tail = Double.infinity
        for count in dense {
          let layers = LayerCounts(dense: count, experts: least + added - count)
          let known = leastSeconds(stage, layers, layouts)
          (work, tail) = (min(work, known.work), min(tail, known.tail))
        }
        let ends = forwardBefore + m * work, tailAtEnd = stage == 0 ? tail : leastTail
        let rounds = stage < p - 1 ? roundSeconds(stage, layouts, added: added, headSeconds: headSeconds) ?? 0 : 0
        // The pipeline ends on the first stage; each stage has something to do after its own last pass.
        let term = ends + max(0, rounds) + max(backwardBefore + tailAtEnd, tail)
        terms.append(cost.fixedSeconds + term)
      }
      // More layers may be of a quicker kind: what a number of longer chunks takes, or any larger number.
      for added in terms.indices.dropLast().reversed() { terms[added] = min(terms[added], terms[added + 1]) }
      most = max(most, terms[0])
      if most >= limitSeconds { return most }
      longer += terms.dropFirst()
    }
    guard layouts.longerCount > 0 else { return most }
    longer.sort()
    return max(most, longer[layouts.longerCount - 1])
  }

  /// The last chunk of the last stage with a micro-batch, seconds.
  private func lastChunkSeconds(_ layouts: ChunkLayouts) -> Double {
    let last = cost.kinds.counts(in: cost.layerCount - layouts.lastCount..<cost.layerCount)
    return cost[cost.lastStage].passSeconds(
      last, recomputed: freedom.choosesRecomputation ? LayerCounts.none : nil, isFirst: false, isLast: true
    ).sum
  }

  /// What the path of rounds takes more than the stage's own passes, seconds; nil where there is none.
  ///
  /// - Parameters:
  ///   - added: longer chunks of the stage.
  ///   - headSeconds: H.
  private func roundSeconds(_ stage: Int, _ layouts: ChunkLayouts, added: Int, headSeconds: Double) -> Double? {
    let p = cost.strategy.pipelineDegree, v = cost.strategy.virtualStageCount, m = cost.microBatchCount
    let down = p - 1 - stage
    guard let group = Strategy.Schedule.groupSize(stageCount: p, microBatchCount: m), 2 * down <= (v - 1) * group else {
      return nil
    }
    let groups = Double(m / group), own = cost[stage], counts = cost.kinds.counts
    // Kept or not, no chunk takes more than if all of it does what the strategy says.
    let most = own.layers.most(among: counts) { $0.launched.sum }
    let longest = max(layouts.shortCount + (layouts.longerCount > 0 ? 1 : 0), stage == 0 ? layouts.firstCount : 0)
    let skipped = 2 * Double(down) * (Double(longest) * most + (stage == 0 ? own.embedding.sum : 0))
    // The chunk that the stage's own passes have and the path has not, but once a group, as of the stages below; of these
    // some may be short.
    let short = layouts.shortCount, hasOnlyLonger = added == v - (stage == 0 ? 1 : 0)
    let left = Double(short + (added > 0 ? 1 : 0)) * most
    let below = (down - 1) * (short + 1) - min(down - 1, p * v - 2 - layouts.longerCount)
    let least =
      Double(short + (hasOnlyLonger ? 1 : 0) + below) * cost.leastLayer(keeping: freedom.choosesRecomputation, \.sum)
    let links = 2 * (transfersBefore[p - 1] - transfersBefore[stage])
    return Double(m) * (headSeconds - left) + groups * (least + links) - (groups - 1) * skipped
  }

  @inline(__always)
  private func seconds(_ layers: LayerCounts, _ pass: (PassSeconds) -> Double) -> Double {
    var sum = layers.dense > 0 ? Double(layers.dense) * pass(denseSeconds) : 0
    if layers.experts > 0 { sum += Double(layers.experts) * pass(expertSeconds) }
    return sum
  }

  /// Layers before a virtual stage that is not the first, whichever of those before it are longer.
  private func starts(_ virtualStage: Int, _ layouts: ChunkLayouts) -> ClosedRange<Int> {
    let inner = cost.strategy.pipelineDegree * cost.strategy.virtualStageCount - 2, before = virtualStage - 1
    let base = layouts.firstCount + before * layouts.shortCount
    return base + max(0, before - (inner - layouts.longerCount))...base + min(before, layouts.longerCount)
  }

  /// How many of a stage's layers may be dense.
  ///
  /// - Parameters:
  ///   - hasLonger: whether some of its chunks are longer.
  ///   - layers: of all its chunks.
  private func denseCounts(_ stage: Int, _ layouts: ChunkLayouts, hasLonger: Bool, layers: Int) -> ClosedRange<Int> {
    let kinds = cost.kinds
    if kinds.areAlike { return kinds.counts.dense > 0 ? layers...layers : 0...0 }
    let p = cost.strategy.pipelineDegree, v = cost.strategy.virtualStageCount
    var least = 0, most = 0
    for virtualStage in stride(from: stage, to: p * v, by: p) {
      if virtualStage == 0 || virtualStage == p * v - 1 {
        let range = virtualStage == 0 ? 0..<layouts.firstCount : kinds.layerCount - layouts.lastCount..<kinds.layerCount
        let dense = kinds.counts(in: range).dense
        (least, most) = (least + dense, most + dense)
      } else {
        // All that a chunk which begins somewhere in a range may reach.
        let starts = starts(virtualStage, layouts), length = layouts.shortCount + (hasLonger ? 1 : 0)
        let reach = kinds.counts(in: starts.lowerBound..<min(kinds.layerCount, starts.upperBound + length))
        least += max(0, layouts.shortCount - reach.experts)
        most += min(length, reach.dense)
      }
    }
    most = min(most, layers)
    return min(least, most)...most
  }

  /// What a stage takes at least, with as little recomputed as its memory allows; infinite where it does not fit.
  private mutating func leastSeconds(_ stage: Int, _ layers: LayerCounts, _ layouts: ChunkLayouts) -> Least {
    let isLast = stage == cost.lastStage, width = cost.layerCount + 1, lastCount = layouts.lastCount
    let endCount = stage == 0 ? layouts.firstCount : isLast ? lastCount : nil
    let place = (endCount.map { $0 + 1 } ?? 0) * (cost.lastStage + 1) + stage
    let key = (place * width + layers.dense) * width + layers.experts
    if let least = known[key] { return least }
    let own = cost[stage], keeping = freedom.choosesRecomputation, each = own.layers(keeping: keeping)
    var chunks = layers
    var seconds = 0.0
    if isLast {
      let last = cost.kinds.counts(in: cost.layerCount - lastCount..<cost.layerCount)
      chunks = layers - last
      seconds = own.passSeconds(last, recomputed: keeping ? LayerCounts.none : nil, isFirst: false, isLast: true).sum
    }
    if chunks.dense > 0 { seconds += Double(chunks.dense) * each.dense.launched.sum }
    if chunks.experts > 0 { seconds += Double(chunks.experts) * each.experts.launched.sum }
    if stage == 0 { seconds += own.embedding.sum }
    if let count = leastRecomputedCount(stage, layers, endCount: endCount) {
      let sizes = ChunkSizes(ofStage: stage, of: cost.strategy, layers: layers.total, endCount: endCount)
      // What is recomputed of the chunk with the head may hide behind it.
      seconds += Double(sizes.recomputedCount(count, exceptEnd: isLast)) * leastAddedSeconds(own)
    } else {
      seconds = .infinity
    }
    let isEnd = stage == 0 || isLast
    // The longer backward passes are, the more of what replicas exchange they hide.
    let hiding = Split.Stage(
      layers: layers, recomputed: keeping ? layers : nil,
      choice: keeping ? StageChoice(recomputedLayerCount: layers.total) : nil)
    let least = Least(
      work: seconds,
      tail: own.tail(stage: stage, hiding).seconds + (isEnd ? cost.embeddingSumSeconds : 0))
    known[key] = least
    return least
  }

  /// A recomputed layer adds this at least, seconds.
  private func leastAddedSeconds(_ own: StageCost) -> Double {
    func added(_ kind: LayerCounts.Kind) -> Double {
      own.layers[kind].launched.sum - own.keptLayers[kind].launched.sum
    }
    let counts = cost.kinds.counts
    if counts.experts == 0 { return max(0, added(.dense)) }
    return max(0, counts.dense == 0 ? added(.experts) : min(added(.dense), added(.experts)))
  }

  /// The fewest layers that each chunk of a stage, or all of a shorter one, has to recompute; nil where none is enough.
  ///
  /// - Parameter endCount: layers of the model's first or last chunk, where the stage has it.
  private func leastRecomputedCount(_ stage: Int, _ layers: LayerCounts, endCount: Int?) -> Int? {
    let recomputesAll = !freedom.choosesRecomputation && cost.strategy.recompute == .full
    func fits(_ count: Int) -> Bool {
      let choice = StageChoice(
        recomputedLayerCount: recomputesAll ? layers.total : count, offloadsOptimizer: freedom.choosesOffload)
      // How many layers of each kind are recomputed does not matter, unless it is none or all.
      let recomputed =
        count == 0 ? LayerCounts.none : count >= layers.total ? layers : LayerCounts(dense: 0, experts: count)
      let content = Split.Stage(
        layers: layers, recomputed: freedom.choosesRecomputation ? recomputed : nil,
        choice: freedom == .none ? nil : choice, chunks: .open(endCount: endCount))
      return cost.memory.holds(cost.memory.stageMemory(stage: stage, content), stage: stage, within: limit)
    }
    return freedom.choosesRecomputation ? MemoryModel.leastCount(upTo: layers.total, fits) : fits(0) ? 0 : nil
  }

  /// What the first stage, on which the pipeline ends, does after it at least, seconds.
  private mutating func leastTailSeconds(_ layouts: ChunkLayouts) -> Double {
    let v = cost.strategy.virtualStageCount, least = layouts.firstCount + (v - 1) * layouts.shortCount
    let elsewhere = cost.strategy.pipelineDegree * v - 2 - (v - 1)
    var seconds = Double.infinity
    for added in max(0, layouts.longerCount - elsewhere)...min(layouts.longerCount, v - 1) {
      for count in denseCounts(0, layouts, hasLonger: added > 0, layers: least + added) {
        let layers = LayerCounts(dense: count, experts: least + added - count)
        seconds = min(seconds, leastSeconds(0, layers, layouts).tail)
      }
    }
    return seconds
  }
}
