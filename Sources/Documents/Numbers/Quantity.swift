import Foundation

/// A number with its unit, as people write the rate of a link or the size of a memory: `400Gb/s`, `50 GB/s`, `2TB`.
///
/// Prefixes are those of the SI (k, M, G, T, P) and, before bytes, the binary ones (Ki, Mi, Gi, Ti, Pi). `B` is bytes
/// and `b` bits, so that a port's 400 Gb/s and a link's 50 GB/s are the same rate and 400 GB/s is another. A number
/// without a unit is no quantity: nobody could say which was meant.
package enum Quantity {
  /// What is measured.
  package enum Kind: Sendable {
    /// A memory.
    case bytes
    /// A link.
    case bytesPerSecond

    /// What to write, for messages.
    package var examples: String {
      switch self {
      case .bytes: "a size such as 2TB or 512GiB"
      case .bytesPerSecond: "a rate such as 50GB/s (bytes) or 400Gb/s (bits)"
      }
    }
  }

  /// Reads a quantity of a kind.
  ///
  /// - Returns: bytes, or bytes per second, above zero; nil for what is no such quantity.
  package static func value(of text: String, as kind: Kind) -> Double? {
    let digits = text.prefix { "0123456789.eE+-".contains($0) }
    // `1e9` takes an exponent, `1EB` would be an exabyte: letters after the number belong to the unit.
    guard let number = Double(digits), number > 0, number.isFinite else { return nil }
    var unit = text.dropFirst(digits.count).drop { $0 == " " }
    if kind == .bytesPerSecond {
      let isSpelt = ["/s", "ps"].first { unit.hasSuffix($0) }
      guard let isSpelt else { return nil }
      unit = unit.dropLast(isSpelt.count)
    }
    let bytesPerUnit: Double
    switch (unit.last, kind) {
    case ("B", _): bytesPerUnit = 1
    case ("b", .bytesPerSecond): bytesPerUnit = 1.0 / 8
    default: return nil
    }
    let prefix = unit.dropLast()
    let powers = ["": 0, "k": 1, "M": 2, "G": 3, "T": 4, "P": 5], binary = prefix.last == "i"
    guard let power = powers[prefix.dropLast(binary ? 1 : 0).description] ?? (prefix == "Ki" ? 1 : nil) else {
      return nil
    }
    guard !binary || (power > 0 && bytesPerUnit == 1) else { return nil }
    let value = number * bytesPerUnit * pow(binary ? 1024 : 1000, Double(power))
    return value.isFinite ? value : nil
  }
}
