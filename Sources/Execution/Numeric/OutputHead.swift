/// Final norm, output matrix divided along the vocabulary, and cross-entropy, as pieces between collectives.
///
/// The output matrix is ``OutputMatrix``: at an offset of the head's own buffer, or of the embedding's for tied
/// embeddings on one stage.
struct OutputHead: Sendable {
  let shard: ModelShard
  let layout: ParameterLayout

  /// - Parameter ownsOutputMatrix: see ``ParameterLayout/init(_:shard:ownsOutputMatrix:)``.
  init(shard: ModelShard, ownsOutputMatrix: Bool) {
    self.shard = shard
    layout = ParameterLayout(.head, shard: shard, ownsOutputMatrix: ownsOutputMatrix)
  }

  /// Final norm. Keeps input and output.
  /// - Returns: local rows × hidden; to be gathered under sequence parallelism.
  func normalise(input: Matrix, weights: [Float], saved: inout SavedActivations) -> Matrix { fatalError("not yet") }

  /// Logits of this rank's part of the vocabulary, all tokens × part. Padded entries are −∞.
  /// - Parameters:
  ///   - buffer: flat buffer that holds the output matrix, the head's or the embedding's.
  ///   - offset: where it starts there.
  func logits(normalised: Matrix, buffer: [Float], offset: Int) -> Matrix { fatalError("not yet") }

  /// Largest logit of each token in this part; all-reduced by maximum.
  func maxima(_ logits: Matrix) -> [Float] { fatalError("not yet") }

  /// Each token's target logit less the maximum, zero if another rank holds it; all-reduced by sum.
  func targetLogits(_ logits: Matrix, maxima: [Float], microBatch: MicroBatch) -> [Float] { fatalError("not yet") }

  /// Each token's sum of exp(logit − maximum) over this part; all-reduced by sum. `logits` become the exponentials.
  func exponentialSums(_ logits: inout Matrix, maxima: [Float]) -> [Float] { fatalError("not yet") }

  /// Sum of the tokens' cross-entropies: the same on all ranks of the tensor group. Keeps the softmax.
  func loss(
    exponentials: Matrix, exponentialSums: [Float], targetLogits: [Float], saved: inout SavedActivations
  ) -> Double {
    fatalError("not yet")
  }

  /// Of cross-entropy and output matrix.
  /// - Parameters:
  ///   - scale: 1 / tokens of the global batch, so that gradients are those of the mean over all of them.
  ///   - normalised: all tokens × hidden, the kept norm output; gathered once more under sequence parallelism.
  ///   - gradient: flat gradient buffer that holds the output matrix's.
  /// - Returns: all tokens × hidden, one addend of the gradient of `normalised` over the tensor group.
  func lossBackward(
    scale: Float, normalised: Matrix, buffer: [Float], offset: Int, microBatch: MicroBatch, saved: SavedActivations,
    gradient: inout [Float]
  ) -> Matrix {
    fatalError("not yet")
  }

  /// Of the final norm.
  /// - Parameter normalisedGradient: local rows × hidden, summed over the tensor group.
  func normaliseBackward(
    normalisedGradient: Matrix, weights: [Float], saved: SavedActivations, gradient: inout [Float]
  ) -> Matrix {
    fatalError("not yet")
  }
}
