import Documents

/// Random numbers without state: a hash of the coordinates of what needs one.
///
/// The same coordinates give the same number on every rank, thread and layout, so that shards of a tensor are
/// initialised without communication and the serial reference drops the same elements. The mixing is that of
/// ``SplitMix64``, once per coordinate.
struct CounterHash: Sendable {
  private let state: UInt64

  init(seed: UInt64) { state = SplitMix64.mixed(seed &+ SplitMix64.increment) }

  private init(state: UInt64) { self.state = state }

  /// The hash with one more coordinate; coordinates are ordered.
  func appending(_ coordinate: Int) -> CounterHash {
    CounterHash(state: SplitMix64.mixed(state &+ SplitMix64.increment &* (UInt64(bitPattern: Int64(coordinate)) &+ 1)))
  }

  /// All 64 bits.
  var bits: UInt64 { state }

  /// Uniform in [0, 1), a multiple of 2⁻²⁴.
  var unitInterval: Float { Float(state >> 40) * 0x1p-24 }

  /// Uniform in 0..<count; biased by less than count / 2⁶⁴.
  func integer(below count: Int) -> Int { Int(state.multipliedFullWidth(by: UInt64(count)).high) }
}
