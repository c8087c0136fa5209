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

/// The largest magnitude of some normal numbers.
enum LargestMagnitude {
  /// Goes through its distribution, (2Φ(a) − 1)ⁿ, in steps.
  ///
  /// - Parameters:
  ///   - count: n, how many numbers there are.
  ///   - stepsPerUnit: steps between 0 and 1, up to 9.
  ///   - body: told the largest, its share of all, and 2Φ(a) − 1, the share of normal numbers below it.
  static func forEach(
    of count: Int, stepsPerUnit: Int, _ body: (_ largest: Double, _ share: Double, _ inside: Double) -> Void
  ) {
    func inside(_ a: Double) -> Double { erf(a / 2.0.squareRoot()) }
    let step = 1 / Double(stepsPerUnit)
    var below = 0.0
    for index in 1...(9 * stepsPerUnit) {
      let upper = pow(inside(Double(index) * step), Double(count))
      let share = upper - below
      below = upper
      guard share > 1e-12 else { continue }
      let largest = (Double(index) - 0.5) * step
      body(largest, share, inside(largest))
    }
  }
}
