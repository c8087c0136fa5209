import Documents

/// What one token of one layer keeps from forward to backward, bytes on one rank.
struct ActivationBytesPerToken {
  /// Outside the tensor-parallel parts: inputs of the two norms, of the query-key-value and of the first feed-forward
  /// product, and two dropout masks.
  let alongSequence: Int
  /// Inside: queries, keys, values, the output projection's input; the activation's input and output.
  let insideTensorGroup: Int
  /// The attention core when scores are materialised: softmax, its dropout mask and its output.
  let unfusedCore: Int
  /// The fused core's fp32 log-sum-exp.
  let fusedCore: Int

  init(
    model: ModelDescription, sequenceLength: Int, elementByteCount e: Int, tensorDegree t: Int,
    keepsActivatedGate: Bool
  ) {
    alongSequence = (4 * e + (model.hasDropout ? 2 : 0)) * model.hiddenSize
    let attention = 2 * model.querySize + 2 * model.keyValueSize
    // A gated activation keeps gate, value and product, and the activated gate unless it is fused; a plain one its input
    // and output.
    let gated = keepsActivatedGate ? 4 : 3
    let feedForward = (model.hasGatedFeedForward ? gated : 2) * model.feedForwardSize
    insideTensorGroup = e * (attention + feedForward) / t
    unfusedCore = (model.hasDropout ? 2 * e + 1 : e) * model.headCount / t * sequenceLength
    fusedCore = 4 * model.headCount / t
  }
}
