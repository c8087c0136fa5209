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
    /// What each part of a chunk keeps, in the order of a forward pass.
    let chunks = (0..<schedule.chunkCount).map { chunk -> [Int] in
      let virtualStage = schedule.virtualStageIndex(stage: stage, chunk: chunk)
      let range = split.layerRanges[virtualStage]
      let ofAll = strategy.recompute == .full ? range.count : 0
      let recomputedCount = min(range.count, split.choices?[stage].recomputedLayerCount ?? ofAll)
      let layers = range.map { layer in
        let isKept = strategy.recompute == .full && layer - range.lowerBound >= recomputedCount
        return (isKept ? keptLayerActivationBytes : layerActivationBytes).sum(kinds.counts(in: layer..<layer + 1))
      }
      return (virtualStage == 0 ? [embeddingActivationBytes] : []) + layers
        + (virtualStage == split.layerCounts.count - 1 ? [headActivationBytes] : [])
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
        let others = chunks[steps[index + 1].chunkIndex].reversed() as [Int]
        let ends = steps[index + 1].chunkIndex == schedule.chunkCount - 1 && stage == schedule.stageCount - 1
        let starts = steps[index].chunkIndex == 0 && stage == 0
        if starts { hold(parts[0]) }
        if ends { hold(-others[0]) }
        let forwards = parts.dropFirst(starts ? 1 : 0), backwards = others.dropFirst(ends ? 1 : 0)
        for (kept, givenUp) in zip(forwards, backwards) {
          hold(kept)
          hold(-givenUp)
        }
        for kept in forwards.dropFirst(backwards.count) { hold(kept) }
        for givenUp in backwards.dropFirst(forwards.count) { hold(-givenUp) }
        index += 2
        continue
      }
      let bytes = parts.reduce(0, +)
      hold(steps[index].pass == .forward ? bytes : -bytes)
      index += 1
    }
    return most
  }
}
