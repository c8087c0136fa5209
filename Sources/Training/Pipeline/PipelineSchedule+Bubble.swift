extension PipelineSchedule {
  /// Passes during which a stage is idle when all passes take the same time and transfers none: `2(p − 1)`, forward and
  /// backward, whatever the number of micro-batches.
  ///
  /// For 1F1B these are passes of a whole stage; interleaved, of one of its v chunks, so that the same count is 1/v of
  /// the time: Narayanan et al. 2021 (arXiv 2104.04473), sections 2.2.1 and 2.2.2.
  package var bubblePassCount: Int { 2 * (stageCount - 1) }
}
