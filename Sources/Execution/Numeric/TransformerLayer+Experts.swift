import Documents
import Glibc

/// The feed-forward half of a block with experts, but for its routed ones.
extension TransformerLayer {
  /// Nil in a block whose feed-forward part is one for all tokens.
  var router: Router? {
    guard let experts = shard.model.experts, let weight = layout.range(of: .routerWeight) else { return nil }
    return Router(
      experts: experts, weight: weight, bias: layout.range(of: .routerBias),
      correction: layout.range(of: .correctionBias), isBalanced: shard.balancesExperts,
      capacity: shard.expertCapacity)
  }

  // MARK: Narrow vectors

  /// What routed experts read of tokens: these, or narrow vectors that a matrix makes of them.
  func expertsInput(_ normalised: Matrix, weights: [Float]) -> Matrix {
    guard let narrow = layout.range(of: .expertsNarrowWeight) else { return normalised }
    return shard.rounded(normalised.timesTransposed(weights, narrow))
  }

  /// - Parameter upstream: the gradient of what experts read.
  /// - Returns: the gradient of `normalised`.
  func expertsInputBackward(
    _ upstream: Matrix, normalised: Matrix, weights: [Float], gradient: inout [Float]
  ) -> Matrix {
    guard let narrow = layout.range(of: .expertsNarrowWeight) else { return upstream }
    let upstream = shard.rounded(upstream)
    upstream.addTransposedProduct(with: normalised, to: &gradient, narrow)
    return upstream.times(weights, narrow)
  }

  /// What a block adds for its tokens of the sums of what their experts have given; keeps narrow ones.
  func expertsOutput(_ sum: Matrix, weights: [Float], saved: inout SavedActivations) -> Matrix {
    guard let wide = layout.range(of: .expertsWideWeight) else { return sum }
    let sum = shard.rounded(sum)
    saved.keep(.narrowExpertsOutput, sum, elementByteCount: shard.elementByteCount)
    return sum.timesTransposed(weights, wide)
  }

  /// - Returns: the gradient of what a token's experts have given together.
  func expertsOutputBackward(
    _ outputGradient: Matrix, weights: [Float], saved: SavedActivations, gradient: inout [Float]
  ) -> Matrix {
    guard let wide = layout.range(of: .expertsWideWeight) else { return outputGradient }
    outputGradient.addTransposedProduct(with: saved[.narrowExpertsOutput], to: &gradient, wide)
    return shard.rounded(outputGradient.times(weights, wide))
  }

  // MARK: Shared experts

  var hasSharedExperts: Bool { layout.range(of: .sharedUpWeight) != nil }

  private var sharedExperts: FeedForward {
    FeedForward(
      up: layout[.sharedUpWeight], upBias: nil, gate: layout.range(of: .sharedGateWeight), gateBias: nil,
      down: layout[.sharedDownWeight], arithmetic: shard.arithmetic)
  }

  /// This rank's columns of what all tokens go through.
  /// - Parameter normalised: all tokens × hidden.
  /// - Returns: all tokens × hidden, one addend of the sum over the tensor group.
  func sharedProduct(normalised: Matrix, weights: [Float], saved: inout SavedActivations) -> Matrix {
    var output = product(of: sharedExperts, .shared, normalised: normalised, weights: weights, saved: &saved)
    if let gates = sharedGates(normalised, weights) { output.scaleRows(by: gates) }
    return shard.arithmetic.rounded(output)
  }

  /// - Returns: all tokens × hidden, one addend of the gradient of `normalised` over the tensor group.
  func sharedProductBackward(
    sumGradient: Matrix, normalised: Matrix, weights: [Float], saved: SavedActivations, gradient: inout [Float],
    weightGradients: inout WeightGradients
  ) -> Matrix {
    var ofOutput = sumGradient
    let gates = sharedGates(normalised, weights)
    if let gates { ofOutput.scaleRows(by: gates) }
    var inputGradient = productBackward(
      of: sharedExperts, .shared, sumGradient: ofOutput, normalised: normalised, weights: weights, saved: saved,
      gradient: &gradient, weightGradients: &weightGradients)
    if let gates, let gate = layout.range(of: .sharedExpertsGate) {
      let ungated = sharedExperts.outer(saved[.sharedOutput], weights: weights), width = normalised.columnCount
      var sums = [Float](repeating: 0, count: width)
      for row in gates.indices {
        var slope: Float = 0
        for column in 0..<width { slope += sumGradient[row, column] * ungated[row, column] }
        slope *= gates[row] * (1 - gates[row])
        for column in 0..<width {
          sums[column] += slope * normalised[row, column]
          inputGradient[row, column] += slope * weights[gate.lowerBound + column]
        }
      }
      for column in 0..<width { gradient[gate.lowerBound + column] += sums[column] }
    }
    return shard.arithmetic.rounded(inputGradient)
  }

  /// What each token's output of shared experts is multiplied by: σ of its product with a vector (Qwen 2); nil is 1.
  private func sharedGates(_ normalised: Matrix, _ weights: [Float]) -> [Float]? {
    guard let gate = layout.range(of: .sharedExpertsGate) else { return nil }
    return normalised.timesTransposed(weights, gate).elements.map { 1 / (1 + exp(-$0)) }
  }
}
