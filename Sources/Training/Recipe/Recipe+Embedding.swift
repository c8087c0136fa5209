/// The embedding: each rank looks up its part of the vocabulary, a sum completes the rows.
extension Recipe {
  func embeddingSteps(_ pass: Pass) -> [Step] {
    let elements = activationElementCount
    let mask = hasDropout ? [KeptTensor(role: .dropoutMask, byteCount: rowCount * hidden)] : []
    var steps: [Step] = []
    switch pass {
    case .forward:
      // Rows in, rows out.
      steps.append(.piece(.embeddingRows, [.move(byteCount: 2 * elements * elementByteCount)]))
      completeSum(of: .branch, &steps)
      steps.append(.piece(.embeddingOutput, mask.map(Operation.keep)))
    case .recompute, .inputGradient: break
    case .backward, .weightGradient:
      steps.append(.piece(.embeddingOutput, mask.map(Operation.free)))
      gatherRows(of: .branch, &steps)
      // The gradient in, and fp32 rows in and out.
      steps.append(.piece(.embeddingRows, [.move(byteCount: elements * (elementByteCount + 8))]))
    }
    return steps
  }
}
