import Foundation

/// ∫ φ, ∫ x·φ and ∫ x²·φ over an interval, φ the normal density.
struct NormalMoments {
  let mass: Double
  let first: Double
  let second: Double

  init(from lower: Double, to upper: Double) {
    func density(_ x: Double) -> Double { exp(-x * x / 2) / (2 * Double.pi).squareRoot() }
    mass = (erf(upper / 2.0.squareRoot()) - erf(lower / 2.0.squareRoot())) / 2
    first = density(lower) - density(upper)
    second = mass - (upper * density(upper) - lower * density(lower))
  }

  /// ∫ (x − c)²·φ.
  func squaredDistance(to centre: Double) -> Double { second - 2 * centre * first + centre * centre * mass }
}
