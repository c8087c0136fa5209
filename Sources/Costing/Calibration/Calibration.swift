public import Documents
import Foundation
import Synchronization

/// Fits a device profile's coefficients to measured runs.
///
/// Iteration times first, in logarithms, robustly and with the profile's present values as priors
/// (``RobustLeastSquares``); then the memory's. A coefficient that the runs cannot tell keeps its value, and the result
/// says so.
public struct Calibration: Sendable {
  /// A run that is fitted to.
  private struct Sample: Sendable {
    let run: MeasuredRun
    let workload: RunWorkload
    let weight: Double
  }

  /// A coefficient after the fit.
  public struct Fitted: Sendable {
    /// As in the profile document: `compute/gemm_peak_fraction`.
    public let name: String
    public let before: Double
    public let after: Double
    /// Relative standard deviation that the runs leave, as a factor minus one.
    public let relativeDeviation: Double
    /// Whether the runs tell it: else it keeps the value it had.
    public let isIdentified: Bool
  }

  /// The errors of runs that were left out of the fit that predicted them.
  public struct Fold: Sendable {
    /// What was left out, such as a model's name.
    public let name: String
    public let validation: Validation
  }

  /// What came out.
  public struct Outcome: Sendable {
    public let profile: DeviceProfile
    public let coefficients: [Fitted]
    /// All runs under the fitted profile.
    public let validation: Validation
    /// Runs that the fit disregards, with their error: more than three times the loss scale off.
    public let outliers: [(id: String, error: Double)]
    /// By group that was left out; empty when no folds were asked for.
    public let folds: [Fold]
  }

  /// Relative error beyond which a run counts less and less.
  public static let lossScale = 0.08
  /// A coefficient counts as told by the runs when they leave less than this share of its prior spread.
  public static let identifiedShare = 0.6

  private let samples: [Sample]
  private let base: DeviceProfile
  private let frameworkIndices: [Int]
  private let threadCount: Int

  /// - Parameters:
  ///   - runs: those of other devices, failed ones and noisy ones (tier D) are left out of the fit of times.
  ///   - device: the profile to start from.
  /// - Throws: `TooFewRuns` when there is not enough to fit.
  public init(runs: [MeasuredRun], device: DeviceProfile, catalog: Catalog, threadCount: Int) throws(TooFewRuns) {
    var members: [(run: MeasuredRun, workload: RunWorkload)] = []
    for run in runs {
      guard let workload = try? RunWorkload(run, catalog: catalog), workload.cluster.device.name == device.name,
        (try? workload.estimate(device: device)) != nil
      else { continue }
      members.append((run, workload))
    }
    let usable = members.filter { $0.run.measured.iterationSeconds != nil && $0.run.tier != "D" && $0.run.tier != "M" }
    guard usable.count >= 8 else { throw TooFewRuns(device: device.name, count: usable.count) }
    // A family counts like the root of its size: a sweep of hundreds must not drown a table of ten.
    let sizes = Dictionary(grouping: usable, by: \.run.family).mapValues(\.count)
    let weights = usable.map { 1 / Double(sizes[$0.run.family] ?? 1).squareRoot() }
    let mean = weights.reduce(0, +) / Double(weights.count)
    samples = zip(usable, weights).map { Sample(run: $0.run, workload: $0.workload, weight: $1 / mean) }
    base = device
    let used = Set(usable.map { $0.workload.frameworkName ?? device.frameworks[0].name })
    frameworkIndices = device.frameworks.indices.filter { used.contains(device.frameworks[$0].name) }
    self.threadCount = threadCount
  }

  /// There is not enough to fit.
  public struct TooFewRuns: Error, Sendable, CustomStringConvertible {
    public let device: String
    public let count: Int
    public var description: String {
      "only \(count) runs on \(device) can be fitted to, at least 8 are needed"
    }
  }

  /// Runs the fit, and again without each group of the folds.
  public func run(folds grouping: Grouping?) -> Outcome {
    let (profile, coefficients) = fit(samples)
    let validation = validation(of: samples, profile: profile)
    let outliers = validation.cases.compactMap { item -> (id: String, error: Double)? in
      guard let error = item.timeError, abs(log(1 + error)) > 3 * Self.lossScale else { return nil }
      return (item.run.id, error)
    }.sorted { (abs($0.error), $1.id) > (abs($1.error), $0.id) }
    var folds: [Fold] = []
    if let grouping {
      let names = self.validation(of: samples, profile: base).cases.map { grouping.name(of: $0) }
      for name in Set(names).sorted() {
        let inside = zip(samples, names).filter { $0.1 == name }.map(\.0)
        let outside = zip(samples, names).filter { $0.1 != name }.map(\.0)
        guard outside.count >= 8 else { continue }
        folds.append(Fold(name: name, validation: self.validation(of: inside, profile: fit(outside).profile)))
      }
    }
    return Outcome(
      profile: profile, coefficients: coefficients, validation: validation, outliers: outliers, folds: folds)
  }

  private func validation(of samples: [Sample], profile: DeviceProfile) -> Validation {
    Validation(
      cases: samples.compactMap { sample in
        (try? sample.workload.estimate(device: profile)).map { Validation.Case(run: sample.run, estimate: $0) }
      })
  }

  /// The profile that fits the samples best; coefficients they cannot tell as they were.
  private func fit(_ samples: [Sample]) -> (profile: DeviceProfile, coefficients: [Fitted]) {
    let all = Coefficient.ofTime(frameworkIndices: frameworkIndices, profile: base)
    let first = solve(samples, all)
    // What is not told goes back to where it was, and the rest is fitted once more.
    let told = all.indices.map { first.deviations[$0] < Self.identifiedShare * log(all[$0].factor) }
    let second = solve(samples, zip(all, told).filter(\.1).map(\.0))
    var profile = base
    var coefficients: [Fitted] = []
    var next = 0
    for (coefficient, isTold) in zip(all, told) {
      let before = coefficient.get(base)
      if isTold {
        coefficient.set(&profile, rounded(exp(second.values[next])))
        coefficients.append(
          Fitted(
            name: coefficient.name, before: before, after: coefficient.get(profile),
            relativeDeviation: exp(second.deviations[next]) - 1, isIdentified: true))
        next += 1
      } else {
        coefficients.append(
          Fitted(
            name: coefficient.name, before: before, after: before,
            relativeDeviation: coefficient.factor - 1, isIdentified: false))
      }
    }
    return (profile, coefficients)
  }

  private func solve(_ samples: [Sample], _ coefficients: [Coefficient]) -> RobustLeastSquares.Solution {
    let solver = RobustLeastSquares(
      unknowns: coefficients.map { $0.unknown(in: base) }, lossScale: Self.lossScale, iterationLimit: 40,
      weights: samples.map(\.weight))
    return solver.solve { values in
      var profile = base
      for (coefficient, value) in zip(coefficients, values) { coefficient.set(&profile, exp(value)) }
      return residuals(samples, profile)
    }
  }

  /// log(predicted / measured) of each sample; samples are divided among threads, each result has its own place.
  private func residuals(_ samples: [Sample], _ profile: DeviceProfile) -> [Double] {
    let results = Mutex([Double](repeating: .nan, count: samples.count))
    let chunk = (samples.count + threadCount - 1) / threadCount
    DispatchQueue.concurrentPerform(iterations: threadCount) { thread in
      var scratch = EvaluationScratch()
      var own: [(Int, Double)] = []
      for index in (thread * chunk)..<min(samples.count, (thread + 1) * chunk) {
        let sample = samples[index]
        guard let measured = sample.run.measured.iterationSeconds,
          let seconds = try? sample.workload.iterationSeconds(device: profile, scratch: &scratch)
        else { continue }
        own.append((index, log(seconds / measured)))
      }
      results.withLock { for (index, value) in own { $0[index] = value } }
    }
    return results.withLock { $0 }
  }

  /// Four significant digits: more would be noise in a shipped file.
  private func rounded(_ value: Double) -> Double {
    guard value > 0 else { return value }
    let scale = pow(10, (3 - floor(log10(value))))
    return (value * scale).rounded() / scale
  }
}
