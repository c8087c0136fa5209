import Documents
import JSONText
import Profiling
import Testing

/// nccl-tests in all its layouts, OSU's collectives and Galvatron's files: kind,
/// group, sizes in bytes, times in seconds.
@Suite struct CollectiveReaderTests {
  @Test func theOldLayoutHasTimesInMicrosecondsAndRowsOfSizeZeroAreLeftOut() throws {
    let found = try Excerpt.findings(Excerpt.oldAllReduce)
    #expect(found.collectives.map(\.kind) == [.allReduce, .allReduce])
    #expect(found.collectives.map(\.rankCount) == [4, 4])
    #expect(found.collectives.map(\.nodeCount) == [2, 2])
    #expect(found.collectives[0].hosts == ["alpha", "beta"])
    #expect(found.collectives.map(\.isInPlace) == [false, true])
    #expect(found.collectives[0].points.map(\.messageBytes) == [1_024, 1_048_576, 1_073_741_824])
    #expect(found.collectives[0].points.map(\.seconds) == [32e-6, 80e-6, 0.01])
    #expect(found.collectives[1].points.map(\.seconds) == [32e-6, 100e-6, 0.01])
    let bus = found.collectives[0].kind.busFactor(rankCount: 4) * 1_073_741_824 / 0.01
    #expect(abs(bus / 161.06e9 - 1) < 1e-4)
    // Four ranks are no pair of nodes.
    #expect(found.pairs.isEmpty)
  }

  @Test func ranksFollowFromBusOverAlgorithmBandwidth() throws {
    let found = try Excerpt.findings(Excerpt.newAllReduce)
    #expect(found.collectives[0].kind == .allReduce)
    #expect(found.collectives[0].rankCount == 96)
    #expect(found.notes.contains { $0.contains("96 follow from bus over algorithm bandwidth") })
  }

  @Test func ranksThatContradictTheTableAreRefused() {
    #expect(throws: DocumentError.self) { try Excerpt.findings(Excerpt.newAllReduce, ImportContext(ranks: 8)) }
    #expect(throws: Never.self) { try Excerpt.findings(Excerpt.newAllReduce, ImportContext(ranks: 96)) }
  }

  @Test func allToAllIsNotGuessedFromNumbersThatAllGatherHasAsWell() throws {
    #expect { try Excerpt.findings(Excerpt.oldAllToAll) } throws: { "\($0)".contains("give --collective") }
    let named = try Excerpt.findings(Excerpt.oldAllToAll, source: "runs/alltoall.log")
    #expect(named.collectives[0].kind == .allToAll)
    #expect(named.collectives[0].rankCount == 4)
  }

  @Test func columnsThatComeAndGoDoNotMoveTimes() throws {
    let found = try Excerpt.findings(Excerpt.wideSendReceive)
    #expect(found.collectives.map(\.kind) == [.sendReceive, .sendReceive])
    #expect(found.collectives[1].points.map(\.seconds) == [1342.18 / 1e6])
    // Two ranks on two nodes: the link of the two, both ways, at size over time.
    #expect(found.pairs.map(\.from) == ["alpha", "beta"])
    for pair in found.pairs {
      #expect(pair.trust == .idle)
      #expect(abs((pair.bytesPerSecond ?? 0) / 50e9 - 1) < 1e-4)
    }
  }

  @Test func timesOfTheProcessorAreRefused() {
    let text = Excerpt.newAllReduce.replacing(" time ", with: " cputime ")
    #expect { try Excerpt.findings(text) } throws: { "\($0)".contains("-C 1") }
  }

  @Test func aRowWhoseTimeAndBandwidthDisagreeIsRefusedWithItsLine() {
    let text = Excerpt.newAllReduce.replacing("2684.4", with: "9999.9")
    #expect { try Excerpt.findings(text) } throws: { "\($0)".contains("line 3") }
  }

  @Test func jsonIsReadWithoutItsEnvironment() throws {
    let found = try Excerpt.findings(Excerpt.ncclJSON)
    #expect(found.collectives.map(\.kind) == [.allGather, .allGather])
    #expect(found.collectives[1].points == [.init(messageBytes: 1_048_576, seconds: 52.4288e-6)])
    // An all-gather of two: half of the gathered bytes go each way.
    #expect(found.pairs.map(\.trust) == [.collective, .collective])
    #expect(abs((found.pairs[0].bytesPerSecond ?? 0) / 5e9 - 1) < 1e-9)
    let links = try #require(ImportedLinks([found], name: "json").links)
    #expect(!links.json.text(style: .compact).contains("do-not-copy"))
    #expect(!links.json.text(style: .compact).contains("SECRET"))
  }

  @Test func osuCountsWhatOneRankSends() throws {
    #expect { try Excerpt.findings(Excerpt.osuAllGather) } throws: { "\($0)".contains("give --ranks") }
    let found = try Excerpt.findings(Excerpt.osuAllGather, ImportContext(ranks: 8, nodes: 2))
    #expect(
      found.collectives[0].points == [
        .init(messageBytes: 8_192, seconds: 30e-6), .init(messageBytes: 8_388_608, seconds: 500e-6),
      ])
    #expect(found.collectives[0].nodeCount == 2)
  }

  @Test func anUnknownTestOfOSUIsNotTakenForAnother() {
    for title in [
      "Scatterv Thing Latency Test", "MPI_Put Bandwidth Test", "Multi Latency Test", "Barrier Latency Test",
    ] {
      let text = Excerpt.osuLatency.replacing("Latency Test", with: title)
      let found = try? Excerpt.findings(text, ImportContext(ranks: 8))
      #expect(found == nil || found?.collectives.first?.kind == .scatter, "\(title)")
    }
  }

  @Test func galvatronStatesBusBandwidthOfGroups() throws {
    let found = try Excerpt.findings(Excerpt.galvatron, source: "allreduce_bandwidth_2nodes_8gpus_per_node.json")
    #expect(found.collectives.map(\.kind) == [.allReduce, .allReduce, .sendReceive])
    #expect(found.collectives.map(\.busBytesPerSecond) == [150.5e9, 20.5e9, 7.5e9])
    #expect(found.collectives.map(\.order) == [.consecutive, .strided, .strided])
    #expect(found.collectives.map(\.nodeCount) == [1, 2, 2])
  }
}
