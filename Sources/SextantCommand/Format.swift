import Documents
import Foundation

/// Numbers for people; documents keep SI base units.
enum Format {
  /// Three or four significant digits and a unit that fits: `1.23 s`, `45.6 ms`.
  static func seconds(_ seconds: Double) -> String {
    switch abs(seconds) {
    case 100...: String(format: "%.1f s", seconds)
    case 1...: String(format: "%.2f s", seconds)
    case 1e-3...: String(format: "%.1f ms", seconds * 1e3)
    case 0: "0 s"
    default: String(format: "%.1f µs", seconds * 1e6)
    }
  }

  /// Decimal gigabytes.
  static func gigabytes(_ bytes: Int) -> String { String(format: "%.1f GB", Double(bytes) / 1e9) }

  /// Bytes per second of a link, in decimal units: `23.99 GB/s`.
  static func linkRate(_ bytesPerSecond: Double) -> String {
    switch bytesPerSecond {
    case 1e12...: String(format: "%.2f TB/s", bytesPerSecond / 1e12)
    case 1e9...: String(format: "%.2f GB/s", bytesPerSecond / 1e9)
    case 1e6...: String(format: "%.2f MB/s", bytesPerSecond / 1e6)
    default: String(format: "%.0f B/s", bytesPerSecond)
    }
  }

  static func percent(_ share: Double) -> String { String(format: "%.1f %%", share * 100) }

  /// Thousands apart: `12,345`.
  static func count(_ number: Int) -> String { number.grouped }

  /// A count with its noun: `1 node`, `1,024 nodes`, `2 micro-batches`.
  static func count(_ number: Int, of noun: String) -> String { number.counted(noun) }

  static func rate(_ tokensPerSecond: Double) -> String {
    switch tokensPerSecond {
    case ..<10_000: String(format: "%.1f", tokensPerSecond)
    case ..<1e15: count(Int(tokensPerSecond.rounded()))
    default: String(format: "%.1e", tokensPerSecond)
    }
  }
}
