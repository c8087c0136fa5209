package import Documents

/// What a plan may do to the values that are trained: nothing, or as much as a tolerance admits.
///
/// ```swift
/// let plan = try planner.best(allowing: .zeroPlusPlus(tolerance: 0.02)).get()
/// ```
public struct Allowance: Sendable, Equatable {
  package let document: Documents.Allowance

  /// Every number as one device alone would compute it, but for the order of sums.
  public static let exact = Allowance(document: .exact)

  /// ZeRO++ (Wang et al. 2023): weights gathered as INT8, gradients exchanged as INT4 between nodes.
  ///
  /// - Parameter tolerance: the largest relative error of a quantised tensor that is accepted, from 1e-9 to 1: 0.02
  ///   admits INT8 weights, 0.2 INT4 gradients as well.
  public static func zeroPlusPlus(tolerance: Double) throws(SextantError) -> Allowance {
    try check(tolerance: tolerance)
    return Allowance(document: Documents.Allowance(quantisationTolerance: tolerance))
  }

  /// Training by losses alone (MeZO, Malladi et al. 2023): no backward pass, no gradients, no optimizer states. Another
  /// optimisation, whose steps are faster and say far less each; what fits nowhere else may fit so.
  public static let zerothOrder = Allowance(
    document: Documents.Allowance(quantisationTolerance: nil, zerothOrder: true))

  /// Workers that train apart from each other for many iterations, and then take an outer step together whose all-reduce may be
  /// in flight meanwhile (CO2, Sun et al. 2024; DiLoCo, Douillard et al. 2023). Another optimisation, which is told less often
  /// what other devices have found; what slow links make slow may be fast so.
  ///
  /// - Parameters:
  ///   - periods: iterations from one outer step to the next, of which a plan may choose: the least of them that is
  ///     within the margin of the best.
  ///   - tolerance: the largest relative error of what workers send each other that is accepted, from 1e-9 to 1: 0.005 admits
  ///     bf16, 0.02 INT8 as well; nil sends fp32.
  public static func co2(
    periods: ClosedRange<Int>, tolerance: Double? = nil
  ) throws(SextantError) -> Allowance {
    let bounds = OuterStep.Bounds.period
    guard bounds.contains(periods.lowerBound), bounds.contains(periods.upperBound) else {
      throw SextantError(
        .argument, location: "periods", expected: "expected periods from \(bounds.lowerBound) to \(bounds.upperBound)",
        found: "\(periods)")
    }
    if let tolerance { try check(tolerance: tolerance) }
    return Allowance(
      document: Documents.Allowance(
        quantisationTolerance: nil, outerPeriods: periods, outerTolerance: tolerance))
  }

  /// Products of blocks in a narrower format than the job's bf16, FP8 or FP4: the plan chooses among those that all devices
  /// multiply in and the framework can be told. Weights, gradients and what is sent stay in bf16.
  ///
  /// - Parameter tolerance: the largest relative error of what is multiplied that is accepted, from 1e-9 to 1: 0.03 admits
  ///   FP8 by blocks, 0.06 all FP8, 0.15 FP4 as well.
  public static func lowPrecision(tolerance: Double) throws(SextantError) -> Allowance {
    try check(tolerance: tolerance)
    return Allowance(document: Documents.Allowance(quantisationTolerance: nil, productTolerance: tolerance))
  }

  private static func check(tolerance: Double) throws(SextantError) {
    guard (1e-9...1).contains(tolerance) else {
      throw SextantError(
        .argument, location: "tolerance", expected: "expected a fraction from 1e-9 to 1", found: "\(tolerance)")
    }
  }

  /// What either of two allows; of two ranges of periods, what either holds and all between. Of one method the larger
  /// tolerance holds, and of several methods' the least, for all.
  public func and(_ other: Allowance) -> Allowance {
    let tolerances = [document.quantisationTolerance, other.document.quantisationTolerance].compactMap { $0 }
    let periods = [document.outerPeriods, other.document.outerPeriods].compactMap { $0 }
    let between = periods.dropFirst().reduce(periods.first) { range, next in
      range.map { min($0.lowerBound, next.lowerBound)...max($0.upperBound, next.upperBound) }
    }
    return Allowance(
      document: Documents.Allowance(
        quantisationTolerance: tolerances.max(),
        zerothOrder: document.admitsZerothOrder || other.document.admitsZerothOrder, outerPeriods: between,
        outerTolerance: [document.outerTolerance, other.document.outerTolerance].compactMap { $0 }.max(),
        productTolerance: [document.productTolerance, other.document.productTolerance].compactMap { $0 }.max()))
  }

  /// Refuses to choose a precision for a job whose own is none to choose from.
  func check(_ precision: Documents.Precision) throws(SextantError) {
    if let reason = document.contradiction(precision) {
      throw SextantError(.argument, location: "precision", expected: reason)
    }
  }

  /// Refuses to fix what only an allowance may choose.
  ///
  /// - Parameter source: what the error calls the pattern.
  func check(_ fixed: StrategyPattern, source: String) throws(SextantError) {
    if fixed.update == .zerothOrder, !document.admitsZerothOrder {
      throw SextantError(
        .argument, source: source, location: "/update",
        expected: "changes the optimisation: it needs zeroth-order allowed")
    }
    if let key = fixed.outerKey, document.outerPeriods == nil {
      throw SextantError(
        .argument, source: source, location: "/\(key)",
        expected: "changes the optimisation: it needs co2 allowed, with a range of periods")
    }
    guard document.quantisationTolerance == nil else { return }
    let stated = [("quantise_weights", fixed.quantisesWeights), ("quantise_gradients", fixed.quantisesGradients)]
    if let key = stated.first(where: { $0.1 == true })?.0 {
      throw SextantError(
        .argument, source: source, location: "/\(key)",
        expected: "changes values: it needs zero++ allowed, with a tolerance")
    }
  }
}

extension StrategyPattern {
  /// A key that states workers or their outer steps; nil where none does.
  fileprivate var outerKey: String? {
    if self.update == .outer { return "update" }
    let stated: [(String, Bool)] = [
      ("worker", self.workerDegree.map { $0 > 1 } ?? false),
      ("outer_period", self[dynamicMember: \.outer.period].map { $0 > 1 } ?? false),
      ("outer_staleness", self[dynamicMember: \.outer.staleness].map { $0 > 0 } ?? false),
      ("outer_format", self[dynamicMember: \.outer.format].map(\.isRounded) ?? false),
      ("host_outer", self[dynamicMember: \.outer.isHosted] ?? false),
    ]
    return stated.first { $0.1 }?.0
  }
}
