import Documents

/// Random numbers that are the same in every run, so that a failure can be repeated.
public struct SeededGenerator: RandomNumberGenerator, Sendable {
  private var stream: SplitMix64

  public init(seed: some BinaryInteger) { stream = SplitMix64(seed: UInt64(truncatingIfNeeded: seed)) }

  public mutating func next() -> UInt64 { stream.next() }
}
