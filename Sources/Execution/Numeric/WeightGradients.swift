/// Products that give gradients of weights: added up at once in a whole backward pass, or put off until the weight gradient
/// of the same micro-batch.
struct WeightGradients: Sendable {
  /// A product of a linear layer's output gradient with its input.
  private struct Product {
    let outputGradient: Matrix
    let input: Matrix
    /// Where the weight's gradient lies.
    let range: Range<Int>
  }

  private let isPutOff: Bool
  /// What is put off, in order.
  private var products: [Product] = []

  init(isPutOff: Bool) { self.isPutOff = isPutOff }

  /// Adds the gradient of a weight, or notes what it will be made of.
  mutating func add(
    _ outputGradient: Matrix, with input: Matrix, to gradient: inout [Float], _ range: Range<Int>
  ) {
    if isPutOff {
      products.append(Product(outputGradient: outputGradient, input: input, range: range))
    } else {
      outputGradient.addTransposedProduct(with: input, to: &gradient, range)
    }
  }

  /// The same of a linear layer whose operands may be cast.
  mutating func add(_ layer: LinearProducts, _ outputGradient: Matrix, with input: Matrix, to gradient: inout [Float]) {
    add(layer, outputGradient, withCast: layer.cast(input, .inputAlongTokens), to: &gradient)
  }

  /// The same with an input that is cast already.
  mutating func add(
    _ layer: LinearProducts, _ outputGradient: Matrix, withCast input: Matrix, to gradient: inout [Float]
  ) {
    add(layer.cast(outputGradient, .outputGradientAlongTokens), with: input, to: &gradient, layer.tensor.range)
  }

  /// Adds what was put off, in the order of a whole backward pass.
  func addPutOff(to gradient: inout [Float]) {
    for it in products { it.outputGradient.addTransposedProduct(with: it.input, to: &gradient, it.range) }
  }
}
