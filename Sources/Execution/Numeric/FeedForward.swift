import Documents
import Glibc

/// Two products and what lies between them, on some columns of the width: of a block, of its shared experts, or of one of
/// its routed experts.
struct FeedForward: Sendable {
  /// Its products, and where biases lie in a flat buffer; without a gate nil, without biases nil.
  let up: LinearProducts
  let upBias: Range<Int>?
  let gate: LinearProducts?
  let gateBias: Range<Int>?
  let down: LinearProducts
  let arithmetic: Precision

  /// What is kept between the products.
  struct Inner: Sendable {
    /// The input of the activation function: of a gate its own product.
    let activationInput: Matrix
    /// What the activation multiplies, of a gate.
    let gatedValue: Matrix?
    /// Input of the second product.
    let output: Matrix
  }

  /// Up (and gate), and the activation.
  ///
  /// - Parameter rowWeights: what each row of the output is multiplied by; nil is 1.
  func inner(_ input: Matrix, weights: [Float], rowWeights: [Float]? = nil) -> Inner {
    let cast = self.up.cast(input, .input)
    let up = product(self.up, upBias, cast, weights)
    let gate = self.gate.map { product($0, gateBias, cast, weights) }
    var output = Self.activated(gate ?? up, gatedValue: gate == nil ? nil : up)
    if let rowWeights { output.scaleRows(by: rowWeights) }
    return Inner(
      activationInput: gate ?? up, gatedValue: gate == nil ? nil : up, output: arithmetic.rounded(output))
  }

  /// The second product.
  func outer(_ inner: Matrix, weights: [Float]) -> Matrix { down.output(inner, weights: weights) }

  /// The activation of what was kept, not rounded.
  static func activated(_ activationInput: Matrix, gatedValue: Matrix?) -> Matrix {
    guard let gatedValue else { return activationInput.mapped(Activation.gelu) }
    var output = activationInput.mapped(Activation.swish)
    output *= gatedValue
    return output
  }

  /// Of the activation and the first product.
  /// - Parameters:
  ///   - outputGradient: of what the activation has given.
  ///   - add: takes a linear layer, the gradient of its output, and its input as it is cast along tokens.
  /// - Returns: the gradient of the input.
  func innerBackward(
    _ outputGradient: Matrix, activationInput: Matrix, gatedValue: Matrix?, input: Matrix, weights: [Float],
    gradient: inout [Float], add: (LinearProducts, Matrix, Matrix, inout [Float]) -> Void
  ) -> Matrix {
    let input = up.cast(input, .inputAlongTokens)
    guard let gate, let gatedValue else {
      var upGradient = activationInput.mapped(Activation.geluDerivative)
      upGradient *= outputGradient
      return productBackward(up, upBias, upGradient, input, weights, &gradient, add)
    }
    var upGradient = activationInput.mapped(Activation.swish)
    upGradient *= outputGradient
    var gateGradient = activationInput.mapped(Activation.swishDerivative)
    gateGradient *= gatedValue
    gateGradient *= outputGradient
    var inputGradient = productBackward(up, upBias, upGradient, input, weights, &gradient, add)
    inputGradient += productBackward(gate, gateBias, gateGradient, input, weights, &gradient, add)
    return inputGradient
  }

  private func product(_ layer: LinearProducts, _ bias: Range<Int>?, _ input: Matrix, _ weights: [Float]) -> Matrix {
    var output = layer.output(ofCast: input, weights: weights)
    if let bias { output.addToRows(weights, bias) }
    return arithmetic.rounded(output)
  }

  private func productBackward(
    _ layer: LinearProducts, _ bias: Range<Int>?, _ outputGradient: Matrix, _ input: Matrix, _ weights: [Float],
    _ gradient: inout [Float], _ add: (LinearProducts, Matrix, Matrix, inout [Float]) -> Void
  ) -> Matrix {
    add(layer, outputGradient, input, &gradient)
    if let bias { outputGradient.addColumnSums(to: &gradient, bias) }
    return layer.inputGradient(outputGradient, weights: weights)
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

  /// Every row times its own factor.
  mutating func scaleRows(by factors: [Float]) {
    for row in 0..<rowCount {
      for at in row * columnCount..<(row + 1) * columnCount { elements[at] *= factors[row] }
    }
  }
}
