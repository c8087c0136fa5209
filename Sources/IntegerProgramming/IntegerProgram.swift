/// A mixed-integer linear program: minimise a sum over variables, subject to rows.
///
///     var program = IntegerProgram()
///     let small = try program.addVariable("small", kind: .binary, objective: -3)
///     let large = try program.addVariable("large", kind: .binary, objective: -5)
///     try program.addRow("capacity", [2 * small, 4 * large], upper: 5)
///     let solution = try program.solve()  // optimal, objective −5
///
/// What is added is checked when it is added, so that every program there is can be given to the solver, whose own
/// reaction to misuse is to end the process. To maximise, negate the objective. Names are for people: they may repeat,
/// and the solver never sees them.
package struct IntegerProgram: Sendable, Equatable {
  /// Which values a variable takes within its bounds.
  package enum Kind: Sendable, Hashable {
    /// Every real number.
    case continuous
    /// Every integer.
    case integer
    /// 0 and 1.
    case binary
  }

  /// A variable's place in the program that made it.
  package struct Variable: Sendable, Hashable {
    /// The position in the order of addition, counted from 0; also the position in ``Solution/values``.
    package let index: Int
  }

  /// A coefficient times a variable, written `2 * x`.
  package struct Term: Sendable, Hashable {
    /// The factor.
    package let coefficient: Double

    /// What is multiplied.
    package let variable: Variable

    /// A product.
    package init(_ coefficient: Double, _ variable: Variable) {
      self.coefficient = coefficient
      self.variable = variable
    }
  }

  /// What the program knows of a variable. The bounds of a binary or integer variable are integers, or infinite.
  struct Column: Sendable, Equatable {
    let name: String
    let kind: Kind
    let bounds: Bounds
    var objective: Double
  }

  /// A sum of terms, none of them zero and no variable twice, and the bounds it has to keep.
  struct Row: Sendable, Equatable {
    let name: String
    let terms: [Term]
    let bounds: Bounds
  }

  private(set) var columns: [Column] = []
  private(set) var rows: [Row] = []
  private(set) var termCount = 0

  /// A program without variables and rows; its optimum is 0.
  package init() {}

  /// Variables added so far.
  package var variableCount: Int { columns.count }

  /// Rows added so far.
  package var rowCount: Int { rows.count }

  /// The name a variable was added with.
  ///
  /// - Precondition: The variable is of this program.
  package func name(of variable: Variable) -> String {
    precondition(columns.indices.contains(variable.index), "the variable is not of this program")
    return columns[variable.index].name
  }

  /// Adds a variable.
  ///
  /// - Parameters:
  ///   - lower: The least value, or −∞. A binary variable's bounds are cut to 0 ... 1; the
  ///     bounds of an integer variable are rounded inwards.
  ///   - upper: The greatest value, or +∞. Below `lower` is no error: the program is infeasible.
  ///   - objective: The coefficient in the sum to minimise.
  /// - Throws: ``IntegerProgramError`` if a number is not one the solver can work
  ///   with (``Magnitude``), or the program is full.
  package mutating func addVariable(
    _ name: String, kind: Kind = .continuous, lower: Double = 0, upper: Double = .infinity, objective: Double = 0
  ) throws(IntegerProgramError) -> Variable {
    guard columns.count < Magnitude.greatestCount else { throw .tooMany(.variables, limit: Magnitude.greatestCount) }
    guard Magnitude.isCoefficient(objective) else { throw .objectiveOutOfRange(variable: name, objective) }
    guard let bounds = Bounds(lower: lower, upper: upper) else {
      throw .boundsOutOfRange(name: name, lower: lower, upper: upper)
    }
    columns.append(Column(name: name, kind: kind, bounds: bounds.tightened(for: kind), objective: objective))
    return Variable(index: columns.count - 1)
  }

  /// Adds a row: `lower ≤ Σ coefficient · variable ≤ upper`. Terms with coefficient 0 are left out.
  ///
  /// - Parameters:
  ///   - terms: The sum, every variable at most once.
  ///   - lower: The least value of the sum, or −∞.
  ///   - upper: The greatest value of the sum, or +∞. Below `lower` is no error: the program is infeasible.
  /// - Throws: ``IntegerProgramError`` if a number is not one the solver can work with (``Magnitude``), a variable is
  ///   not of this program or stands in the row twice, or the program is full.
  /// - Complexity: O(n log n) in the number of terms.
  package mutating func addRow(
    _ name: String, _ terms: [Term], lower: Double = -.infinity, upper: Double = .infinity
  ) throws(IntegerProgramError) {
    guard rows.count < Magnitude.greatestCount else { throw .tooMany(.rows, limit: Magnitude.greatestCount) }
    guard termCount + terms.count <= Magnitude.greatestTermCount else {
      throw .tooMany(.terms, limit: Magnitude.greatestTermCount)
    }
    guard let bounds = Bounds(lower: lower, upper: upper) else {
      throw .boundsOutOfRange(name: name, lower: lower, upper: upper)
    }
    for term in terms {
      guard columns.indices.contains(term.variable.index) else {
        throw .unknownVariable(row: name, index: term.variable.index, variableCount: columns.count)
      }
      guard Magnitude.isCoefficient(term.coefficient) else {
        throw .coefficientOutOfRange(row: name, variable: columns[term.variable.index].name, term.coefficient)
      }
    }
    let sorted = terms.sorted { $0.variable.index < $1.variable.index }
    for (term, next) in zip(sorted, sorted.dropFirst()) where term.variable == next.variable {
      throw .duplicateVariable(row: name, variable: columns[term.variable.index].name)
    }
    let kept = sorted.filter { $0.coefficient != 0 }
    rows.append(Row(name: name, terms: kept, bounds: bounds))
    termCount += kept.count
  }

  /// The same rows and variables with nothing to minimise: whether there is any answer.
  var withoutObjective: Self {
    var copy = self
    for index in copy.columns.indices { copy.columns[index].objective = 0 }
    return copy
  }
}

/// A term of a row.
package func * (coefficient: Double, variable: IntegerProgram.Variable) -> IntegerProgram.Term {
  IntegerProgram.Term(coefficient, variable)
}
