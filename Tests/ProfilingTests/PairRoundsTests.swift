import Testing

@testable import Profiling

@Suite struct PairRoundsTests {
  @Test func everyPairMeetsOnceAndNobodyTwiceInARound() {
    for nodeCount in 0...33 {
      let rounds = pairRounds(nodeCount: nodeCount)
      let expected = nodeCount < 2 ? 0 : nodeCount % 2 == 0 ? nodeCount - 1 : nodeCount
      #expect(rounds.count == expected, "\(nodeCount) nodes")
      var met: Set<NodePair> = []
      for round in rounds {
        #expect(round.count == nodeCount / 2, "\(nodeCount) nodes")
        let nodes = round.flatMap { [$0.lower, $0.upper] }
        #expect(Set(nodes).count == nodes.count, "\(nodeCount) nodes: \(round)")
        #expect(nodes.allSatisfy { (0..<nodeCount).contains($0) })
        for pair in round { #expect(met.insert(pair).inserted, "\(nodeCount) nodes: \(pair) twice") }
      }
      #expect(met.count == nodeCount * (nodeCount - 1) / 2, "\(nodeCount) nodes")
    }
  }

  @Test func fourNodesByHand() {
    #expect(
      pairRounds(nodeCount: 4) == [
        [NodePair(0, 3), NodePair(1, 2)], [NodePair(0, 2), NodePair(1, 3)], [NodePair(0, 1), NodePair(2, 3)],
      ])
  }

  @Test func sampledRoundsAreDifferentAndSpread() {
    for total in 1...40 {
      for count in 1...total {
        let chosen = sampledRounds(count: count, of: total)
        #expect(chosen.count == count && Set(chosen).count == count && chosen == chosen.sorted())
        #expect(chosen[0] == 0 && chosen.allSatisfy { $0 < total })
        let gaps = zip(chosen, chosen.dropFirst()).map { $1 - $0 }
        #expect((gaps.max() ?? 1) - (gaps.min() ?? 1) <= 1, "\(count) of \(total): \(chosen)")
      }
    }
  }
}
