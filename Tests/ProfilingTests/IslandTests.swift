import Documents
import JSONText
import Profiling
import Testing

/// Islands inside a node: levels with their spans, and what p2pBandwidthLatencyTest measures in them.
@Suite struct IslandTests {
  private func node(_ text: String) throws -> NodeStructure {
    guard case .node(let node)? = try Excerpt.findings(text).structure else { throw Missing() }
    return node
  }
  private struct Missing: Error {}

  /// `nvidia-smi topo -m` of devices whose pairs have the path that is given.
  private func matrix(_ count: Int, _ path: (Int, Int) -> String) -> String {
    let names = (0..<count).map { "GPU\($0)" }
    let rows = (0..<count).map { row in
      "GPU\(row)\t" + (0..<count).map { row == $0 ? " X " : path(row, $0) }.joined(separator: "\t") + "\t0-31\t0"
    }
    return "\t" + names.joined(separator: "\t") + "\tCPU Affinity\tNUMA Affinity\n" + rows.joined(separator: "\n")
      + "\n"
  }

  private func spans(_ node: NodeStructure) -> [String] { node.islands.map { "\($0.name) \($0.span)" } }

  @Test func bridgesJoinPairs() throws {
    let pairs = try node(matrix(4) { $0 / 2 == $1 / 2 ? "NV12" : "SYS" })
    #expect(spans(pairs) == ["nvlink 2", "sys 4"])
    #expect(
      pairs.clusterLevels.text(style: .compact)
        == #"[{"name":"nvlink","span":2},{"name":"sys","span":4}]"#)
    let sockets = try node(matrix(8) { $0 / 2 == $1 / 2 ? "NV12" : $0 / 4 == $1 / 4 ? "NODE" : "SYS" })
    #expect(spans(sockets) == ["nvlink 2", "pcie 4", "sys 8"])
  }

  @Test func aNodeWhoseDevicesAreAlikeHasOneLevel() throws {
    #expect(spans(try node(matrix(8) { _, _ in "NV18" })) == ["nvlink 8"])
    #expect(spans(try node(matrix(4) { _, _ in "SYS" })) == ["pcie 4"])
    #expect(spans(try node(matrix(4) { _, _ in "PHB" })) == ["pcie 4"])
  }

  @Test func aCubeMeshHasIslandsOfFour() throws {
    // DGX-1: within each four all are joined, and every device to one of the other four, over whose links the rest are.
    let mesh = try node(matrix(8) { $0 / 4 == $1 / 4 ? "NV1" : $0 % 4 == $1 % 4 ? "NV2" : "SYS" })
    #expect(spans(mesh) == ["nvlink 4", "nvlink-hops 8"])
  }

  @Test func islandsThatDoNotFollowOneAnotherAreSorted() throws {
    let crossed = try node(matrix(4) { $0 % 2 == $1 % 2 ? "NV12" : "SYS" })
    #expect(crossed.islandOrder == [0, 2, 1, 3])
    #expect(spans(crossed) == ["nvlink 2", "sys 4"])
    #expect(try node(matrix(4) { $0 / 2 == $1 / 2 ? "NV12" : "SYS" }).islandOrder == [0, 1, 2, 3])
  }

  /// NCCL's topology as RCCL writes it: devices of an architecture, and how many links join each pair.
  private func amd(_ architecture: String, _ count: Int, links: (Int, Int) -> Int) -> String {
    let devices = (0..<count).map { device in
      let targets = (0..<count).filter { links(device, $0) > 0 }.map {
        "<xgmi target=\"0000:\(10 + $0):00.0\" count=\"\(links(device, $0))\" tclass=\"0x120000\"/>"
      }
      return """
        <pci busid="0000:\(10 + device):00.0" class="0x120000"><gpu dev="\(device)" sm="90" gcn="\(architecture)" \
        arch="38911" rank="\(device)" gdr="1">\(targets.joined())</gpu></pci>
        """
    }
    return "<system version=\"2\"><cpu numaid=\"0\"><pci busid=\"0000:01:00.0\" class=\"0x060400\">"
      + devices.joined(separator: "\n") + "</pci></cpu></system>"
  }

  @Test func xgmiIsALevel() throws {
    let node = try node(amd("21943", 2) { $0 == $1 ? 0 : 1 })
    #expect(node.deviceToDevice[0][1] == .xgmi(1))
    #expect(spans(node) == ["xgmi 2"])
    #expect(node.islands[0].bytesPerSecond == nil)
    #expect(
      try Excerpt.findings(amd("21943", 2) { $0 == $1 ? 0 : 1 }).notes == [
        "the rate of an XGMI link is not known for devices of gcn=\"21943\""
      ])
    #expect(spans(try self.node(FieldLog.rocmTopology)) == ["xgmi 2", "pcie 4"])
  }

  @Test func xgmiHasItsGenerationsRate() throws {
    // Seven links of 64 GB/s, one to each peer.
    let mi300x = try node(amd("gfx942:sramecc+:xnack-", 8) { $0 == $1 ? 0 : 1 })
    #expect(mi300x.islands == [.init(name: "xgmi", span: 8, bytesPerSecond: 448e9)])
    // The halves of a module have four links of 50 GB/s; those of the next module are one link away, the rest more.
    for architecture in ["gfx90a", "910"] {
      let mi250x = try node(
        amd(architecture, 8) { $0 == $1 ? 0 : $0 / 2 == $1 / 2 ? 4 : abs($0 - $1) == 2 || abs($0 - $1) == 6 ? 1 : 0 })
      #expect(
        mi250x.islands == [
          .init(name: "xgmi", span: 2, bytesPerSecond: 200e9), .init(name: "xgmi-hops", span: 8, bytesPerSecond: nil),
        ])
      // A first device whose neighbour in number is not the first that it has a link to.
      let twisted = try node(amd(architecture, 4) { $0 == $1 ? 0 : $0 / 2 == $1 / 2 ? 4 : $0 + $1 == 3 ? 1 : 0 })
      #expect(spans(twisted) == ["xgmi 2", "xgmi-hops 4"] && twisted.islandOrder == [0, 1, 2, 3])
    }
  }

  @Test func directLinksHaveTheirGenerationsRate() throws {
    let text = """
      <system version="1"><cpu numaid="0">
      <pci busid="0000:17:00.0" class="0x030200"><gpu dev="0" sm="90"><nvlink target="0000:65:00.0" count="12" tclass="0x030200"/></gpu></pci>
      <pci busid="0000:65:00.0" class="0x030200"><gpu dev="1" sm="90"><nvlink target="0000:17:00.0" count="12" tclass="0x030200"/></gpu></pci>
      </cpu></system>
      """
    #expect(try node(text).islands == [.init(name: "nvlink", span: 2, bytesPerSecond: 300e9)])
    let unknown = try Excerpt.findings(text.replacing("sm=\"90\"", with: "sm=\"120\""))
    #expect(unknown.notes == ["the rate of an NVLink is not known for devices of sm=\"120\""])
  }

  @Test func p2pWritesGoFromRowToColumnAndReadsTheOtherWay() throws {
    let found = try Excerpt.findings(FieldLog.p2p)
    #expect(
      found.inside.map(\.name) == [
        "device_to_device_bandwidth_through_host", "device_to_device_bandwidth_p2p",
        "device_to_device_bandwidth_p2p_reads",
        "device_to_device_bidirectional_bandwidth_p2p", "device_to_device_latency_p2p",
      ])
    #expect(found.inside[0].bytesPerSecond == [[nil, 40e9], [41e9, nil]])
    #expect(found.inside[1].bytesPerSecond == [[nil, 250e9], [260e9, nil]])
    #expect(found.inside[2].bytesPerSecond == [[nil, 261e9], [251e9, nil]])
    // The sum of both directions is printed.
    #expect(found.inside[3].bytesPerSecond == [[nil, 250e9], [255e9, nil]] && found.inside[3].isBidirectional)
    #expect(
      found.inside[4].latencySeconds == [[nil, 1.5e-6], [1.75e-6, nil]] && found.inside[4].bytesPerSecond == nil)
  }
}
