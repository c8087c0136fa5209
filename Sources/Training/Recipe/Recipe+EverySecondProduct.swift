import Documents

/// Selective recomputation by operation, as torchtitan has it: of a block's matrix products in their order, queries, keys,
/// values, output, gate, value and feed-forward output, the first, third, fifth and seventh are kept with the attention
/// core, and everything else is computed again from the block's input (`distributed/activation_checkpoint.py`, torchtitan
/// main at b5bcd76c). A feed-forward part without a gate has one product fewer, so that its output is computed again.
///
/// Collectives of tensor groups are kept, too: what gathers rows again is taken to hide under it.
extension Recipe {
  /// What forward keeps of a tensor that backward reads.
  func keptOfEverySecondProduct(_ tensor: KeptTensor) -> [Operation] {
    func keep(_ byteCount: Int) -> [Operation] { [.keep(KeptTensor(role: tensor.role, byteCount: byteCount))] }
    return switch tensor.role {
    case .queries: [.keep(tensor)]
    // Values without keys.
    case .keysValues: keep(tokenCount * keyValueSize * elementByteCount)
    // The attention core's output, and what its backward needs of it.
    case .attentionScores, .attentionOutput, .gatedOutput, .projectionInput: [.keep(tensor)]
    // The gate, or what is activated, and the output of a gated part.
    case .activation: keep(tokenCount * feedForwardSize * elementByteCount) + keptOutput.map(Operation.keep)
    case .dropoutMask: [.keep(tensor)]
    // Of blocks with experts, which this selection is not said of.
    case .routing, .expertsLatent, .expertRows, .expertActivation, .activatedRows, .sharedActivation: [.keep(tensor)]
    case .normInput, .columnInput, .latentInput, .narrowVectors, .expertsInput, .lossSoftmax: []
    }
  }

  /// A product that is kept though backward does not read it: the last one of a gated feed-forward part.
  var keptOutput: [KeptTensor] {
    keepsEverySecondProduct && hasGatedFeedForward
      ? [KeptTensor(role: .activation, byteCount: tokenCount * hidden * elementByteCount)] : []
  }

  /// What is computed before a block's backward pass, and what that adds to what is kept: all that its forward pass would
  /// have kept is there, and the output of a gated feed-forward part besides.
  func everySecondProductAgain() -> [Step] {
    func product(_ inputCount: Int, _ outputCount: Int, dividesOutputs: Bool) -> Operation {
      .product(
        LinearLayer(
          tokenCount: tokenCount, inputCount: inputCount, outputCount: outputCount, dividesOutputs: dividesOutputs),
        .forward)
    }
    func keep(_ role: KeptTensor.Role, rows: Int, _ width: Int) -> Operation {
      .keep(KeptTensor(role: role, byteCount: rows * width * elementByteCount))
    }
    let rotated = isRotary ? tokenCount * (querySize + keyValueSize) * 2 * elementByteCount : 0
    let activated = (hasGatedFeedForward ? 3 : 2) * feedForwardSize
    let columnInput = keep(.columnInput, rows: rowCount, hidden)
    let ofOutput = normalisesOutputs ? [Operation.keep(normInput)] : []
    return [
      .piece(.attentionNorm, [norm(.forward), columnInput]),
      .piece(
        .attentionCore,
        [
          product(hidden, keyValueSize, dividesOutputs: true), .elementWise(byteCount: rotated, .forward),
          keep(.keysValues, rows: tokenCount, keyValueSize), product(querySize, hidden, dividesOutputs: false),
        ]),
      .piece(.attentionOutput, output(.forward) + ofOutput),
      .piece(
        .feedForwardNorm, hasNorm(.feedForward) ? [norm(.forward), .keep(normInput), columnInput] : []),
      .piece(
        .feedForwardCore,
        [
          hasGatedFeedForward
            ? product(hidden, feedForwardSize, dividesOutputs: true)
            : product(feedForwardSize, hidden, dividesOutputs: false),
          .elementWise(byteCount: tokenCount * activated * elementByteCount, .forward),
          keep(
            .activation, rows: tokenCount,
            ((hasGatedFeedForward && keepsActivatedGate ? 4 : hasGatedFeedForward ? 3 : 2) - 1) * feedForwardSize),
        ]),
      .piece(.feedForwardOutput, normalisesOutputs ? [norm(.forward)] + ofOutput : []),
    ]
  }
}
