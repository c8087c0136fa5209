import Documents
import Foundation

/// Fits some coefficients of device profiles to residuals, and tells which of them the data tell.
///
/// Of several profiles, what a framework's software takes is pooled: a coefficient of a framework that more than one of them
/// has is what these have in common, times how each departs from it, which a prior of its own keeps small. So a device with
/// few runs borrows from the others, and one with many says how it differs. What is of a device is fitted by itself.
struct CoefficientFit {
  /// By profile.
  let coefficients: [[Coefficient]]
  /// The profiles whose values are the priors.
  let prior: [DeviceProfile]
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
  /// How far a device may plausibly be from what all have in common, as a share of how far that may be from its present value:
  /// a judgement, on which little depends (a fifth or a third leave mixtures that are left out as well predicted).
  static let departureShare = 0.25

  /// The profiles that fit best; coefficients that are not told stay as they are in `start`.
  ///
  /// - Parameters:
  ///   - start: the profiles whose other coefficients are used; `prior`, or what an earlier fit made of it.
  ///   - known: where the search begins, the fit to about the same runs; nil is at the priors.
  ///   - residuals: log(predicted / measured) under some profiles; not finite counts as a very bad fit.
  /// - Returns: the profiles, and what there is to say of the first one's coefficients.
  /// - Throws: `CalibrationRefusal` when the search does not end, or most residuals are outliers wherever it ends.
  func solve(
    from start: [DeviceProfile], near known: [DeviceProfile]? = nil, residuals: ([DeviceProfile]) -> [Double]
  ) throws(CalibrationRefusal) -> (profiles: [DeviceProfile], coefficients: [Calibration.Fitted]) {
    let all = coefficients.enumerated().flatMap { profile, own in own.map { (profile: profile, coefficient: $0) } }
    let first = Unknowns(all, prior: prior)
    let found = try solve(first, from: start, near: known, residuals: residuals)
    // What is not told goes back to where it was, and the rest is fitted once more.
    let told = all.indices.map { first.isTold($0, deviations: found.deviations) }
    let second = Unknowns(zip(all, told).filter(\.1).map(\.0), prior: prior)
    let solution = try solve(second, from: start, near: known, residuals: residuals)
    var profiles = start
    var fitted: [Calibration.Fitted] = []
    var next = 0
    for ((profile, coefficient), isTold) in zip(all, told) {
      let before = coefficient.get(prior[profile])
      var deviation = log(coefficient.factor)
      if isTold {
        coefficient.set(&profiles[profile], second.value(next, of: solution.values).rounded(significantDigits: 4))
        deviation = second.deviation(next, of: solution.deviations)
        next += 1
      }
      guard profile == 0 else { continue }
      fitted.append(
        Calibration.Fitted(
          name: coefficient.name, before: before, after: coefficient.get(profiles[profile]),
          relativeDeviation: exp(deviation) - 1, isIdentified: isTold))
    }
    let final = residuals(profiles)
    let farOff = final.count { !(abs($0) <= Self.outlierScales * lossScale) }
    guard 2 * farOff <= final.count else {
      throw .contradictory(
        what, farOff: farOff, count: final.count, beyond: exp(Self.outlierScales * lossScale) - 1)
    }
    return (profiles, fitted)
  }

  private func solve(
    _ unknowns: Unknowns, from start: [DeviceProfile], near known: [DeviceProfile]?,
    residuals: ([DeviceProfile]) -> [Double]
  ) throws(CalibrationRefusal) -> RobustLeastSquares.Solution {
    let solver = RobustLeastSquares(
      unknowns: unknowns.all, lossScale: lossScale, iterationLimit: Self.stepLimit, weights: weights)
    let solution = solver.solve(from: known.map(unknowns.values)) { values in
      var trial = start
      unknowns.set(values, in: &trial)
      return residuals(trial)
    }
    guard solution.hasConverged else { throw .notConverged(what, steps: Self.stepLimit) }
    return solution
  }
}

/// The unknowns of a search for some coefficients, in logarithms: what profiles have in common, then of each coefficient its
/// value, or its departure from that.
private struct Unknowns {
  let all: [RobustLeastSquares.Unknown]
  private let members: [(profile: Int, coefficient: Coefficient)]
  /// Of each member, the place of what it has in common with others; nil where it stands alone.
  private let common: [Int?]
  private let commonCount: Int

  init(_ members: [(profile: Int, coefficient: Coefficient)], prior: [DeviceProfile]) {
    self.members = members
    var names: [String] = []
    var shared: [RobustLeastSquares.Unknown] = []
    for (_, coefficient) in members where coefficient.isOfSoftware && !names.contains(coefficient.name) {
      let own = members.filter { $0.coefficient.name == coefficient.name }
      guard own.count > 1 else { continue }
      names.append(coefficient.name)
      let present = own.map { $0.coefficient.unknown(in: prior[$0.profile]) }
      shared.append(
        RobustLeastSquares.Unknown(
          lower: present[0].lower, upper: present[0].upper,
          prior: present.reduce(0) { $0 + $1.prior } / Double(own.count), spread: present[0].spread))
    }
    let places = members.map { names.firstIndex(of: $0.coefficient.name) }
    common = places
    commonCount = shared.count
    all =
      shared
      + zip(members, places).map { member, place in
        guard place != nil else { return member.coefficient.unknown(in: prior[member.profile]) }
        let most = log(member.coefficient.factor)
        return RobustLeastSquares.Unknown(
          lower: -most, upper: most, prior: 0, spread: CoefficientFit.departureShare * most)
      }
  }

  /// A member's value.
  func value(_ member: Int, of values: [Double]) -> Double {
    let range = members[member].coefficient.range
    let value = exp((common[member].map { values[$0] } ?? 0) + values[commonCount + member])
    return min(max(value, range.lowerBound), range.upperBound)
  }

  /// What a search leaves of its logarithm at most: as if what is common and what is not were told apart.
  func deviation(_ member: Int, of deviations: [Double]) -> Double {
    hypot(common[member].map { deviations[$0] } ?? 0, deviations[commonCount + member])
  }

  /// Whether the data tell a member, or what it has in common with others.
  func isTold(_ member: Int, deviations: [Double]) -> Bool {
    [common[member], commonCount + member].contains { place in
      place.map { deviations[$0] < Calibration.identifiedShare * all[$0].spread } ?? false
    }
  }

  func set(_ values: [Double], in profiles: inout [DeviceProfile]) {
    for (index, member) in members.enumerated() {
      member.coefficient.set(&profiles[member.profile], value(index, of: values))
    }
  }

  /// The unknowns of given profiles: what is common in the mean.
  func values(in profiles: [DeviceProfile]) -> [Double] {
    let logs = members.map { log($0.coefficient.get(profiles[$0.profile])) }
    let means = (0..<commonCount).map { place in
      let own = logs.indices.filter { common[$0] == place }
      return own.reduce(0) { $0 + logs[$1] } / Double(max(1, own.count))
    }
    return means + logs.indices.map { logs[$0] - (common[$0].map { means[$0] } ?? 0) }
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
