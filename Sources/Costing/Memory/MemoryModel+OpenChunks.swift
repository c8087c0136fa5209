import Documents
import Training

/// Stages that alternate between chunks of which it is open how many layers each has.
extension MemoryModel {
  /// What no layout of a stage's layers over its chunks has less of at its worst moment, activations in bytes.
  ///
  /// One moment is looked at, the forward pass before the first backward pass: of chunk c there are then k_c passes in flight,
  /// k_0 ≥ k_1 ≥ … (``Training/PassesInFlight/firstPasses(_:throughChunk:)``). The least of Σ k_c · bytes_c has as many layers
  /// as may be in the last chunks (``ChunkLayouts``), and among the last those of the kind that keeps most.
  ///
  /// - Parameters:
  ///   - recomputedCount: layers of each chunk that keep only their input, or all of a shorter one; nil where all do what
  ///     the strategy says.
  ///   - endCount: layers of the model's first or last chunk, where the stage has it and they are known. Unless they are,
  ///     chunks recompute all layers or none.
  func leastActivationBytes(stage: Int, _ layers: LayerCounts, recomputedCount: Int?, endCount: Int?) -> Int {
    let isFirst = stage == 0, isLast = stage == headStage
    // Where passes run beside each other, one that begins gives room to another layer by layer.
    let passCount = min(
      inFlight.warmUpCount(stage: stage) + (strategy.overlapsExperts ? 0 : 1), inFlight.passCount)
    let ofEnds =
      (isFirst ? inFlight.firstPasses(passCount, throughChunk: 0) * embeddingActivationBytes : 0)
      + (isLast && !strategy.overlapsExperts ? headActivationBytes : 0)
    let sizes = ChunkSizes(ofStage: stage, of: strategy, layers: layers.total, endCount: endCount)
    let isKept = recomputedCount != nil
    let each = isKept ? keptLayerActivationBytes : layerActivationBytes
    let recomputed = isKept ? layerActivationBytes : each
    let light = each.least(among: layers) { $0 }, leastRecomputed = recomputed.least(among: layers) { $0 }
    // Of layers of the kind that keeps more.
    let more = min(abs(each.dense - each.experts), abs(recomputed.dense - recomputed.experts))
    var heavy = layers.dense == 0 || layers.experts == 0 ? 0 : each.dense > each.experts ? layers.dense : layers.experts
    if (each.dense > each.experts) != (recomputed.dense > recomputed.experts) { heavy = 0 }
    var bytes = ofEnds
    for chunk in (0..<sizes.chunkCount).reversed() {
      let size = sizes[chunk], passes = inFlight.firstPasses(passCount, throughChunk: chunk)
      let withoutAll = min(size, recomputedCount ?? 0)
      bytes += passes * ((size - withoutAll) * light + withoutAll * leastRecomputed + min(heavy, size) * more)
      heavy -= min(heavy, size)
    }
    return bytes
  }
}

/// How many layers the chunks of a stage have, where it has so many in all and its last chunks as many of these as may be.
struct ChunkSizes {
  let chunkCount: Int
  private let end: (chunk: Int, count: Int)?
  /// Of the other chunks, and how many of them, the last, have one more.
  private let shortCount: Int, longerCount: Int

  /// - Parameter endCount: layers of the model's first or last chunk, which may differ from the others by more than one, where
  ///   the stage has it and they are known.
  init(ofStage stage: Int, of strategy: Strategy, layers: Int, endCount known: Int?) {
    let chunkCount = strategy.virtualStageCount
    self.chunkCount = chunkCount
    func others(_ count: Int) -> (quotient: Int, remainder: Int) {
      max(0, layers - count).quotientAndRemainder(dividingBy: chunkCount - 1)
    }
    let even = layers / chunkCount
    if stage == 0 {
      // One less than the shorter of the others have, or up to two more; equal ones may all be the longer ones.
      let count =
        known
        ?? (max(0, even - 2)...even + 2).first {
          let (quotient, remainder) = others($0)
          return $0 + 1 >= (remainder == 0 ? quotient - 1 : quotient)
        } ?? even
      end = (0, count)
    } else if stage == strategy.headStage {
      let count = known ?? (0...min(layers, even + 3)).last { $0 <= others($0).quotient + 2 } ?? 0
      end = (chunkCount - 1, count)
    } else {
      end = nil
      (shortCount, longerCount) = layers.quotientAndRemainder(dividingBy: chunkCount)
      return
    }
    (shortCount, longerCount) = others(end?.count ?? 0)
  }

  subscript(chunk: Int) -> Int {
    if let end {
      if chunk == end.chunk { return end.count }
      // Places among the others.
      let place = end.chunk == 0 ? chunk - 1 : chunk
      return shortCount + (place >= chunkCount - 1 - longerCount ? 1 : 0)
    }
    return shortCount + (chunk >= chunkCount - longerCount ? 1 : 0)
  }

  /// Layers that are recomputed where every chunk, or all but the end's, recomputes so many of its own.
  func recomputedCount(_ ofEach: Int, exceptEnd: Bool) -> Int {
    (0..<chunkCount).reduce(0) { exceptEnd && $1 == end?.chunk ? $0 : $0 + min(self[$1], ofEach) }
  }
}
