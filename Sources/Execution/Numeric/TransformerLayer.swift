/// One transformer block as pieces between collectives of the tensor group.
///
/// A block is two halves, attention and feed-forward, each of three pieces:
///
/// | forward | between | backward |
/// |---|---|---|
/// | ``normalise(_:input:weights:saved:)`` | sequence parallel: all-gather | ``normaliseBackward(_:normalisedGradient:outputGradient:weights:saved:gradient:)`` |
/// | ``product(_:normalised:weights:microBatch:keepsCore:saved:)`` | all-reduce, or reduce-scatter | ``productBackward(_:sumGradient:normalised:weights:microBatch:saved:gradient:)`` |
/// | ``finish(_:sum:input:weights:microBatch:saved:)`` | | ``finishBackward(_:outputGradient:microBatch:saved:gradient:)`` |
///
/// *Local* rows are those of ``ModelShard/localRows(_:)``: all tokens, or under sequence parallelism this rank's.
/// `weights` and `gradient` are the part's flat buffers of ``layout``; backward pieces add to `gradient`, each piece's
/// sum over the micro-batch as one addend.
struct TransformerLayer: Sendable {
  /// The two halves of a block.
  enum Half: Int, Sendable, CaseIterable { case attention, feedForward }

  let shard: ModelShard
  /// Index in the whole model.
  let index: Int
  let layout: ParameterLayout

  init(shard: ModelShard, index: Int) {
    self.shard = shard
    self.index = index
    layout = ParameterLayout(.layer(index), shard: shard)
  }

  /// Norm of the half's input. Keeps input and output.
  /// - Parameter input: local rows × hidden.
  /// - Returns: local rows × hidden; to be gathered over the tensor group under sequence parallelism.
  func normalise(_ half: Half, input: Matrix, weights: [Float], saved: inout SavedActivations) -> Matrix {
    fatalError("not yet")
  }

  /// Column-parallel products, core, and row-parallel product without its bias.
  /// - Parameters:
  ///   - normalised: all tokens × hidden.
  ///   - keepsCore: whether an unfused attention core is kept; not under selective recompute.
  /// - Returns: all tokens × hidden, one addend of the sum over the tensor group.
  func product(
    _ half: Half, normalised: Matrix, weights: [Float], microBatch: MicroBatch, keepsCore: Bool = true,
    saved: inout SavedActivations
  ) -> Matrix {
    fatalError("not yet")
  }

  /// Bias, dropout and residual connection. Keeps the dropout mask.
  /// - Parameters:
  ///   - sum: local rows × hidden, summed over the tensor group.
  ///   - input: the half's input, as given to ``normalise(_:input:weights:saved:)``.
  /// - Returns: local rows × hidden, the half's output.
  func finish(
    _ half: Half, sum: Matrix, input: Matrix, weights: [Float], microBatch: MicroBatch, saved: inout SavedActivations
  ) -> Matrix {
    fatalError("not yet")
  }

  /// Keeps the dropout mask of ``finish(_:sum:input:weights:microBatch:saved:)`` without the sum: all that the last
  /// piece of a layer that is computed again is needed for.
  func keepMask(_ half: Half, microBatch: MicroBatch, saved: inout SavedActivations) { fatalError("not yet") }

  /// Of dropout and bias.
  /// - Returns: local rows × hidden, the gradient of `sum`; to be gathered over the tensor group under sequence
  ///   parallelism.
  func finishBackward(
    _ half: Half, outputGradient: Matrix, microBatch: MicroBatch, saved: SavedActivations, gradient: inout [Float]
  ) -> Matrix {
    fatalError("not yet")
  }

  /// Of the products and the core. An attention core that was not kept is computed again.
  /// - Parameters:
  ///   - sumGradient: all tokens × hidden.
  ///   - normalised: all tokens × hidden, the kept norm output; gathered once more under sequence parallelism.
  /// - Returns: all tokens × hidden, one addend of the gradient of `normalised` over the tensor group.
  func productBackward(
    _ half: Half, sumGradient: Matrix, normalised: Matrix, weights: [Float], microBatch: MicroBatch,
    saved: SavedActivations, gradient: inout [Float]
  ) -> Matrix {
    fatalError("not yet")
  }

  /// Of norm and residual connection.
  /// - Parameters:
  ///   - normalisedGradient: local rows × hidden, summed over the tensor group.
  ///   - outputGradient: of the half's output, as given to ``finishBackward(_:outputGradient:microBatch:saved:gradient:)``.
  /// - Returns: local rows × hidden, the gradient of the half's input.
  func normaliseBackward(
    _ half: Half, normalisedGradient: Matrix, outputGradient: Matrix, weights: [Float], saved: SavedActivations,
    gradient: inout [Float]
  ) -> Matrix {
    fatalError("not yet")
  }

  /// The kept norm output of a half, local rows: what is gathered once more in backward.
  func normalised(_ half: Half, in saved: SavedActivations) -> Matrix {
    saved[half == .attention ? .attentionNormOutput : .feedForwardNormOutput]
  }

  /// The unfused attention core of kept queries and keys: what selective recompute holds while a layer runs backward.
  func rebuildCore(microBatch: MicroBatch, saved: inout SavedActivations) { fatalError("not yet") }
}
