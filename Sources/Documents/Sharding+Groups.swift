/// The groups of replicas among which each kind of state is divided.
///
/// A data group is replicas 0…N−1, which are all ranks that hold the same weights: where several divide a replica's
/// sequences, each of these counts, neighbours first. Replica r holds chunk `r mod w` of the weights, of that chunk number
/// `(r / w) mod (g / w)` of the gradient, of that again number `(r / g) mod (o / g)` of the optimizer states, and is
/// copy `r / o` of all of it. Each family of groups is evenly spaced, and place p of a group has chunk p.
extension Sharding {
  /// Which replicas form a group.
  package enum Family: String, Sendable, Hashable, CaseIterable {
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

  /// How the groups of a family are spaced among the replicas of a data group.
  package func spacing(of family: Family, replicaCount: Int) -> RankGroup.Spacing {
    switch family {
    case .weights: RankGroup.Spacing(stride: 1, count: weightDegree)
    case .gradients: RankGroup.Spacing(stride: weightDegree, count: gradientDegree / weightDegree)
    case .optimizer: RankGroup.Spacing(stride: gradientDegree, count: optimizerDegree / gradientDegree)
    case .replicas: RankGroup.Spacing(stride: optimizerDegree, count: replicaCount / optimizerDegree)
    case .secondary: RankGroup.Spacing(stride: 1, count: secondaryDegree ?? 1)
    }
  }

  /// The group that a rank is in.
  package func group(of family: Family, containing rank: Int, in mesh: Mesh) -> RankGroup {
    let data = mesh.replicaGroup(containing: rank)
    return data.group(spacing(of: family, replicaCount: data.count), containing: rank)
  }

  /// All groups of a family in a data group, by their first replica.
  package func groups(of family: Family, inDataGroup data: RankGroup) -> [RankGroup] {
    data.groups(spacing(of: family, replicaCount: data.count))
  }
}
