package import Documents

/// A reduce-scatter as two all-to-alls of quantised gradients (qgZ of ZeRO++): among the Y ranks of each
/// node, then, of what those have summed, among the X ranks with the same place in their nodes. Every
/// number is quantised twice, however many ranks there are.
///
/// The tensor is X·Y equal partitions, partition p belonging to the rank at place p = x·Y + y. A rank sends the rank at
/// place y of its node the partitions (0, y), (1, y), …, (X − 1, y): the tensor is **swizzled** so that these lie next
/// to each other. What it then has of its node's sum is in the order of the nodes, and after the second exchange each
/// rank holds its own partition of the sum. Sums are made in fp32, in the order of ranks.
package struct QuantisedExchange: Sendable, Hashable {
  /// All ranks.
  package let group: RankGroup
  /// Ranks of the group in one node, Y.
  package let insideCount: Int
  /// Nodes, X.
  package let acrossCount: Int
  /// Elements of the tensor, n.
  package let elementCount: Int

  /// How quantised numbers look on the wire.
  package static let quantisation = Quantisation.gradients

  /// - Returns: nil where the exchange is not possible: the group stays inside a node or lies unevenly on its nodes, or
  ///   twice its ranks do not divide the elements. An exact reduce-scatter takes its place.
  package init?(group: RankGroup, elementCount: Int, devicesPerNode: Int) {
    guard let split = group.nodeSplit(devicesPerNode: devicesPerNode) else { return nil }
    self.init(group: group, split: split, elementCount: elementCount)
  }

  /// The same of a group whose place on nodes is known.
  package init?(group: RankGroup, split: RankGroup.NodeSplit, elementCount: Int) {
    guard elementCount > 0, elementCount % (2 * group.count) == 0 else { return nil }
    self.group = group
    insideCount = split.insideCount
    acrossCount = split.acrossCount
    self.elementCount = elementCount
  }

  /// Elements of what belongs to one rank.
  package var partitionLength: Int { elementCount / group.count }

  /// Words of what one rank quantises for another in its node, and of all it quantises
  /// for its node; no exchange where each node has one rank.
  package var insideWordCount: Int {
    insideCount * Self.quantisation.wordCount(elementCount: nodeSumCount)
  }

  /// Words of all that one rank quantises for other nodes.
  package var acrossWordCount: Int { acrossCount * Self.quantisation.wordCount(elementCount: partitionLength) }

  /// Elements that the ranks of a node have summed when the first exchange is done.
  package var nodeSumCount: Int { elementCount / insideCount }

  /// The ranks of a member's node.
  package func insideGroup(of rank: Int) -> RankGroup {
    let place = group.place(of: rank)
    return group.part(fromPlace: place - place % insideCount, count: insideCount)
  }

  /// The ranks with a member's place in all nodes.
  package func acrossGroup(of rank: Int) -> RankGroup {
    group.part(fromPlace: group.place(of: rank) % insideCount, step: insideCount, count: acrossCount)
  }

  /// The partitions in the order in which they are sent: by place in the node, then by node. Of 2 nodes of 4:
  /// 0 4 1 5 2 6 3 7.
  package var swizzle: [Int] {
    (0..<insideCount).flatMap { place in (0..<acrossCount).map { $0 * insideCount + place } }
  }
}
