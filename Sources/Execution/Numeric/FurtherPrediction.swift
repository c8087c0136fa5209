import Documents
import Training

/// A layer that predicts a further token (multi-token prediction, DeepSeek-AI 2024, section 2.2), as pieces between collectives
/// of the tensor group: what the depth before it gives, behind its final norm, and embeddings of the tokens further on, both
/// normalised, brought to one by a product, through a block, to the model's own output matrix (Megatron Core's
/// `multi_token_prediction.py`).
///
/// | forward | between | backward |
/// |---|---|---|
/// | ``lookUp(_:at:microBatch:)`` | sum; sequence parallel: reduce-scatter | ``lookUpBackward(_:microBatch:gradient:at:)`` |
/// | ``join(_:stream:weights:microBatch:saved:)`` | sequence parallel: all-gather | ``joinBackward(_:weights:saved:gradient:)`` |
/// | ``project(_:weights:)`` | all-gather of columns | ``projectBackward(_:joined:weights:gradient:)`` |
///
/// The block is ``layer``, and ``head`` what follows it. Both lie in one buffer of ``layout``.
struct FurtherPrediction: Sendable {
  /// What the losses of all depths together count beside the model's own (Megatron-LM's `--mtp-loss-scaling-factor`).
  static let lossWeight = 0.1

  /// How many tokens further on than the next it predicts, from 1.
  let depth: Int
  private(set) var layer: TransformerLayer
  let head: OutputHead

  /// - Parameter block: its block's number, from that behind the last layer on.
  init(shard: ModelShard, block: Int) {
    depth = block - shard.model.layerCount + 1
    layer = TransformerLayer(shard: shard, index: block)
    head = OutputHead(shard: shard, layout: layer.layout, depth: depth)
  }

  private var shard: ModelShard { layer.shard }
  var layout: ParameterLayout { layer.layout }

  /// The same with operands cast as they are of a micro-batch.
  func on(_ microBatch: MicroBatch) -> FurtherPrediction {
    var prediction = self
    prediction.layer = layer.on(microBatch)
    return prediction
  }

  /// Rows of the tokens further on that this rank's part of the vocabulary holds, zero for others.
  ///
  /// - Parameters:
  ///   - buffer: holds the token table, the embedding's or a copy of it.
  ///   - table: where.
  /// - Returns: all tokens × hidden, one addend of the sum over the tensor group.
  func lookUp(_ buffer: [Float], at table: Range<Int>, microBatch: MicroBatch) -> Matrix {
    shard.rows(of: shard.data.tokens(microBatch, ahead: depth), in: buffer, at: table)
  }

  /// Both vectors normalised, that of the token first. Keeps them as they were and as they are.
  ///
  /// - Parameters:
  ///   - sum: embeddings, local rows × hidden.
  ///   - stream: what the depth before gives, local rows × hidden.
  /// - Returns: local rows × twice the hidden size; to be gathered under sequence parallelism.
  func join(
    _ sum: Matrix, stream: Matrix, weights: [Float], microBatch: MicroBatch, saved: inout SavedActivations
  ) -> Matrix {
    var tokens = sum
    if shard.hasDropout {
      let dropout = Dropout(seed: shard.seed, step: microBatch.step, layer: layer.index, site: .embedding)
      let mask = dropout.mask(shard: shard, microBatch: microBatch)
      saved.keep(.embeddingDropoutMask, mask, elementByteCount: 1)
      tokens *= mask
    }
    tokens = shard.rounded(tokens)
    let joined = shard.rounded(
      Matrix(besides: [
        tokenNorm.forward(tokens, weights: weights), streamNorm.forward(stream, weights: weights),
      ]))
    saved.keep(.predictionTokens, tokens, elementByteCount: shard.elementByteCount)
    saved.keep(.predictionStream, stream, elementByteCount: shard.elementByteCount)
    saved.keep(.predictionInput, joined, elementByteCount: shard.elementByteCount)
    return joined
  }

  /// - Parameter joined: all tokens × twice the hidden size.
  /// - Returns: all tokens × this rank's columns of the block's input.
  func project(_ joined: Matrix, weights: [Float]) -> Matrix {
    shard.rounded(layer.linear(.predictionWeight).output(joined, weights: weights))
  }

  /// - Parameters:
  ///   - outputGradient: of the block's input, all tokens × hidden.
  ///   - joined: as kept; gathered once more under sequence parallelism.
  /// - Returns: all tokens × twice the hidden size, one addend of the gradient of `joined` over the tensor group.
  func projectBackward(
    _ outputGradient: Matrix, joined: Matrix, weights: [Float], gradient: inout [Float]
  ) -> Matrix {
    let t = shard.tensorDegree, width = shard.model.hiddenSize / t
    let own = t == 1 ? outputGradient : outputGradient.columns([Int](repeating: width, count: t))[shard.tensorIndex]
    let product = layer.linear(.predictionWeight)
    product.addWeightGradient(own, joined, to: &gradient)
    return shard.rounded(product.inputGradient(own, weights: weights))
  }

  /// - Parameter joinedGradient: local rows × twice the hidden size, summed over the tensor group.
  /// - Returns: local rows × hidden each: of what the depth before gives, and of the embeddings, which are to be gathered under
  ///   sequence parallelism.
  func joinBackward(
    _ joinedGradient: Matrix, weights: [Float], saved: SavedActivations, gradient: inout [Float]
  ) -> (stream: Matrix, tokens: Matrix) {
    let width = shard.model.hiddenSize, parts = joinedGradient.columns([width, width])
    var tokens = tokenNorm.backward(
      parts[0], input: saved[.predictionTokens], weights: weights, gradient: &gradient)
    let stream = streamNorm.backward(
      parts[1], input: saved[.predictionStream], weights: weights, gradient: &gradient)
    if shard.hasDropout { tokens *= saved[.embeddingDropoutMask] }
    return (shard.rounded(stream), shard.rounded(tokens))
  }

  /// - Parameters:
  ///   - tokenGradient: all tokens × hidden.
  ///   - gradient: of the buffer that holds the token table.
  func lookUpBackward(
    _ tokenGradient: Matrix, microBatch: MicroBatch, gradient: inout [Float], at table: Range<Int>
  ) {
    shard.addRows(tokenGradient, of: shard.data.tokens(microBatch, ahead: depth), to: &gradient, at: table)
  }

  private var streamNorm: Normalisation {
    Normalisation(weight: layout[.predictionStreamNormWeight], bias: layout.range(of: .predictionStreamNormBias))
  }

  private var tokenNorm: Normalisation {
    Normalisation(weight: layout[.predictionTokenNormWeight], bias: layout.range(of: .predictionTokenNormBias))
  }
}
