/// Token embedding divided along the vocabulary, learned positions and dropout, as pieces between collectives.
struct Embedding: Sendable {
  let shard: ModelShard
  let layout: ParameterLayout

  init(shard: ModelShard) {
    self.shard = shard
    layout = ParameterLayout(.embedding, shard: shard)
  }

  /// Rows of the tokens that this rank's part of the vocabulary holds, zero for others.
  /// - Returns: all tokens × hidden, one addend of the sum over the tensor group (all-reduce; reduce-scatter under
  ///   sequence parallelism).
  func lookUp(weights: [Float], microBatch: MicroBatch) -> Matrix { fatalError("not yet") }

  /// Positions and dropout. Keeps the mask.
  /// - Parameter sum: local rows × hidden.
  /// - Returns: local rows × hidden, the first layer's input.
  func finish(sum: Matrix, weights: [Float], microBatch: MicroBatch, saved: inout SavedActivations) -> Matrix {
    fatalError("not yet")
  }

  /// Of positions and dropout.
  /// - Returns: local rows × hidden, the gradient of `sum`; to be gathered under sequence parallelism.
  func finishBackward(
    outputGradient: Matrix, microBatch: MicroBatch, saved: SavedActivations, gradient: inout [Float]
  ) -> Matrix {
    fatalError("not yet")
  }

  /// Of the rows looked up.
  /// - Parameter sumGradient: all tokens × hidden.
  func lookUpBackward(sumGradient: Matrix, microBatch: MicroBatch, gradient: inout [Float]) { fatalError("not yet") }
}
