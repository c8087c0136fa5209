/// Evenly spaced ranks, in ascending order: what every group of a mesh, and every part of one, is.
package struct RankGroup: Sendable, Hashable {
  /// The first rank.
  package let first: Int
  /// Distance in ranks between neighbours, at least 1.
  package let stride: Int
  /// Ranks in all, at least 1.
  package let count: Int

  package init(first: Int, stride: Int, count: Int) {
    self.first = first
    self.stride = stride
    self.count = count
  }

  /// The rank at a place, counted from 0.
  package func rank(_ place: Int) -> Int { first + place * stride }

  /// All ranks, in order.
  package var ranks: [Int] { (0..<count).map(rank) }

  /// The place of a member.
  /// - Precondition: the rank is a member.
  package func place(of rank: Int) -> Int { (rank - first) / stride }

  /// A part of the group: `count` members beginning with the one at `place`, every `step`-th.
  package func part(fromPlace place: Int, step: Int = 1, count: Int) -> RankGroup {
    RankGroup(first: rank(place), stride: step * stride, count: count)
  }

  /// How a group that leaves its node lies on the nodes: X nodes with Y members each.
  package struct NodeSplit: Sendable, Hashable {
    /// Members in one node, Y: consecutive places.
    package let insideCount: Int
    /// Nodes, X, at least 2.
    package let acrossCount: Int
  }

  /// How the group lies on nodes of a given number of consecutive ranks; nil where it stays inside one node, or has
  /// more members on some of its nodes than on others.
  ///
  /// - Complexity: O(nodes), at most O(count).
  package func nodeSplit(devicesPerNode: Int) -> NodeSplit? {
    guard count > 1, rank(count - 1) / devicesPerNode > first / devicesPerNode else { return nil }
    // Members in front of the first node's end.
    let inside = (devicesPerNode - first % devicesPerNode + stride - 1) / stride
    guard count % inside == 0 else { return nil }
    for place in Swift.stride(from: 0, to: count, by: inside) {
      let node = rank(place) / devicesPerNode
      guard rank(place + inside - 1) / devicesPerNode == node,
        place == 0 || rank(place - 1) / devicesPerNode < node
      else { return nil }
    }
    return NodeSplit(insideCount: inside, acrossCount: count / inside)
  }
}

extension RankGroup {
  /// A digit of a mixed-radix numbering: the numbers that differ in it alone lie `stride` apart, `count` of them.
  package struct Spacing: Sendable, Hashable {
    /// Distance between neighbours, at least 1: the product of the counts of all digits below.
    package let stride: Int
    /// Values of the digit, at least 1.
    package let count: Int

    package init(stride: Int, count: Int) {
      self.stride = stride
      self.count = count
    }

    /// The value of the digit.
    package func place(of number: Int) -> Int { number / stride % count }
  }

  /// Of the parts into which the places of this group's members divide it, the one that a member is in.
  /// - Precondition: the rank is a member.
  package func group(_ spacing: Spacing, containing rank: Int) -> RankGroup {
    let place = place(of: rank)
    return part(
      fromPlace: place - spacing.place(of: place) * spacing.stride, step: spacing.stride, count: spacing.count)
  }

  /// All those parts, ordered by their first rank.
  package func groups(_ spacing: Spacing) -> [RankGroup] {
    (0..<count).filter { spacing.place(of: $0) == 0 }.map {
      part(fromPlace: $0, step: spacing.stride, count: spacing.count)
    }
  }
}
