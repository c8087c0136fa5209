/// One pass of one micro-batch through one model chunk of a pipeline stage: what the stage does between two waits.
package struct PipelineStep: Sendable, Hashable {
  /// The direction of a pass.
  package enum Pass: Sendable, Hashable, CaseIterable {
    case forward
    case backward
  }

  /// Whether activations go down the pipeline or gradients come back up.
  package let pass: Pass

  /// The micro-batch, counted from 0 within one pipeline and one iteration.
  package let microBatchIndex: Int

  /// The model chunk (virtual stage) of the stage that runs the step, 0 for schedules that do not interleave.
  package let chunkIndex: Int

  /// - Precondition: Both indices are at least 0.
  package init(pass: Pass, microBatchIndex: Int, chunkIndex: Int = 0) {
    precondition(microBatchIndex >= 0, "a micro-batch index is at least 0")
    precondition(chunkIndex >= 0, "a chunk index is at least 0")
    self.pass = pass
    self.microBatchIndex = microBatchIndex
    self.chunkIndex = chunkIndex
  }
}

extension PipelineStep: CustomStringConvertible {
  /// `F3.1` is the forward pass of micro-batch 3 through chunk 1.
  package var description: String {
    "\(pass == .forward ? "F" : "B")\(microBatchIndex).\(chunkIndex)"
  }
}
