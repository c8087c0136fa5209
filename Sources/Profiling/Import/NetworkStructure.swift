/// How the nodes of a cluster hang together: groups of nodes, innermost first.
/// Structure only; rates have to be measured or stated.
package struct NetworkStructure: Sendable, Equatable {
  /// What the groups are.
  package enum Shape: String, Sendable, CaseIterable {
    /// Switches below switches.
    case tree
    /// Blocks of nodes, joined into larger ones.
    case block
    case ring
    case torus
    /// No groups: all nodes are alike.
    case flat
  }

  /// A set of nodes under one switch, in one block or on one ring.
  package struct Group: Sendable, Equatable {
    package let name: String
    /// Indices into ``NetworkStructure/nodeNames``, ascending.
    package let nodes: [Int]
  }

  package let name: String
  package let shape: Shape
  package let nodeNames: [String]
  /// The groups of each level, innermost first; a group lies inside one of the next level, if that has it at all.
  package let levels: [[Group]]
  /// Nominal rate of a node's link, one direction; nil where not stated.
  package var linkBytesPerSecond: Double?

  init(name: String, shape: Shape, nodeNames: [String], levels: [[Group]]) {
    self.name = name
    self.shape = shape
    self.nodeNames = nodeNames
    self.levels = levels
  }

  /// How many parts there are that nothing joins.
  package var partCount: Int { levels.last?.count ?? (nodeNames.isEmpty ? 0 : 1) }

  /// Nodes of every group of each level, if all groups of each level are equal, fill it and follow one another in the
  /// order of the nodes: what the levels of a cluster document need. Nil where they do not.
  package var nodeSpans: [Int]? {
    var spans: [Int] = []
    for level in levels {
      guard let count = level.first?.nodes.count, count > 0, level.count * count == nodeNames.count,
        level.enumerated().allSatisfy({ $1.nodes == Array($0 * count..<($0 + 1) * count) })
      else { return nil }
      // A level that joins nothing is none.
      if count > spans.last ?? 1 { spans.append(count) }
    }
    return spans
  }
}
