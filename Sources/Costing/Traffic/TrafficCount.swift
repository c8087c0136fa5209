package import Training

/// Bytes that ranks send each other in one iteration, counted exactly: by sender, by kind, and by the level of links that
/// a message crosses.
package struct TrafficCount: Sendable, Equatable {
  /// Ranks of the mesh.
  package let rankCount: Int
  /// Levels of the cluster's links, innermost first.
  package let levelCount: Int
  /// By rank, then kind, then level.
  private var bytes: [Int]

  /// Nothing sent yet.
  package init(rankCount: Int, levelCount: Int) {
    self.rankCount = rankCount
    self.levelCount = levelCount
    bytes = [Int](repeating: 0, count: rankCount * TrafficKind.allCases.count * levelCount)
  }

  private func index(_ rank: Int, _ kind: TrafficKind, _ level: Int) -> Int {
    (rank * TrafficKind.allCases.count + kind.index) * levelCount + level
  }

  /// Counts bytes that a rank sends.
  ///
  /// - Parameter level: the innermost level whose instance holds sender and receiver, an index into the cluster's levels.
  package mutating func add(_ byteCount: Int, kind: TrafficKind, fromRank rank: Int, level: Int) {
    bytes[index(rank, kind, level)] += byteCount
  }

  /// Takes back all that was counted of a kind.
  package mutating func removeAll(_ kind: TrafficKind) {
    for rank in 0..<rankCount {
      for level in 0..<levelCount { bytes[index(rank, kind, level)] = 0 }
    }
  }

  /// Adds what was counted elsewhere of the same ranks and levels.
  package mutating func add(_ other: Self) {
    precondition(
      other.rankCount == rankCount && other.levelCount == levelCount, "counts of other ranks or levels cannot be added")
    for index in bytes.indices { bytes[index] += other.bytes[index] }
  }

  /// Bytes that one rank sends of a kind across a level.
  package func byteCount(_ kind: TrafficKind, level: Int, fromRank rank: Int) -> Int { bytes[index(rank, kind, level)] }

  /// Bytes that all ranks together send of a kind across a level.
  package func byteCount(_ kind: TrafficKind, level: Int) -> Int {
    (0..<rankCount).reduce(0) { $0 + bytes[index($1, kind, level)] }
  }
}
