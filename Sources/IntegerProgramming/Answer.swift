/// Values that keep every bound and row of a program, checked without the solver.
///
/// The solver works to tolerances in scaled units, and a value that is nearly 0 or nearly 1 may have let a row be kept
/// that the whole number breaks. So integers are rounded first, and what is checked is what the caller gets.
struct Answer: Sendable, Equatable {
  /// A value for every variable; within its bounds exactly, and whole if the variable is integer.
  let values: [Double]

  /// The sum to minimise.
  let objective: Double

  /// Checks the values the solver found.
  ///
  /// - Throws: `answerFailsCheck` with the worst of the broken bounds, or the worst of the broken rows.
  init(checking found: [Double], for program: IntegerProgram) throws(IntegerProgramError) {
    var worst = Worst()
    var values: [Double] = []
    values.reserveCapacity(program.columns.count)
    for (column, value) in zip(program.columns, found) {
      let bounds = column.bounds
      let target = column.kind == .continuous ? value : value.rounded()
      worst.meet(
        column.name, violation: max(abs(value - target), bounds.violation(of: value)),
        tolerance: Magnitude.tolerance * max(1, abs(target)))
      values.append(min(max(target, bounds.lower), bounds.upper))
    }
    try worst.refuse()
    for row in program.rows {
      var sum = 0.0
      var size = 0.0
      for term in row.terms {
        let value = values[term.variable.index]
        let isWhole = program.columns[term.variable.index].kind != .continuous
        sum += term.coefficient * value
        size = max(size, abs(term.coefficient) * (isWhole ? abs(value) : max(1, abs(value))))
      }
      // The bound that is broken is about as great as the sum, or else the violation is as great as the bound.
      worst.meet(
        row.name, violation: row.bounds.violation(of: sum), tolerance: Magnitude.tolerance * max(size, abs(sum)))
    }
    try worst.refuse()
    self.values = values
    self.objective = zip(program.columns, values).reduce(0) { $0 + $1.0.objective * $1.1 }
  }

  /// The name with the greatest violation in terms of its tolerance.
  private struct Worst {
    private var name = ""
    private var violation = 0.0
    private var tolerance = 0.0
    private var ratio = 1.0

    /// Takes a violation into account; NaN is the worst there is.
    mutating func meet(_ name: String, violation: Double, tolerance: Double) {
      guard !(violation <= tolerance) else { return }
      let ratio = violation.isNaN ? .infinity : violation / tolerance
      guard ratio > self.ratio || self.ratio == 1 else { return }
      self.name = name
      self.violation = violation
      self.tolerance = tolerance
      self.ratio = ratio
    }

    /// Throws what was met, if anything was.
    func refuse() throws(IntegerProgramError) {
      guard !(violation <= tolerance) else { return }
      throw .answerFailsCheck(name: name, violation: violation, tolerance: tolerance)
    }
  }
}
