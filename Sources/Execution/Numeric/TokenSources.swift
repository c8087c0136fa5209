import Documents

/// The ranks among which tokens of a micro-batch are divided where a router chooses their experts.
///
/// An expert takes so many tokens of each of them: what is dropped depends on this division, and on no other.
struct TokenSources: Sendable, Equatable {
  /// How ranks divide sequences.
  let division: Strategy.ContextDivision
  /// Ranks that divide the rest of a sequence further.
  let tensorDegree: Int

  /// All tokens are one rank's.
  static let one = TokenSources(division: .none, tensorDegree: 1)

  /// Rows of each rank, out of all of a micro-batch.
  ///
  /// - Parameter rowCount: of whole sequences where there are several ranks.
  func rows(rowCount: Int, sequenceCount: Int) -> [[Int]] {
    if self == .one { return [Array(0..<rowCount)] }
    return (0..<division.degree).flatMap { index -> [[Int]] in
      let place = ContextPlace(division, index: index, sequenceLength: rowCount / sequenceCount)
      let all = place.positions.flatMap { position in (0..<sequenceCount).map { position * sequenceCount + $0 } }
      let count = all.count / tensorDegree
      return (0..<tensorDegree).map { Array(all[$0 * count..<($0 + 1) * count]) }
    }
  }
}
