package import Documents
package import Training

/// What a chunk keeps of a micro-batch: of its layers each in the order of a forward pass, and of those with experts what they
/// keep last.
private struct ChunkActivations {
  let embeddingBytes: Int
  let layers: [(bytes: Int, late: Int?)]
  let headBytes: Int

  static let noLayer: (bytes: Int, late: Int?) = (0, nil)
}

/// Stages whose chunks are not alike.
extension MemoryModel {
  /// Activations at a stage's worst moment, bytes, by walking its passes, each with what its own chunk keeps; with whole
  /// backward passes. Passes that run beside each other do so layer by layer. ``stageMemory(stage:_:)`` counts every pass as
  /// the mean of the stage's chunks, which is the same where they are alike, and a little more or less where one has layers of
  /// another kind, or more of them.
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
    func hold(_ bytes: Int) {
      held += bytes
      most = max(most, held)
    }
    let steps = schedule.steps(ofStage: stage)
    var index = 0
    while index < steps.count {
      let chunk = chunks[steps[index].chunkIndex]
      if schedule.isPaired(index, ofStage: stage), index + 1 < steps.count {
        // Embedding and head run before all layers or after them, and layers in pairs: what one keeps, then what the other
        // gives up.
        let other = chunks[steps[index + 1].chunkIndex]
        hold(chunk.embeddingBytes)
        hold(-other.headBytes)
        let forwards = chunk.layers, backwards = Array(other.layers.reversed())
        for place in 0..<max(forwards.count, backwards.count) {
          let kept = place < forwards.count ? forwards[place] : ChunkActivations.noLayer
          let givenUp = place < backwards.count ? backwards[place] : ChunkActivations.noLayer
          // Two layers with experts meet piece by piece.
          let late = givenUp.late == nil ? 0 : kept.late ?? 0
          hold(kept.bytes - late)
          hold(-givenUp.bytes)
          hold(late)
        }
        hold(chunk.headBytes)
        hold(-other.embeddingBytes)
        index += 2
        continue
      }
      let bytes = chunk.layers.reduce(chunk.embeddingBytes + chunk.headBytes) { $0 + $1.bytes }
      hold(steps[index].pass == .forward ? bytes : -bytes)
      index += 1
    }
    return most
  }
}
