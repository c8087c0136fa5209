package import Documents

/// The elements of a tensor that a replica keeps: each range lies inside the one before.
package struct ShardRanges: Sendable, Hashable {
  /// Of the weights.
  package let weights: Range<Int>
  /// Of the accumulated gradient.
  package let gradients: Range<Int>
  /// Of the optimizer states.
  package let optimizer: Range<Int>
  /// Of the secondary copy of the weights, which is cut out of the whole tensor; empty without one.
  package let secondary: Range<Int>

  package init(weights: Range<Int>, gradients: Range<Int>, optimizer: Range<Int>, secondary: Range<Int>) {
    self.weights = weights
    self.gradients = gradients
    self.optimizer = optimizer
    self.secondary = secondary
  }
}

extension Sharding {
  /// What a replica keeps of a tensor: a chunk of it, of that a chunk, and again, chunks as collectives cut them.
  package func ranges(ofReplica replica: Int, replicaCount: Int, elementCount: Int) -> ShardRanges {
    func chunk(_ family: Family, of outer: Range<Int>) -> Range<Int> {
      let spacing = spacing(of: family, replicaCount: replicaCount)
      let own = CollectiveSchedule.chunk(
        spacing.place(of: replica), of: spacing.count, elementCount: outer.count)
      return outer.lowerBound + own.lowerBound..<outer.lowerBound + own.upperBound
    }
    let whole = 0..<elementCount
    let weights = chunk(.weights, of: whole)
    let gradients = chunk(.gradients, of: weights)
    return ShardRanges(
      weights: weights, gradients: gradients, optimizer: chunk(.optimizer, of: gradients),
      secondary: secondaryDegree == nil ? 0..<0 : chunk(.secondary, of: whole))
  }

  /// Of a tensor of a given number of elements, those that are reduced or gathered over a family of groups, as a
  /// replica sees them: what all members of its group together hold.
  package func elementCount(
    over family: Family, ofReplica replica: Int, replicaCount: Int, elementCount: Int
  ) -> Int {
    let ranges = ranges(ofReplica: replica, replicaCount: replicaCount, elementCount: elementCount)
    return switch family {
    case .weights, .secondary: elementCount
    case .gradients: ranges.weights.count
    case .optimizer: ranges.gradients.count
    case .replicas: ranges.optimizer.count
    }
  }
}
