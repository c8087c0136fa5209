extension IntegerProgram {
  /// Looks for values that keep all bounds and rows and make the objective as small as possible.
  ///
  /// The call is synchronous, blocks its thread for as long as it takes, and may be made on many threads at once. The
  /// same program and limits give the same solution, unless seconds or a cancellation end the search.
  ///
  /// Give integer programs finite bounds: only if every variable has them, GLPK's presolver is used.
  ///
  /// GLPK's answer is checked without GLPK. If it fails, or GLPK reports numerical trouble, the program is solved a
  /// second time without the presolver; and if the objective has no lower bound, a further time without objective, to
  /// tell an unbounded program from an infeasible one. The limit on seconds is for all, that on nodes for each.
  ///
  /// - Parameters:
  ///   - limits: When to stop without a proof.
  ///   - isCancelled: Asked before every linear program of the search, on the calling thread; with `true` the search
  ///     ends with what is known. It is not asked while a linear program is solved, and so only at the beginning if all
  ///     variables are continuous. Pass `{ Task.isCancelled }` in a task.
  /// - Returns: What was found and proved. That there is no answer, or that none was found, is a status and no error.
  /// - Throws: ``IntegerProgramError`` if a limit is out of its range, or GLPK's answer is wrong.
  package func solve(
    limits: Limits = Limits(), isCancelled: () -> Bool = { false }
  ) throws(IntegerProgramError) -> Solution {
    try limits.check()
    if columns.contains(where: \.bounds.isEmpty) || rows.contains(where: \.excludesEverything) {
      return Solution(.infeasible)
    }
    if termCount == 0 { return try solutionWithoutTerms() }
    return try solution(limits: limits, deadline: Deadline(seconds: limits.wallSeconds), isCancelled: isCancelled)
  }

  /// The solution of a program whose rows are all 0: every variable is on its own.
  private func solutionWithoutTerms() throws(IntegerProgramError) -> Solution {
    var values: [Double] = []
    for column in columns {
      let best =
        if column.objective > 0 { column.bounds.lower } else if column.objective < 0 { column.bounds.upper } else {
          min(max(0, column.bounds.lower), column.bounds.upper)
        }
      guard best.isFinite else { return Solution(.unbounded) }
      values.append(best)
    }
    let answer = try Answer(checking: values, for: self)
    return Solution(answer, bestBound: answer.objective, stoppedBy: nil, nodeCount: 0)
  }

  /// The solution of a program with terms, by GLPK.
  private func solution(
    limits: Limits, deadline: Deadline, isCancelled: () -> Bool
  ) throws(IntegerProgramError) -> Solution {
    let presolves = SolverRun.presolverIsSafe(for: self)
    let first = attempt(usesPresolver: presolves, limits: limits, deadline: deadline, isCancelled: isCancelled)
    if case .success(let solution) = first, !solution.isTroubled { return solution }
    // Without the presolver it would be the same run again.
    guard presolves else { return try first.get() }
    let second = attempt(usesPresolver: false, limits: limits, deadline: deadline, isCancelled: isCancelled)
    guard case .success(let again) = second else { return try first.get() }
    // An answer that has passed the check is not given up for a worse one, or for none.
    guard case .success(let before) = first, let known = before.objective else { return again }
    guard let found = again.objective, found < known || again.status == .optimal else { return before }
    return again
  }

  /// One run of GLPK, concluded.
  private func attempt(
    usesPresolver: Bool, limits: Limits, deadline: Deadline, isCancelled: () -> Bool
  ) -> Result<Solution, IntegerProgramError> {
    Result { () throws(IntegerProgramError) in
      if isCancelled() { return Solution(.undecided(stoppedBy: .cancellation)) }
      guard let rest = deadline.cut(limits) else { return Solution(.undecided(stoppedBy: .wallSeconds)) }
      let run = SolverRun(of: self, usesPresolver: usesPresolver, limits: rest, isCancelled: isCancelled)
      switch run.ending {
      case .refused(let code): throw .refusedBySolver(code: code)
      case .infeasible: return Solution(.infeasible, nodeCount: run.nodeCount)
      case .unboundedIfFeasible:
        return try unboundedIfFeasible(limits: limits, deadline: deadline, isCancelled: isCancelled)
      case .optimal: return try solution(of: run, stoppedBy: nil)
      case .stopped(let stop): return try solution(of: run, stoppedBy: stop)
      }
    }
  }

  /// The values of a run, checked.
  private func solution(of run: SolverRun, stoppedBy stop: Stop?) throws(IntegerProgramError) -> Solution {
    guard let values = run.values else {
      return Solution(
        .undecided(stoppedBy: stop ?? .numericalTrouble), bestBound: run.bestBound, nodeCount: run.nodeCount)
    }
    let answer = try Answer(checking: values, for: self)
    return Solution(answer, bestBound: run.bestBound, stoppedBy: stop, nodeCount: run.nodeCount)
  }

  /// Whether a program without a lower bound has an answer at all. Coefficients are rational, so that an answer and a
  /// direction in which the relaxation falls for ever make answers that fall for ever (Meyer 1974).
  private func unboundedIfFeasible(
    limits: Limits, deadline: Deadline, isCancelled: () -> Bool
  ) throws(IntegerProgramError) -> Solution {
    // Nothing to minimise has a bound.
    guard columns.contains(where: { $0.objective != 0 }) else {
      return Solution(.undecided(stoppedBy: .numericalTrouble))
    }
    let found = try withoutObjective.solution(limits: limits, deadline: deadline, isCancelled: isCancelled)
    return switch found.status {
    case .optimal, .feasible, .unbounded: Solution(.unbounded, nodeCount: found.nodeCount)
    case .infeasible: Solution(.infeasible, nodeCount: found.nodeCount)
    case .undecided(let stop): Solution(.undecided(stoppedBy: stop), nodeCount: found.nodeCount)
    }
  }
}

extension IntegerProgram.Row {
  /// Whether no sum is within the bounds, or the sum has no terms and 0 is not.
  fileprivate var excludesEverything: Bool { bounds.isEmpty || terms.isEmpty && bounds.violation(of: 0) > 0 }
}

extension IntegerProgram.Solution {
  /// Whether doubles were not enough to end the search.
  fileprivate var isTroubled: Bool {
    switch status {
    case .feasible(.numericalTrouble), .undecided(.numericalTrouble): true
    default: false
    }
  }
}

/// When all runs for a program have to be over.
private struct Deadline {
  private let start = ContinuousClock.now
  private let seconds: Double

  init(seconds: Double) { self.seconds = seconds }

  /// The limits with the seconds that are left, or nil if none are.
  func cut(_ limits: IntegerProgram.Limits) -> IntegerProgram.Limits? {
    var limits = limits
    limits.wallSeconds = seconds - (ContinuousClock.now - start) / .seconds(1)
    return limits.wallSeconds > 0 ? limits : nil
  }
}
