import Documents

/// Random numbers that are the same in every run, so that a failure can be repeated.
package struct SeededGenerator: RandomNumberGenerator, Sendable {
  private var stream: SplitMix64

  package init(seed: some BinaryInteger) { stream = SplitMix64(seed: UInt64(truncatingIfNeeded: seed)) }

  package mutating func next() -> UInt64 { stream.next() }
}
