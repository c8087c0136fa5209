import Documents
import JSONText
import TestSupport
import Testing

/// Clusters that no file describes: by flags, by a number of nodes, in part.
@Suite struct StatedClusterTests {
  private static let job = ["--model", "gpt2", "--global-batch", "32"]
  private static let h200 = ["--device", "h200-sxm5-141gb", "--devices", "16", "--per-node", "8", "--inter", "50GB/s"]

  @Test func aPlanOnAClusterByFlagsHoldsTheWholeOfIt() async throws {
    let folder = try Workspace()
    let text = try await folder.sextant(
      ["plan"] + Self.h200 + Self.job
        + ["--intra", "450GB/s", "--node-inter", "400GB/s", "--host-memory", "2TB", "--host-link", "63GB/s"]
        + ["--output", "plan.json"]
    ).succeeded()
    #expect(text.contains("on h200-sxm5-141gb-2x8: 16 × NVIDIA H200 SXM5 141 GB in 2 nodes"))
    let cluster = try Plan(contentsOf: folder.file("plan.json")).cluster
    #expect(cluster.nodeCount == 2 && cluster.devicesPerNode == 8 && cluster.levels.map(\.span) == [8, 16])
    #expect(cluster.levels.map(\.bytesPerSecond) == [450e9, 50e9] && cluster.levels[1].sharedBytesPerSecond == 400e9)
    #expect(cluster.host == .init(memoryBytes: 2_000_000_000_000, bytesPerSecond: 63e9))
    // What was stated is the plan's, and no name is looked up again.
    try await folder.sextant("verify", "plan.json").succeeded()
    try await folder.sextant("explain", "plan.json").succeeded()
    try await folder.sextant("dry-run", "plan.json", "--ranks", "16", "--steps", "1").succeeded()
  }

  /// What the datasheet says of a device's links need not be said, and bits are not bytes.
  @Test func theSameClusterHasTheSamePriceHoweverItIsStated() async throws {
    let folder = try Workspace()
    func seconds(_ cluster: [String]) async throws -> JSON? {
      let text = try await folder.sextant(
        ["estimate"] + cluster + Self.job + ["--strategy", "data=16", "--json"]
      ).succeeded()
      return member("iteration_seconds", of: member("prediction", of: try JSON(parsing: Array(text.utf8))))
    }
    let whole = try await seconds(Self.h200)
    #expect(whole != nil)
    #expect(try await seconds(Self.h200 + ["--intra", "450GB/s"]) == whole)
    #expect(try await seconds(Self.h200 + ["--node-inter", "3200Gb/s"]) == whole)
    #expect(try await seconds(Self.h200.map { $0 == "50GB/s" ? "400Gb/s" : $0 }) == whole)
    #expect(try await seconds(Self.h200.map { $0 == "50GB/s" ? "50Gb/s" : $0 }) != whole)
    #expect(try await seconds(Self.h200 + ["--intra", "200GB/s"]) != whole)
    #expect(try await seconds(Self.h200 + ["--node-inter", "50GB/s"]) != whole)
    // A number of nodes by name, and a part of a larger cluster.
    let two = try await seconds(["--cluster", "dgx-h100-2"])
    #expect(two != nil && two != whole)
    #expect(try await seconds(["--cluster", "dgx-h100-4", "--nodes", "2"]) == two)
    #expect(try await seconds(Self.h200.map { $0 == "16" ? "32" : $0 } + ["--nodes", "2"]) == whole)
  }

  @Test func oneDeviceHasNoLinks() async throws {
    let folder = try Workspace()
    let text = try await folder.sextant(
      ["plan", "--device", "v100-sxm2-32gb", "--devices", "1", "--output", "plan.json"] + Self.job
    ).succeeded()
    #expect(text.contains("1 × NVIDIA V100") && text.contains("in 1 node"))
    let cluster = try Plan(contentsOf: folder.file("plan.json")).cluster
    #expect(cluster.levels.isEmpty && cluster.deviceCount == 1)
    // The document of the same.
    try folder.write(cluster.json, to: "cluster.json")
    #expect(try await folder.sextant(["plan", "--cluster", "cluster.json"] + Self.job).succeeded() == text)
  }

  @Test(arguments: [
    (["--cluster", "dgx-a100-1"] + h200, 64, "--cluster states what --device, --devices, --per-node, --inter would"),
    (["--devices", "8"], 64, "--devices goes with --device"),
    (["--device", "h200-sxm5-141gb"], 64, "--device needs --devices"),
    (["--device", "h200-sxm5-141gb", "--devices", "16"], 64, "--per-node: expected how many of the 16 devices"),
    (
      ["--device", "h200-sxm5-141gb", "--devices", "12", "--per-node", "8"], 64,
      "--devices: expected a multiple of the 8"
    ),
    (["--device", "h200-sxm5-141gb", "--devices", "16", "--per-node", "8"], 64, "--inter: expected what one device"),
    (["--device", "h200-sxm5-141gb", "--devices", "8", "--inter", "1GB/s"], 64, "--inter: one node of 8 devices"),
    (["--device", "h200-sxm5-141gb", "--devices", "1", "--intra", "1GB/s"], 64, "--intra: one device a node"),
    (h200 + ["--node-inter", "25GB/s"], 64, "--node-inter: expected no less than"),
    (h200 + ["--host-memory", "2TB"], 64, "--host-link: expected the host's memory"),
    (h200 + ["--intra", "450"], 64, "a rate such as 50GB/s (bytes) or 400Gb/s (bits)"),
    (h200 + ["--host-memory", "2T", "--host-link", "63GB/s"], 64, "a size such as 2TB or 512GiB"),
    (["--device", "h20", "--devices", "8"], 65, "--device: no device is called \"h20\""),
    (["--device", "h200-sxm5-141gb", "--devices", "0"], 65, "--devices: expected an integer from 1 to"),
    (["--device", "h200-sxm5-141gb", "--devices", "8", "--per-node", "0"], 65, "--per-node: expected an integer"),
    (["--cluster", "a100-hdr-8"], 65, "16 hosts by name; --nodes takes a part of them"),
    (["--cluster", "dgx-a100-4", "--nodes", "5"], 64, "--nodes: expected 1 to the cluster's 4"),
  ])
  func whatContradictsItselfIsOneLine(cluster: [String], code: Int32, phrase: String) async throws {
    for command in [["plan"], ["estimate", "--strategy", "zero_stage=1"]] {
      try await Workspace().sextant(command + cluster + Self.job).failed(code, phrase)
    }
  }

  /// Measurements are held against a cluster that no file describes as well.
  @Test func measuredLinksAreComparedWithAClusterByFlags() async throws {
    let folder = try Workspace()
    let cluster = ["--device", "a100-sxm4-80gb", "--devices", "128", "--per-node", "8", "--inter"]
    for (rate, isDoubted) in [("25GB/s", false), ("1TB/s", true)] {
      let text = try await folder.sextant(["profile", "show", "a100-hdr-16"] + cluster + [rate]).succeeded()
      #expect(text.contains("did they run over a management network?") == isDoubted, "\(rate)")
    }
  }

  @Test func recordsStateTheirClustersThemselves() async throws {
    for options in [["--device", "h200-sxm5-141gb"], ["--nodes", "2"]] {
      try await Workspace().sextant(["estimate", "--runs", "runs.jsonl"] + options).failed(64, "--runs states cluster")
    }
  }

  private func member(_ key: String, of json: JSON?) -> JSON? {
    guard case .object(let members)? = json else { return nil }
    return members.first { $0.key == key }?.value
  }
}
