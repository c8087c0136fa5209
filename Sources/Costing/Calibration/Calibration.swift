package import Documents
import Foundation
import Synchronization

/// Fits a device profile's coefficients to measured runs.
///
/// Iteration times first, in logarithms, robustly and with the profile's present values as priors
/// (``RobustLeastSquares``); then the memory's. A coefficient that the runs cannot tell keeps its value, and the result
/// says so.
package struct Calibration: Sendable {
  /// A run that is fitted to.
  private struct Sample: Sendable {
    let run: MeasuredRun
    let workload: RunWorkload
    /// Of its device's profile.
    let profile: Int
    /// In the fit of times.
    let weight: Double
    /// In the fit of memory, to which slow runs tell as much as fast ones.
    let memoryWeight: Double

    /// Whether it is of the device whose profile is fitted, and not of another one beside it.
    var isOwn: Bool { profile == 0 }
    /// Whether its time is fitted to.
    var hasTime: Bool { run.measured.iterationSeconds != nil && !run.isMarked }
    /// Whether its peak memory is.
    var hasPeak: Bool { !run.measured.hasFailed && run.measured.peakBytes != nil }
  }

  /// What is fitted; the rest of the profile stays as it is.
  package enum Quantity: String, Sendable, CaseIterable {
    case time, memory
  }

  /// A coefficient after the fit.
  package struct Fitted: Sendable {
    /// As in the profile document: `compute/gemm_peak_fraction`.
    package let name: String
    /// The value that the fit started from.
    package let before: Double
    /// The value it has now.
    package let after: Double
    /// Relative standard deviation that the runs leave, as a factor minus one.
    package let relativeDeviation: Double
    /// Whether the runs tell it: else it keeps the value it had.
    package let isIdentified: Bool
  }

  /// The errors of runs that were left out of the fit that predicted them.
  package struct Fold: Sendable {
    /// What was left out, such as a model's name.
    package let name: String
    /// Predictions of what was left out.
    package let validation: Validation
    /// Of its judged runs, the share that lies where nine in ten are expected by what the other groups tell; nil without any.
    package fileprivate(set) var coveredShare: Double?
  }

  /// What came out.
  package struct FittedProfile: Sendable {
    /// The fitted profile.
    package let profile: DeviceProfile
    /// Every coefficient that could have been fitted.
    package let coefficients: [Fitted]
    /// All runs under the fitted profile.
    package let validation: Validation
    /// Runs that the fit disregards, with their error: more than three times the loss scale off.
    package let outliers: [(id: String, error: Double)]
    /// Records that could not be fitted to, with the reason: those that were not even read, then in their order.
    package let leftOut: [LeftOutRecord]
    /// Parts of records that were not fitted to, though the rest was.
    package let unusedParts: [LeftOutRecord]
    /// By group that was left out; empty when no folds were asked for.
    package let folds: [Fold]
  }

  /// Relative error beyond which a run counts less and less.
  package static let lossScale = 0.08
  /// A coefficient counts as told by the runs when they leave less than this share of its prior spread.
  package static let identifiedShare = 0.85

  /// Weight of runs with less than 10 % model FLOP utilisation.
  package static let slowWeight = 0.3
  /// A failed run that needs less than this share of the memory has crashed of something else, and a successful one
  /// does not tell where it ends.
  package static let crashShare = 0.5

  /// Fewer measurements than this are not fitted to.
  package static let leastCount = 8

  private let samples: [Sample]
  /// Records that are not fitted to, with the reason: those that were not even read, then in their order.
  package let leftOut: [LeftOutRecord]
  /// Parts of records that are not fitted to, though the rest is.
  package var unusedParts: [LeftOutRecord] { samples.flatMap(\.run.unusedParts) }
  /// Names of coefficients, or of groups of them, that are left as they are.
  private let held: Set<String>
  /// The profile that is fitted, then those that it is fitted together with.
  private let bases: [DeviceProfile]
  /// By profile, the frameworks that have runs.
  private let frameworkIndices: [[Int]]
  private let parts: Set<Quantity>
  private let threadCount: Int

  /// - Parameters:
  ///   - runs: those of other devices, and later ones with an id that was there before, are left out; failed ones and
  ///     those of tier D or M do not count in the fit of times.
  ///   - unreadable: records of the same files that were not even read.
  ///   - device: the profile to start from.
  ///   - siblings: profiles of other devices whose runs tell of the same frameworks, see ``CoefficientFit``; memory is fitted
  ///     without them.
  ///   - held: names of coefficients, or of groups of them, that stay as they are, since something better has told them.
  ///   - parts: what to fit.
  /// - Throws: `CalibrationRefusal` when there is not enough to fit.
  package init(
    runs: [MeasuredRun], unreadable: [LeftOutRecord] = [], device: DeviceProfile,
    together siblings: [DeviceProfile] = [],
    held: Set<String> = [], catalog: Catalog,
    parts: Set<Quantity> = Set(Quantity.allCases), threadCount: Int
  ) throws(CalibrationRefusal) {
    let bases = [device] + siblings
    var members: [(run: MeasuredRun, workload: RunWorkload, profile: Int, isFast: Bool)] = []
    var leftOut = unreadable
    var placeOfID: [String: String] = [:]
    for run in runs {
      // The same measurement twice, or two of which one is misnamed: it counts once.
      if let first = placeOfID[run.id] {
        leftOut.append(run.leftOut("has the id of the record at \(first)"))
        continue
      }
      placeOfID[run.id] = run.source
      do {
        let workload = try RunWorkload(run, catalog: catalog)
        guard let profile = bases.firstIndex(where: { $0.name == workload.cluster.device.name }) else {
          leftOut.append(run.leftOut("on another device, \(workload.cluster.device.name)", isFault: false))
          continue
        }
        // Predicted with an assumption, and nothing to fit to.
        guard try run.strategy.get().microBatch != nil else {
          leftOut.append(run.leftOut("strategy does not state micro_batch"))
          continue
        }
        if let reason = run.reasonNotComparable {
          leftOut.append(run.leftOut(reason))
          continue
        }
        let estimate = try workload.estimate(device: bases[profile])
        members.append((run, workload, profile, Validation.Case(run: run, estimate: estimate).isFast))
      } catch {
        leftOut.append(run.leftOut("\(error)"))
      }
    }
    self.leftOut = leftOut
    self.held = held
    // A family counts like the root of its size: a sweep of hundreds must not drown a table of ten. Runs that nobody
    // would choose count less: they tell launches and latencies, and suffer from much that is not described.
    let sizes = Dictionary(grouping: members, by: \.run.family).mapValues(\.count)
    let memoryWeights = members.map { 1 / Double(sizes[$0.run.family] ?? 1).squareRoot() }
    let weights = zip(members, memoryWeights).map { ($0.isFast ? 1 : Self.slowWeight) * $1 }
    let mean = weights.reduce(0, +) / Double(max(1, weights.count))
    let memoryMean = memoryWeights.reduce(0, +) / Double(max(1, weights.count))
    samples = members.indices.map {
      Sample(
        run: members[$0].run, workload: members[$0].workload, profile: members[$0].profile, weight: weights[$0] / mean,
        memoryWeight: memoryWeights[$0] / memoryMean)
    }
    let count = Self.ownCount(samples, parts)
    guard count >= Self.leastCount else {
      throw .tooFew("runs", device: device.name, count: count, leftOut: leftOut)
    }
    self.parts = parts
    self.bases = bases
    frameworkIndices = bases.indices.map { place in
      let base = bases[place]
      let used = Set(members.filter { $0.profile == place }.map { $0.workload.coefficientName(in: base) })
      return base.frameworks.indices.filter { used.contains(base.frameworks[$0].name) }
    }
    self.threadCount = threadCount
  }

  /// Runs of the profile's own device that tell what is fitted: times where these are, else peaks.
  private static func ownCount(_ samples: [Sample], _ parts: Set<Quantity>) -> Int {
    samples.count { $0.isOwn && (parts.contains(.time) ? $0.hasTime : $0.hasPeak) }
  }

  /// Runs the fit, and again without each group of the folds, which tell how sure predictions are.
  /// - Throws: `CalibrationRefusal` when a fit does not converge or the runs contradict one another.
  package func run(folds grouping: Grouping?) throws(CalibrationRefusal) -> FittedProfile {
    let own = samples.filter(\.isOwn)
    let (profiles, coefficients) = try fit(samples)
    var profile = profiles[0]
    let validation = validation(of: own, profile: profile)
    profile.provenance = provenance(of: coefficients, validation: validation)
    let outliers = validation.cases.compactMap { item -> (id: String, error: Double)? in
      guard !item.run.isMarked, let error = item.timeError,
        abs(log(1 + error)) > CoefficientFit.outlierScales * Self.lossScale
      else { return nil }
      return (item.run.id, error)
    }.sorted { (abs($0.error), $1.id) > (abs($1.error), $0.id) }
    var folds: [Fold] = []
    if let grouping {
      let names = samples.map { sample in
        self.validation(of: [sample], profile: bases[sample.profile]).cases.first.map { grouping.name(of: $0) }
      }
      for name in Set(zip(samples, names).compactMap { $0.isOwn ? $1 : nil }).sorted() {
        let inside = zip(samples, names).filter { $0.1 == name && $0.0.isOwn }.map(\.0)
        let outside = zip(samples, names).filter { $0.1 != name }.map(\.0)
        guard Self.ownCount(outside, parts) >= Self.leastCount else { continue }
        var others = try fit(outside, near: profiles).profiles[0]
        // A release that is left out is priced as the one before it.
        if grouping == .release { others.forget(release: name) }
        folds.append(Fold(name: name, validation: self.validation(of: inside, profile: others)))
      }
      let groups = folds.map(\.validation)
      for index in folds.indices {
        let others = groups.indices.filter { $0 != index }.map { groups[$0] }
        folds[index].coveredShare = groups[index].coveredShare(by: DeviceProfile.Accuracy.entries(of: others))
      }
      if parts.contains(.time) { profile.accuracy = DeviceProfile.Accuracy.entries(of: groups) }
    }
    return FittedProfile(
      profile: profile, coefficients: coefficients, validation: validation, outliers: outliers, leftOut: leftOut,
      unusedParts: unusedParts, folds: folds)
  }

  /// Where each group of coefficients comes from now: these runs, or what it was before.
  private func provenance(of coefficients: [Fitted], validation: Validation) -> [DeviceProfile.Provenance] {
    // "compute", "fabric", "memory", "frameworks/nanotron".
    func group(_ name: String) -> String { name.split(separator: "/").dropLast().joined(separator: "/") }
    var provenance = bases[0].provenance
    for name in coefficients.map({ group($0.name) }).reduce(into: [String](), { if !$0.contains($1) { $0.append($1) } })
    {
      let told = coefficients.filter { group($0.name) == name && $0.isIdentified }
      guard !told.isEmpty else { continue }
      let isMemory = name.hasSuffix("memory")
      let errors = isMemory ? validation.memoryErrors : validation.timeErrors
      let runCount = samples.count { $0.isOwn && (isMemory ? $0.hasPeak : $0.hasTime) }
      let others = samples.count { !$0.isOwn && $0.hasTime }
      let devices = bases.dropFirst().map(\.name).joined(separator: ", ")
      let beside = isMemory || others == 0 ? "" : " beside \(others) on \(devices)"
      let families = Set(validation.cases.map(\.run.family)).sorted().joined(separator: ", ")
      let what = told.map { String($0.name.dropFirst(name.count + 1)) }.joined(separator: ", ")
      let percent = (errors.medianAbsolute * 1000).rounded() / 10
      let error = errors.count == 0 ? "none of which is judged" : "median error \(percent) %"
      let origin = "\(what): fitted to \(runCount) runs (\(families))\(beside), \(error); the rest as before"
      provenance.removeAll { $0.group == name }
      provenance.append(DeviceProfile.Provenance(group: name, origin: origin))
    }
    return provenance
  }

  private func validation(of samples: [Sample], profile: DeviceProfile) -> Validation {
    Validation(
      cases: samples.compactMap { sample in
        (try? sample.workload.estimate(device: profile)).map { Validation.Case(run: sample.run, estimate: $0) }
      })
  }

  /// The profiles that fit the samples best; coefficients they cannot tell as they were.
  ///
  /// - Parameter known: what fits about the same samples, where the search begins; nil begins at the priors.
  /// - Returns: the profiles, and what there is to say of the first one's coefficients.
  private func fit(
    _ samples: [Sample], near known: [DeviceProfile]? = nil
  ) throws(CalibrationRefusal) -> (profiles: [DeviceProfile], coefficients: [Fitted]) {
    var profiles = bases
    let timed = samples.filter(\.hasTime), measured = samples.filter { $0.isOwn && $0.hasPeak }
    var coefficients: [Fitted] = []
    if parts.contains(.time) {
      let ofTime = bases.indices.map { place in
        Coefficient.ofTime(frameworkIndices: frameworkIndices[place], profile: bases[place]).filter {
          !Self.isHeld($0.name, by: held)
        }
      }
      coefficients += try fit(
        ofTime, of: &profiles, near: known, to: timed, weights: timed.map(\.weight), what: "iteration times"
      ) { sample, profile, scratch in
        guard let seconds = sample.run.measured.iterationSeconds,
          let predicted = try? sample.workload.iterationSeconds(device: profile, scratch: &scratch)
        else { return .nan }
        return log(predicted / seconds)
      }
    }
    guard parts.contains(.memory), measured.count >= Self.leastCount else { return (profiles, coefficients) }
    let ofMemory = Coefficient.ofMemory(frameworkIndices: frameworkIndices[0], profile: bases[0])
    coefficients += try fit(
      [ofMemory], of: &profiles, near: known, to: measured, weights: measured.map(\.memoryWeight),
      what: "memory peaks"
    ) { sample, profile, _ in
      guard let bytes = sample.run.measured.peakBytes, let peaks = try? sample.workload.peakBytes(device: profile)
      else { return .nan }
      return log(Double(peaks.reported) / Double(bytes))
    }
    coefficients += fitThresholds(of: &profiles[0], to: samples.filter(\.isOwn))
    return (profiles, coefficients)
  }

  /// Whether a coefficient is left as it is: by its own name, or by that of a group that it is in.
  static func isHeld(_ name: String, by held: Set<String>) -> Bool {
    held.contains { name == $0 || name.hasPrefix($0 + "/") }
  }

  /// Fits some coefficients, by profile, to some samples, and writes what they tell into the profiles.
  private func fit(
    _ coefficients: [[Coefficient]], of profiles: inout [DeviceProfile], near known: [DeviceProfile]?,
    to samples: [Sample], weights: [Double], what: String,
    residual: @Sendable (Sample, DeviceProfile, inout EvaluationScratch) -> Double
  ) throws(CalibrationRefusal) -> [Fitted] {
    let fit = CoefficientFit(
      coefficients: coefficients, prior: bases, weights: weights, lossScale: Self.lossScale, what: what)
    let solution = try fit.solve(from: profiles, near: known) { residuals(samples, $0, residual) }
    profiles = solution.profiles
    return solution.coefficients
  }

  /// Shares of the memory between which a framework's runs are risky: of those that failed for want of memory one in
  /// twenty is predicted below, of those that succeeded one in fifty above. Neither of runs that need less than half of
  /// the memory: they tell nothing of where it ends.
  private func fitThresholds(of profile: inout DeviceProfile, to samples: [Sample]) -> [Fitted] {
    frameworkIndices[0].flatMap { index -> [Fitted] in
      let framework = profile.frameworks[index]
      var failed: [Double] = [], succeeded: [Double] = []
      for sample in samples where sample.workload.coefficientName(in: profile) == framework.name {
        guard let peaks = try? sample.workload.peakBytes(device: profile) else { continue }
        let share = Double(peaks.largest) / Double(profile.datasheet.memoryBytes)
        guard share >= Self.crashShare else { continue }
        if sample.run.measured.hasFailed { failed.append(share) } else { succeeded.append(share) }
      }
      let before = (profile.comfortableFraction(of: framework), profile.limitFraction(of: framework))
      let isTold = failed.count >= 20 && succeeded.count >= 20
      if isTold {
        let comfortable = min(max(failed.sorted()[failed.count / 20], 0.3), 0.95).rounded(significantDigits: 4)
        let limit = succeeded.sorted()[succeeded.count * 49 / 50].rounded(significantDigits: 4)
        profile.frameworks[index].memory.comfortableFraction = comfortable
        profile.frameworks[index].memory.limitFraction = min(1, max(limit, comfortable))
      }
      func fitted(_ key: String, _ before: Double, _ after: Double) -> Fitted {
        Fitted(
          name: "frameworks/\(framework.name)/memory/\(key)", before: before, after: after, relativeDeviation: 0,
          isIdentified: isTold)
      }
      let now = profile.frameworks[index]
      return [
        fitted("comfortable_fraction", before.0, profile.comfortableFraction(of: now)),
        fitted("limit_fraction", before.1, profile.limitFraction(of: now)),
      ]
    }
  }

  /// A residual of each sample; samples are divided among threads, each result has its own place.
  private func residuals(
    _ samples: [Sample], _ profiles: [DeviceProfile],
    _ residual: @Sendable (Sample, DeviceProfile, inout EvaluationScratch) -> Double
  ) -> [Double] {
    let results = Mutex([Double](repeating: .nan, count: samples.count))
    let chunk = (samples.count + threadCount - 1) / threadCount
    withoutActuallyEscaping(residual) { residual in
      DispatchQueue.concurrentPerform(iterations: threadCount) { thread in
        var scratch = EvaluationScratch()
        let range = min(samples.count, thread * chunk)..<min(samples.count, (thread + 1) * chunk)
        let own = range.map { residual(samples[$0], profiles[samples[$0].profile], &scratch) }
        results.withLock { $0.replaceSubrange(range, with: own) }
      }
    }
    return results.withLock { $0 }
  }
}
