import Documents
import Training

/// What quantised collectives of one family put on the wire, in groups that leave their nodes.
struct ShardQuantisation: Sendable, Equatable {
  /// Ranks of a group.
  let rankCount: Int
  /// How they lie on nodes.
  let split: RankGroup.NodeSplit

  /// - Returns: nil where the group stays inside its node or lies on nodes unevenly: nothing is quantised there.
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

  /// The two exchanges of a tensor's gradient, on any nodes that the group may lie on; nil where an exact reduction takes
  /// their place.
  func exchange(elementCount: Int) -> QuantisedExchange? {
    QuantisedExchange(
      group: RankGroup(first: 0, stride: 1, count: rankCount), split: split, elementCount: elementCount)
  }
}

extension QuantisedExchange {
  /// What a rank quantises for its node, its own part included, bytes; 0 where it is alone there.
  var insideByteCount: Int { insideCount > 1 ? insideWordCount * Quantisation.wordByteCount : 0 }

  /// What it quantises for the other nodes, bytes.
  var acrossByteCount: Int { acrossWordCount * Quantisation.wordByteCount }
}
