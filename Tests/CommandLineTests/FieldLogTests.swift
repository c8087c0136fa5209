import Documents
import Foundation
import JSONText
import TestSupport
import Testing

/// The files of `Inputs/field`: what people hand in, as it stands.
enum FieldCase {
  static func path(_ name: String) -> String { "\(Shipped.root)/Tests/CommandLineTests/Inputs/field/\(name)" }

  /// The links that `profile import` makes of a file.
  static func links(_ name: String, _ options: String...) async throws -> MeasuredLinks {
    let text = try await Workspace().sextant(["profile", "import", path(name), "--json"] + options).succeeded()
    return try MeasuredLinks(Field(JSON(parsing: Array(text.utf8)), source: name))
  }

  /// The time of an iteration that `estimate` predicts.
  static func seconds(_ question: [String]) async throws -> Double {
    let text = try await Workspace().sextant(["estimate"] + question + ["--json"]).succeeded()
    var fields = try Field(JSON(parsing: Array(text.utf8)), source: "estimate").fields()
    var prediction = try fields.required("prediction").fields()
    return try prediction.required("iteration_seconds").positiveNumber()
  }

  /// What `profile import` prints of a file.
  static func report(_ name: String, _ options: String...) async throws -> String {
    try await Workspace().sextant(["profile", "import", path(name)] + options).succeeded()
  }
}

extension MeasuredLinks.CollectiveTimes {
  /// Bus bandwidth of the largest size, GB/s.
  fileprivate var busGigabytesPerSecond: Double {
    points.last.map { kind.busFactor(rankCount: rankCount) * Double($0.messageBytes) / $0.seconds / 1e9 } ?? 0
  }

  /// Such as `all-gather 8 ranks 1 nodes 4 sizes`.
  fileprivate var shape: String { "\(kind.rawValue) \(rankCount) ranks \(nodeCount ?? 0) nodes \(points.count) sizes" }
}

/// Logs as people hand them in, through the command.
@Suite struct FieldLogTests {
  private typealias Kind = MeasuredLinks.CollectiveTimes.Kind

  // MARK: 01: one file, several tests

  @Test func everyTableOfASuiteIsItsOwnCollective() async throws {
    let suite = try await FieldCase.links("01-nccl-suite-in-one-file/suite.log")
    let kinds: [Kind] = [.allReduce, .allGather, .reduceScatter, .allToAll]
    #expect(
      suite.collectives.map(\.shape)
        == kinds.flatMap { kind in
          Array(repeating: "\(kind.rawValue) 8 ranks 1 nodes 4 sizes", count: 2)
        })
    let two = try await FieldCase.links("01-nccl-suite-in-one-file/gather-then-alltoall.log")
    #expect(
      two.collectives.map(\.shape)
        == ["all-gather", "all-gather", "all-to-all", "all-to-all"].map { "\($0) 8 ranks 1 nodes 4 sizes" })
    for (collective, rate) in zip(two.collectives, [350.0, 350, 166, 166]) {
      #expect(abs(collective.busGigabytesPerSecond / rate - 1) < 0.02, "\(collective.shape)")
    }
    let report = try await FieldCase.report("01-nccl-suite-in-one-file/suite.log")
    #expect(report.contains("holds all-reduce of 8 ranks (line 1), all-gather of 8 ranks"))
  }

  // MARK: 02 and logs: what stands around lines

  @Test(arguments: [
    ("02-line-prefixes/midline.log", "all-reduce 24 ranks 3 nodes 10 sizes", 5.31),
    ("02-line-prefixes/no-hash-signs.log", "all-reduce 8 ranks 1 nodes 4 sizes", 231.98),
    ("02-line-prefixes/srun-label.log", "all-reduce 4 ranks 2 nodes 11 sizes", 6.12),
    ("logs/b_nohash.txt", "all-reduce 4 ranks 2 nodes 4 sizes", 38.11),
    ("logs/d_srun_label.txt", "all-reduce 4 ranks 2 nodes 4 sizes", 38.11),
    ("logs/e_tagoutput.txt", "all-reduce 4 ranks 2 nodes 4 sizes", 38.11),
  ])
  func linesAreReadAsIfNothingStoodAroundThem(name: String, shape: String, rate: Double) async throws {
    let collectives = try await FieldCase.links(name).collectives
    #expect(collectives.map(\.shape) == [shape, shape])
    #expect(collectives.map(\.isInPlace) == [false, true])
    // Two decimals are printed.
    #expect(abs(collectives[0].busGigabytesPerSecond - rate) < 0.006)
    // Of a log that lost nothing but `#`, there is nothing to say.
    #expect(try await FieldCase.report(name).contains("which is left out") == !name.contains("hash"))
  }

  @Test func prefixesChangeNoFigure() async throws {
    let plain = try await FieldCase.links("logs/b_nohash.txt").collectives
    for name in ["d_srun_label", "e_tagoutput"] {
      let other = try await FieldCase.links("logs/\(name).txt").collectives
      #expect(other.map(\.points) == plain.map(\.points), "\(name)")
    }
  }

  // MARK: 03: several runs between two hosts

  @Test(arguments: [
    ("ib-two-runs.txt", 92.39e9 / 8, 11_008.17 * 1_048_576), ("osu-two-pairs.txt", 93_130.52e6, 45_130.52e6),
  ])
  func runsBetweenTwoHostsAreKeptApart(name: String, first: Double, second: Double) async throws {
    let file = "03-several-point-to-point-runs/\(name)"
    let unnamed = try await FieldCase.links(file)
    #expect(unnamed.nodeNames == ["node-0", "node-1", "node-2", "node-3"])
    #expect(unnamed.medianBytesPerSecond(from: 0, to: 1) == first)
    #expect(unnamed.medianBytesPerSecond(from: 2, to: 3) == second)
    let report = try await FieldCase.report(file)
    #expect(report.contains("2 runs in one file") && report.contains("name them with --hosts"))
    let named = try await FieldCase.links(file, "--hosts", "a,b,a,c")
    #expect(named.nodeNames == ["a", "b", "c"])
    #expect(named.medianBytesPerSecond(from: 0, to: 1) == first)
    #expect(named.medianBytesPerSecond(from: 0, to: 2) == second)
  }

  // MARK: 04: two ranks

  @Test func aSumOfTwoRanksWithoutARootIsAnAllReduce() async throws {
    let links = try await FieldCase.links("04-two-ranks/two-hosts.log")
    #expect(links.collectives.map(\.shape) == Array(repeating: "all-reduce 2 ranks 2 nodes 5 sizes", count: 2))
    #expect(links.nodeNames == ["dgx-h", "dgx-a"])
    let rate = try #require(links.medianBytesPerSecond(from: 0, to: 1))
    #expect(abs(rate - 0.99e9) < 0.006e9)
    // Its rows count nothing wrong, but its last line does.
    #expect(try await FieldCase.report("04-two-ranks/two-hosts.log").contains("Out of bounds values : 8 FAILED"))
  }

  @Test func hostsThatAreNamedAreThePair() async throws {
    let file = "04-two-ranks/no-device-lines.log"
    let links = try await FieldCase.links(file, "--hosts", "node-a,node-b")
    #expect(links.nodeNames == ["node-a", "node-b"])
    for (from, to) in [(0, 1), (1, 0)] {
      let rate = try #require(links.medianBytesPerSecond(from: from, to: to))
      #expect(abs(rate - 41.3e9) < 0.05e9)
    }
    #expect(links.collectives.allSatisfy { $0.nodeCount == 2 && $0.rankCount == 2 })
    #expect(try await FieldCase.report(file, "--nodes", "2").contains("Links imported: 2 nodes"))
  }

  // MARK: 18, 21, 22 and the misrun: wrong measurements

  @Test func oneAddressAtBothEndsIsNoLink() async throws {
    let links = try await FieldCase.links("18-two-roce-ends-alike/loop.txt")
    #expect(!links.hasPairs && links.inside.count == 1)
    #expect(try await FieldCase.report("18-two-roce-ends-alike/loop.txt").contains("a loop over one card"))
    let named = try await FieldCase.links("18-two-roce-ends-alike/loop.txt", "--hosts", "a,b")
    #expect(!named.hasPairs)
  }

  @Test func resultsThatTheToolCallsWrongAreRefused() async throws {
    for options in [[], ["--collective", "all-reduce"]] {
      let file = FieldCase.path("21-wrong-results-in-a-log/log.txt")
      try await Workspace().sextant(["profile", "import", file] + options)
        .failed(65, "4 of 5 rows have wrong results (#wrong)", "Out of bounds values : 8 FAILED")
    }
  }

  @Test(arguments: ["22-table-of-a-failed-run/c06-no-mpi-two-tables.log", "logs/j_misrun.txt"])
  func ranksThatDidNotJoinAreRefused(name: String) async throws {
    try await Workspace().sextant("profile", "import", FieldCase.path(name))
      .failed(65, "rank 0 is listed twice", "did not find each other", "make MPI=1")
  }

  @Test func theLineOfATestThatFailedIsQuoted() async throws {
    try await Workspace().sextant("profile", "import", FieldCase.path("22-table-of-a-failed-run/c07-failed-run.log"))
      .failed(65, "the test failed before its first row", "line 20: node-b: Test NCCL failure common.cu:1005")
  }

  // MARK: 06 and 07: islands

  @Test(arguments: [
    ("06-xgmi/topology.xml", #"[{"name":"xgmi","span":2}]"#, "2 devices"),
    ("07-nvlink-pairs/topo.txt", #"[{"name":"nvlink","span":2},{"name":"sys","span":4}]"#, "4 devices"),
  ])
  func islandsAreLevels(name: String, levels: String, devices: String) async throws {
    let report = try await FieldCase.report(name)
    #expect(report.contains("\"levels\": \(levels)\n"))
    #expect(report.contains("A node of \(devices)"))
  }
}
