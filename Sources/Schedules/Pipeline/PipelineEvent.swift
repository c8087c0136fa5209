/// A step together with the stage that runs it: a node of the pipeline's dependency graph.
///
/// The model is cut into `stageCount · chunkCount` virtual stages; virtual stage `chunk · stageCount + stage` lies on
/// that stage, so the last stage hands a chunk's activations back to stage 0, which runs the next chunk.
public struct PipelineEvent: Sendable, Hashable {
  /// The stage, counted from 0 at the embedding.
  public let stageIndex: Int

  /// What the stage does.
  public let step: PipelineStep

  /// - Precondition: `stageIndex` is at least 0.
  public init(stageIndex: Int, step: PipelineStep) {
    precondition(stageIndex >= 0, "a stage index is at least 0")
    self.stageIndex = stageIndex
    self.step = step
  }

  /// The position of the event's chunk in the model, 0 at the embedding.
  ///
  /// - Parameter stageCount: Stages of the pipeline, at least 1.
  public func virtualStageIndex(stageCount: Int) -> Int {
    step.chunkIndex * stageCount + stageIndex
  }

  /// The event whose result this event consumes, or nil for the forward pass of the first virtual stage, which reads
  /// the training data.
  ///
  /// A forward pass consumes the activations of the virtual stage before it. A backward pass consumes the gradients of
  /// the virtual stage after it; the last virtual stage turns around: its backward pass consumes its own forward pass.
  ///
  /// - Parameters:
  ///   - stageCount: Stages of the pipeline, at least 1.
  ///   - chunkCount: Model chunks per stage, at least 1.
  public func source(stageCount: Int, chunkCount: Int) -> PipelineEvent? {
    let virtualStage = virtualStageIndex(stageCount: stageCount)
    switch step.pass {
    case .forward:
      return virtualStage == 0 ? nil : event(.forward, onVirtualStage: virtualStage - 1, stageCount)
    case .backward:
      let isLast = virtualStage == stageCount * chunkCount - 1
      return isLast
        ? event(.forward, onVirtualStage: virtualStage, stageCount)
        : event(.backward, onVirtualStage: virtualStage + 1, stageCount)
    }
  }

  /// The same micro-batch's pass on another virtual stage.
  private func event(
    _ pass: PipelineStep.Pass, onVirtualStage virtualStage: Int, _ stageCount: Int
  ) -> PipelineEvent {
    PipelineEvent(
      stageIndex: virtualStage % stageCount,
      step: PipelineStep(
        pass: pass, microBatchIndex: step.microBatchIndex, chunkIndex: virtualStage / stageCount))
  }
}
