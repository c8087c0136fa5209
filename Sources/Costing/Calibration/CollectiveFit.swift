package import Documents
import Foundation

/// Fits a device profile's fabric to timed collectives: γ, and α and the share of the nominal rate inside a node and
/// between nodes.
///
/// Collectives tell the fabric without anything that training adds, so they come first; a fit to training runs then
/// leaves alone what they told.
package struct CollectiveFit: Sendable {
  /// What came out.
  package struct FittedLinks: Sendable {
    /// The fitted profile.
    package let profile: DeviceProfile
    /// Every coefficient that could have been fitted.
    package let coefficients: [Calibration.Fitted]
    /// Errors under the profile that the fit started from, by ranks.
    package let before: ErrorSummary
    /// Errors under the fitted profile.
    package let after: ErrorSummary
    /// The same by what the ranks span, such as `8 ranks, 1 node`.
    package let groups: [(name: String, before: ErrorSummary, after: ErrorSummary)]
  }

  /// Relative error beyond which a timing counts less and less.
  package static let lossScale = 0.08

  private let samples: [MeasuredCollective]
  private let base: DeviceProfile
  /// Timings of other devices, which are left out.
  package let otherDeviceCount: Int

  /// - Parameters:
  ///   - collectives: those of other devices are left out.
  ///   - unreadable: records of the same files that were not read.
  ///   - device: the profile to start from.
  /// - Throws: `CalibrationRefusal` when there is not enough to fit.
  package init(
    _ collectives: [MeasuredCollective], unreadable: [LeftOutRecord] = [], device: DeviceProfile
  ) throws(CalibrationRefusal) {
    samples = collectives.filter { $0.device == device.name }
    otherDeviceCount = collectives.count - samples.count
    guard samples.count >= Calibration.leastCount else {
      throw .tooFew("timed collectives", device: device.name, count: samples.count, leftOut: unreadable)
    }
    base = device
  }

  /// Runs the fit.
  /// - Throws: `CalibrationRefusal` when it does not converge or the timings contradict one another.
  package func run() throws(CalibrationRefusal) -> FittedLinks {
    let start = withMeasuredGroups(base)
    let fit = try CoefficientFit(
      coefficients: [Coefficient.ofFabric(profile: start)], prior: [start], weights: [], lossScale: Self.lossScale,
      what: "timed collectives"
    ).solve(from: [start]) { trial in samples.map { log($0.predictedSeconds(on: trial[0]) / $0.seconds) } }
    var profile = fit.profiles[0]
    let told = fit.coefficients.filter(\.isIdentified).map { String($0.name.dropFirst("fabric/".count)) }
    if !told.isEmpty {
      let sources = Set(samples.map(\.source)).sorted().joined(separator: "; ")
      let error = (errors(samples, under: profile).medianAbsolute * 1000).rounded() / 10
      profile.provenance.removeAll { $0.group == Self.provenanceGroup }
      profile.provenance.append(
        DeviceProfile.Provenance(
          group: Self.provenanceGroup,
          origin: "\(told.joined(separator: ", ")): fitted to \(samples.count) timed collectives (\(sources)), "
            + "median error \(error) %"))
    }
    let groups = Dictionary(grouping: samples) { [$0.nodeCount, $0.rankCount] }
      .sorted { ($0.key[0], $0.key[1]) < ($1.key[0], $1.key[1]) }
    return FittedLinks(
      profile: profile, coefficients: fit.coefficients, before: errors(samples, under: base),
      after: errors(samples, under: profile),
      groups: groups.map { key, members in
        (
          "\(key[1]) ranks on \(key[0] == 1 ? "one node" : "\(key[0]) nodes")", errors(members, under: base),
          errors(members, under: profile)
        )
      })
  }

  /// The group of a profile's provenance that says what timed collectives told.
  static let provenanceGroup = "fabric/collectives"

  /// Where devices are linked directly, with a share of its own for every number of ranks in a node that was measured.
  private func withMeasuredGroups(_ profile: DeviceProfile) -> DeviceProfile {
    var profile = profile
    let groups = profile.fabric.scaleUpGroups
    guard !groups.isEmpty else { return profile }
    let counts = Set(samples.filter { $0.nodeCount == 1 }.map(\.rankCount)).union(groups.map(\.rankCount))
    profile.fabric.scaleUpGroups = counts.sorted().map { count in
      DeviceProfile.GroupShare(
        rankCount: count,
        efficiency: (groups.first { count <= $0.rankCount } ?? groups[groups.count - 1]).efficiency)
    }
    return profile
  }

  private func errors(_ samples: [MeasuredCollective], under profile: DeviceProfile) -> ErrorSummary {
    let predicted = samples.map { $0.predictedSeconds(on: profile) }
    return ErrorSummary(
      errors: zip(predicted, samples).map { $0 / $1.seconds - 1 }, predicted: predicted,
      measured: samples.map(\.seconds))
  }
}

extension MeasuredCollective {
  /// What the cost model says of it.
  func predictedSeconds(on device: DeviceProfile) -> Double {
    let stride = nodeCount == 1 ? 1 : devicesPerNode / (rankCount / nodeCount)
    // The reader has refused what no cluster can be made of.
    guard let cluster = try? cluster(of: device) else { return .nan }
    let group = Fabric(cluster).group(first: 0, stride: stride, count: rankCount)
    let bytes = Double(byteCount)
    return switch kind {
    case .allReduce: group.allReduceSeconds(byteCount: bytes)
    case .allGather: group.allGatherSeconds(byteCount: bytes)
    case .reduceScatter: group.reduceScatterSeconds(byteCount: bytes)
    }
  }
}
