package import Documents

/// How weights move in zeroth-order training, where that is allowed: along random directions, by losses at perturbed weights
/// (MeZO, Malladi et al. 2023).
///
/// ```swift
/// let method = try ZerothOrder(directions: 4, learningRate: 1e-7)
/// ```
public struct ZerothOrder: Sendable, Hashable {
  package let documents: Documents.ZerothOrder

  /// - Parameters:
  ///   - directions: random directions of an iteration, 1 to 64, each with two losses.
  ///   - epsilon: the step from the weights to where losses are evaluated, 1e-12 to 1.
  ///   - learningRate: 1e-12 to 1.
  ///   - seed: what all directions are made from, 0 to 2³¹ − 1.
  /// - Throws: ``SextantError`` for a number out of its range.
  public init(
    directions: Int = 1, epsilon: Double = 1e-3, learningRate: Double = 1e-6, seed: Int = 0
  ) throws(SextantError) {
    typealias Bounds = Documents.ZerothOrder.Bounds
    try SextantError.check(directions, Bounds.directionCount, "directions")
    try SextantError.check(epsilon, Bounds.step, "epsilon")
    try SextantError.check(learningRate, Bounds.step, "learningRate")
    try SextantError.check(seed, Bounds.seed, "seed")
    documents = Documents.ZerothOrder(
      directionCount: directions, epsilon: epsilon, learningRate: learningRate, seed: seed)
  }

  private init(_ documents: Documents.ZerothOrder) { self.documents = documents }

  /// One direction, ε = 0.001, a learning rate of 1e-6, seed 0.
  public static let usual = ZerothOrder(.usual)
}
