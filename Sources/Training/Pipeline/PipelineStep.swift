/// One pass of one micro-batch through one model chunk of a pipeline stage: what the stage does between two waits.
package struct PipelineStep: Sendable, Hashable {
  /// What is done in a pass.
  package enum Pass: Sendable, Hashable, CaseIterable {
    case forward
    /// Gradients of inputs and of weights.
    case backward
    /// The part of a backward pass that the stage before waits for.
    case inputGradient
    /// The rest of it, which nobody waits for.
    case weightGradient

    /// Whether gradients of inputs come up the pipeline.
    package var givesInputGradient: Bool { self == .backward || self == .inputGradient }
    /// Whether what its forward pass has kept can be given up after it.
    package var endsMicroBatch: Bool { self == .backward || self == .weightGradient }

    /// PyTorch's letter.
    package var letter: Character {
      switch self {
      case .forward: "F"
      case .backward: "B"
      case .inputGradient: "I"
      case .weightGradient: "W"
      }
    }
  }

  /// Which of the passes it is.
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

  /// Another pass of the same micro-batch through the same chunk.
  package func with(pass: Pass) -> PipelineStep {
    PipelineStep(pass: pass, microBatchIndex: microBatchIndex, chunkIndex: chunkIndex)
  }
}

extension PipelineStep: CustomStringConvertible {
  /// `F3.1` is the forward pass of micro-batch 3 through chunk 1.
  package var description: String { "\(pass.letter)\(microBatchIndex).\(chunkIndex)" }
}
