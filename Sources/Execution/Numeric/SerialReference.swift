import Documents

/// The whole model trained by one rank, micro-batch after micro-batch: what a parallel run has to agree with.
struct SerialReference: Sendable {
  /// What one step did.
  struct Step: Sendable {
    /// Mean cross-entropy over all tokens of the global batch, before the update.
    let loss: Double
    /// Norm of all gradients, before clipping; each parameter once.
    let gradientNorm: Double
  }

  /// Outcome of a training.
  struct Result: Sendable {
    let steps: [Step]
    /// fp32 parameters after the last step, by part, as full tensors (tensor degree 1); of tied embeddings the head's
    /// buffer has no output matrix.
    let parameters: [ModelPart: [Float]]
  }

  /// Of tensor degree 1.
  let shard: ModelShard
  let globalBatch: Int
  /// Sequences of one pass.
  let microBatch: Int
  let settings: OptimizerSettings

  func run(stepCount: Int) -> Result { fatalError("not yet") }
}
