/// Which numbers the solver can work with.
///
/// GLPK ends the process on NaN and on more rows than it can count, answers an infinite coefficient with nonsense, and
/// multiplies and divides coefficients in doubles, where the greatest and the least overflow. Tolerances are relative
/// to numbers near 1 anyhow, so a program far outside is better scaled by who knows its units.
package enum Magnitude {
  /// The least absolute value of a coefficient that is not 0.
  package static let leastCoefficient = 1e-12

  /// The greatest absolute value of a coefficient and of a finite bound: integers up to it are exact doubles.
  package static let greatest = 1e15

  /// The most variables, and the most rows.
  package static let greatestCount = 1_000_000

  /// The most terms in all rows together.
  package static let greatestTermCount = 50_000_000

  /// GLPK's presolver is used for programs without numbers greater than this or less than its inverse.
  static let tame = 1e9

  /// How far an answer may be beyond a bound or from an integer, relative to the value, or absolutely if that is below
  /// 1; and how far a row may be beyond a bound, relative to its greatest term.
  package static let tolerance = 1e-6

  /// A node whose bound is not lower than the best answer by more than this times `1 + |objective|` is not searched, in
  /// the units in which the solver sees the objective.
  package static let objectiveTolerance = 1e-9

  /// Whether the number is 0 or of a magnitude in range; false for NaN.
  static func isCoefficient(_ number: Double) -> Bool {
    number == 0 || (leastCoefficient...greatest).contains(abs(number))
  }
}

/// The least and the greatest value of a variable or a row, each possibly infinite;
/// empty if they are the wrong way round.
struct Bounds: Sendable, Equatable {
  let lower: Double
  let upper: Double

  /// Bounds, or nil if one is NaN, finite and beyond ``Magnitude/greatest``, or infinite on the wrong side.
  init?(lower: Double, upper: Double) {
    guard lower == -.infinity || abs(lower) <= Magnitude.greatest,
      upper == .infinity || abs(upper) <= Magnitude.greatest
    else { return nil }
    self.lower = lower
    self.upper = upper
  }

  private init(checkedLower lower: Double, upper: Double) {
    self.lower = lower
    self.upper = upper
  }

  /// Whether no number is within.
  var isEmpty: Bool { lower > upper }

  /// The bounds of the values of a kind: GLPK wants integer bounds for integer variables.
  func tightened(for kind: IntegerProgram.Kind) -> Bounds {
    switch kind {
    case .continuous: self
    case .integer: Bounds(checkedLower: lower.rounded(.up), upper: upper.rounded(.down))
    case .binary: Bounds(checkedLower: max(0, lower.rounded(.up)), upper: min(1, upper.rounded(.down)))
    }
  }

  /// How far a value is outside, 0 if it is not.
  func violation(of value: Double) -> Double { max(0, lower - value, value - upper) }
}
