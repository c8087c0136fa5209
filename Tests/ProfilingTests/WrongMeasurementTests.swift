import Documents
import Profiling
import Testing

/// A wrong measurement is named and not trusted.
@Suite struct WrongMeasurementTests {
  @Test func ranksThatDidNotFindEachOtherAreRefused() {
    #expect { try Excerpt.findings(FieldLog.loneRanks) } throws: {
      "\($0)".contains("two runs of the same ranks") && "\($0)".contains("MPI=1")
    }
    let alone = FieldLog.table("all_reduce", hosts: ["alpha"], rows: [(1 << 26, 800, 0)])
    #expect { try Excerpt.findings(alone) } throws: { "\($0)".contains("one rank") && "\($0)".contains("MPI=1") }
    // The same without the lines that list ranks.
    let unlisted = alone.split(separator: "\n").filter { !$0.contains("Rank ") }.joined(separator: "\n")
    #expect { try Excerpt.findings(unlisted) } throws: { "\($0)".contains("one rank") }
    // Two processes of two devices each: every one of them is a collective, and they are not of four ranks.
    let pairs = FieldLog.table("all_reduce", hosts: ["alpha", "alpha"], rows: [(1 << 26, 800, 1)]).replacing(
      "#  Rank  0 Group", with: "#  Rank  0 Group  0 Pid  1 on  beta device  0 [0000:0a:00] GPU\n#  Rank  0 Group")
    #expect { try Excerpt.findings(pairs) } throws: { "\($0)".contains("rank 0 is listed twice") }
    let apart = FieldLog.loneRanks.split(separator: "\n").map { "gpu-01: \($0)" }.joined(separator: "\n")
    #expect { try Excerpt.findings(apart) } throws: { "\($0)".contains("MPI=1") }
  }

  @Test func aTestThatDiedIsQuoted() {
    #expect { try Excerpt.findings(FieldLog.failed) } throws: {
      "\($0)".contains("failed before its first row") && "\($0)".contains("Test NCCL failure common.cu:1005")
        && "\($0)".contains("line 5")
    }
  }

  @Test func whatWasMeasuredBeforeATestDiedIsKept() throws {
    let text = FieldLog.allReduce.replacing(
      "# Out of bounds values : 0 OK", with: "worker-1: Test CUDA failure common.cu:400 'an illegal memory access'")
    let found = try Excerpt.findings(text)
    #expect(found.collectives.map(\.points.count) == [4, 4])
    #expect(found.notes.contains { $0.contains("failed after 4 rows") && $0.contains("illegal memory access") })
  }

  @Test func rowsWithWrongResultsAreLeftOutAndATableOfThemRefused() throws {
    let one = FieldLog.allReduce.replacing("38.11      0", with: "38.11   4711").replacing(
      "values : 0 OK", with: "values : 1 FAILED")
    let found = try Excerpt.findings(one)
    #expect(found.collectives.map(\.points.count) == [3, 4])
    #expect(found.notes.contains { $0.contains("1 of 4 rows have wrong results") })
    let all = FieldLog.table("all_reduce", rows: [(1 << 20, 80, 1.5), (1 << 24, 200, 1.5)], wrong: 4_711)
    #expect { try Excerpt.findings(all) } throws: { "\($0)".contains("2 of 2 rows have wrong results") }
    // Old versions print an error and no count; which rows are wrong is not said.
    #expect {
      try Excerpt.findings(Excerpt.oldAllReduce.replacing("values : 0 OK", with: "values : 2 FAILED"))
    } throws: {
      "\($0)".contains("results were wrong")
    }
  }

  @Test func resultsThatOSUCallsWrongAreLeftOut() throws {
    let text =
      Excerpt.osuBandwidth.replacing("20000.25              Pass", with: "20000.25              Fail")
      + "\nDATA VALIDATION ERROR: osu_bw exited with status 1 on message size 4194304.\n"
    let found = try Excerpt.findings(text)
    #expect(found.pairs.map(\.bytesPerSecond) == [0.5e6])
    #expect(found.notes.contains { $0.contains("results were wrong (Fail) at 1 size, left out") })
    #expect { try Excerpt.findings(text.replacing("Pass", with: "Fail")) } throws: {
      "\($0)".contains("were wrong (Fail)") && "\($0)".contains("DATA VALIDATION ERROR")
    }
  }

  @Test func oneGIDAtBothEndsIsALoop() throws {
    let loop = try Excerpt.findings(FieldLog.perftest(from: 3, to: 3, gigabits: 92))
    #expect(loop.pairs.isEmpty && loop.inside.map(\.bytesPerSecond) == [[[11.5e9]]])
    #expect(loop.notes.contains { $0.contains("a loop over one card") })
    // Hosts that were named do not make a link of it.
    let named = try Excerpt.findings(
      FieldLog.perftest(from: 3, to: 3, gigabits: 92), ImportContext(hosts: ["alpha", "beta"]))
    #expect(named.pairs.isEmpty && named.inside[0].host == "alpha")
    #expect(try Excerpt.findings(FieldLog.perftest(from: 3, to: 4, gigabits: 92)).pairs.count == 1)
  }

  @Test func sizesTooSmallToTellABandwidthAreNamed() throws {
    let rising = try Excerpt.findings(
      FieldLog.table("all_reduce", rows: [(1 << 10, 20, 1.5), (1 << 11, 20.5, 1.5), (1 << 12, 21, 1.5)]))
    #expect(rising.notes.contains { $0.contains("4096 bytes, too small to tell a bandwidth") })
    let settled = try Excerpt.findings(
      FieldLog.table("all_reduce", rows: [(1 << 24, 200, 1.5), (1 << 25, 380, 1.5), (1 << 26, 740, 1.5)]))
    #expect(!settled.notes.contains { $0.contains("too small") })
  }

  @Test func twoRanksWithASumAndNoRootAreAnAllReduce() throws {
    func table(_ wrongInPlace: String) -> String {
      FieldLog.table("x", hosts: ["alpha", "beta"], rows: [(1 << 26, 1_000, 1)], wrongInPlace: wrongInPlace)
        .split(separator: "\n").filter { !$0.contains("Collective test") && !$0.contains("version") }
        .joined(separator: "\n")
    }
    let found = try Excerpt.findings(table("0"))
    #expect(found.collectives.map(\.kind) == [.allReduce, .allReduce])
    #expect(found.pairs.map { "\($0.from) \($0.to)" } == ["alpha beta", "beta alpha"])
    // Send-receive prints the same, but does not check its results in place.
    #expect(try Excerpt.findings(table("N/A")).collectives[0].kind == .sendReceive)
    let unlisted = table("0").split(separator: "\n").filter { !$0.contains("Rank ") }.joined(separator: "\n")
    let named = try Excerpt.findings(unlisted, ImportContext(hosts: ["node-a", "node-b"]))
    #expect(named.pairs.map { "\($0.from) \($0.to)" } == ["node-a node-b", "node-b node-a"])
    #expect(named.collectives[0].nodeCount == 2 && named.collectives[0].hosts == ["node-a", "node-b"])
    let counted = try #require(ImportedLinks([Excerpt.findings(unlisted, ImportContext(nodes: 2))], name: "x").links)
    #expect(counted.nodeNames == ["node-0", "node-1"])
  }
}
