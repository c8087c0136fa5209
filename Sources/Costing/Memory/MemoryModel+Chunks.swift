package import Documents
package import Training

/// What a chunk keeps of a micro-batch: of its layers each in the order of a forward pass, and of those with experts what they
/// keep last.
private struct ChunkActivations {
  let embeddingBytes: Int
  let layers: [(bytes: Int, late: Int?)]
  let headBytes: Int
  let bytes: Int

  init(embeddingBytes: Int, layers: [(bytes: Int, late: Int?)], headBytes: Int) {
    self.embeddingBytes = embeddingBytes
    self.layers = layers
    self.headBytes = headBytes
    bytes = layers.reduce(embeddingBytes + headBytes) { $0 + $1.bytes }
  }

  private static let noLayer: (bytes: Int, late: Int?) = (0, nil)

  /// The most that a forward pass beside another chunk's backward pass holds beyond what was there before, bytes.
  ///
  /// Embedding and head run before all layers or after them, and layers in pairs: what one keeps, then what the other gives
  /// up, and of two layers with experts what comes after these.
  func mostBytes(beside backward: ChunkActivations) -> Int {
    var held = 0, most = 0
    func hold(_ bytes: Int) {
      held += bytes
      most = max(most, held)
    }
    hold(embeddingBytes)
    hold(-backward.headBytes)
    for place in 0..<max(layers.count, backward.layers.count) {
      let kept = place < layers.count ? layers[place] : Self.noLayer
      let givenUp = place < backward.layers.count ? backward.layers[backward.layers.count - 1 - place] : Self.noLayer
      let late = givenUp.late == nil ? 0 : kept.late ?? 0
      hold(kept.bytes - late)
      hold(-givenUp.bytes)
      hold(late)
    }
    hold(headBytes)
    hold(-backward.embeddingBytes)
    return most
  }
}

/// Stages whose chunks are not alike: passes in flight are then not all of one size, and of those of interleaved chunks more
/// are of the first than of the last.
extension MemoryModel {
  /// Activations at the worst moment of a stage that alternates between chunks of given layers, bytes.
  ///
  /// After the warm-up every pair of passes exchanges one chunk's activations for another's, and after as many pairs as a
  /// group of micro-batches has passes all comes again (``Training/PassesInFlight/forEachPair(ofStage:_:)``). Of layers that
  /// run beside each other those without experts are taken to be a chunk's first.
  ///
  /// - Parameter hasChoice: whether the chunks say what is recomputed, and not the strategy.
  /// - Complexity: O(micro-batches of a group × chunks).
  func activationBytes(stage: Int, _ chunks: [Split.Stage.Chunk], hasChoice: Bool) -> Int {
    let all = chunks.enumerated().map { index, chunk in
      let recomputed = hasChoice && strategy.recompute == .full ? chunk.recomputed : chunk.layers
      let kept = chunk.layers - recomputed
      let dense = (layerActivationBytes.dense, nil as Int?), keptDense = (keptLayerActivationBytes.dense, nil as Int?)
      let experts = (layerActivationBytes.experts, lateLayerBytes as Int?)
      let keptExperts = (keptLayerActivationBytes.experts, lateLayerBytes as Int?)
      return ChunkActivations(
        embeddingBytes: stage == 0 && index == 0 ? embeddingActivationBytes : 0,
        layers: [(Int, Int?)](repeating: dense, count: recomputed.dense)
          + [(Int, Int?)](repeating: keptDense, count: kept.dense)
          + [(Int, Int?)](repeating: experts, count: recomputed.experts)
          + [(Int, Int?)](repeating: keptExperts, count: kept.experts),
        headBytes: stage == headStage && index == chunks.count - 1 ? headActivationBytes : 0)
    }
    let warmUpCount = inFlight.warmUpCount(stage: stage)
    var held = all.indices.reduce(0) { $0 + all[$1].bytes * inFlight.firstPasses(warmUpCount, throughChunk: $1) }
    var most = held
    let beside =
      strategy.overlapsExperts ? all.flatMap { forward in all.map { forward.mostBytes(beside: $0) } } : []
    inFlight.forEachPair(ofStage: stage) { forward, backward in
      most = max(most, held + (beside.isEmpty ? all[forward].bytes : beside[forward * all.count + backward]))
      held += all[forward].bytes - all[backward].bytes
    }
    return most
  }

  /// The same by walking a schedule's steps, with whole backward passes and layers in their true order.
  ///
  /// - Complexity: O(passes of the stage × chunks).
  package func walkedActivationBytes(
    stage: Int, _ split: Split, _ kinds: LayerKinds, _ schedule: PipelineSchedule
  ) -> Int {
    let chunks = (0..<schedule.chunkCount).map { chunk -> ChunkActivations in
      let virtualStage = schedule.virtualStageIndex(stage: stage, chunk: chunk)
      let range = split.layerRanges[virtualStage]
      let ofAll = strategy.recompute == .full ? range.count : 0
      let recomputedCount = min(range.count, split.choices?[stage].recomputedLayerCount ?? ofAll)
      let layers = range.map { layer -> (bytes: Int, late: Int?) in
        let counts = kinds.counts(in: layer..<layer + 1)
        let isKept = strategy.recompute == .full && layer - range.lowerBound >= recomputedCount
        return (
          (isKept ? keptLayerActivationBytes : layerActivationBytes).sum(counts),
          counts.experts > 0 ? lateLayerBytes : nil
        )
      }
      return ChunkActivations(
        embeddingBytes: virtualStage == 0 ? embeddingActivationBytes : 0, layers: layers,
        headBytes: virtualStage == split.layerCounts.count - 1 ? headActivationBytes : 0)
    }
    var held = 0, most = 0
    let steps = schedule.steps(ofStage: stage)
    var index = 0
    while index < steps.count {
      let chunk = chunks[steps[index].chunkIndex]
      if schedule.isPaired(index, ofStage: stage), index + 1 < steps.count {
        let other = chunks[steps[index + 1].chunkIndex]
        most = max(most, held + chunk.mostBytes(beside: other))
        held += chunk.bytes - other.bytes
        index += 2
        continue
      }
      held += steps[index].pass == .forward ? chunk.bytes : -chunk.bytes
      most = max(most, held)
      index += 1
    }
    return most
  }
}
