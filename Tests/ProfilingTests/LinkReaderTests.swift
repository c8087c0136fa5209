import Documents
import Profiling
import Testing

/// Rates between nodes and inside them: units, directions, what is loaded and what is not.
@Suite struct LinkReaderTests {
  @Test func mpiGraphIsInMebibytesAndItsTablesMeasureEachDirectionTwice() throws {
    let found = try Excerpt.findings(Excerpt.mpiGraph)
    #expect(found.pairs.map { "\($0.from) \($0.to)" } == ["alpha beta", "beta alpha"])
    #expect(found.pairs.allSatisfy { $0.trust == .loaded })
    // Sends of both processes of alpha, and what beta received from them: 1000, 1100, 1000 and 1300 MiB/s.
    #expect(found.pairs[0].bytesPerSecond == 1_100 * 1_048_576.0)
    #expect(found.pairs[1].bytesPerSecond == 575 * 1_048_576.0)
    #expect(found.pairs[0].sampleCount == 4)
    #expect(found.pairs[0].points.map(\.messageBytes) == [1_048_576])
  }

  @Test func osuIsInDecimalMegabytesAndNamesNoHost() throws {
    let found = try Excerpt.findings(Excerpt.osuBandwidth)
    #expect(found.pairs.count == 1)
    #expect(found.pairs[0].bytesPerSecond == 20_000.25e6)
    #expect(found.pairs[0].trust == .idle)
    #expect(found.notes.contains { $0.contains("not named") })
    let named = try Excerpt.findings(Excerpt.osuBandwidth, ImportContext(hosts: ["alpha", "beta"]))
    #expect(named.pairs[0].from == "alpha" && named.pairs[0].to == "beta" && named.notes.isEmpty)
  }

  @Test func aLatencyIsOfTheSmallestMessageAndNotOfTheLargest() throws {
    let found = try Excerpt.findings(Excerpt.osuLatency)
    #expect(found.pairs.map(\.latencySeconds) == [4e-6, 4e-6])
    #expect(found.pairs.allSatisfy { $0.bytesPerSecond == nil })
    let perftest = try Excerpt.findings(Excerpt.perftestLatency)
    #expect(perftest.pairs.map(\.latencySeconds) == [1.75e-6, 1.75e-6])
  }

  @Test func perftestIsInMebibytesAndTheAverageCounts() throws {
    let found = try Excerpt.findings(Excerpt.perftest)
    #expect(found.pairs.count == 1)
    #expect(found.pairs[0].points.map(\.bytesPerSecond) == [8_000 * 1_048_576.0, 10_000 * 1_048_576.0])
  }

  @Test func bothDirectionsAtOnceAreHalvedAndGigabitsAreDecimal() throws {
    let found = try Excerpt.findings(Excerpt.perftestBidirectional)
    #expect(found.pairs.map(\.bytesPerSecond) == [190e9 / 8, 190e9 / 8])
  }

  @Test func twoEndsOfOnePortAreNoLinkBetweenNodes() throws {
    let found = try Excerpt.findings(Excerpt.perftest.replacing("LID 0x02", with: "LID 0x01"))
    #expect(found.pairs.isEmpty)
    #expect(found.inside.map(\.bytesPerSecond) == [[[10_000 * 1_048_576.0]]])
    let stated = try Excerpt.findings(Excerpt.osuBandwidth, ImportContext(hosts: ["alpha", "alpha"]))
    #expect(stated.pairs.isEmpty && stated.inside[0].host == "alpha" && stated.inside[0].from == .device)
  }

  @Test func theArrowOfNvbandwidthSaysWhichIsTheSource() throws {
    let found = try Excerpt.findings(Excerpt.nvbandwidth)
    #expect(found.inside.map(\.name) == ["device_to_device_memcpy_write_ce", "host_device_latency_sm"])
    // Row 0 receives 200 GB/s from column 1: that is the rate from 1 to 0.
    #expect(found.inside[0].bytesPerSecond == [[nil, 100e9], [200e9, nil]])
    #expect(found.inside[1].bytesPerSecond == nil)
    let latencies = try #require(found.inside[1].latencySeconds?.first)
    #expect(latencies.count == 2)
    for (latency, expected) in zip(latencies, [500e-9, 750e-9]) { #expect(abs((latency ?? 0) - expected) < 1e-15) }
    #expect(found.notes.isEmpty)
  }

  @Test func aSumThatDoesNotAddUpIsNoted() throws {
    let found = try Excerpt.findings(Excerpt.nvbandwidth.replacing("_ce 300.00", with: "_ce 400.00"))
    #expect(found.notes.contains { $0.contains("does not add up") })
  }

  @Test func nvbandwidthJSONHasStringsAndMayLieAmongMessages() throws {
    let found = try Excerpt.findings(Excerpt.nvbandwidthJSON)
    // Rows are host, columns are devices, and the name says that devices send.
    #expect(found.inside[0].from == .device && found.inside[0].to == .host)
    #expect(found.inside[0].isBidirectional)
    #expect(found.inside[0].bytesPerSecond == [[11.5e9], [12.5e9]])
    #expect(found.inside[1].bytesPerSecond == [[nil, 250e9], [240e9, nil]])
    #expect(found.notes == ["1 tests with status Waived left out"])
  }

  /// JSON puts the matrices of both directions and of their sum below one another, and states the last description.
  @Test func onlyTheSumOfBothDirectionsIsTakenFromJSON() throws {
    let text = """
      {"nvbandwidth": {"testcases": [
        {"name": "device_to_device_bidirectional_memcpy_read_ce", "status": "Passed",
         "bandwidth_description": "memcpy CE GPU(row) <-> GPU(column) Total bandwidth (GB/s)",
         "bandwidth_matrix": [["N/A", "250"], ["240", "N/A"], ["N/A", "230"], ["260", "N/A"],
           ["N/A", "480"], ["500", "N/A"]]}]}}
      """
    let found = try Excerpt.findings(text)
    #expect(found.inside.map(\.bytesPerSecond) == [[[nil, 240e9], [250e9, nil]]])
    #expect(found.inside[0].isBidirectional)
  }

  @Test func testsOfSeveralNodesAreNotOfTheInsideOfOne() throws {
    let text = Excerpt.nvbandwidth.replacing(
      "device_to_device_memcpy_write_ce", with: "multinode_device_to_device_memcpy_write_ce")
    let found = try Excerpt.findings(text)
    #expect(found.inside.map(\.name) == ["host_device_latency_sm"])
    #expect(found.notes.contains { $0.contains("several nodes") })
  }

  @Test func perftestsNewWordsAreReadAndItsJSONIsRefusedByName() throws {
    let newer = Excerpt.perftest.replacing("MB/sec", with: "MiB/sec").replacing(
      "RDMA_Write BW", with: "RDMA_Write_imm BW")
    #expect(try Excerpt.findings(newer).pairs[0].bytesPerSecond == 10_000 * 1_048_576)
    let immediate = try Excerpt.findings(Excerpt.perftest.replacing("RDMA_Write BW", with: "Send_imm BW"))
    #expect(immediate.pairs.count == 1)
    let json = #"{"test_info": {"test": "RDMA_Write_BW_Test"}, "results": {"MsgSize": 65536, "BW_average": 92.4}}"#
    #expect { try Excerpt.findings(json) } throws: {
      "\($0)".contains("--out_json of perftest") && "\($0)".contains("MiB/s or Gb/s")
    }
  }
}
