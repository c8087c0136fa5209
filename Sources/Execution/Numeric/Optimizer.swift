import Documents
import Glibc

/// How gradients change parameters.
struct OptimizerSettings: Sendable, Equatable {
  /// The rule of one step.
  enum Rule: Sendable, Equatable {
    /// w ← w − η·g.
    case sgd
    /// v ← μ·v + g, w ← w − η·v.
    case momentum(decay: Float = 0.9)
    /// Adam (Kingma and Ba 2015, algorithm 1).
    case adam(firstDecay: Float = 0.9, secondDecay: Float = 0.999, epsilon: Float = 1e-5)
  }

  var rule: Rule = .adam()
  /// What is counted of its states.
  var kept = Documents.Optimizer.adam
  var learningRate: Float = 1e-3
  /// The format to which moments are rounded after a step.
  var momentFormat = Precision.fp32
  /// The format to which the weights that are updated are rounded: that of the weights themselves where there are no
  /// exact ones beside.
  var masterFormat = Precision.fp32
  /// Largest norm of all gradients together; larger ones are scaled down. Nil: no clipping.
  var clippingNorm: Float? = 1
}

/// Optimizer state of a range of a flat buffer: masters and moments of a whole part or of a ZeRO shard.
///
/// A step works element by element, so that any division gives the same bits.
struct OptimizerState: Sendable {
  /// The parameters that are updated.
  private(set) var masters: [Float]
  private(set) var firstMoments: [Float]
  private(set) var secondMoments: [Float]

  /// - Parameter masters: initial values of the range.
  init(masters: [Float], settings: OptimizerSettings) {
    self.masters = masters
    let (hasFirst, hasSecond) =
      switch settings.rule {
      case .sgd: (false, false)
      case .momentum: (true, false)
      case .adam: (true, true)
      }
    firstMoments = [Float](repeating: 0, count: hasFirst ? masters.count : 0)
    secondMoments = [Float](repeating: 0, count: hasSecond ? masters.count : 0)
  }

  /// One step.
  /// - Parameters:
  ///   - gradient: of the same range.
  ///   - scale: factor of the gradient, of clipping (``clippingScale(norm:settings:)``) and of loss scaling.
  ///   - step: 0 for the first.
  mutating func update(gradient: ArraySlice<Float>, scale: Float, step: Int, settings: OptimizerSettings) {
    precondition(gradient.count == masters.count, "a step takes the gradient of the range")
    let rate = settings.learningRate, moments = settings.momentFormat
    switch settings.rule {
    case .sgd:
      for (index, value) in gradient.enumerated() { masters[index] -= rate * (value * scale) }
    case .momentum(let decay):
      for (index, value) in gradient.enumerated() {
        let velocity = decay * firstMoments[index] + value * scale
        firstMoments[index] = moments.rounded(velocity)
        masters[index] -= rate * velocity
      }
    case .adam(let firstDecay, let secondDecay, let epsilon):
      // 1 − βᵗ of double precision: β² is 0.998…, of which fp32 would lose three digits.
      let firstCorrection = Float(1 - pow(Double(firstDecay), Double(step + 1)))
      let secondCorrection = Float(1 - pow(Double(secondDecay), Double(step + 1)))
      for (index, value) in gradient.enumerated() {
        let scaled = value * scale
        let first = firstDecay * firstMoments[index] + (1 - firstDecay) * scaled
        let second = secondDecay * secondMoments[index] + (1 - secondDecay) * (scaled * scaled)
        firstMoments[index] = moments.rounded(first)
        secondMoments[index] = moments.rounded(second)
        masters[index] -= rate * (first / firstCorrection) / ((second / secondCorrection).squareRoot() + epsilon)
      }
    }
    if settings.masterFormat != .fp32 { masters = masters.map(settings.masterFormat.rounded) }
  }

  /// Goes on from other parameters, with the moments as they are.
  mutating func replaceMasters(with parameters: [Float], settings: OptimizerSettings) {
    precondition(parameters.count == masters.count, "parameters are those of the range")
    masters = settings.masterFormat == .fp32 ? parameters : parameters.map(settings.masterFormat.rounded)
  }

  /// Factor by which gradients of a global norm are clipped: min(1, limit / (norm + 1e-6)), as Megatron-LM has it.
  static func clippingScale(norm: Double, settings: OptimizerSettings) -> Float {
    guard let limit = settings.clippingNorm else { return 1 }
    return Float(min(1, Double(limit) / (norm + 1e-6)))
  }
}

extension ParameterLayout {
  /// Sum of the squares of a range of the part's gradient in which, over all ranks of the tensor group, each parameter
  /// counts once: replicated ones on the first rank only.
  /// - Parameter range: of the flat buffer, a ZeRO shard; `gradient` are its elements.
  func sumOfSquares(gradient: ArraySlice<Float>, range: Range<Int>) -> Double {
    precondition(gradient.count == range.count, "the gradient is that of the range")
    let counted = tensorIndex == 0 ? range : range.clamped(to: 0..<replicatedRange.lowerBound)
    var sum = 0.0
    for value in gradient.prefix(counted.count) { sum += Double(value) * Double(value) }
    return sum
  }
}
