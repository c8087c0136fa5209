import Documents

extension PipelineSchedule {
  /// Forward passes a stage runs before its first pair of one forward and one backward.
  ///
  /// Every schedule here is warm-up forwards, then pairs (forward, backward), then cool-down backwards, and is told
  /// from the others by this number alone. As Megatron-LM has it (`get_pp_rank_microbatches`; earlier versions ran all forwards
  /// first where m = p), with i the stage, p stages, v chunks, m micro-batches:
  ///
  /// | schedule | warm-up |
  /// |---|---|
  /// | 1F1B | min(m, p − i − 1) |
  /// | interleaved | min(m·v, 2(p − i − 1) + (v − 1)p) |
  ///
  /// - Precondition: `stageIndex` is a stage of the pipeline.
  package func warmUpCount(ofStage stageIndex: Int) -> Int {
    precondition(
      (0..<stageCount).contains(stageIndex), "stage \(stageIndex) is not one of \(stageCount)")
    let stagesBelow = stageCount - stageIndex - 1
    switch order {
    case .oneForwardOneBackward:
      return min(passCount, stagesBelow)
    case .interleaved(let chunkCount):
      return min(passCount, 2 * stagesBelow + (chunkCount - 1) * stageCount)
    }
  }

  /// Everything a stage does in one iteration, in order: `2 · passCount` steps.
  ///
  /// - Precondition: `stageIndex` is a stage of the pipeline.
  /// - Complexity: O(micro-batches × chunks).
  package func steps(ofStage stageIndex: Int) -> [PipelineStep] {
    let warmUp = warmUpCount(ofStage: stageIndex)
    var steps: [PipelineStep] = []
    steps.reserveCapacity(2 * passCount)
    for position in 0..<warmUp {
      steps.append(forwardStep(at: position))
    }
    for position in warmUp..<passCount {
      steps.append(forwardStep(at: position))
      steps.append(backwardStep(at: position - warmUp))
    }
    for position in (passCount - warmUp)..<passCount {
      steps.append(backwardStep(at: position))
    }
    return steps
  }

  /// The stage's forward pass number `position`, 0-based: micro-batches run in groups of `stageCount`, each group
  /// through chunk 0, then chunk 1, and so on. With one chunk this is micro-batch `position`.
  ///
  /// - Precondition: `position` is at least 0 and less than `passCount`.
  package func forwardStep(at position: Int) -> PipelineStep {
    let place = place(at: position)
    return PipelineStep(pass: .forward, microBatchIndex: place.microBatch, chunkIndex: place.chunk)
  }

  /// The stage's backward pass number `position`, 0-based: as the forward passes, the chunks from last to first.
  ///
  /// - Precondition: `position` is at least 0 and less than `passCount`.
  package func backwardStep(at position: Int) -> PipelineStep {
    let place = place(at: position)
    return PipelineStep(
      pass: .backward, microBatchIndex: place.microBatch, chunkIndex: chunkCount - 1 - place.chunk)
  }

  /// Micro-batch and chunk of the pass at a position, chunks counted in the order in which they run.
  private func place(at position: Int) -> (microBatch: Int, chunk: Int) {
    precondition(
      (0..<passCount).contains(position), "pass \(position) is not one of \(passCount)")
    let group = position / (stageCount * chunkCount)
    let positionInGroup = position % (stageCount * chunkCount)
    return (
      microBatch: group * stageCount + positionInGroup % stageCount,
      chunk: positionInGroup / stageCount
    )
  }
}
