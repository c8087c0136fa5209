import Documents

/// Latent attention: before the products that make each head's queries, keys and values there are two that make the narrow
/// vectors those are made of, on every rank whole, and their norms (DeepSeek-AI 2024, section 2.1).
extension Recipe {
  /// Width of what queries are made of, of what keys and values are, and of the part of keys that all heads share.
  private var narrowWidths: (queries: Int, keysValues: Int, rotary: Int)? {
    latent.map { ($0.queryRank ?? 0, $0.keyValueRank, $0.rotarySize) }
  }

  /// Products on the rank's rows that make narrow vectors, in the order of a forward pass; none without latent attention.
  var narrowLayers: [LinearLayer] {
    guard let (queries, keysValues, rotary) = narrowWidths else { return [] }
    return [queries, keysValues + rotary].filter { $0 > 0 }.map {
      blockLayer(rowCount, inputCount: hidden, outputCount: $0, dividesOutputs: false)
    }
  }

  /// Those products and the norms of what they make.
  ///
  /// - Parameter products: the direction of linear layers, where it is another one.
  func narrowing(_ direction: Operation.Direction, products: Operation.Direction? = nil) -> [Operation] {
    guard let (queries, keysValues, _) = narrowWidths else { return [] }
    return narrowLayers.map { .product($0, products ?? direction) } + [
      .elementWise(byteCount: rowCount * (queries + keysValues) * 2 * elementByteCount, direction)
    ]
  }

  /// Column-parallel products that make queries, keys and values of every head: one, or of narrow vectors one for queries and
  /// one for the rest. What gates attention's output is made with the queries.
  var attentionColumns: [LinearLayer] {
    func layer(_ inputs: Int, _ outputs: Int) -> LinearLayer {
      blockLayer(tokenCount, inputCount: inputs, outputCount: outputs, dividesOutputs: true)
    }
    guard let latent else { return [layer(hidden, querySize + gateSize + keyValueSize + valueSize)] }
    return [
      layer(latent.queryRank ?? hidden, querySize + gateSize),
      layer(latent.keyValueRank, headCount * (latent.plainSize + latent.valueSize)),
    ]
  }

  /// Narrow vectors as they are made, and as their norms leave them. Where keys are made of them again, their shared part, too,
  /// as it was gathered: no gradient needs that otherwise.
  var keptNarrow: [KeptTensor] {
    guard let (queries, keysValues, rotary) = narrowWidths else { return [] }
    let gathered = modules.contains(.latentProjections) && rowCount < tokenCount ? tokenCount * rotary : 0
    return [
      KeptTensor(
        role: .narrowVectors,
        byteCount: (rowCount * (queries + keysValues + rotary) + gathered) * elementByteCount
          + operandBytes(tokenCount * (queries + keysValues)))
    ]
  }

  /// Brings together, along a divided sequence, what queries, keys and values are made of.
  func gatherAttentionInput(_ steps: inout [Step]) {
    guard let (queries, keysValues, rotary) = narrowWidths else {
      gatherOperandRows(of: .branch, &steps)
      return
    }
    guard isSequenceParallel, tensorDegree > 1 else { return }
    let width = (queries > 0 ? queries : hidden) + keysValues + rotary
    steps.append(
      .collective(
        TensorCollective(
          kind: .allGather, operand: .branch, elementCount: tokenCount * width, elementByteCount: elementByteCount)))
  }

  /// Sums the gradient of what queries, keys and values are made of over the tensor group.
  func completeAttentionInputSum(_ steps: inout [Step]) {
    guard let (queries, keysValues, rotary) = narrowWidths else {
      completeSum(of: .branch, &steps)
      return
    }
    guard tensorDegree > 1 else { return }
    let width = (queries > 0 ? queries : hidden) + keysValues + rotary
    steps.append(
      .collective(
        TensorCollective(
          kind: isSequenceParallel ? .reduceScatter : .allReduce, operand: .branch, elementCount: tokenCount * width,
          elementByteCount: elementByteCount)))
  }
}
