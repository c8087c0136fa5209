extension PipelineSchedule {
  /// The most (micro-batch, chunk) pairs whose activations a stage holds at once: the maximum over its steps of
  /// forward passes done and backward passes not yet done.
  ///
  /// Multiplied by the activation bytes of one micro-batch and one chunk it is the stage's activation memory. A stage
  /// holds its warm-up and, if a pair follows, one more, so with i the stage, p stages, v chunks, m micro-batches:
  ///
  /// | schedule | peak in flight |
  /// |---|---|
  /// | 1F1B | min(p − i, m) |
  /// | interleaved | min(2(p − i − 1) + (v − 1)p + 1, m·v) |
  /// | GPipe | m |
  ///
  /// Narayanan et al. 2021 (arXiv 2104.04473), section 2.2, for 1F1B and GPipe; the others by counting. The test
  /// "The peak in flight is the maximum of walking the steps" counts them all.
  ///
  /// - Precondition: `stageIndex` is a stage of the pipeline.
  public func peakInFlightCount(ofStage stageIndex: Int) -> Int {
    min(warmUpCount(ofStage: stageIndex) + 1, passCount)
  }
}
