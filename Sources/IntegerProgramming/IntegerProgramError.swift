/// Why a program cannot be built, or why an answer of the solver is not passed on.
///
/// That a program is infeasible, unbounded or not decided is no error but a ``IntegerProgram/Status``.
package enum IntegerProgramError: Error, Sendable, Equatable {
  /// What a program has a limited number of.
  package enum Element: String, Sendable {
    /// Variables.
    case variables
    /// Rows.
    case rows
    /// Terms in all rows together.
    case terms
  }

  /// The program is full.
  case tooMany(Element, limit: Int)

  /// A variable's objective coefficient is NaN, infinite, or out of the range of ``Magnitude``.
  case objectiveOutOfRange(variable: String, Double)

  /// A coefficient in a row is NaN, infinite, or out of the range of ``Magnitude``.
  case coefficientOutOfRange(row: String, variable: String, Double)

  /// A bound of a variable or row is NaN, too great, +∞ as lower or −∞ as upper.
  case boundsOutOfRange(name: String, lower: Double, upper: Double)

  /// A term's variable is of another program.
  case unknownVariable(row: String, index: Int, variableCount: Int)

  /// A variable stands in a row twice.
  case duplicateVariable(row: String, variable: String)

  /// The limit on nodes is negative.
  case nodeLimitOutOfRange(Int)

  /// The relative gap is NaN, infinite or negative.
  case relativeGapOutOfRange(Double)

  /// The limit on seconds is NaN or not positive.
  case secondsOutOfRange(Double)

  /// GLPK's answer breaks a bound, a row, or the integrality of a variable by more than the tolerance, with and without
  /// its presolver: the program is beyond the precision of doubles. `name` is the row's or variable's.
  case answerFailsCheck(name: String, violation: Double, tolerance: Double)

  /// GLPK refused the program with a code that a checked program should not give.
  case refusedBySolver(code: Int)
}

extension IntegerProgramError: CustomStringConvertible {
  /// What was found and what was expected, in one sentence.
  package var description: String {
    let range = "0 or of magnitude \(Magnitude.leastCoefficient) to \(Magnitude.greatest)"
    return switch self {
    case .tooMany(let part, let limit): "more than \(limit) \(part.rawValue)"
    case .objectiveOutOfRange(let variable, let number):
      "the objective coefficient of \(quoted(variable)) must be \(range), found \(number)"
    case .coefficientOutOfRange(let row, let variable, let number):
      "the coefficient of \(quoted(variable)) in row \(quoted(row)) must be \(range), found \(number)"
    case .boundsOutOfRange(let name, let lower, let upper):
      "the bounds of \(quoted(name)) must be numbers of magnitude at most \(Magnitude.greatest), or -inf and inf, "
        + "found \(lower) and \(upper)"
    case .unknownVariable(let row, let index, let variableCount):
      "row \(quoted(row)) has variable \(index) of a program with \(variableCount) variables"
    case .duplicateVariable(let row, let variable): "row \(quoted(row)) has variable \(quoted(variable)) twice"
    case .nodeLimitOutOfRange(let count): "the limit on nodes must be at least 0, found \(count)"
    case .relativeGapOutOfRange(let gap): "the relative gap must be finite and at least 0, found \(gap)"
    case .secondsOutOfRange(let seconds): "the limit on seconds must be above 0, found \(seconds)"
    case .answerFailsCheck(let name, let violation, let tolerance):
      "the solver's answer breaks \(quoted(name)) by \(violation), more than the tolerance of \(tolerance): "
        + "scale the program"
    case .refusedBySolver(let code): "the solver refused the program with code \(code)"
    }
  }

  /// A name in quotes and on one line, whatever it contained.
  private func quoted(_ name: String) -> String { name.debugDescription }
}
