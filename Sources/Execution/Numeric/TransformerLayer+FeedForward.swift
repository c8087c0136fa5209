import Documents
import Glibc

extension TransformerLayer {
  /// This rank's columns of the feed-forward part: up (and gate), activation, down.
  func feedForwardProduct(normalised: Matrix, weights: [Float], saved: inout SavedActivations) -> Matrix {
    let width = shard.elementByteCount
    let up = inner(.upWeight, .upBias, normalised: normalised, weights: weights)
    var output: Matrix
    if shard.model.hasGatedFeedForward {
      let gate = inner(.gateWeight, .gateBias, normalised: normalised, weights: weights)
      saved.keep(.activationInput, gate, elementByteCount: width)
      saved.keep(.gatedValue, up, elementByteCount: width)
      output = gate.mapped(Activation.swish)
      output *= up
    } else {
      saved.keep(.activationInput, up, elementByteCount: width)
      output = up.mapped(Activation.gelu)
    }
    output = shard.arithmetic.rounded(output)
    saved.keep(.activationOutput, output, elementByteCount: width)
    return output.timesTransposed(weights, layout[.downWeight])
  }

  /// - Returns: this rank's addend of the gradient of `normalised`.
  func feedForwardProductBackward(
    sumGradient: Matrix, normalised: Matrix, weights: [Float], saved: SavedActivations, gradient: inout [Float],
    weightGradients: inout WeightGradients
  ) -> Matrix {
    weightGradients.add(sumGradient, with: saved[.activationOutput], to: &gradient, layout[.downWeight])
    let outputGradient = sumGradient.times(weights, layout[.downWeight])
    let input = saved[.activationInput]
    guard shard.model.hasGatedFeedForward else {
      var upGradient = input.mapped(Activation.geluDerivative)
      upGradient *= outputGradient
      return innerBackward(
        .upWeight, .upBias, upGradient, normalised: normalised, weights: weights, gradient: &gradient,
        weightGradients: &weightGradients)
    }
    var upGradient = input.mapped(Activation.swish)
    upGradient *= outputGradient
    var gateGradient = input.mapped(Activation.swishDerivative)
    gateGradient *= saved[.gatedValue]
    gateGradient *= outputGradient
    var normalisedGradient = innerBackward(
      .upWeight, .upBias, upGradient, normalised: normalised, weights: weights, gradient: &gradient,
      weightGradients: &weightGradients)
    normalisedGradient += innerBackward(
      .gateWeight, .gateBias, gateGradient, normalised: normalised, weights: weights, gradient: &gradient,
      weightGradients: &weightGradients)
    return normalisedGradient
  }

  private func inner(
    _ weight: ParameterName, _ bias: ParameterName, normalised: Matrix, weights: [Float]
  ) -> Matrix {
    var output = normalised.timesTransposed(weights, layout[weight])
    if let bias = layout.range(of: bias) { output.addToRows(weights, bias) }
    return shard.arithmetic.rounded(output)
  }

  private func innerBackward(
    _ weight: ParameterName, _ bias: ParameterName, _ outputGradient: Matrix, normalised: Matrix, weights: [Float],
    gradient: inout [Float], weightGradients: inout WeightGradients
  ) -> Matrix {
    weightGradients.add(outputGradient, with: normalised, to: &gradient, layout[weight])
    if let bias = layout.range(of: bias) { outputGradient.addColumnSums(to: &gradient, bias) }
    return outputGradient.times(weights, layout[weight])
  }
}

/// The functions between the two products of the feed-forward part.
enum Activation {
  /// GELU in its tanh form (Hendrycks and Gimpel 2016), as GPT-2 has it: x/2·(1 + tanh(u)) with
  /// u = √(2/π)·(x + 0.044715·x³), which is x·σ(2u).
  static func gelu(_ x: Float) -> Float { x / (1 + exp(-2 * inner(x))) }

  static func geluDerivative(_ x: Float) -> Float {
    let sigmoid = 1 / (1 + exp(-2 * inner(x)))
    return sigmoid * (1 + 2 * x * (1 - sigmoid) * scale * (1 + 3 * cubic * x * x))
  }

  /// x·σ(x), the gate of SwiGLU (Shazeer 2020).
  static func swish(_ x: Float) -> Float { x / (1 + exp(-x)) }

  static func swishDerivative(_ x: Float) -> Float {
    let sigmoid = 1 / (1 + exp(-x))
    return sigmoid * (1 + x * (1 - sigmoid))
  }

  private static let scale: Float = 0.797_884_56
  private static let cubic: Float = 0.044715

  private static func inner(_ x: Float) -> Float { scale * (x + cubic * x * x * x) }
}

extension Matrix {
  /// Every element through a function.
  fileprivate func mapped(_ function: (Float) -> Float) -> Matrix {
    Matrix(rowCount: rowCount, columnCount: columnCount, elements: elements.map(function))
  }
}
