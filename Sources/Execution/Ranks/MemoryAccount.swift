/// Bytes that a rank holds, by what they are, and the most it ever held of each.
struct MemoryAccount: Sendable {
  /// What bytes are held for; the kinds of the memory model. Host bytes are not on the device.
  enum Kind: Int, CaseIterable, Sendable {
    case weights, gradients, optimizer, activations, workspace, host
    /// Anchor, outer momentum, and what workers have in flight.
    case outer
  }

  private(set) var live = [Int](repeating: 0, count: Kind.allCases.count)
  private(set) var peak = [Int](repeating: 0, count: Kind.allCases.count)

  /// Counts bytes that are taken, or given back where negative.
  mutating func add(_ byteCount: Int, _ kind: Kind) {
    live[kind.rawValue] += byteCount
    peak[kind.rawValue] = max(peak[kind.rawValue], live[kind.rawValue])
  }

  func peakBytes(_ kind: Kind) -> Int { peak[kind.rawValue] }
}
