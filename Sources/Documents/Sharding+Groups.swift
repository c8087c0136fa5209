/// The groups of replicas among which each kind of state is divided.
///
/// A data group is replicas 0…N−1. Replica r holds chunk `r mod w` of the weights, of that chunk number
/// `(r / w) mod (g / w)` of the gradient, of that again number `(r / g) mod (o / g)` of the optimizer states, and is copy
/// `r / o` of all of it. Each family of groups is evenly spaced, and place p of a group has chunk p.
extension Sharding {
  /// Which replicas form a group.
  public enum Family: String, Sendable, Hashable, CaseIterable {
    /// w consecutive replicas: the weights, once.
    case weights
    /// g / w replicas, w apart: what divides a shard of the weights into shards of the gradient.
    case gradients
    /// o / g replicas, g apart: what divides a shard of the gradient into shards of the optimizer states.
    case optimizer
    /// N / o replicas, o apart: those that hold the same shard of everything.
    case replicas
    /// s consecutive replicas: the secondary copy of the weights, once.
    case secondary
  }

  /// Replicas of a group.
  public func degree(of family: Family, replicaCount: Int) -> Int {
    switch family {
    case .weights: weightDegree
    case .gradients: gradientDegree / weightDegree
    case .optimizer: optimizerDegree / gradientDegree
    case .replicas: replicaCount / optimizerDegree
    case .secondary: secondaryDegree ?? 1
    }
  }

  /// Distance in replicas between neighbours of a group.
  public func stride(of family: Family) -> Int {
    switch family {
    case .weights, .secondary: 1
    case .gradients: weightDegree
    case .optimizer: gradientDegree
    case .replicas: optimizerDegree
    }
  }

  /// The place of a replica in its group.
  public func place(ofReplica replica: Int, in family: Family, replicaCount: Int) -> Int {
    replica / stride(of: family) % degree(of: family, replicaCount: replicaCount)
  }

  /// The group that a rank is in.
  public func group(of family: Family, containing rank: Int, in layout: ParallelLayout) -> RankGroup {
    let data = layout.rankGroup(of: .data, containing: rank)
    let replica = data.place(of: rank), count = degree(of: family, replicaCount: data.count)
    let place = place(ofReplica: replica, in: family, replicaCount: data.count)
    let stride = stride(of: family)
    return data.part(fromPlace: replica - place * stride, step: stride, count: count)
  }

  /// All groups of a family in a data group, by their first replica.
  public func groups(of family: Family, inDataGroup data: RankGroup) -> [RankGroup] {
    let stride = stride(of: family), count = degree(of: family, replicaCount: data.count)
    return (0..<data.count).filter { $0 / stride % count == 0 }.map {
      data.part(fromPlace: $0, step: stride, count: count)
    }
  }
}
