package import Documents

/// What outer steps between workers do, where they are allowed: the workers' mean moves the weights from which all begin again
/// (CO2, Sun et al. 2024; DiLoCo, Douillard et al. 2023).
///
/// ```swift
/// let outer = try OuterOptimizer(momentum: 0.2, clip: 1)
/// ```
public struct OuterOptimizer: Sendable, Hashable {
  /// By what the workers' mean is divided, so that late news counts for less.
  public enum Penalty: Sendable, Hashable {
    /// A number, at least 1.
    case constant(Double)
    /// 1 + c · how far the weights moved in the last round as against the furthest that they ever did; c from 0.
    case gapAware(Double)
  }

  package let documents: Documents.OuterOptimizer

  /// - Parameters:
  ///   - momentum: β, from 0 to below 1; 0 keeps none.
  ///   - learningRate: α, above 0.
  ///   - clip: the largest magnitude of a number of the momentum, above 0; nil does not clip.
  ///   - penalty: what the mean is divided by.
  /// - Throws: ``SextantError`` for a number out of its range.
  public init(
    momentum: Double = 0.5, learningRate: Double = 1, clip: Double? = nil, penalty: Penalty = .constant(1)
  ) throws(SextantError) {
    typealias Bounds = Documents.OuterOptimizer.Bounds
    try SextantError.check(momentum, Bounds.momentum, "momentum")
    try SextantError.check(learningRate, Bounds.positive, "learningRate")
    if let clip { try SextantError.check(clip, Bounds.positive, "clip") }
    let policy: Documents.OuterOptimizer.Penalty =
      switch penalty {
      case .constant(let scale): .constant(scale)
      case .gapAware(let scale): .gapAware(scale)
      }
    try SextantError.check(policy.scale, Bounds.scale(policy.name), "penalty")
    documents = Documents.OuterOptimizer(
      momentum: momentum, learningRate: learningRate, clip: clip, penalty: policy)
  }

  private init(_ documents: Documents.OuterOptimizer) { self.documents = documents }

  /// β = 0.5 and α = 1, neither clip nor penalty.
  public static let usual = OuterOptimizer(.usual)
}
