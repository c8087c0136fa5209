/// Random numbers without state: a hash of the coordinates of what needs one.
///
/// The same coordinates give the same number on every rank, thread and layout, so that shards of a tensor are initialised
/// without communication and the serial reference drops the same elements. The mixing is that of SplitMix64
/// (Steele, Lea and Flood 2014, Fast splittable pseudorandom number generators), once per coordinate.
struct CounterHash: Sendable {
  private let state: UInt64

  init(seed: UInt64) { state = Self.mixed(seed &+ 0x9e37_79b9_7f4a_7c15) }

  private init(state: UInt64) { self.state = state }

  /// The hash with one more coordinate; coordinates are ordered.
  func appending(_ coordinate: Int) -> CounterHash {
    CounterHash(state: Self.mixed(state &+ 0x9e37_79b9_7f4a_7c15 &* (UInt64(bitPattern: Int64(coordinate)) &+ 1)))
  }

  /// All 64 bits.
  var bits: UInt64 { state }

  /// Uniform in [0, 1), a multiple of 2⁻²⁴.
  var unitInterval: Float { Float(state >> 40) * 0x1p-24 }

  /// Uniform in 0..<count; biased by less than count / 2⁶⁴.
  func integer(below count: Int) -> Int { Int(state.multipliedFullWidth(by: UInt64(count)).high) }

  private static func mixed(_ value: UInt64) -> UInt64 {
    var z = value
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }
}
