import Documents
import JSONText
import Profiling
import TestSupport
import Testing

/// A skeleton of a cluster: what files of structure say, and open places that are refused until they are filled in.
@Suite struct SkeletonTests {
  private static let pairs = """
    \tGPU0\tGPU1\tGPU2\tGPU3\tCPU Affinity
    GPU0\t X \tNV12\tSYS\tSYS\t0
    GPU1\tNV12\t X \tSYS\tSYS\t0
    GPU2\tSYS\tSYS\t X \tNV12\t1
    GPU3\tSYS\tSYS\tNV12\t X \t1
    """

  private func read(_ json: JSON) throws -> ClusterDescription {
    try ClusterDescription(Field(json, source: "cluster.json"), catalog: Shipped.catalog, folder: ".")
  }

  @Test func openPlacesAreNamedAndAFilledSkeletonIsACluster() throws {
    let skeleton = try ClusterSkeleton(
      [Excerpt.findings(Self.pairs), Excerpt.findings(Excerpt.slurmTree)], name: "mine"
    ).json
    #expect { try read(skeleton) } throws: {
      "\($0)".contains("still to be filled in") && "\($0)".contains("/device (a device profile")
        && "\($0)".contains("/levels/0/bytes_per_second")
    }
    let text = skeleton.text(style: .pretty)
      .replacing(/"FILL IN: a device profile[^"]*"/, with: "\"h100-sxm5-80gb\"").replacing(
        /"FILL IN: rate[^"]*"/, with: "1e10")
    let cluster = try read(JSON(parsing: Array(text.utf8)))
    #expect(cluster.nodeNames == ["n01", "n02", "n03", "n04"] && cluster.devicesPerNode == 4)
    #expect(cluster.levels.map(\.name) == ["nvlink", "sys", "network-1", "network-2"])
    #expect(cluster.levels.map(\.span) == [2, 4, 8, 16])
  }

  /// p2pBandwidthLatencyTest of devices whose pairs reach what is given, GB/s.
  private static func matrix(_ count: Int, _ rate: (Int, Int) -> Double) -> String {
    let rows = (0..<count).map { row in
      "\(row) " + (0..<count).map { row == $0 ? "3200.00" : "\(rate(row, $0))" }.joined(separator: " ")
    }
    return
      "[P2P (Peer-to-Peer) GPU Bandwidth Latency Test]\nUnidirectional P2P=Enabled Bandwidth (P2P Writes) Matrix (GB/s)\n"
      + "D\\D " + (0..<count).map(String.init).joined(separator: " ") + "\n" + rows.joined(separator: "\n") + "\n"
  }

  private func levels(_ texts: [String]) throws -> String {
    let json = try ClusterSkeleton(texts.map { try Excerpt.findings($0) }, name: "mine").json
    guard case .object(let members) = json, let levels = members.first(where: { $0.key == "levels" }) else { return "" }
    return levels.value.text(style: .compact)
  }

  @Test func whatWasMeasuredInsideANodeIsTheRateOfItsLevels() throws {
    let measured = Self.matrix(4) { $0 / 2 == $1 / 2 ? 260 + Double($0) : 18 + Double($0) }
    // The medians of 260 to 263 and of 18 to 21.
    let bridges = try levels([Self.pairs, measured])
    #expect(bridges.contains(#"{"name":"nvlink","span":2,"bytes_per_second":261500000000.0}"#), "\(bridges)")
    #expect(bridges.contains(#"{"name":"sys","span":4,"bytes_per_second":19500000000.0}"#), "\(bridges)")
    let json = try ClusterSkeleton([Excerpt.findings(Self.pairs), Excerpt.findings(measured)], name: "mine").json
    #expect(json.text(style: .compact).contains("measured them, two devices at a time"))
    // Of several runs, all count.
    let twice = try levels([Self.pairs, measured, Self.matrix(4) { $0 / 2 == $1 / 2 ? 300 : 18 }])
    #expect(twice.contains(#"{"name":"nvlink","span":2,"bytes_per_second":281500000000.0}"#), "\(twice)")
    #expect { try levels([Self.pairs, Self.matrix(2) { _, _ in 50 }]) } throws: {
      "\($0)".contains("expected rates between 4 devices, as the structure has; the matrix is of 2")
    }
  }

  @Test func whatOnePairReachesIsNotWhatADeviceSendsOverSeparateLinks() throws {
    func node(_ count: Int, _ word: String) -> String {
      let names = (0..<count).map { "GPU\($0)" }
      return names.joined(separator: "\t") + "\tCPU Affinity\n"
        + (0..<count).map { row in
          "GPU\(row)\t" + (0..<count).map { row == $0 ? "X" : word }.joined(separator: "\t") + "\t0"
        }.joined(separator: "\n")
    }
    // Four A100 whose links lead to one peer each, and eight behind switches.
    let direct = try levels([node(4, "NV4"), Self.matrix(4) { _, _ in 93.25 }])
    #expect(direct.contains("one pair alone reached 93.25 GB/s"), "\(direct)")
    let switched = try levels([node(8, "NV12"), Self.matrix(8) { _, _ in 271.5 }])
    #expect(
      switched == #"[{"name":"nvlink","span":8,"bytes_per_second":271500000000.0},{"name":"network","#
        + #""span":"FILL IN: devices of the whole cluster; without a network, no level","bytes_per_second":"#
        + #""FILL IN: rate of one device over the network, one direction"}]"#)
  }

  @Test func whatIsNotOfStructureHasNoSkeleton() throws {
    let measured = try Excerpt.findings(Excerpt.osuBandwidth)
    #expect(throws: DocumentError.self) { try ClusterSkeleton([measured], name: "mine") }
    let node = try Excerpt.findings(Self.pairs)
    #expect(throws: DocumentError.self) { try ClusterSkeleton([node, node], name: "mine") }
    // A node alone leaves the number of nodes open, a network alone its devices.
    #expect(try ClusterSkeleton([node], name: "mine").json.text(style: .compact).contains("how many nodes"))
    let network = try Excerpt.findings(Excerpt.ibNetDiscover)
    #expect(try ClusterSkeleton([network], name: "mine").json.text(style: .compact).contains("devices of 3 nodes"))
  }
}
