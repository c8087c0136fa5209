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

  /// Refuses to fix what only an allowance may choose.
  ///
  /// - Parameter source: what the error calls the pattern.
  func check(_ fixed: StrategyPattern, source: String) throws(SextantError) {
    guard document.quantisationTolerance == nil else { return }
    let stated = [("quantise_weights", fixed.quantisesWeights), ("quantise_gradients", fixed.quantisesGradients)]
    if let key = stated.first(where: { $0.1 == true })?.0 {
      throw SextantError(
        .argument, source: source, location: "/\(key)",
        expected: "changes values: it needs zero++ allowed, with a tolerance")
    }
  }
}
