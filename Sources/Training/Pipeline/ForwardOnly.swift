import Documents

/// Forward passes alone, in the order of the micro-batches: what zeroth-order training needs of a pipeline. No stage waits
/// for what another one gives back.
struct ForwardOnly: PassOrder {
  let microBatchCount: Int

  func steps(ofStage stageIndex: Int) -> [PipelineStep] {
    (0..<microBatchCount).map { PipelineStep(pass: .forward, microBatchIndex: $0, chunkIndex: 0) }
  }

  func virtualStageIndex(stage stageIndex: Int, chunk chunkIndex: Int) -> Int { stageIndex }

  /// Nothing is kept for a backward pass: what is in flight is what is worked on.
  var passesInFlight: PassesInFlight {
    PassesInFlight(onFirstStage: 1, fewerPerStage: 0, passCount: 1, inFirstChunk: 1)
  }
}
