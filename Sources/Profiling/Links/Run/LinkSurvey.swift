/// What a run found out about every ordered pair of nodes.
package struct LinkSurvey: Sendable, Equatable {
  /// One node, in the order of ranks.
  package struct Node: Sendable, Equatable {
    package let name: String
    /// Whether it came and said who it is; if not, its name is what the launcher calls it, or its rank.
    package let hasCome: Bool
    /// What it shares with the nodes nearest to it, such as its leaf switch; empty when unknown.
    package let block: String
    /// Why it took no part, or not to the end; nil when it did.
    package let failure: String?
  }

  /// What is known of one direction; `measured` on the diagonal is the loopback inside the node.
  package enum Outcome: Sendable, Equatable {
    /// Not asked for, or interrupted before its turn.
    case notTried
    case measured(DirectionMeasurement)
    /// Measured in an earlier run, which is resumed.
    case known
    case failed(String)
  }

  package let nodes: [Node]
  /// From the row's node to the column's.
  package let outcomes: [[Outcome]]
  /// Whether all links of a round were measured at once.
  package let isLoaded: Bool
  /// Rounds of disjoint pairs that were gone through, the loopback not counted.
  package let roundCount: Int
  /// Callers that proved nothing and were turned away.
  package let refusedCount: Int
  package let wasInterrupted: Bool

  /// Whether all that was asked for was measured.
  package var isComplete: Bool {
    !wasInterrupted && nodes.allSatisfy { $0.failure == nil }
      && outcomes.allSatisfy { row in
        row.allSatisfy { if case .failed = $0 { false } else { true } }
      }
  }

  /// Directions between nodes that were measured, in this run or the one that is resumed.
  package var measuredCount: Int {
    outcomes.enumerated().reduce(0) { sum, row in
      sum
        + row.element.enumerated().count { column, outcome in
          switch outcome {
          case .measured, .known: column != row.offset
          case .notTried, .failed: false
          }
        }
    }
  }

  /// Whether this run measured anything, loopback included.
  package var hasMeasured: Bool {
    outcomes.contains { row in row.contains { if case .measured = $0 { true } else { false } } }
  }

  /// What is missing, in a line.
  package var shortfall: String {
    let missing = outcomes.reduce(0) { sum, row in
      sum + row.count { if case .failed = $0 { true } else { false } }
    }
    let lost = nodes.filter { $0.failure != nil }.map { "\($0.name) \($0.failure ?? "")" }
    if let first = lost.first {
      return "\(lost.count) of \(nodes.count) nodes are missing or were lost: \(first)"
        + (lost.count > 1 ? " (and \(lost.count - 1) more)" : "")
    }
    for (from, row) in outcomes.enumerated() {
      for (to, outcome) in row.enumerated() {
        if case .failed(let reason) = outcome {
          return "\(missing) directions were not measured: \(nodes[from].name) → \(nodes[to].name): \(reason)"
        }
      }
    }
    return "what was measured is written"
  }

  /// What each node shares with its nearest: its rack of a given number of consecutive ranks, or what its launcher
  /// says.
  package func blocks(nodesPerRack: Int?) -> [String] {
    nodes.enumerated().map { rank, node in nodesPerRack.map { "rack \(rank / $0)" } ?? node.block }
  }
}
