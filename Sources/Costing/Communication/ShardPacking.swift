import Documents
import Schedules

/// What quantised collectives of one family put on the wire, in groups that leave their nodes.
struct ShardPacking: Sendable, Equatable {
  /// Ranks of a group.
  let rankCount: Int
  /// How they lie on nodes.
  let split: RankGroup.NodeSplit

  /// - Returns: nil where the group stays inside its node or lies on nodes unevenly: nothing is packed there.
  init?(_ group: RankGroup, devicesPerNode: Int) {
    guard let split = group.nodeSplit(devicesPerNode: devicesPerNode) else { return nil }
    rankCount = group.count
    self.split = split
  }

  /// Bytes of all shards of a gathered tensor.
  func gatheredByteCount(elementCount: Int) -> Int {
    Quantisation.weights.gatheredWordCount(elementCount: elementCount, rankCount: rankCount)
      * Quantisation.wordByteCount
  }

  /// The two exchanges of a tensor's gradient, see ``Schedules/QuantisedExchange``.
  struct Exchange {
    /// What a rank packs for its node, its own part included; 0 where it is alone there.
    let insideByteCount: Int
    /// Elements that its node has summed when the first exchange is done.
    let nodeSumCount: Int
    /// What it packs for the other nodes.
    let acrossByteCount: Int
  }

  /// - Returns: nil where twice the ranks do not divide the elements: an exact reduction takes the place.
  func exchange(elementCount: Int) -> Exchange? {
    guard elementCount % (2 * rankCount) == 0 else { return nil }
    let nodeSumCount = elementCount / split.insideCount
    func packed(_ elementCount: Int, count: Int) -> Int {
      count * Quantisation.gradients.wordCount(elementCount: elementCount) * Quantisation.wordByteCount
    }
    return Exchange(
      insideByteCount: split.insideCount > 1 ? packed(nodeSumCount, count: split.insideCount) : 0,
      nodeSumCount: nodeSumCount,
      acrossByteCount: packed(nodeSumCount / split.acrossCount, count: split.acrossCount))
  }
}
