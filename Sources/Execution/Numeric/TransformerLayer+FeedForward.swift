import Documents

extension TransformerLayer {
  /// What of a feed-forward part's activations is kept under which names.
  struct KeptNames {
    let input: SavedActivations.Name
    let value: SavedActivations.Name
    let output: SavedActivations.Name

    static let dense = KeptNames(input: .activationInput, value: .gatedValue, output: .activationOutput)
    static let shared = KeptNames(input: .sharedInput, value: .sharedValue, output: .sharedOutput)
  }

  /// This rank's columns of the feed-forward part: up (and gate), activation, down.
  func feedForwardProduct(normalised: Matrix, weights: [Float], saved: inout SavedActivations) -> Matrix {
    product(of: denseFeedForward, .dense, normalised: normalised, weights: weights, saved: &saved)
  }

  /// - Returns: this rank's addend of the gradient of `normalised`.
  func feedForwardProductBackward(
    sumGradient: Matrix, normalised: Matrix, weights: [Float], saved: SavedActivations, gradient: inout [Float],
    weightGradients: inout WeightGradients
  ) -> Matrix {
    productBackward(
      of: denseFeedForward, .dense, sumGradient: sumGradient, normalised: normalised, weights: weights, saved: saved,
      gradient: &gradient, weightGradients: &weightGradients)
  }

  func product(
    of feedForward: FeedForward, _ names: KeptNames, normalised: Matrix, weights: [Float],
    saved: inout SavedActivations
  ) -> Matrix {
    let width = shard.elementByteCount
    let inner = feedForward.inner(normalised, weights: weights)
    saved.keep(names.input, inner.activationInput, elementByteCount: width)
    if let value = inner.gatedValue { saved.keep(names.value, value, elementByteCount: width) }
    saved.keep(names.output, inner.output, elementByteCount: width)
    return feedForward.outer(inner.output, weights: weights)
  }

  func productBackward(
    of feedForward: FeedForward, _ names: KeptNames, sumGradient: Matrix, normalised: Matrix, weights: [Float],
    saved: SavedActivations, gradient: inout [Float], weightGradients: inout WeightGradients
  ) -> Matrix {
    weightGradients.add(feedForward.down, sumGradient, with: saved[names.output], to: &gradient)
    return feedForward.innerBackward(
      feedForward.down.inputGradient(sumGradient, weights: weights), activationInput: saved[names.input],
      gatedValue: feedForward.gate == nil ? nil : saved[names.value], input: normalised, weights: weights,
      gradient: &gradient
    ) { weightGradients.add($0, $1, withCast: $2, to: &$3) }
  }

  private var denseFeedForward: FeedForward {
    FeedForward(
      up: linear(.upWeight), upBias: layout.range(of: .upBias),
      gate: layout.range(of: .gateWeight).map { _ in linear(.gateWeight) }, gateBias: layout.range(of: .gateBias),
      down: linear(.downWeight), arithmetic: shard.arithmetic)
  }
}
