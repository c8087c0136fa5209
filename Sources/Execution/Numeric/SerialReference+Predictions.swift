/// The head and further predictions of the serial model, nothing divided.
extension SerialReference {
  /// A final norm, the output matrix and the loss.
  ///
  /// - Parameter place: of the part that the norm is of.
  /// - Returns: the sum of the tokens' losses, and what the output matrix is multiplied by.
  func forward(
    _ head: OutputHead, at place: Int, _ input: Matrix, weights: [[Float]], microBatch: MicroBatch,
    saved: inout SavedActivations
  ) -> (loss: Double, normalised: Matrix) {
    let normalised = head.normalise(input: input, weights: weights[place], saved: &saved)
    var logits = head.logits(normalised: normalised, buffer: weights[matrixPart], offset: matrixOffset)
    let maxima = head.maxima(logits)
    let targets = head.targetLogits(logits, maxima: maxima, microBatch: microBatch)
    let sums = head.exponentialSums(&logits, maxima: maxima)
    let loss = head.loss(exponentials: logits, exponentialSums: sums, targetLogits: targets, saved: &saved)
    return (loss, normalised)
  }

  /// - Parameters:
  ///   - normalised: what the output matrix was multiplied by.
  ///   - later: the gradient that it has from the depth after; nil behind the last.
  /// - Returns: the gradient of the norm's input.
  func backward(
    _ head: OutputHead, at place: Int, _ normalised: Matrix, later: Matrix?, weights: [[Float]],
    microBatch: MicroBatch, saved: SavedActivations, gradients: inout [[Float]]
  ) -> Matrix {
    var normalisedGradient = head.lossBackward(
      scale: gradientScale / Float(tokenCount), normalised: normalised, buffer: weights[matrixPart],
      offset: matrixOffset, microBatch: microBatch, saved: saved, gradient: &gradients[matrixPart])
    if let later {
      normalisedGradient += later
      normalisedGradient = shard.rounded(normalisedGradient)
    }
    return head.normaliseBackward(
      normalisedGradient: normalisedGradient, weights: weights[place], saved: saved, gradient: &gradients[place])
  }

  /// - Parameter input: what the depth before gives, behind its final norm.
  /// - Returns: the sum of the tokens' losses as far as it counts, and what goes on to the next depth.
  func forward(
    _ prediction: FurtherPrediction, _ input: Matrix, weights: [[Float]], microBatch: MicroBatch,
    saved: inout SavedActivations
  ) -> (loss: Double, normalised: Matrix) {
    let place = place(of: prediction.layer), own = weights[place], prediction = prediction.on(microBatch)
    let joined = prediction.join(
      prediction.lookUp(weights[0], at: tokenTable, microBatch: microBatch), stream: input, weights: own,
      microBatch: microBatch, saved: &saved)
    let output = forward(
      prediction.layer, prediction.project(joined, weights: own), weights: weights, microBatch: microBatch,
      saved: &saved)
    return forward(prediction.head, at: place, output, weights: weights, microBatch: microBatch, saved: &saved)
  }

  /// - Returns: the gradient of what the depth before gives.
  func backward(
    _ prediction: FurtherPrediction, _ normalised: Matrix, later: Matrix?, weights: PassWeights,
    microBatch: MicroBatch, saved: SavedActivations, gradients: inout [[Float]]
  ) -> Matrix {
    let place = place(of: prediction.layer), own = weights.backward[place], prediction = prediction.on(microBatch)
    let outputGradient = backward(
      prediction.head, at: place, normalised, later: later, weights: weights.backward, microBatch: microBatch,
      saved: saved,
      gradients: &gradients)
    let inputGradient = backward(
      prediction.layer, outputGradient, weights: weights, microBatch: microBatch, saved: saved, gradients: &gradients)
    let joinedGradient = prediction.projectBackward(
      inputGradient, joined: saved[.predictionInput], weights: own, gradient: &gradients[place])
    let (stream, tokens) = prediction.joinBackward(
      joinedGradient, weights: own, saved: saved, gradient: &gradients[place])
    prediction.lookUpBackward(tokens, microBatch: microBatch, gradient: &gradients[0], at: tokenTable)
    return stream
  }
}
