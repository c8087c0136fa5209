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
