import Documents
import Foundation

/// Fits some coefficients of a device profile to residuals, and tells which of them the data tell.
struct CoefficientFit {
  let coefficients: [Coefficient]
  /// The profile whose values are the priors.
  let prior: DeviceProfile
  /// What each residual counts; 1 where there are fewer weights than residuals.
  let weights: [Double]
  /// Residuals beyond this are treated more and more as outliers.
  let lossScale: Double
  /// What is fitted to, for complaints: `iteration times`.
  let what: String

  /// Steps at most. Fits to real runs end by themselves after five to twenty.
  static let stepLimit = 100
  /// Residuals beyond a given number of loss scales are outliers.
  static let outlierScales = 3.0

  /// The profile that fits best; coefficients that are not told stay as they are in `start`.
  ///
  /// - Parameters:
  ///   - start: the profile whose other coefficients are used; `prior`, or what an earlier fit made of it.
  ///   - known: where the search begins, the fit to about the same runs; nil is at the priors.
  ///   - residuals: log(predicted / measured) under a profile; not finite counts as a very bad fit.
  /// - Throws: `CalibrationRefusal` when the search does not end, or most residuals are outliers wherever it ends.
  func solve(
    from start: DeviceProfile, near known: DeviceProfile? = nil, residuals: (DeviceProfile) -> [Double]
  ) throws(CalibrationRefusal) -> (profile: DeviceProfile, coefficients: [Calibration.Fitted]) {
    let first = try solve(coefficients, from: start, near: known, residuals: residuals)
    // What is not told goes back to where it was, and the rest is fitted once more.
    let told = coefficients.indices.map {
      first.deviations[$0] < Calibration.identifiedShare * log(coefficients[$0].factor)
    }
    let second = try solve(zip(coefficients, told).filter(\.1).map(\.0), from: start, near: known, residuals: residuals)
    var profile = start
    var fitted: [Calibration.Fitted] = []
    var next = 0
    for (coefficient, isTold) in zip(coefficients, told) {
      let before = coefficient.get(prior)
      var deviation = log(coefficient.factor)
      if isTold {
        coefficient.set(&profile, exp(second.values[next]).rounded(significantDigits: 4))
        deviation = second.deviations[next]
        next += 1
      }
      fitted.append(
        Calibration.Fitted(
          name: coefficient.name, before: before, after: coefficient.get(profile),
          relativeDeviation: exp(deviation) - 1, isIdentified: isTold))
    }
    let final = residuals(profile)
    let farOff = final.count { !(abs($0) <= Self.outlierScales * lossScale) }
    guard 2 * farOff <= final.count else {
      throw .contradictory(
        what, farOff: farOff, count: final.count, beyond: exp(Self.outlierScales * lossScale) - 1)
    }
    return (profile, fitted)
  }

  private func solve(
    _ some: [Coefficient], from start: DeviceProfile, near known: DeviceProfile?, residuals: (DeviceProfile) -> [Double]
  ) throws(CalibrationRefusal) -> RobustLeastSquares.Solution {
    let solver = RobustLeastSquares(
      unknowns: some.map { $0.unknown(in: prior) }, lossScale: lossScale, iterationLimit: Self.stepLimit,
      weights: weights)
    let begin = known.map { known in some.map { log($0.get(known)) } }
    let solution = solver.solve(from: begin) { values in
      var trial = start
      for (coefficient, value) in zip(some, values) { coefficient.set(&trial, exp(value)) }
      return residuals(trial)
    }
    guard solution.hasConverged else { throw .notConverged(what, steps: Self.stepLimit) }
    return solution
  }
}

extension Double {
  /// The nearest number with a given number of decimal digits: more would be noise in a shipped file.
  func rounded(significantDigits count: Int) -> Double {
    guard self > 0 else { return self }
    let scale = pow(10, Double(count - 1) - floor(log10(self)))
    return (self * scale).rounded() / scale
  }
}
