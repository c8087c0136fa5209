/// Final norm, output matrix and loss. The loss of a divided vocabulary exchanges three fp32 numbers a token: the largest
/// logit, the target's, and the sum of exponentials.
extension Recipe {
  func headSteps(_ pass: Pass) -> [Step] {
    let matrix = LinearLayer(
      tokenCount: tokenCount, inputCount: hidden, outputCount: vocabularySize, dividesOutputs: true,
      isNarrow: narrowsHead, undividedRowCount: min(rowCount, tokenCount))
    let entries = tokenCount * vocabularySize, rowBytes = rowCount * hidden * elementByteCount
    let normInput = KeptTensor(role: .normInput, byteCount: rowBytes)
    let columnInput = KeptTensor(
      role: .columnInput, byteCount: narrowsHead ? operandBytes(rowCount * hidden) : rowBytes)
    let softmax = KeptTensor(role: .lossSoftmax, byteCount: 4 * entries)
    var steps: [Step] = []
    func gather(_ operand: Operand) {
      if narrowsHead { gatherOperandRows(of: operand, &steps) } else { gatherRows(of: operand, &steps) }
    }
    switch pass {
    case .forward:
      steps.append(.piece(.finalNorm, [.move(byteCount: 2 * rowBytes), .keep(normInput)]))
      gather(.branch)
      steps.append(.piece(.logits, [.product(matrix, .forward), .keep(columnInput)]))
      sumTokens(.tokenMaximum, .maximum, &steps)
      steps.append(.piece(.exponentials, []))
      sumTokens(.tokenTarget, .sum, &steps)
      sumTokens(.tokenSum, .sum, &steps)
      steps.append(.piece(.loss, [.loss(entryCount: entries), .keep(softmax)]))
    case .recompute: break
    case .weightGradient:
      steps.append(
        .piece(
          .logits,
          [
            .product(matrix, .weightGradient), .free(softmax), .free(columnInput), .free(normInput),
            .accumulate(parameterCount: matrix.weightCount),
          ]))
    case .inputGradient:
      steps.append(.piece(.loss, [.loss(entryCount: entries)]))
      gather(.columnInput)
      steps.append(.piece(.logits, [.product(matrix, .inputGradient)]))
      completeSum(of: .branch, &steps)
      steps.append(.piece(.finalNorm, [.move(byteCount: 4 * rowBytes)]))
    case .backward:
      steps.append(.piece(.loss, [.loss(entryCount: entries), .free(softmax)]))
      gather(.columnInput)
      // Whether it is the embedding's or the head's own, the matrix gets a gradient as large as itself.
      steps.append(
        .piece(
          .logits,
          [.product(matrix, .backward), .free(columnInput), .accumulate(parameterCount: matrix.weightCount)]))
      completeSum(of: .branch, &steps)
      steps.append(.piece(.finalNorm, [.move(byteCount: 4 * rowBytes), .free(normInput)]))
    }
    return steps
  }

  /// One fp32 number a token.
  private func sumTokens(_ operand: Operand, _ reduction: Reduction, _ steps: inout [Step]) {
    guard tensorDegree > 1 else { return }
    steps.append(
      .collective(
        TensorCollective(
          kind: .allReduce, operand: operand, elementCount: tokenCount, elementByteCount: 4, reduction: reduction)))
  }
}
