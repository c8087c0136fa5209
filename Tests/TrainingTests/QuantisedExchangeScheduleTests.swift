import Documents
import Testing
import Training

@Suite struct QuantisedExchangeScheduleTests {
  /// The published order for 2 nodes of 4.
  @Test func partitionsGoByPlaceAndThenByNode() throws {
    let exchange = try #require(
      QuantisedExchange(group: RankGroup(first: 0, stride: 1, count: 8), elementCount: 16, devicesPerNode: 4))
    #expect(exchange.swizzle == [0, 4, 1, 5, 2, 6, 3, 7])
    #expect(exchange.insideGroup(of: 6).ranks == [4, 5, 6, 7])
    #expect(exchange.acrossGroup(of: 6).ranks == [2, 6])
  }

  /// Distinct integers through both hops, dequantised: every rank ends with its own partition of the sum.
  @Test(arguments: [(1, 8, 4), (2, 8, 4), (1, 6, 2), (3, 8, 6), (4, 4, 4), (1, 12, 3)])
  func everyRankEndsWithItsPartition(stride: Int, count: Int, devicesPerNode: Int) throws {
    let group = RankGroup(first: 0, stride: stride, count: count), length = 4
    let exchange = try #require(
      QuantisedExchange(group: group, elementCount: count * length, devicesPerNode: devicesPerNode))
    #expect(exchange.insideCount * exchange.acrossCount == count)
    let tensors = (0..<count).map { rank in (0..<count * length).map { 10_000 * (rank + 1) + $0 } }
    let perNode = exchange.acrossCount * length
    let swizzled = tensors.map { tensor in exchange.swizzle.flatMap { tensor[$0 * length..<($0 + 1) * length] } }
    func place(_ rank: Int) -> Int { group.place(of: rank) }
    func summed(_ parts: [ArraySlice<Int>]) -> [Int] {
      parts.dropFirst().reduce(Array(parts[0])) { sum, part in zip(sum, part).map { $0 + $1 } }
    }
    let nodeSums = group.ranks.map { rank in
      let hop = exchange.insideGroup(of: rank), own = hop.place(of: rank)
      return summed(hop.ranks.map { swizzled[place($0)][own * perNode..<(own + 1) * perNode] })
    }
    for rank in group.ranks {
      let hop = exchange.acrossGroup(of: rank), own = hop.place(of: rank)
      let found = summed(hop.ranks.map { nodeSums[place($0)][own * length..<(own + 1) * length] })
      let range = place(rank) * length..<(place(rank) + 1) * length
      #expect(found == range.map { element in tensors.reduce(0) { $0 + $1[element] } })
    }
  }

  @Test func itIsForEvenGroupsThatLeaveTheirNode() {
    func exists(_ group: RankGroup, _ elements: Int) -> Bool {
      QuantisedExchange(group: group, elementCount: elements, devicesPerNode: 8) != nil
    }
    #expect(!exists(RankGroup(first: 0, stride: 1, count: 8), 64), "one node")
    #expect(!exists(RankGroup(first: 4, stride: 1, count: 6), 48), "4 ranks on one node, 2 on the other")
    #expect(exists(RankGroup(first: 4, stride: 1, count: 8), 64))
    #expect(!exists(RankGroup(first: 4, stride: 1, count: 12), 96))
    #expect(!exists(RankGroup(first: 0, stride: 1, count: 16), 48), "48 is no multiple of 32")
    #expect(exists(RankGroup(first: 3, stride: 8, count: 4), 64))
  }

  /// Words of codes and one of a step for each group.
  @Test func wordsIncludeSteps() {
    #expect(Quantisation.weights.wordCount(elementCount: 4096) == 1024 + 2)
    #expect(Quantisation.weights.wordCount(elementCount: 4097) == 1025 + 3)
    #expect(Quantisation.gradients.wordCount(elementCount: 4096) == 512 + 16)
    #expect(Quantisation.gradients.wordCount(elementCount: 0) == 0)
    #expect(Quantisation.weights.gatheredWordCount(elementCount: 4097, rankCount: 4) == 4 * (257 + 1))
  }

  /// Chunks of chunks: every element is held by as many replicas as there are copies, and ranges lie in each other.
  @Test func shardsCoverTheTensor() {
    let sharding = Sharding(weightDegree: 2, gradientDegree: 4, optimizerDegree: 8, secondaryDegree: nil)
    for elementCount in [0, 1, 7, 16, 33, 100] {
      let all = (0..<16).map { sharding.ranges(ofReplica: $0, replicaCount: 16, elementCount: elementCount) }
      for ranges in all {
        #expect(ranges.weights.clamped(to: ranges.gradients) == ranges.gradients)
        #expect(ranges.gradients.clamped(to: ranges.optimizer) == ranges.optimizer)
      }
      for (degree, held) in [(2, all.map(\.weights)), (4, all.map(\.gradients)), (8, all.map(\.optimizer))] {
        for element in 0..<elementCount { #expect(held.count { $0.contains(element) } == 16 / degree) }
        #expect(held[0].count == (elementCount + degree - 1) / degree, "the first replica's is the largest")
      }
    }
  }
}
