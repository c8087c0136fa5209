/// Releases of a framework's software: what changes from one to the next is neither the device's nor the links'.
extension DeviceProfile.Framework {
  /// What passes of a release took, against those of the newest that was measured.
  package struct Release: Sendable, Equatable {
    /// Numbers between points, such as `26.02.01`.
    package let name: String
    /// Time of passes, kernels and their launches, as a multiple of the newest release's.
    package var passFactor: Double

    package init(name: String, passFactor: Double) {
      self.name = name
      self.passFactor = passFactor
    }

    /// Whether a name is earlier than another: number by number.
    package static func isEarlier(_ name: String, than other: String) -> Bool {
      numbers(name).lexicographicallyPrecedes(numbers(other))
    }

    private static func numbers(_ name: String) -> [Int] { name.split(separator: ".").map { Int($0) ?? 0 } }

    /// The release that a framework's words end with, as `Megatron-Bridge / NeMo 25.09` does; nil where they do not.
    package static func named(in words: String) -> String? {
      guard let last = words.split(separator: " ").last, isName(last) else { return nil }
      return String(last)
    }

    /// Two to four numbers between points.
    static func isName(_ word: some StringProtocol) -> Bool {
      let parts = word.split(separator: ".", omittingEmptySubsequences: false)
      return (2...4).contains(parts.count)
        && parts.allSatisfy { (1...4).contains($0.count) && $0.allSatisfy { $0.isASCII && $0.isNumber } }
    }
  }

  /// The same under a release: under one that was not measured as under the last before it, or else the first. Without one as
  /// under the newest.
  func under(release name: String?) -> Self {
    guard let name else { return self }
    let release = releases.last { !Release.isEarlier(name, than: $0.name) } ?? releases.first
    return release.map { withPasses(times: $0.passFactor) } ?? self
  }

  /// The same with kernels and launches that take so many times as long; what links carry takes what it did.
  private func withPasses(times factor: Double) -> Self {
    var slower = self
    slower.layerFloorSeconds *= factor
    slower.ownExpertLayerFloorSeconds = ownExpertLayerFloorSeconds.map { $0 * factor }
    slower.gemmFactor *= factor
    slower.attentionFactor *= factor
    slower.elementWiseFactor *= factor
    slower.ownExpertElementWiseFactor = ownExpertElementWiseFactor.map { $0 * factor }
    slower.expertProductSeconds *= factor
    return slower
  }
}

extension DeviceProfile {
  /// Forgets what a release took, so that its runs are priced as those of the one before it.
  package mutating func forget(release name: String) {
    for index in frameworks.indices { frameworks[index].releases.removeAll { $0.name == name } }
  }
}
