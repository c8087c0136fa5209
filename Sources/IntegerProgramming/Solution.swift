extension IntegerProgram {
  /// What ended a search before its proof.
  package enum Stop: Sendable, Hashable {
    /// ``Limits/nodeCount``.
    case nodeCount
    /// ``Limits/relativeGap``.
    case relativeGap
    /// ``Limits/wallSeconds``.
    case wallSeconds
    /// The caller.
    case cancellation
    /// The solver gave up on a linear program that doubles do not resolve.
    case numericalTrouble
  }

  /// What is known of a program.
  package enum Status: Sendable, Hashable {
    /// The values are an answer, and the solver has proven that none is better.
    case optimal
    /// The values are an answer; ``Solution/relativeGap`` says how much better one might be.
    case feasible(stoppedBy: Stop)
    /// The solver has proven that there is no answer.
    case infeasible
    /// There are answers, and none is the best.
    case unbounded
    /// Neither an answer was found nor a proof that there is none.
    case undecided(stoppedBy: Stop)
  }

  /// What a search found, and what it proved.
  package struct Solution: Sendable, Equatable {
    /// What is known.
    package let status: Status

    /// The value of the objective, computed from `values`; nil if there are none.
    package let objective: Double?

    /// No answer has an objective below this, to the solver's tolerance of 1e-9 times `|objective|` or the greatest
    /// coefficient in it. −∞ if nothing is known, +∞ if the program is infeasible.
    package let bestBound: Double

    /// Nodes of the branch-and-cut tree that were solved; 0 if all variables are
    /// continuous, or the presolver was enough.
    package let nodeCount: Int

    /// A value for every variable in the order of addition, those of integer variables exact integers; empty if there
    /// is no answer.
    package let values: [Double]

    /// `(objective − bestBound) / |objective|`, 0 if they are equal, +∞ if one is missing.
    package var relativeGap: Double {
      guard let objective, bestBound > -.infinity else { return .infinity }
      return objective == bestBound ? 0 : (objective - bestBound) / abs(objective)
    }

    /// The value of a variable.
    ///
    /// - Precondition: There is an answer, and the variable is of the program that was solved.
    package subscript(variable: Variable) -> Double {
      precondition(values.indices.contains(variable.index), "there is no value for variable \(variable.index)")
      return values[variable.index]
    }

    /// A solution without values.
    init(_ status: Status, bestBound: Double = -.infinity, nodeCount: Int = 0) {
      self.status = status
      self.objective = nil
      self.bestBound = status == .infeasible ? .infinity : bestBound
      self.nodeCount = nodeCount
      self.values = []
    }

    /// An answer; a bound above its objective is cut to it, and a proof is a bound equal to it.
    init(_ answer: Answer, bestBound: Double, stoppedBy stop: Stop?, nodeCount: Int) {
      let isProven = stop == nil || bestBound >= answer.objective
      self.status = isProven ? .optimal : .feasible(stoppedBy: stop ?? .numericalTrouble)
      self.objective = answer.objective
      self.bestBound = isProven ? answer.objective : bestBound
      self.nodeCount = nodeCount
      self.values = answer.values
    }
  }
}
