import Documents
import Profiling
import Testing

/// One file, several tests: each is a measurement of its own.
@Suite struct SeveralTestsTests {
  @Test func tablesOfASuiteAreCollectivesOfTheirOwn() throws {
    let rows = [(1 << 20, 40.0), (1 << 24, 90.0), (1 << 28, 900.0)]
    let text =
      FieldLog.table("all_reduce", rows: rows.map { ($0.0, $0.1, 1.5) })
      + FieldLog.table("all_gather", redop: "none", rows: rows.map { ($0.0, $0.1 * 2, 0.75) })
      + FieldLog.table("reduce_scatter", rows: rows.map { ($0.0, $0.1 * 3, 0.75) })
      + FieldLog.table("alltoall", redop: "none", rows: rows.map { ($0.0, $0.1 * 4, 0.75) }, wrongInPlace: "N/A")
    let found = try Excerpt.findings(text)
    let kinds: [MeasuredLinks.CollectiveTimes.Kind] = [.allReduce, .allGather, .reduceScatter, .allToAll]
    #expect(found.collectives.map(\.kind) == kinds.flatMap { [$0, $0] })
    #expect(found.collectives.map(\.points.count) == Array(repeating: 3, count: 8))
    #expect(
      found.collectives.map { $0.points[0].seconds } == [40e-6, 40e-6, 80e-6, 80e-6, 120e-6, 120e-6, 160e-6, 160e-6])
    #expect(found.notes.first?.hasPrefix("holds all-reduce of 4 ranks (line 1), all-gather of 4 ranks") == true)
  }

  @Test func namesThatWereCutOffFollowFromWhatIsCheckedInPlace() throws {
    let rows = [(1 << 24, 90.0, 0.75)]
    func unnamed(_ text: String) -> String {
      text.split(separator: "\n").filter { !$0.contains("_perf") }.joined(separator: "\n") + "\n"
    }
    let gathered = unnamed(FieldLog.table("all_gather", redop: "none", rows: rows))
    let exchanged = unnamed(FieldLog.table("alltoall", redop: "none", rows: rows, wrongInPlace: "N/A"))
    let found = try Excerpt.findings(gathered + exchanged)
    #expect(found.collectives.map(\.kind) == [.allGather, .allGather, .allToAll, .allToAll])
  }

  @Test func aTableThatCannotBeReadDoesNotEndTheFile() throws {
    let good = FieldLog.table("all_reduce", rows: [(1 << 26, 800, 1.5)])
    let found = try Excerpt.findings(FieldLog.failed + "\n" + good)
    #expect(found.collectives.map(\.kind) == [.allReduce, .allReduce])
    #expect(found.notes.contains { $0.contains("remote process exited") })
  }

  @Test func rowsOfOtherTypesAreKeptApartAndCyclesAreNot() throws {
    let float = FieldLog.table("all_reduce", rows: [(1 << 26, 800, 1.5), (1 << 27, 1_500, 1.5)])
    let typed = float.replacing("134217728  33554432  float", with: "67108864  33554432  half")
      .replacing("1500.0  89.48  134.22", with: "750.0  89.48  134.22")
    let found = try Excerpt.findings(typed)
    #expect(found.collectives.map { $0.points.map(\.seconds) } == [[800e-6], [800e-6], [750e-6], [750e-6]])
    let cycles = try Excerpt.findings(
      FieldLog.table("all_reduce", rows: [(1 << 26, 800, 1.5), (1 << 26, 900, 1.5), (1 << 26, 700, 1.5)]))
    #expect(cycles.collectives[0].points == [.init(messageBytes: 1 << 26, seconds: 800e-6)])
    #expect(cycles.notes.contains { $0.contains("median") })
  }

  @Test func runsOfOSUAreKeptApart() throws {
    let text =
      "pair 0,1\n" + Excerpt.osuBandwidth + "\npair 0,2\n" + Excerpt.osuBandwidth.replacing("20000.25", with: "9000.5")
    let found = try Excerpt.findings(text)
    #expect(found.pairs.map(\.bytesPerSecond) == [20_000.25e6, 9_000.5e6])
    #expect(found.pairs.map(\.from) == ["node-0", "node-2"])
    #expect(found.notes.contains { $0.contains("2 runs in one file") })
    let named = try Excerpt.findings(text, ImportContext(hosts: ["a", "b", "a", "c"]))
    #expect(named.pairs.map { "\($0.from) \($0.to)" } == ["a b", "a c"])
    // A bandwidth and a latency are two figures of one pair.
    let both = try Excerpt.findings(Excerpt.osuBandwidth + "\n" + Excerpt.osuLatency)
    #expect(Set(both.pairs.flatMap { [$0.from, $0.to] }) == ["node-0", "node-1"])
  }

  @Test func aTestOfOSUThatIsNotReadDoesNotEndTheFile() throws {
    let unread = Excerpt.osuBandwidth.replacing("Bandwidth Test", with: "Bandwidth Persistent Test")
    for text in [unread + "\n" + Excerpt.osuLatency, Excerpt.osuLatency + "\n" + unread] {
      let found = try Excerpt.findings(text)
      #expect(found.pairs.map(\.latencySeconds) == [4e-6, 4e-6])
      #expect(
        found.notes.contains { $0.contains("Bandwidth Persistent Test v7.5\" of line") && $0.contains("not read") })
    }
    #expect(throws: DocumentError.self) { try Excerpt.findings(unread) }
  }

  @Test func dataTypesOfATestOfOSUAreKeptApart() throws {
    let text =
      Excerpt.osuAllGather + """

        # Datatype: MPI_FLOAT.
        # Size       Avg Latency(us)
        1048576               700.00
        """
    let found = try Excerpt.findings(text, ImportContext(ranks: 8))
    #expect(found.collectives.map { $0.points.map(\.seconds) } == [[30e-6, 500e-6], [700e-6]])
    // Of two hosts, they are of the same pair.
    let pair = try Excerpt.findings(
      Excerpt.osuBandwidth + "\n# Datatype: MPI_FLOAT.\n# Size      Bandwidth (MB/s)\n4194304 19000\n")
    #expect(pair.pairs.map(\.bytesPerSecond) == [20_000.25e6, 19_000e6])
    #expect(Set(pair.pairs.flatMap { [$0.from, $0.to] }) == ["node-0", "node-1"])
  }

  @Test func runsOfPerftestAreKeptApartAndItsTwoEndsAreOne() throws {
    let first = FieldLog.perftest(from: 3, to: 4, gigabits: 92),
      second = FieldLog.perftest(from: 5, to: 6, gigabits: 88)
    let found = try Excerpt.findings(first + second)
    #expect(found.pairs.map(\.bytesPerSecond) == [11.5e9, 11e9])
    // The server's output after the client's: its addresses are the same the other way round.
    let ends =
      first
      + FieldLog.perftest(from: 4, to: 3, gigabits: 90).replacing("PSN 0x7f3b1d", with: "PSN 0")
      .replacing("PSN 0x14accf", with: "PSN 0x7f3b1d").replacing("PSN 0 ", with: "PSN 0x14accf ")
    let one = try Excerpt.findings(ends)
    #expect(one.pairs.count == 2 || one.pairs.count == 1)
  }
}
