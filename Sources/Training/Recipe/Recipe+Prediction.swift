/// A further prediction (multi-token prediction, DeepSeek-AI 2024, section 2.2): norms of what the depth before it gives and of
/// embeddings of tokens further on, one product of both, a block, and the head on what it gives.
extension Recipe {
  /// As Megatron Core's `multi_token_prediction.py` has it. Ranks of a tensor group divide the columns of the product, which
  /// are gathered before the block; under sequence parallelism the product's input is gathered before it, and each rank goes on
  /// with its own rows, so that backward gathers the gradients of all.
  ///
  /// | forward | of T·h elements | backward | of T·h elements |
  /// |---|---|---|---|
  /// | sum of rows of the table | 1 | gather of their gradient, sequence parallel | 1 |
  /// | gather of both vectors, sequence parallel | 2 | sum of the gradients of both | 2 |
  /// | gather of columns | 1 | gather of both vectors once more, and of the gradient, sequence parallel | 2 and 1 |
  func predictionSteps(_ pass: Pass) -> [Step] {
    guard predictionDepth > 0 else { return [] }
    let block = blockSteps(pass, predictsWithExperts ? experts : nil), head = headSteps(pass)
    switch pass {
    case .forward: return predictionInputForward + block + head
    case .recompute: return block
    // With split backward passes nothing predicts further tokens.
    case .inputGradient, .weightGradient: return []
    case .backward: return head + block + predictionInputBackward
    }
  }

  private var projection: LinearLayer {
    blockLayer(tokenCount, inputCount: 2 * hidden, outputCount: hidden / tensorDegree, dividesOutputs: true)
  }

  /// Both vectors, and both as the norms before the product leave them.
  private var keptInput: KeptTensor {
    KeptTensor(role: .columnInput, byteCount: 4 * rowCount * hidden * elementByteCount)
  }

  private var keptMask: [KeptTensor] {
    hasDropout ? [KeptTensor(role: .dropoutMask, byteCount: rowCount * hidden)] : []
  }

  private var predictionInputForward: [Step] {
    let rows = 2 * activationElementCount * elementByteCount
    var steps: [Step] = [.piece(.predictionEmbedding, [.move(byteCount: rows)])]
    completeSum(of: .branch, &steps)
    steps.append(
      .piece(.predictionInput, [norm(.forward), norm(.forward), .keep(keptInput)] + keptMask.map(Operation.keep)))
    gatherJoined(&steps)
    steps.append(.piece(.predictionProjection, [.product(projection, .forward)]))
    if tensorDegree > 1 { steps.append(exchange(.allGather, .columns, activationElementCount)) }
    return steps
  }

  private var predictionInputBackward: [Step] {
    var steps: [Step] = []
    gatherRows(of: .stream, &steps)
    gatherJoined(&steps)
    steps.append(
      .piece(
        .predictionProjection,
        [.product(projection, .backward), .accumulate(parameterCount: projection.weightCount)]))
    if tensorDegree > 1 {
      steps.append(exchange(isSequenceParallel ? .reduceScatter : .allReduce, .joined, 2 * activationElementCount))
    }
    steps.append(
      .piece(.predictionInput, [norm(.backward), norm(.backward), .free(keptInput)] + keptMask.map(Operation.free)))
    gatherRows(of: .branch, &steps)
    // The gradient in, and fp32 rows in and out.
    steps.append(
      .piece(.predictionEmbedding, [.move(byteCount: activationElementCount * (elementByteCount + 8))]))
    return steps
  }

  private func gatherJoined(_ steps: inout [Step]) {
    if isSequenceParallel, tensorDegree > 1 { steps.append(exchange(.allGather, .joined, 2 * activationElementCount)) }
  }

  private func exchange(_ kind: CollectiveKind, _ operand: Operand, _ elementCount: Int) -> Step {
    .collective(
      TensorCollective(
        kind: kind, operand: operand, elementCount: elementCount, elementByteCount: elementByteCount))
  }
}
