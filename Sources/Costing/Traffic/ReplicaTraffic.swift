import Documents
import Schedules

/// Adds up what the replicas of one data group send each other: gradients reduced and weights gathered over the families
/// of groups that the shard degrees make.
struct ReplicaTraffic {
  let model: CostModel
  let sharding: Sharding
  /// Replicas 0…N−1.
  let data: RankGroup
  let weightByteCount: Int
  let gradientByteCount: Int
  /// What was counted so far, here and elsewhere.
  var count: TrafficCount

  /// Everything on the ranks at once, once an iteration, where whole gradients are kept.
  mutating func countOnce(_ parameterCount: Int) {
    reduceScatter(parameterCount, over: .optimizer, bytes: gradientByteCount, times: 1)
    allReduce(parameterCount, bytes: gradientByteCount, times: 1)
    gather(parameterCount, over: .optimizer, times: 1)
  }

  /// A part that is there so many times.
  ///
  /// - Parameter uses: passes of a micro-batch that need its weights.
  mutating func countPart(_ parameterCount: Int, copies: Int, uses: Int, microBatchCount: Int) {
    for family in [Sharding.Family.weights, .gradients] {
      reduceScatter(parameterCount, over: family, bytes: weightByteCount, times: copies * microBatchCount)
    }
    reduceScatter(parameterCount, over: .optimizer, bytes: gradientByteCount, times: copies)
    allReduce(parameterCount, bytes: gradientByteCount, times: copies)
    // With a secondary copy only the first use of an iteration needs the primary.
    let gathers = microBatchCount * uses, ofSecondary = sharding.secondaryDegree == nil ? 0 : gathers - 1
    gather(parameterCount, over: .weights, times: copies * (gathers - ofSecondary))
    gather(parameterCount, over: .secondary, times: copies * ofSecondary)
    for family in [Sharding.Family.optimizer, .gradients] { gather(parameterCount, over: family, times: copies) }
  }

  // MARK: Collectives

  /// Calls `body` with every group of a family that has more than one rank, and the elements of a tensor that its members
  /// hold together.
  private func forEachGroup(
    of family: Sharding.Family, _ parameterCount: Int, _ body: (RankGroup, _ elementCount: Int) -> Void
  ) {
    for group in sharding.groups(of: family, inDataGroup: data) where group.count > 1 {
      body(
        group,
        sharding.elementCount(
          over: family, ofReplica: data.place(of: group.first), replicaCount: data.count, elementCount: parameterCount))
    }
  }

  private mutating func gather(_ parameterCount: Int, over family: Sharding.Family, times: Int) {
    guard times > 0 else { return }
    var sent = count
    forEachGroup(of: family, parameterCount) { group, elements in
      let isPacked = sharding.quantisesWeights && family != .secondary && model.split(group) != nil
      let travelling =
        isPacked
        ? Quantisation.weights.gatheredWordCount(elementCount: elements, rankCount: group.count) : elements
      let bytes = isPacked ? Quantisation.wordByteCount : weightByteCount
      model.volume(travelling, in: group).forEachAllGatherPair { from, to, elements in
        model.send(elements * bytes * times, from: group.rank(from), to: group.rank(to), into: &sent)
      }
    }
    count = sent
  }

  private mutating func reduceScatter(_ parameterCount: Int, over family: Sharding.Family, bytes: Int, times: Int) {
    var sent = count
    forEachGroup(of: family, parameterCount) { group, elements in
      if sharding.quantisesGradients,
        let exchange = QuantisedExchange(
          group: group, elementCount: elements, devicesPerNode: model.cluster.devicesPerNode)
      {
        // Every rank packs a run of words for each of its node, and then one for its like on each other node.
        for rank in group.ranks {
          for (hop, words) in [
            (exchange.insideGroup(of: rank), exchange.insideWordCount),
            (exchange.acrossGroup(of: rank), exchange.acrossWordCount),
          ] {
            for other in hop.ranks where other != rank {
              model.send(words / hop.count * Quantisation.wordByteCount * times, from: rank, to: other, into: &sent)
            }
          }
        }
      } else {
        model.volume(elements, in: group).forEachReduceScatterPair { from, to, elements in
          model.send(elements * bytes * times, from: group.rank(from), to: group.rank(to), into: &sent)
        }
      }
    }
    count = sent
  }

  /// Over the replicas that hold the same shard.
  private mutating func allReduce(_ parameterCount: Int, bytes: Int, times: Int) {
    var sent = count
    forEachGroup(of: .replicas, parameterCount) { group, elements in
      let volume = model.volume(elements, in: group)
      volume.forEachReduceScatterPair { from, to, elements in
        model.send(elements * bytes * times, from: group.rank(from), to: group.rank(to), into: &sent)
      }
      volume.forEachAllGatherPair { from, to, elements in
        model.send(elements * bytes * times, from: group.rank(from), to: group.rank(to), into: &sent)
      }
    }
    count = sent
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
