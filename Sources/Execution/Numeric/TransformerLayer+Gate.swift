import Documents
import Glibc

/// Attention whose heads' outputs are gated: each number is multiplied by the sigmoid of one that is made of what queries are
/// made of, by a matrix of its own (Qwen 3 Next).
extension TransformerLayer {
  /// What gates this rank's heads, before the sigmoid; nil where nothing does.
  ///
  /// - Parameter input: what heads are made of, all tokens.
  func attentionGate(input: Matrix, weights: [Float]) -> Matrix? {
    guard layout.range(of: .attentionGateWeight) != nil else { return nil }
    var gate = linear(.attentionGateWeight).output(queryInput(input), weights: weights)
    if let bias = layout.range(of: .attentionGateBias) { gate.addToRows(weights, bias) }
    return shard.rounded(gate)
  }

  /// What the output projection reads of the core's output; keeps it, and what gates it with what it was before.
  func gated(_ context: Matrix, by gate: Matrix?, saved: inout SavedActivations) -> Matrix {
    let width = shard.elementByteCount
    var output = context
    if let gate {
      saved.keep(.attentionGate, gate, elementByteCount: width)
      saved.keep(.ungatedContext, context, elementByteCount: width)
      output *= sigmoids(gate)
      output = shard.rounded(output)
    }
    saved.keep(.attentionContext, output, elementByteCount: width)
    return output
  }

  /// - Parameter outputGradient: of what the output projection reads.
  /// - Returns: gradients of the core's output, and of what gates it before the sigmoid.
  func gatedBackward(_ outputGradient: Matrix, saved: SavedActivations) -> (context: Matrix, gate: Matrix?) {
    guard layout.range(of: .attentionGateWeight) != nil else { return (outputGradient, nil) }
    let sigmoids = sigmoids(saved[.attentionGate])
    var ofContext = outputGradient, ofGate = outputGradient
    ofContext *= sigmoids
    ofGate *= saved[.ungatedContext]
    for (index, sigmoid) in sigmoids.elements.enumerated() { ofGate.elements[index] *= sigmoid * (1 - sigmoid) }
    return (shard.rounded(ofContext), shard.rounded(ofGate))
  }

  /// The core's output of the rank's heads and tokens, before it was gated.
  func coreOutput(in saved: SavedActivations) -> Matrix {
    saved[layout.range(of: .attentionGateWeight) == nil ? .attentionContext : .ungatedContext]
  }

  /// Adds what the gate adds to gradients of parameters.
  ///
  /// - Parameter input: what heads are made of.
  /// - Returns: the gradient of what queries are made of, as far as it is the gate's; nil where there is none.
  func attentionGateBackward(
    _ gateGradient: Matrix?, input: Matrix, weights: [Float], gradient: inout [Float],
    weightGradients: inout WeightGradients
  ) -> Matrix? {
    guard let gateGradient, layout.range(of: .attentionGateWeight) != nil else { return nil }
    let layer = linear(.attentionGateWeight)
    weightGradients.add(layer, gateGradient, with: queryInput(input), to: &gradient)
    if let bias = layout.range(of: .attentionGateBias) { gateGradient.addColumnSums(to: &gradient, bias) }
    return layer.inputGradient(gateGradient, weights: weights)
  }

  /// Of what heads are made of, what queries are.
  private func queryInput(_ input: Matrix) -> Matrix {
    shard.model.latent.map { input.columns(inputWidths($0))[0] } ?? input
  }

  private func sigmoids(_ gate: Matrix) -> Matrix {
    Matrix(
      rowCount: gate.rowCount, columnCount: gate.columnCount, elements: gate.elements.map { 1 / (1 + exp(-$0)) })
  }
}
