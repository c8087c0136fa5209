import Documents

/// Attention of a sequence that ranks divide: what lies between the column-parallel and the row-parallel product, piece by
/// piece, with the exchanges between.
///
/// With t tokens on the rank, of a queries' and k keys' heads of size d on it, each exchange has every rank send, forward:
///
/// | exchange | elements |
/// |---|---|
/// | keys and values round C ranks | (C − 1) · 2·t·k·d, while attention to the keys of the step before is computed |
/// | keys and values gathered | (C − 1) · 2·t·k·d |
/// | sequences for heads and back | (C − 1)/C · t·(2·a + 2·k)·d |
/// | sequences for heads among C₁, rings of C₂ | the third of C₁, and the first of C₂ with t·C₁ tokens and heads/C₁ |
///
/// Backward, gradients of keys and values go round or are summed besides, so that what rings and gathers send is twice that
/// (TransformerEngine's `attention/dot_product_attention/context_parallel.py`).
extension Recipe {
  /// Elements of the rank's keys and values; exchanged for heads they are as many.
  private var keyValueElementCount: Int { tokenCount * (keyValueSize + valueSize) }

  /// - Parameter isAgain: whether forward is computed again.
  func dividedAttentionForward(isAgain: Bool, _ steps: inout [Step]) {
    let kept = keptByCore(.attention)
    steps.append(
      .piece(
        .attentionInput,
        linearLayers(.attention).columns.map { .product($0, .forward) } + rotation(.forward)
          + keep(kept, isAgain: isAgain, only: Self.inputRoles)))
    dividedCoreForward(isAgain: isAgain, &steps)
    steps.append(
      .piece(
        .attentionProjection,
        gating(.forward) + [.product(linearLayers(.attention).row, .forward)]
          + keep(kept, isAgain: isAgain, only: [.gatedOutput, .projectionInput])))
  }

  /// What queries, keys and values are made of, and they themselves.
  private static let inputRoles: [KeptTensor.Role] = [
    .columnInput, .latentInput, .narrowVectors, .queries, .keysValues,
  ]
  /// What the core keeps.
  private static let coreRoles: [KeptTensor.Role] = [.attentionScores, .attentionOutput]

  /// The core and what is exchanged for it.
  ///
  /// - Parameter isAgain: whether forward is computed again.
  func dividedCoreForward(isAgain: Bool, _ steps: inout [Step]) {
    exchangeHeads(of: .queriesKeysValues, width: querySize + keyValueSize + valueSize, &steps)
    let ofCore = keep(keptByCore(.attention), isAgain: isAgain, only: Self.coreRoles)
    if context.gathers {
      gatherKeysValues(&steps)
      steps.append(.piece(.attentionFirst, [core(.forward, stepCount: 1)] + ofCore))
    } else {
      let count = context.sequenceDegree
      for step in 0..<count {
        if step < count - 1 { shift(.shift, .keysValues, &steps) }
        let operations = [core(.forward, stepCount: count)] + (step > 0 ? [correction] : [])
        steps.append(
          .piece(step == 0 ? .attentionFirst : .attentionNext, operations + (step == count - 1 ? ofCore : [])))
      }
    }
    exchangeHeads(of: .output, width: contextSize, &steps)
  }

  /// - Parameter products: the direction of linear layers: `backward` for a whole pass, `inputGradient` for one that gives
  ///   nothing up and adds nothing to the parameters' gradients.
  func dividedAttentionBackward(_ products: Operation.Direction, _ steps: inout [Step]) {
    let kept = keptByCore(.attention), isWhole = products == .backward
    func ending(_ roles: [KeptTensor.Role], _ layers: [LinearLayer]) -> [Operation] {
      guard isWhole else { return [] }
      return kept.filter { roles.contains($0.role) }.map(Operation.free)
        + [.accumulate(parameterCount: layers.reduce(0) { $0 + $1.weightCount })]
    }
    let layers = linearLayers(.attention)
    steps.append(
      .piece(
        .attentionProjection,
        [.product(layers.row, products)] + gating(.backward)
          + ending([.gatedOutput, .projectionInput], [layers.row])))
    exchangeHeads(of: .outputGradient, width: contextSize, &steps)
    if context.gathers {
      gatherKeysValues(&steps)
      steps.append(.piece(.attentionFirst, [core(.backward, stepCount: 1)]))
      exchange(
        .reduceScatter, .keysValuesGradient, keyValueElementCount * context.sequenceDegree, among: .sequenceGroup,
        &steps)
    } else {
      // Keys and values go back the way that they came, with the gradients behind them: those of the keys that came last
      // are known first, and all get home in as many steps.
      let count = context.sequenceDegree
      if count > 1 { shift(.shiftBack, .keysValues, &steps) }
      for step in 0..<count {
        steps.append(.piece(step == 0 ? .attentionFirst : .attentionNext, [core(.backward, stepCount: count)]))
        if step < count - 2 { shift(.shiftBack, .keysValues, &steps) }
        if step < count - 1 { shift(.shiftBack, .keysValuesGradient, &steps) }
      }
    }
    exchangeHeads(of: .queriesKeysValuesGradient, width: querySize + keyValueSize + valueSize, &steps)
    steps.append(
      .piece(
        .attentionInput,
        rotation(.backward) + layers.columns.reversed().map { .product($0, products) }
          + ending(Self.inputRoles + Self.coreRoles, layers.columns)))
  }

  /// The core on one of so many equal parts of the keys. Each of them is 1/n of the visible pairs of tokens, whatever the
  /// rank: in the first step two halves of a causal square and a square, in each later one two squares of four.
  private func core(_ direction: Operation.Direction, stepCount: Int) -> Operation {
    .fusedAttention(
      FusedAttention(
        tokenCount: tokenCount, sequenceLength: sequenceLength / stepCount, headCount: headCount, width: querySize,
        valueWidth: contextSize, isCausal: isCausal, visibleFraction: visibleFraction, windowedShare: windowedShare,
        isNarrow: narrowsAttention && narrow != nil),
      direction)
  }

  /// What was found out of some keys is put together with what is of others: the fp32 output, in and out.
  private var correction: Operation { .move(byteCount: 2 * 4 * tokenCount * contextSize) }

  private func exchangeHeads(of tensor: AttentionTensor, width: Int, _ steps: inout [Step]) {
    guard context.headDegree > 1 else { return }
    exchange(.allToAll, tensor, tokenCount * width, among: .headGroup, &steps)
  }

  private func gatherKeysValues(_ steps: inout [Step]) {
    exchange(
      .allGather, .keysValues, keyValueElementCount * context.sequenceDegree, among: .sequenceGroup, &steps)
  }

  private func shift(_ kind: CollectiveKind, _ tensor: AttentionTensor, _ steps: inout [Step]) {
    exchange(kind, tensor, keyValueElementCount, among: .sequenceGroup, &steps)
  }

  private func exchange(
    _ kind: CollectiveKind, _ tensor: AttentionTensor, _ elementCount: Int, among ranks: TensorCollective.Ranks,
    _ steps: inout [Step]
  ) {
    steps.append(
      .collective(
        TensorCollective(
          ranks: ranks, kind: kind, operand: .attention(tensor), elementCount: elementCount,
          elementByteCount: elementByteCount)))
  }

  /// Bytes that attention holds beside what is kept while a layer runs: gathered keys and values, or two blocks of them on
  /// their way round, and as many of their gradients; what was exchanged for heads and is to be.
  package var contextWorkspaceBytes: Int {
    guard context.degree > 1 else { return 0 }
    let blocks = context.gathers ? context.sequenceDegree : context.sequenceDegree > 1 ? 2 : 0
    let exchanged = context.headDegree > 1 ? 2 * tokenCount * (querySize + keyValueSize + valueSize) : 0
    return (2 * blocks * keyValueElementCount + exchanged) * elementByteCount
  }
}
