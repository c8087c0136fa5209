import CGLPK

/// One run of GLPK over a program, from the creation of its problem to its deletion, and what came of it.
///
/// GLPK keeps a thread's memory in thread-local storage and ends the process if a problem is deleted on another thread
/// than its creator's. So there is no handle: a run is a synchronous initialiser, and what it leaves are numbers.
struct SolverRun: Sendable {
  /// How a run ended.
  enum Ending: Sendable, Equatable {
    /// The values are optimal to the solver's tolerances.
    case optimal
    /// There is no answer.
    case infeasible
    /// The relaxation has no lower bound, so that any answer can be improved without end.
    case unboundedIfFeasible
    /// The search was not finished; there may be values.
    case stopped(IntegerProgram.Stop)
    /// A code that does not fit a checked program.
    case refused(code: Int)
  }

  private(set) var ending: Ending
  /// The values of the columns, or nil if none were found.
  private(set) var values: [Double]?
  private(set) var bestBound = -Double.infinity
  private(set) var nodeCount = 0

  /// Runs GLPK.
  ///
  /// - Parameters:
  ///   - program: A program with rows and columns and no empty bounds.
  ///   - usesPresolver: Whether to simplify first. Without, the program is solved as it stands and integers are asked
  ///     to be whole more strictly, which is slower, and right where the presolver's simplifications lose precision.
  ///   - limits: Checked limits.
  ///   - isCancelled: Asked at every node.
  init(of program: IntegerProgram, usesPresolver: Bool, limits: IntegerProgram.Limits, isCancelled: () -> Bool) {
    // The terminal is on by default, and a setting of the thread.
    glp_term_out(GLP_OFF)
    let problem = glp_create_prob()
    defer {
      glp_delete_prob(problem)
      // What GLPK keeps for the thread is given back, unless the thread is within another run: `isCancelled` may solve.
      var blockCount: Int32 = 0
      glp_mem_usage(&blockCount, nil, nil, nil)
      if blockCount == 0 { glp_free_env() }
    }
    Self.load(program, into: problem)
    let hasIntegers = program.columns.contains { $0.kind != .continuous }
    self.ending = .stopped(.numericalTrouble)
    if !usesPresolver {
      glp_scale_prob(problem, GLP_SF_AUTO)
      glp_adv_basis(problem, 0)
    }
    if !hasIntegers || !usesPresolver {
      let isRelaxation = hasIntegers
      ending = Self.solveRelaxation(problem, usesPresolver: usesPresolver, limits: limits)
      guard ending == .optimal else { return }
      if !isRelaxation {
        values = (1...program.columns.count).map { glp_get_col_prim(problem, Int32($0)) }
        return
      }
    }
    var progress = SearchProgress(nodeLimit: limits.nodeCount)
    ending = Self.solveIntegers(
      problem, usesPresolver: usesPresolver, limits: limits, progress: &progress, isCancelled: isCancelled)
    bestBound = progress.bestBound / Self.factor(for: program.columns.lazy.map(\.objective))
    nodeCount = progress.nodeCount
    let status = glp_mip_status(problem)
    if status == GLP_OPT || status == GLP_FEAS {
      values = (1...program.columns.count).map { glp_mip_col_val(problem, Int32($0)) }
    }
  }

  /// Whether GLPK's presolver can be used.
  ///
  /// For integer programs it tightens bounds in turns; rows that contradict each other raise a bound that nothing stops
  /// until it overflows, and then GLPK ends the process. It also does where substitutions multiply great numbers.
  static func presolverIsSafe(for program: IntegerProgram) -> Bool {
    let isBounded = program.columns.allSatisfy { $0.bounds.lower.isFinite && $0.bounds.upper.isFinite }
    return (isBounded || program.columns.allSatisfy { $0.kind == .continuous })
      && program.columns.allSatisfy { isTame($0.bounds, factor: 1) }
      && program.rows.allSatisfy { row in
        let factor = factor(for: row.terms.lazy.map(\.coefficient))
        return isTame(row.bounds, factor: factor)
          && row.terms.allSatisfy { factor * abs($0.coefficient) >= 1 / Magnitude.tame }
      }
  }

  /// Whether bounds times a factor are neither great nor, but for 0, small; infinite ones are absent.
  private static func isTame(_ bounds: Bounds, factor: Double) -> Bool {
    [bounds.lower, bounds.upper].allSatisfy {
      $0 == 0 || $0.isInfinite || (1 / Magnitude.tame...Magnitude.tame).contains(abs(factor * $0))
    }
  }

  // MARK: Loading

  /// Rows and objective go to GLPK times a power of two, which is exact: many of its tolerances are absolute.
  private static func load(_ program: IntegerProgram, into problem: OpaquePointer?) {
    let objectiveFactor = factor(for: program.columns.lazy.map(\.objective))
    glp_add_cols(problem, Int32(program.columns.count))
    for (index, column) in program.columns.enumerated() {
      let position = Int32(index + 1)
      let (type, bounds) = (boundType(of: column.bounds), column.bounds)
      glp_set_col_kind(problem, position, column.kind == .continuous ? GLP_CV : GLP_IV)
      glp_set_col_bnds(problem, position, type, bounds.lower, bounds.upper)
      glp_set_obj_coef(problem, position, objectiveFactor * column.objective)
    }
    glp_add_rows(problem, Int32(program.rows.count))
    // GLPK counts from 1 and does not look at the first element.
    var rowPositions: [Int32] = [0]
    var columnPositions: [Int32] = [0]
    var coefficients = [0.0]
    rowPositions.reserveCapacity(program.termCount + 1)
    columnPositions.reserveCapacity(program.termCount + 1)
    coefficients.reserveCapacity(program.termCount + 1)
    for (index, row) in program.rows.enumerated() {
      let position = Int32(index + 1)
      let factor = factor(for: row.terms.lazy.map(\.coefficient))
      let (type, bounds) = (boundType(of: row.bounds), row.bounds)
      glp_set_row_bnds(problem, position, type, factor * bounds.lower, factor * bounds.upper)
      for term in row.terms {
        rowPositions.append(position)
        columnPositions.append(Int32(term.variable.index + 1))
        coefficients.append(factor * term.coefficient)
      }
    }
    glp_load_matrix(problem, Int32(program.termCount), rowPositions, columnPositions, coefficients)
  }

  /// The power of two that brings the greatest of some numbers to 1 ..< 2; 1 if it is within 1 ... 1024, where most
  /// programs are, and whole numbers stay whole.
  private static func factor(for numbers: some Sequence<Double>) -> Double {
    let greatest = numbers.lazy.map { abs($0) }.max() ?? 0
    guard greatest > 0, !(1...1024).contains(greatest) else { return 1 }
    return Double(sign: .plus, exponent: -greatest.exponent, significand: 1)
  }

  /// The kind of bounds: GLPK takes no infinite number for one, and no two equal ones.
  private static func boundType(of bounds: Bounds) -> Int32 {
    switch (bounds.lower > -.infinity, bounds.upper < .infinity) {
    case (false, false): GLP_FR
    case (true, false): GLP_LO
    case (false, true): GLP_UP
    case (true, true): bounds.lower == bounds.upper ? GLP_FX : GLP_DB
    }
  }

  // MARK: Solving

  /// Solves the program without integrality.
  private static func solveRelaxation(
    _ problem: OpaquePointer?, usesPresolver: Bool, limits: IntegerProgram.Limits
  ) -> Ending {
    var options = glp_smcp()
    glp_init_smcp(&options)
    options.msg_lev = GLP_MSG_OFF
    options.presolve = usesPresolver ? GLP_ON : GLP_OFF
    options.tm_lim = limits.milliseconds
    let code = glp_simplex(problem, &options)
    guard code == 0 else { return ending(of: code, stop: nil) }
    return switch glp_get_status(problem) {
    case GLP_OPT: .optimal
    case GLP_NOFEAS: .infeasible
    case GLP_UNBND: .unboundedIfFeasible
    default: .stopped(.numericalTrouble)
    }
  }

  /// Searches for integers; without presolver, from the solved relaxation.
  private static func solveIntegers(
    _ problem: OpaquePointer?, usesPresolver: Bool, limits: IntegerProgram.Limits, progress: inout SearchProgress,
    isCancelled: () -> Bool
  ) -> Ending {
    var options = glp_iocp()
    glp_init_iocp(&options)
    options.msg_lev = GLP_MSG_OFF
    options.presolve = usesPresolver ? GLP_ON : GLP_OFF
    options.tol_int = usesPresolver ? 1e-7 : 1e-9
    options.tol_obj = Magnitude.objectiveTolerance
    options.tm_lim = limits.milliseconds
    options.mip_gap = limits.relativeGap
    options.gmi_cuts = limits.cuts.contains(.gomory) ? GLP_ON : GLP_OFF
    options.mir_cuts = limits.cuts.contains(.mixedIntegerRounding) ? GLP_ON : GLP_OFF
    options.cov_cuts = limits.cuts.contains(.cover) ? GLP_ON : GLP_OFF
    options.clq_cuts = limits.cuts.contains(.clique) ? GLP_ON : GLP_OFF
    options.fp_heur = limits.usesFeasibilityPump ? GLP_ON : GLP_OFF
    let code = progress.follow(isCancelled: isCancelled) { callback, information in
      options.cb_func = callback
      options.cb_info = information
      return glp_intopt(problem, &options)
    }
    guard code == 0 else { return ending(of: code, stop: progress.stop) }
    return switch glp_mip_status(problem) {
    case GLP_OPT: .optimal
    case GLP_NOFEAS: .infeasible
    default: .stopped(.numericalTrouble)
    }
  }

  private static func ending(of code: Int32, stop: IntegerProgram.Stop?) -> Ending {
    switch code {
    case GLP_ENOPFS: .infeasible
    case GLP_ENODFS: .unboundedIfFeasible
    case GLP_EMIPGAP: .stopped(.relativeGap)
    case GLP_ETMLIM: .stopped(.wallSeconds)
    case GLP_ESTOP: .stopped(stop ?? .cancellation)
    case GLP_EFAIL, GLP_ESING, GLP_ECOND, GLP_EROOT, GLP_EITLIM: .stopped(.numericalTrouble)
    default: .refused(code: Int(code))
    }
  }
}
