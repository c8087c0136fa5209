import Foundation

/// How long tests of random input run: with few seeds, always the same, as part of the tests; with many in a longer run
/// by hand (docs/contributing.md).
package enum FuzzRun {
  /// How many times as many seeds: the number in `SEXTANT_FUZZ`.
  private static let factor = max(1, ProcessInfo.processInfo.environment["SEXTANT_FUZZ"].flatMap(Int.init) ?? 1)

  /// Some seeds, and in a longer run others after them.
  package static func seeds(_ seeds: UInt64...) -> [UInt64] {
    (0..<UInt64(factor)).flatMap { round in seeds.map { $0 + round * 1_000_003 } }
  }
}
