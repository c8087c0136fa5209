package import Documents

/// What replicas exchange of an iteration's weights and gradients: sizes, and where numbers are quantised.
extension IterationShape {
  /// How replicas divide weights, gradients and optimizer states.
  package var sharding: Sharding { strategy.sharding }

  /// The group of replicas of a family that a rank is in.
  package func group(of family: Sharding.Family, containing rank: Int) -> RankGroup {
    sharding.group(of: family, containing: rank, in: mesh)
  }

  /// Whether everything on a rank is reduced and gathered at once, once an iteration: where whole gradients are kept.
  /// Otherwise each part is, and its gradient in every micro-batch.
  package var reducesOnce: Bool { strategy.zeroStage < .gradients }

  /// The families over which a micro-batch's gradient is reduced to the shard that is kept, innermost first; the last is
  /// there even if it is of one rank, since what is reduced is then accumulated.
  package var microBatchFamilies: [Sharding.Family] {
    let w = sharding.weightDegree, g = sharding.gradientDegree
    return w == 1 ? [.gradients] : g == w ? [.weights] : [.weights, .gradients]
  }

  /// Of a tensor of a given number of elements, those that are reduced or gathered over a family of groups, as one of
  /// its ranks sees them: what all members together hold.
  package func elementCount(over family: Sharding.Family, rank: Int, of elementCount: Int) -> Int {
    sharding.elementCount(
      over: family, ofReplica: mesh.coordinate(ofRank: rank, along: .data), replicaCount: strategy.dataDegree,
      elementCount: elementCount)
  }

  /// How weights travel that are gathered over a group; nil as they are.
  package func weightQuantisation(over group: RankGroup) -> Quantisation? {
    sharding.quantisesWeights && group.nodeSplit(devicesPerNode: devicesPerNode) != nil ? .weights : nil
  }

  /// How a given number of elements of gradients are exchanged over a group instead of reduced; nil if they are not.
  package func exchange(over group: RankGroup, elementCount: Int) -> QuantisedExchange? {
    guard sharding.quantisesGradients else { return nil }
    return QuantisedExchange(group: group, elementCount: elementCount, devicesPerNode: devicesPerNode)
  }
}
