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
    guard layout.range(of: .expertsNarrowWeight) != nil else { return normalised }
    return shard.rounded(linear(.expertsNarrowWeight).output(normalised, weights: weights))
  }

  /// - Parameter upstream: the gradient of what experts read.
  /// - Returns: the gradient of `normalised`.
  func expertsInputBackward(
    _ upstream: Matrix, normalised: Matrix, weights: [Float], gradient: inout [Float]
  ) -> Matrix {
    guard layout.range(of: .expertsNarrowWeight) != nil else { return upstream }
    let upstream = shard.rounded(upstream), narrow = linear(.expertsNarrowWeight)
    narrow.addWeightGradient(upstream, normalised, to: &gradient)
    return narrow.inputGradient(upstream, weights: weights)
  }

  /// What a block adds for its tokens of the sums of what their experts have given; keeps narrow ones.
  func expertsOutput(_ sum: Matrix, weights: [Float], saved: inout SavedActivations) -> Matrix {
    guard layout.range(of: .expertsWideWeight) != nil else { return sum }
    let sum = shard.rounded(sum)
    saved.keep(.narrowExpertsOutput, sum, elementByteCount: shard.elementByteCount)
    return linear(.expertsWideWeight).output(sum, weights: weights)
  }

  /// - Returns: the gradient of what a token's experts have given together.
  func expertsOutputBackward(
    _ outputGradient: Matrix, weights: [Float], saved: SavedActivations, gradient: inout [Float]
  ) -> Matrix {
    guard layout.range(of: .expertsWideWeight) != nil else { return outputGradient }
    let wide = linear(.expertsWideWeight)
    wide.addWeightGradient(outputGradient, saved[.narrowExpertsOutput], to: &gradient)
    return shard.rounded(wide.inputGradient(outputGradient, weights: weights))
  }

  // MARK: Shared experts

  var hasSharedExperts: Bool { layout.range(of: .sharedUpWeight) != nil }

  private var sharedExperts: FeedForward {
    FeedForward(
      up: linear(.sharedUpWeight), upBias: nil,
      gate: layout.range(of: .sharedGateWeight).map { _ in linear(.sharedGateWeight) }, gateBias: nil,
      down: linear(.sharedDownWeight), arithmetic: shard.arithmetic)
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
      let ungated = sharedExperts.outer(saved[.sharedOutput], weights: casts?.forwardWeights ?? weights)
      let width = normalised.columnCount
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
