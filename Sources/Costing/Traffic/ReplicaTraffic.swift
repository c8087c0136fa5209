import Documents
import Training

/// Adds up what the replicas of one data group send each other: gradients reduced and weights gathered over the families
/// of groups that the shard degrees make.
struct ReplicaTraffic {
  let model: CostModel
  let sharding: Sharding
  /// Replicas 0…N−1.
  let data: RankGroup
  let weightByteCount: Int
  let gradientByteCount: Int

  /// Everything on the ranks at once, once an iteration, where whole gradients are kept.
  func countOnce(_ parameterCount: Int, into count: inout TrafficCount) {
    reduceScatter(parameterCount, over: .optimizer, bytes: gradientByteCount, times: 1, into: &count)
    allReduce(parameterCount, bytes: gradientByteCount, times: 1, into: &count)
    gather(parameterCount, over: .optimizer, times: 1, into: &count)
  }

  /// A part of which a rank holds a number of copies.
  ///
  /// - Parameter uses: passes of a micro-batch that need its weights.
  func countPart(
    _ parameterCount: Int, copies: Int, uses: Int, microBatchCount: Int, into count: inout TrafficCount
  ) {
    for family in [Sharding.Family.weights, .gradients] {
      reduceScatter(
        parameterCount, over: family, bytes: weightByteCount, times: copies * microBatchCount, into: &count)
    }
    reduceScatter(parameterCount, over: .optimizer, bytes: gradientByteCount, times: copies, into: &count)
    allReduce(parameterCount, bytes: gradientByteCount, times: copies, into: &count)
    // With a secondary copy only the first use of an iteration needs the primary.
    let gathers = microBatchCount * uses, ofSecondary = sharding.secondaryDegree == nil ? 0 : gathers - 1
    gather(parameterCount, over: .weights, times: copies * (gathers - ofSecondary), into: &count)
    gather(parameterCount, over: .secondary, times: copies * ofSecondary, into: &count)
    for family in [Sharding.Family.optimizer, .gradients] {
      gather(parameterCount, over: family, times: copies, into: &count)
    }
  }

  // MARK: Collectives

  /// Every group of a family that has more than one rank, and the elements of a tensor that its members hold together.
  private func groups(
    of family: Sharding.Family, _ parameterCount: Int
  ) -> [(group: RankGroup, elementCount: Int)] {
    sharding.groups(of: family, inDataGroup: data).filter { $0.count > 1 }.map { group in
      (
        group,
        sharding.elementCount(
          over: family, ofReplica: data.place(of: group.first), replicaCount: data.count, elementCount: parameterCount)
      )
    }
  }

  private func gather(
    _ parameterCount: Int, over family: Sharding.Family, times: Int, into count: inout TrafficCount
  ) {
    guard times > 0 else { return }
    for (group, elements) in groups(of: family, parameterCount) {
      let isQuantised = sharding.quantisesWeights && family != .secondary && model.split(group) != nil
      let travelling =
        isQuantised
        ? Quantisation.weights.gatheredWordCount(elementCount: elements, rankCount: group.count) : elements
      let bytes = isQuantised ? Quantisation.wordByteCount : weightByteCount
      model.volume(travelling, in: group).forEachAllGatherPair { from, to, elements in
        model.send(elements * bytes * times, from: group.rank(from), to: group.rank(to), into: &count)
      }
    }
  }

  private func reduceScatter(
    _ parameterCount: Int, over family: Sharding.Family, bytes: Int, times: Int, into count: inout TrafficCount
  ) {
    for (group, elements) in groups(of: family, parameterCount) {
      if sharding.quantisesGradients,
        let exchange = QuantisedExchange(
          group: group, elementCount: elements, devicesPerNode: model.cluster.devicesPerNode)
      {
        // Every rank quantises a run of words for each of its node, and then one for its like on each other node.
        for rank in group.ranks {
          for (hop, words) in [
            (exchange.insideGroup(of: rank), exchange.insideWordCount),
            (exchange.acrossGroup(of: rank), exchange.acrossWordCount),
          ] {
            for other in hop.ranks where other != rank {
              model.send(words / hop.count * Quantisation.wordByteCount * times, from: rank, to: other, into: &count)
            }
          }
        }
      } else {
        model.volume(elements, in: group).forEachReduceScatterPair { from, to, elements in
          model.send(elements * bytes * times, from: group.rank(from), to: group.rank(to), into: &count)
        }
      }
    }
  }

  /// Over the replicas that hold the same shard.
  private func allReduce(_ parameterCount: Int, bytes: Int, times: Int, into count: inout TrafficCount) {
    for (group, elements) in groups(of: .replicas, parameterCount) {
      let volume = model.volume(elements, in: group)
      volume.forEachReduceScatterPair { from, to, elements in
        model.send(elements * bytes * times, from: group.rank(from), to: group.rank(to), into: &count)
      }
      volume.forEachAllGatherPair { from, to, elements in
        model.send(elements * bytes * times, from: group.rank(from), to: group.rank(to), into: &count)
      }
    }
  }
}

extension CostModel {
  fileprivate func split(_ group: RankGroup) -> RankGroup.NodeSplit? {
    group.nodeSplit(devicesPerNode: cluster.devicesPerNode)
  }

  fileprivate func volume(_ elementCount: Int, in group: RankGroup) -> CollectiveVolume {
    CollectiveVolume(
      degrees: collectiveDegrees(firstRank: group.first, stride: group.stride, count: group.count),
      elementCount: elementCount)
  }

  fileprivate func send(_ byteCount: Int, from: Int, to: Int, into count: inout TrafficCount) {
    count.add(byteCount, kind: .data, fromRank: from, level: linkLevel(fromRank: from, toRank: to))
  }
}
