package import Documents
package import Training

/// Stages whose chunks are not alike.
extension MemoryModel {
  /// Activations at a stage's worst moment, bytes, by walking its passes, each with what its own chunk keeps; with whole
  /// backward passes. Passes that run beside each other do so layer by layer. ``stageMemory(stage:_:)`` counts every pass as the mean of the stage's chunks, which is the same where
  /// they are alike, and a little more or less where one has layers of another kind, or more of them.
  ///
  /// - Complexity: O(passes of the stage × chunks).
  package func walkedActivationBytes(
    stage: Int, _ split: Split, _ kinds: LayerKinds, _ schedule: PipelineSchedule
  ) -> Int {
    /// What each part of a chunk keeps, in the order of a forward pass, and of layers with experts what they keep last.
    let chunks = (0..<schedule.chunkCount).map { chunk -> [(bytes: Int, late: Int?)] in
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
      return (virtualStage == 0 ? [(embeddingActivationBytes, nil)] : []) + layers
        + (virtualStage == split.layerCounts.count - 1 ? [(headActivationBytes, nil)] : [])
    }
    var held = 0, most = 0
    func hold(_ bytes: Int) {
      held += bytes
      most = max(most, held)
    }
    let steps = schedule.steps(ofStage: stage)
    var index = 0
    while index < steps.count {
      let parts = chunks[steps[index].chunkIndex]
      if schedule.isPaired(index, ofStage: stage), index + 1 < steps.count {
        // Part by part: what one keeps, and then what the other gives up.
        let others = Array(chunks[steps[index + 1].chunkIndex].reversed())
        let ends = steps[index + 1].chunkIndex == schedule.chunkCount - 1 && stage == schedule.stageCount - 1
        let starts = steps[index].chunkIndex == 0 && stage == 0
        if starts { hold(parts[0].bytes) }
        if ends { hold(-others[0].bytes) }
        let forwards = parts.dropFirst(starts ? 1 : 0), backwards = others.dropFirst(ends ? 1 : 0)
        for (kept, givenUp) in zip(forwards, backwards) {
          // Two layers with experts meet piece by piece.
          let late = givenUp.late == nil ? 0 : kept.late ?? 0
          hold(kept.bytes - late)
          hold(-givenUp.bytes)
          hold(late)
        }
        for kept in forwards.dropFirst(backwards.count) { hold(kept.bytes) }
        for givenUp in backwards.dropFirst(forwards.count) { hold(-givenUp.bytes) }
        index += 2
        continue
      }
      let bytes = parts.reduce(0) { $0 + $1.bytes }
      hold(steps[index].pass == .forward ? bytes : -bytes)
      index += 1
    }
    return most
  }
}
