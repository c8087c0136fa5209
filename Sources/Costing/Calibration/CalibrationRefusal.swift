package import Documents

/// Why nothing was fitted.
package enum CalibrationRefusal: Error, Sendable, Equatable, CustomStringConvertible {
  /// There is not enough to fit, beside what was left out.
  case tooFew(_ what: String, device: String, count: Int, leftOut: [LeftOutRecord])
  /// The search for the best coefficients did not end.
  case notConverged(_ what: String, steps: Int)
  /// Most of what was measured is far off whatever the coefficients.
  case contradictory(_ what: String, farOff: Int, count: Int, beyond: Double)

  package var description: String {
    switch self {
    case .tooFew(let what, let device, let count, let leftOut):
      "only \(count) \(what) on \(device) can be fitted to, at least \(Calibration.leastCount) are needed"
        + (leftOut.first.map { "; \(leftOut.count.counted("record")) left out, the first: \($0.complaint)" } ?? "")
    case .notConverged(let what, let steps):
      "the fit to \(what) has not converged after \(steps) steps; nothing is written"
    case .contradictory(let what, let farOff, let count, let beyond):
      "after the fit \(farOff) of \(count) \(what) are more than \(Int((beyond * 100).rounded())) % off: "
        + "they contradict one another or the device profile; nothing is written"
    }
  }
}
