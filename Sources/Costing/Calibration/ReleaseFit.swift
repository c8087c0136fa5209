package import Documents
import Glibc

/// What passes took under each release of a framework's software, told by layouts that were measured under several: job,
/// machine and strategy the same, and no model of either in between.
///
/// Of a layout l under a release r, log t = a_l + b_r: with each layout's mean taken out, what is left are the differences of
/// b alone (two-way fixed effects), fitted robustly (``RobustLeastSquares``). The newest release is the measure, b = 0. Times
/// are of iterations, which mixtures of a few exchanges that do not hide aside are passes.
///
/// Software is not hardware: runs of all devices count, and every device's profile gets the same.
package struct ReleaseFit: Sendable {
  /// What came out.
  package struct FittedReleases: Sendable {
    /// The profile with its releases.
    package let profile: DeviceProfile
    /// By framework and release, but for each framework's newest.
    package let coefficients: [Calibration.Fitted]
  }

  /// Relative error beyond which a run counts less and less: releases differ by a few percent.
  private static let lossScale = 0.03
  /// Factor that the prior allows between one release and the newest: wide, since nothing else is fitted at the same time.
  private static let spread = 1.5
  private static let range = 0.5...2.0

  /// One run of a layout that was measured under several releases.
  private struct Sample {
    let release: String
    let logSeconds: Double
    let layout: Int
  }

  private let runs: [MeasuredRun]
  private let base: DeviceProfile
  /// Names of coefficients, or of groups of them, that are left as they are.
  private let held: Set<String>

  /// - Parameters:
  ///   - runs: of any devices; what failed, is marked or states no release does not count.
  ///   - device: the profile to start from.
  ///   - held: names of coefficients, or of groups of them, that stay as they are.
  package init(_ runs: [MeasuredRun], device: DeviceProfile, held: Set<String> = []) {
    self.held = held
    self.runs = runs.filter { $0.release != nil && $0.measured.iterationSeconds != nil && !$0.isMarked }
    base = device
  }

  /// Runs the fit; nil where no framework of the profile has enough runs of layouts under several releases.
  ///
  /// - Throws: `CalibrationRefusal` when the search does not converge.
  package func run() throws(CalibrationRefusal) -> FittedReleases? {
    var profile = base
    var coefficients: [Calibration.Fitted] = []
    for index in base.frameworks.indices {
      let framework = base.frameworks[index], group = "frameworks/\(framework.name)/releases"
      let samples = connected(samples(of: framework.name))
      guard samples.count >= Calibration.leastCount, !Calibration.isHeld(group, by: held) else { continue }
      let names = Set(samples.map(\.release)).sorted { DeviceProfile.Framework.Release.isEarlier($0, than: $1) }
      let fitted = try fit(samples, names, before: framework)
      coefficients += fitted
      profile.frameworks[index].releases = zip(names, fitted.map(\.after) + [1]).map {
        DeviceProfile.Framework.Release(name: $0, passFactor: $1)
      }
      profile.provenance.removeAll { $0.group == group }
      profile.provenance.append(
        DeviceProfile.Provenance(
          group: group,
          origin:
            "told by \(samples.count) runs of \(Set(samples.map(\.layout)).count) layouts, each under several releases, "
            + "on whatever device"))
    }
    return coefficients.isEmpty ? nil : FittedReleases(profile: profile, coefficients: coefficients)
  }

  /// All but the newest, in the order of their names.
  private func fit(
    _ samples: [Sample], _ names: [String], before framework: DeviceProfile.Framework
  ) throws(CalibrationRefusal) -> [Calibration.Fitted] {
    let earlier = names.dropLast()
    let solver = RobustLeastSquares(
      unknowns: earlier.map { _ in
        RobustLeastSquares.Unknown(
          lower: log(Self.range.lowerBound), upper: log(Self.range.upperBound), prior: 0, spread: log(Self.spread))
      }, lossScale: Self.lossScale, iterationLimit: CoefficientFit.stepLimit)
    let places = samples.map { sample in names.firstIndex(of: sample.release) ?? 0 }
    let members = Dictionary(grouping: samples.indices, by: { samples[$0].layout })
    let solution = solver.solve { values in
      let left = samples.indices.map { index in
        samples[index].logSeconds - (places[index] < values.count ? values[places[index]] : 0)
      }
      return samples.indices.map { index in
        let layout = members[samples[index].layout] ?? []
        return left[index] - layout.reduce(0) { $0 + left[$1] } / Double(layout.count)
      }
    }
    guard solution.hasConverged else { throw .notConverged("releases", steps: CoefficientFit.stepLimit) }
    return earlier.indices.map { place in
      let isTold = solution.deviations[place] < Calibration.identifiedShare * log(Self.spread)
      return Calibration.Fitted(
        name: "frameworks/\(framework.name)/releases/\(names[place])",
        before: framework.releases.first { $0.name == names[place] }?.passFactor ?? 1,
        after: isTold ? exp(solution.values[place]).rounded(significantDigits: 4) : 1,
        relativeDeviation: exp(solution.deviations[place]) - 1, isIdentified: isTold)
    }
  }

  /// Those that layouts connect with the newest release: of others nothing tells how far from it they are.
  private func connected(_ samples: [Sample]) -> [Sample] {
    var reached = Set([samples.map(\.release).max { DeviceProfile.Framework.Release.isEarlier($0, than: $1) } ?? ""])
    let layouts = Dictionary(grouping: samples, by: \.layout).values.map { Set($0.map(\.release)) }
    while let next = layouts.first(where: { !$0.isDisjoint(with: reached) && !$0.isSubset(of: reached) }) {
      reached.formUnion(next)
    }
    return samples.filter { reached.contains($0.release) }
  }

  /// Runs of a framework whose layout was measured under several releases.
  private func samples(of frameworkName: String) -> [Sample] {
    var layouts: [(run: MeasuredRun, members: [Sample])] = []
    for run in runs {
      guard let words = run.framework, base.framework(named: words)?.name == frameworkName, let release = run.release,
        let seconds = run.measured.iterationSeconds
      else { continue }
      let place = layouts.firstIndex { $0.run.hasLayout(of: run) } ?? layouts.count
      if place == layouts.count { layouts.append((run, [])) }
      layouts[place].members.append(Sample(release: release, logSeconds: log(seconds), layout: place))
    }
    return layouts.map(\.members).filter { Set($0.map(\.release)).count > 1 }.flatMap { $0 }
  }
}

extension MeasuredRun {
  /// Whether another run is of the same job on the same machine by the same strategy.
  fileprivate func hasLayout(of other: MeasuredRun) -> Bool {
    guard machine == other.machine, family == other.family, let job = try? job.get(),
      let strategy = try? strategy.get(),
      let otherJob = try? other.job.get(), let otherStrategy = try? other.strategy.get()
    else { return false }
    return job == otherJob && strategy == otherStrategy
  }
}
