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
    guard (1e-9...1).contains(tolerance) else {
      throw SextantError(
        .argument, location: "tolerance", expected: "expected a fraction from 1e-9 to 1", found: "\(tolerance)")
    }
    return Allowance(document: Documents.Allowance(quantisationTolerance: tolerance))
  }

  /// Training by losses alone (MeZO, Malladi et al. 2023): no backward pass, no gradients, no optimizer states. Another
  /// optimisation, whose steps are faster and say far less each; what fits nowhere else may fit so.
  public static let zerothOrder = Allowance(
    document: Documents.Allowance(quantisationTolerance: nil, zerothOrder: true))

  /// What either of two allows.
  public func and(_ other: Allowance) -> Allowance {
    let tolerances = [document.quantisationTolerance, other.document.quantisationTolerance].compactMap { $0 }
    return Allowance(
      document: Documents.Allowance(
        quantisationTolerance: tolerances.max(),
        zerothOrder: document.admitsZerothOrder || other.document.admitsZerothOrder))
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
    guard document.quantisationTolerance == nil else { return }
    let stated = [("quantise_weights", fixed.quantisesWeights), ("quantise_gradients", fixed.quantisesGradients)]
    if let key = stated.first(where: { $0.1 == true })?.0 {
      throw SextantError(
        .argument, source: source, location: "/\(key)",
        expected: "changes values: it needs zero++ allowed, with a tolerance")
    }
  }
}
