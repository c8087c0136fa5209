/// A stream of random numbers that depends on its seed alone: the one generator of searches, hashes and tests.
///
/// Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators". What
/// is called in inner loops is inlinable.
package struct SplitMix64: RandomNumberGenerator, Sendable {
  /// What the state grows by from number to number: 2⁶⁴ divided by the golden ratio, odd.
  @inlinable
  package static var increment: UInt64 { 0x9E37_79B9_7F4A_7C15 }

  @usableFromInline
  var state: UInt64

  package init(seed: UInt64) { state = seed }

  @inlinable
  package mutating func next() -> UInt64 {
    state &+= Self.increment
    return Self.mixed(state)
  }

  /// All 64 bits in such disorder that inputs that differ in one bit have outputs that differ in half of them.
  @inlinable
  package static func mixed(_ value: UInt64) -> UInt64 {
    var mixed = value
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}
