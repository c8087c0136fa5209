import Documents
import Profiling
import Testing

/// Reports of nccl-tests `-J`: the same table as the text, and wrong measurements named in the same words.
@Suite struct NCCLTestsJSONTests {
  /// A report as the tool lays it out: devices within the configuration, the first of each process.
  ///
  /// - Parameters:
  ///   - hosts: of each process.
  ///   - rows: size, time in µs, bus over algorithm bandwidth, and the wrong elements of both halves, or null.
  private func report(
    _ program: String = "all_reduce", hosts: [String] = ["alpha", "alpha", "beta", "beta"], devicesPerProcess: Int = 1,
    rows: [(size: Int, microseconds: Double, factor: Double, wrong: String)], wrongCount: Int = 0,
    redop: String = "sum",
    end: String? = nil, ranks: [Int]? = nil, timeKey: String = "time"
  ) -> String {
    func half(_ row: (size: Int, microseconds: Double, factor: Double, wrong: String)) -> String {
      let algorithm = Double(row.size) / row.microseconds / 1e3
      return
        #"{"\#(timeKey)":\#(row.microseconds),"alg_bw":\#(algorithm),"bus_bw":\#(algorithm * row.factor),"nwrong":\#(row.wrong)}"#
    }
    let devices = hosts.enumerated().map { process, host in
      #"{"rank":\#(ranks?[process] ?? process * devicesPerProcess),"group":0,"pid":1,"hostname":"\#(host)","device":0}"#
    }
    let results = rows.map { row in
      #"{"size":\#(row.size),"count":1,"type":"float","redop":"\#(redop)","root":"    -1","out_of_place":\#(half(row)),"in_place":\#(half(row)),"actual_iterations":20}"#
    }
    let close =
      end ?? #","out_of_bounds":{"count":\#(wrongCount),"okay":"\#(wrongCount == 0)"},"errors":[""],"end_time":"x"}"#
    return #"""
      {"version":3,"start_time":"2026-01-31 10:11:12","args":["\/opt\/\#(program)_perf","-J","x.json"],"env":["A=b"],"nccl_version":22803,
      "config":{"nthreads":1,"ngpus":\#(devicesPerProcess),"devices":[\#(devices.joined(separator: ","))]},
      "results":[\#(results.joined(separator: ","))]\#(close)
      """#
  }

  private static let settled = [(1 << 26, 1_000.0, 1.5, "0"), (1 << 27, 1_990.0, 1.5, "0")]

  private func complaint(_ text: String, file: String = "report.json") -> String {
    do {
      let found = try Excerpt.findings(text, source: file)
      return "read: \(found.collectives.count), \(found.notes)"
    } catch { return "\(error)" }
  }

  @Test func devicesStandInTheConfiguration() throws {
    let found = try Excerpt.findings(report(rows: Self.settled))
    #expect(found.collectives.map(\.rankCount) == [4, 4])
    #expect(found.collectives.map(\.nodeCount) == [2, 2])
    #expect(found.collectives[0].hosts == ["alpha", "beta"])
    #expect(found.collectives[0].points.map(\.seconds) == [1_000e-6, 1_990e-6])
    #expect(found.notes.isEmpty)
  }

  @Test func onlyTheFirstDeviceOfAProcessIsListed() throws {
    let rows = [(1 << 26, 1_000.0, 1.875, "0"), (1 << 27, 1_990.0, 1.875, "0")]
    let two = try Excerpt.findings(report(hosts: ["alpha", "beta"], devicesPerProcess: 8, rows: rows))
    #expect(two.collectives.map(\.rankCount) == [16, 16] && two.collectives[0].hosts == ["alpha", "beta"])
    let one = try Excerpt.findings(
      report(hosts: ["alpha"], devicesPerProcess: 8, rows: rows.map { ($0.0, $0.1, 1.75, "0") }))
    #expect(one.collectives[0].rankCount == 8 && one.collectives[0].nodeCount == 1)
    // A list of all ranks is taken as it is.
    let all = try Excerpt.findings(
      report(
        hosts: Array(repeating: "alpha", count: 8), devicesPerProcess: 8, rows: rows.map { ($0.0, $0.1, 1.75, "0") },
        ranks: Array(0..<8)))
    #expect(all.collectives[0].rankCount == 8)
  }

  @Test func ranksThatDidNotFindEachOtherAreRefusedAsInText() {
    let alone = complaint(report(hosts: ["alpha"], rows: [(1 << 26, 1_000, 0, "0")]))
    #expect(alone.contains("it ran with one rank") && alone.contains("MPI=1"), "\(alone)")
    let twice = complaint(report(hosts: ["alpha", "beta"], rows: Self.settled, ranks: [0, 0]))
    let three = complaint(report(hosts: ["alpha", "beta", "beta"], rows: Self.settled, ranks: [0, 0, 1]))
    #expect(three.contains("rank 0 is listed twice"), "\(three)")
    #expect(twice.contains("rank 0 is listed twice") && twice.contains("MPI=1"), "\(twice)")
  }

  @Test func wrongResultsAreLeftOutOrRefusedAsInText() throws {
    let rows = [(1 << 25, 510.0, 1.5, "0")] + Self.settled
    let one = try Excerpt.findings(
      report(rows: [rows[0], rows[1], (rows[2].0, rows[2].1, 1.5, "4711")], wrongCount: 1))
    #expect(one.collectives.map(\.points.count) == [2, 2])
    #expect(one.notes.contains { $0.contains("1 of 3 rows have wrong results") })
    #expect(one.notes.contains { $0.contains("out_of_bounds of 1 FAILED") })
    let all = complaint(report(rows: rows.map { ($0.0, $0.1, 1.5, "4711") }, wrongCount: 3))
    #expect(
      all.contains("3 of 3 rows have wrong results (#wrong), nccl-tests says: out_of_bounds of 3 FAILED"), "\(all)")
  }

  @Test func sizesTooSmallToTellABandwidthAreNamedAsInText() throws {
    let found = try Excerpt.findings(
      report(rows: [(1 << 10, 20, 1.5, "0"), (1 << 11, 20.5, 1.5, "0"), (1 << 12, 21, 1.5, "0")]))
    #expect(found.notes.contains { $0.contains("4096 bytes, too small to tell a bandwidth") })
  }

  @Test func aTestThatDiedIsQuoted() throws {
    let died = complaint(report(rows: [], end: #","errors":["remote process exited or there was a network error"]}"#))
    #expect(died.contains("failed before its first row; /errors/0: remote process exited"), "\(died)")
    let later = try Excerpt.findings(report(rows: Self.settled, end: "}"))
    #expect(later.notes.contains { $0.contains("failed after 2 rows; the report has no out_of_bounds") })
    let cut = complaint(String(report(rows: Self.settled).dropLast(200)))
    #expect(cut.contains("recognised as a report of nccl-tests -J that was not finished"), "\(cut)")
  }

  @Test func rowsThatDisagreeAndTimesOfTheProcessorAreRefused() {
    let off = complaint(report(rows: Self.settled).replacing("\"time\":1000.0", with: "\"time\":1500.0"))
    #expect(off.contains("/results/0/out_of_place") && off.contains("alg_bw to be size over time"), "\(off)")
    #expect(complaint(report(rows: Self.settled, timeKey: "cpu_time")).contains("-C 1 prints those of the CPU"))
    let ranks = complaint(report(hosts: ["a", "b"], rows: Self.settled))
    #expect(ranks.contains("not that of all-reduce of 2 ranks"), "\(ranks)")
  }

  /// A program of unlike sends, in both forms.
  @Test func aProgramThatIsNoCollectiveIsRefusedByName() {
    let rows = [(1 << 26, 1_000.0, 0.75, "0")]
    let json = complaint(report("alltoallv", rows: rows, redop: "none"))
    #expect(json.contains("alltoallv_perf measures no collective that is read"), "\(json)")
    let text = complaint(
      FieldLog.table("alltoallv", redop: "none", rows: [(1 << 26, 1_000, 0.75)]), file: "tool.log")
    #expect(text.contains("alltoallv_perf measures no collective that is read"), "\(text)")
  }
}
