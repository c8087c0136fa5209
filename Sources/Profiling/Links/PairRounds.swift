/// All pairs of `nodeCount` nodes as rounds of disjoint pairs, by the circle method (Kirkman 1847).
///
/// A 1-factorisation of the complete graph: an even number of nodes takes nodeCount − 1 rounds in which all are busy;
/// an odd number takes nodeCount rounds, in each of which another node rests. Every pair occurs exactly once, the lower
/// index first. The order is fixed: round r pairs the nodes whose places on the circle add up to r.
///
/// - Complexity: O(nodeCount²).
/// - Precondition: `nodeCount` is not negative.
package func pairRounds(nodeCount: Int) -> [[NodePair]] {
  precondition(nodeCount >= 0, "a number of nodes must not be negative")
  guard nodeCount > 1 else { return [] }
  // An odd number gets a node that is not there; whoever meets it rests.
  let placeCount = nodeCount + nodeCount % 2
  let last = placeCount - 1
  return (0..<last).map { round in
    var pairs: [NodePair] = []
    if last < nodeCount { pairs.append(NodePair(round, last)) }
    for distance in 1..<max(1, placeCount / 2) {
      pairs.append(NodePair((round + distance) % last, (round + last - distance) % last))
    }
    return pairs.sorted { $0.lower < $1.lower }
  }
}

/// Two different nodes by index, without a direction.
package struct NodePair: Sendable, Hashable {
  package let lower: Int
  package let upper: Int

  /// - Precondition: the nodes differ.
  package init(_ one: Int, _ other: Int) {
    precondition(one != other, "a pair is of two different nodes")
    lower = min(one, other)
    upper = max(one, other)
  }
}

/// Which rounds a sampled run measures: `count` of `total`, evenly apart, the first always among them.
///
/// Every round meets each node once, so that each node has `count` measured partners; rounds apart have partners at
/// all distances.
///
/// - Precondition: `count` is from 1 to `total`.
package func sampledRounds(count: Int, of total: Int) -> [Int] {
  precondition((1...max(1, total)).contains(count), "so many rounds there are not")
  return (0..<count).map { $0 * total / count }
}
