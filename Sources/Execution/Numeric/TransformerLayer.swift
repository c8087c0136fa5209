import Documents
import Training

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
  /// Index in the whole model; the blocks of further predictions are counted on from the last layer.
  let index: Int
  let layout: ParameterLayout
  /// Nil unless positions are rotations.
  let rotary: RotaryPositions?
  /// How operands of its products are cast, while it works on a micro-batch; nil where they are not.
  var casts: BlockCasts?

  init(shard: ModelShard, index: Int) {
    self.shard = shard
    self.index = index
    layout = ParameterLayout(.block(index, of: shard.model), shard: shard)
    rotary =
      shard.usesRotaryPositions
      ? RotaryPositions(
        headSize: shard.model.headSize, turnedSize: shard.model.latent?.rotarySize, positions: shard.positions) : nil
  }

  /// The products of one of its linear layers.
  func linear(_ name: ParameterName) -> LinearProducts { LinearProducts(tensor: layout.tensor(name), casts: casts) }

  /// The same with operands cast as they are of a micro-batch.
  /// - Parameter forwardWeights: see ``BlockCasts/forwardWeights``.
  func on(_ microBatch: MicroBatch, forwardWeights: [Float]? = nil) -> TransformerLayer {
    var layer = self
    layer.casts = shard.casts(microBatch, forwardWeights: forwardWeights)
    return layer
  }

  /// Norm of the half's input. Keeps input and output. Under latent attention what heads are made of, see
  /// ``narrowed(_:_:weights:saved:)``.
  /// - Parameter input: local rows × hidden.
  /// - Returns: local rows × hidden; to be gathered over the tensor group under sequence parallelism.
  func normalise(_ half: Half, input: Matrix, weights: [Float], saved: inout SavedActivations) -> Matrix {
    saved.keep(half.normInput, input, elementByteCount: shard.elementByteCount)
    let output = keepNormalised(half, weights: weights, saved: &saved)
    guard half == .attention, let latent = shard.model.latent else { return output }
    return narrowed(output, latent, weights: weights, saved: &saved)
  }

  /// The norm of a half's kept input, which is kept beside it.
  @discardableResult
  func keepNormalised(_ half: Half, weights: [Float], saved: inout SavedActivations) -> Matrix {
    let output = shard.arithmetic.rounded(norm(half).forward(saved[half.normInput], weights: weights))
    saved.keep(half.normOutput, output, elementByteCount: shard.elementByteCount)
    return output
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
    let output =
      switch half {
      case .attention:
        attentionProduct(
          input: normalised, weights: weights, microBatch: microBatch, keepsCore: keepsCore, saved: &saved)
      case .feedForward: feedForwardProduct(normalised: normalised, weights: weights, saved: &saved)
      }
    return shard.arithmetic.rounded(output)
  }

  /// Bias, dropout and residual connection. Keeps the dropout mask.
  /// - Parameters:
  ///   - sum: local rows × hidden, summed over the tensor group.
  ///   - input: the half's input, as given to ``normalise(_:input:weights:saved:)``.
  /// - Returns: local rows × hidden, the half's output.
  func finish(
    _ half: Half, sum: Matrix, input: Matrix, weights: [Float], microBatch: MicroBatch, saved: inout SavedActivations
  ) -> Matrix {
    var output = sum
    if let bias = layout.range(of: half.outputBias) { output.addToRows(weights, bias) }
    keepMask(half, microBatch: microBatch, saved: &saved)
    if shard.hasDropout { output *= saved[half.mask] }
    output += input
    return shard.arithmetic.rounded(output)
  }

  /// Keeps the dropout mask of ``finish(_:sum:input:weights:microBatch:saved:)`` without the sum: all that the last
  /// piece of a layer that is computed again is needed for.
  func keepMask(_ half: Half, microBatch: MicroBatch, saved: inout SavedActivations) {
    guard shard.hasDropout else { return }
    let dropout = Dropout(
      seed: shard.seed, step: microBatch.step, layer: index, site: half == .attention ? .attention : .feedForward)
    saved.keep(half.mask, dropout.mask(shard: shard, microBatch: microBatch), elementByteCount: 1)
  }

  /// Of dropout and bias.
  /// - Returns: local rows × hidden, the gradient of `sum`; to be gathered over the tensor group under sequence
  ///   parallelism.
  func finishBackward(
    _ half: Half, outputGradient: Matrix, microBatch: MicroBatch, saved: SavedActivations, gradient: inout [Float]
  ) -> Matrix {
    var sumGradient = outputGradient
    if shard.hasDropout { sumGradient *= saved[half.mask] }
    if let bias = layout.range(of: half.outputBias) { sumGradient.addColumnSums(to: &gradient, bias) }
    return shard.arithmetic.rounded(sumGradient)
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
    var weightGradients = WeightGradients(isPutOff: false)
    return productBackward(
      half, sumGradient: sumGradient, normalised: normalised, weights: weights, microBatch: microBatch, saved: saved,
      gradient: &gradient, weightGradients: &weightGradients)
  }

  /// The same, with the linear layers' weight gradients put off where `weightGradients` are.
  func productBackward(
    _ half: Half, sumGradient: Matrix, normalised: Matrix, weights: [Float], microBatch: MicroBatch,
    saved: SavedActivations, gradient: inout [Float], weightGradients: inout WeightGradients
  ) -> Matrix {
    let inputGradient =
      switch half {
      case .attention:
        attentionProductBackward(
          sumGradient: sumGradient, input: normalised, weights: weights, microBatch: microBatch, saved: saved,
          gradient: &gradient, weightGradients: &weightGradients)
      case .feedForward:
        feedForwardProductBackward(
          sumGradient: sumGradient, normalised: normalised, weights: weights, saved: saved, gradient: &gradient,
          weightGradients: &weightGradients)
      }
    return shard.arithmetic.rounded(inputGradient)
  }

  /// Of norm and residual connection.
  /// - Parameters:
  ///   - normalisedGradient: local rows × hidden, summed over the tensor group.
  ///   - outputGradient: of the half's output, as given to
  ///     ``finishBackward(_:outputGradient:microBatch:saved:gradient:)``.
  /// - Returns: local rows × hidden, the gradient of the half's input.
  func normaliseBackward(
    _ half: Half, normalisedGradient: Matrix, outputGradient: Matrix, weights: [Float], saved: SavedActivations,
    gradient: inout [Float]
  ) -> Matrix {
    var weightGradients = WeightGradients(isPutOff: false)
    return normaliseBackward(
      half, normalisedGradient: normalisedGradient, outputGradient: outputGradient, weights: weights, saved: saved,
      gradient: &gradient, weightGradients: &weightGradients)
  }

  /// The same, with the gradients of the matrices that make narrow vectors put off where `weightGradients` are.
  func normaliseBackward(
    _ half: Half, normalisedGradient: Matrix, outputGradient: Matrix, weights: [Float], saved: SavedActivations,
    gradient: inout [Float], weightGradients: inout WeightGradients
  ) -> Matrix {
    var normalisedGradient = normalisedGradient
    if half == .attention, let latent = shard.model.latent {
      normalisedGradient = narrowedBackward(
        normalisedGradient, normalised(half, in: saved), latent, weights: weights, saved: saved, gradient: &gradient,
        weightGradients: &weightGradients)
    }
    var inputGradient = norm(half).backward(
      normalisedGradient, input: saved[half.normInput], weights: weights, gradient: &gradient)
    inputGradient += outputGradient
    return shard.arithmetic.rounded(inputGradient)
  }

  /// The kept norm output of a half, local rows: what is gathered once more in backward.
  func normalised(_ half: Half, in saved: SavedActivations) -> Matrix { saved[half.normOutput] }

  /// Whether a half's norm output is there.
  func hasNormalised(_ half: Half, in saved: SavedActivations) -> Bool { saved.contains(half.normOutput) }

  private func norm(_ half: Half) -> Normalisation {
    switch half {
    case .attention:
      Normalisation(weight: layout[.attentionNormWeight], bias: layout.range(of: .attentionNormBias))
    case .feedForward:
      Normalisation(weight: layout[.feedForwardNormWeight], bias: layout.range(of: .feedForwardNormBias))
    }
  }
}

extension TransformerLayer.Half {
  fileprivate var normInput: SavedActivations.Name {
    self == .attention ? .attentionNormInput : .feedForwardNormInput
  }
  fileprivate var normOutput: SavedActivations.Name {
    self == .attention ? .attentionNormOutput : .feedForwardNormOutput
  }
  fileprivate var mask: SavedActivations.Name {
    self == .attention ? .attentionDropoutMask : .feedForwardDropoutMask
  }
  /// Bias of the row-parallel product, added after the sum.
  fileprivate var outputBias: ParameterName { self == .attention ? .attentionOutputBias : .downBias }
}
