/// A floating-point format of 8 or 4 bits, in which operands of products are: a sign, an exponent and a fraction.
///
/// | format | fraction | smallest normal number | step below it | largest number |
/// |---|---|---|---|---|
/// | E4M3 | 3 bits | 2⁻⁶ | 2⁻⁹ | 448 |
/// | E5M2 | 2 bits | 2⁻¹⁴ | 2⁻¹⁶ | 57,344 |
/// | E2M1 | 1 bit | 1 | ½ | 6 |
///
/// (Micikevicius et al. 2022, FP8 formats for deep learning; OCP Microscaling Formats 1.0, 2023.) What is larger than the
/// largest number becomes that, as casts of Transformer Engine do it. `NarrowNumberTests` goes through every code.
struct NarrowNumber: Sendable, Hashable {
  static let e4m3 = NarrowNumber(fractionBitCount: 3, smallestExponent: -6, largest: 448)
  static let e5m2 = NarrowNumber(fractionBitCount: 2, smallestExponent: -14, largest: 57_344)
  static let e2m1 = NarrowNumber(fractionBitCount: 1, smallestExponent: 0, largest: 6)

  /// Bits of the fraction.
  let fractionBitCount: Int
  /// Exponent of the smallest normal number.
  let smallestExponent: Int
  /// The largest number.
  let largest: Float

  /// By how much rounding changes a normal number at most, as a part of it.
  var unitRoundoff: Float { Float(sign: .plus, exponent: -fractionBitCount - 1, significand: 1) }

  /// The distance between numbers of the format around a value.
  ///
  /// - Parameter value: finite, of any sign, and no more than a few times the largest number.
  @inline(__always)
  func step(at value: Float) -> Float {
    // Fields of exponents of fp32: the value's own, and that of the smallest normal number.
    let field = max(value.bitPattern >> 23 & 0xff, UInt32(truncatingIfNeeded: smallestExponent &+ 127))
    return Float(bitPattern: (field &- UInt32(truncatingIfNeeded: fractionBitCount)) << 23)
  }

  /// The number of the format that is nearest to a value, of two as near the one whose fraction is even.
  @inline(__always)
  func rounded(_ value: Float) -> Float {
    guard value.isFinite else { return .nan }
    let value = clipped(value)
    // Added to so large a number nothing but whole steps is left of it, rounded to even as all sums are.
    let large = 0x1.8p23 * step(at: value)
    return min(max(value + large - large, -largest), largest)
  }

  /// One of the two numbers of the format around a value, the upper as often as the value is near it: over a uniformly
  /// distributed `chance` the mean is the value, as far as it is within the format's range.
  ///
  /// - Parameter chance: in [0, 1).
  @inline(__always)
  func rounded(_ value: Float, chance: Float) -> Float {
    guard value.isFinite else { return .nan }
    let value = clipped(value), step = step(at: value)
    let magnitude = min(Float(Int32(abs(value) / step + chance)) * step, largest)
    return value < 0 ? -magnitude : magnitude
  }

  /// What is far beyond the largest number becomes twice that.
  @inline(__always)
  private func clipped(_ value: Float) -> Float { min(max(value, -2 * largest), 2 * largest) }
}

extension NarrowNumber: CaseIterable {
  static let allCases = [e4m3, e5m2, e2m1]
}
