import Documents
import Foundation
import JSONText
import TestSupport
import Testing

/// Plans on a cluster of which a whole collective was timed, as nccl-tests prints it.
@Suite struct MeasuredCollectivePlanTests {
  /// An all-reduce over `nodes` nodes of 8 at a bus bandwidth, GB/s.
  private static func table(nodes: Int, ranksPerNode: Int = 8, busGigabytes: Double) -> String {
    let n = nodes * ranksPerNode
    var lines = [
      "# nThread 1 nGpus 1 minBytes 1048576 maxBytes 536870912 step: 2(factor) warmup iters: 5 iters: 20 agg iters: 1 "
        + "validation: 1 graph: 0", "#", "# Using devices",
    ]
    for rank in 0..<n {
      lines.append(
        "#  Rank \(rank) Group  0 Pid  \(4_000 + rank) on    worker-\(rank / ranksPerNode) device  "
          + "\(rank % ranksPerNode) [0x1\(rank % ranksPerNode)] NVIDIA H100 80GB HBM3")
    }
    lines.append("#       size         count      type   redop    root     time   algbw   busbw #wrong")
    lines.append("#        (B)    (elements)                               (us)  (GB/s)  (GB/s)")
    for exponent in 20...29 {
      let bytes = Double(1 << exponent), factor = 2 * Double(n - 1) / Double(n)
      let seconds = bytes * factor / (busGigabytes * 1e9)
      lines.append(
        String(
          format: "%12d %12d     float     sum      -1 %8.1f %7.2f %7.2f      0", 1 << exponent, 1 << (exponent - 2),
          seconds * 1e6, bytes / seconds / 1e9, busGigabytes))
    }
    return lines.joined(separator: "\n") + "\n"
  }

  private static let cluster = """
    {"schema": "sextant.cluster/1", "name": "w3", "source": "invented", "device": "h100-sxm5-80gb",
     "nodes": ["worker-0", "worker-1", "worker-2"], "devices_per_node": 8,
     "levels": [{"name": "nvlink", "span": 8, "bytes_per_second": 450e9},
       {"name": "ndr", "span": 24, "bytes_per_second": 50e9, "shared_bytes_per_second": 400e9}]
    """

  private static let request = [
    "--model", "llama-3-8b", "--global-batch", "96", "--sequence", "8192", "--framework", "any", "--top", "1",
  ]

  private func workspace(_ table: String) async throws -> Workspace {
    let folder = try Workspace()
    try folder.write(Self.cluster + "}", to: "nominal.json")
    try folder.write(Self.cluster + #", "measured": "links.json"}"#, to: "cluster.json")
    try folder.write(table, to: "all_reduce.txt")
    try await folder.sextant("profile", "import", "all_reduce.txt", "--output", "links.json").succeeded()
    return folder
  }

  private func seconds(_ folder: Workspace, _ plan: String) throws -> Double {
    try Plan(contentsOf: folder.file(plan)).prediction.iterationSeconds
  }

  @Test func aSlowCollectiveMakesThePlanSlowerAndThePlanSaysSo() async throws {
    let folder = try await workspace(Self.table(nodes: 3, busGigabytes: 5.3))
    let fixed = Self.request + ["--fix", "zero_stage=3"]
    for cluster in ["nominal", "cluster"] {
      let text = try await folder.sextant(
        ["plan", "--cluster", "\(cluster).json", "--output", "\(cluster)-plan.json"] + fixed
      ).succeeded()
      #expect(text.contains("measured collectives") == (cluster == "cluster"))
    }
    #expect(try seconds(folder, "cluster-plan.json") > 1.5 * seconds(folder, "nominal-plan.json"))
    let explanation = try await folder.sextant("explain", "cluster-plan.json").succeeded()
    #expect(explanation.contains("Priced by measured collectives (all_reduce.txt)"))
    #expect(explanation.contains("inferred from all-reduce of 24 ranks on 3 nodes"))
    #expect(try await folder.sextant("verify", "cluster-plan.json").succeeded().contains("The plan holds"))
    let plan = try Plan(contentsOf: folder.file("cluster-plan.json"))
    #expect(!plan.measuredPrices.isEmpty)
    // A plan that says otherwise of where its prices come from does not hold.
    let json = try JSON(parsing: Array(folder.text(of: "cluster-plan.json").utf8))
    try folder.write(json.replacing("/measured_prices/0/inferred", with: .boolean(false)), to: "edited.json")
    try await folder.sextant("explain", "edited.json").failed(3, "/measured_prices/0/inferred")
    let estimate = try await folder.sextant([
      "estimate", "--cluster", "cluster.json", "--model", "llama-3-8b", "--global-batch", "96", "--sequence", "8192",
      "--framework", "any", "--strategy", "data=24,zero_stage=3",
    ]).succeeded()
    #expect(estimate.contains("weights all-gather of 24 ranks on 3 nodes (inferred"))
  }

  @Test func aCollectiveThatPricesNothingSaysWhy() async throws {
    // One rank a node has the network to itself.
    let folder = try await workspace(Self.table(nodes: 3, ranksPerNode: 1, busGigabytes: 5.3))
    let text = try await folder.sextant(
      ["plan", "--cluster", "cluster.json", "--output", "plan.json"] + Self.request + ["--fix", "zero_stage=3"]
    ).succeeded()
    #expect(text.contains("Collectives: none of the measured collectives prices this strategy"))
    #expect(text.contains("all-reduce of 3 ranks on 3 nodes, which had the network of its nodes to itself"))
    #expect(try Plan(contentsOf: folder.file("plan.json")).measuredPrices.isEmpty)
  }

  @Test func calibrateTakesTheImportedDocument() async throws {
    let folder = try await workspace(Self.table(nodes: 3, busGigabytes: 100))
    let text = try await folder.sextant(
      "calibrate", "--device", "h100-sxm5-80gb", "--collectives", "links.json", "--output", "fitted.json"
    ).succeeded()
    #expect(text.contains("24 ranks on 3 nodes"))
    try folder.write(#"{"schema": "sextant.links/1", "name": "x"}"#, to: "broken.json")
    try await folder.sextant("calibrate", "--device", "h100-sxm5-80gb", "--collectives", "broken.json")
      .failed(65, "broken.json: expected the key \"engine\"")
  }

  @Test(arguments: [(0.9, true), (5.3, false)])
  func aRunOverAManagementNetworkIsNamed(busGigabytes: Double, isNamed: Bool) async throws {
    let folder = try await workspace(Self.table(nodes: 3, busGigabytes: busGigabytes))
    let text = try await folder.sextant(["plan", "--cluster", "cluster.json", "--output", "plan.json"] + Self.request)
      .succeeded()
    let note = "Note: all-reduces of 24 ranks reach 0.9 GB/s, 1.8 % of the 50.0 GB/s that level ndr is described with"
    #expect(text.contains(note) == isNamed)
    #expect(try await folder.sextant("explain", "plan.json").succeeded().contains(note) == isNamed)
    // The same words where the measurement is looked at and nothing is planned.
    let show = ["profile", "show", "links.json", "--cluster", "nominal.json"]
    for command in [show, ["profile", "import", "all_reduce.txt", "--cluster", "nominal.json"]] {
      let text = try await folder.sextant(command).succeeded()
      #expect(text.contains(note) == isNamed)
      #expect(text.contains("Note: nothing measured between nodes is below 5 % of level ndr of w3.") == !isNamed)
    }
    let json = try await folder.sextant(show + ["--json"]).succeeded()
    #expect(json.contains(note.dropFirst("Note: ".count)) == isNamed)
    #expect(json.contains("\"doubts\": []") == !isNamed)
  }

  @Test func aComparisonNeedsALevelBetweenNodes() async throws {
    let folder = try await workspace(Self.table(nodes: 3, busGigabytes: 0.9))
    let text = try await folder.sextant("profile", "show", "links.json", "--cluster", "dgx-h100-1").succeeded()
    #expect(text.contains("Note: dgx-h100-1 has no level between nodes to compare with."))
    try await folder.sextant("profile", "import", "all_reduce.txt", "--cluster", "nominal.json", "--json")
      .failed(64, "--json prints the document, which --cluster changes nothing of")
  }
}
