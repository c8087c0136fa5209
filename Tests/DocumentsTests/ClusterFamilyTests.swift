import Foundation
import JSONText
import Testing

@testable import Documents

/// A shipped cluster in a number of nodes that no file has.
@Suite struct ClusterFamilyTests {
  private static let catalog = Catalog(root: Checkout.root)

  @Test(arguments: [("dgx-h100-8", 8), ("dgx-h100-2", 2), ("dgx-h100-64", 64), ("dgx-a100-3", 3), ("aws-p5-1", 1)])
  func theLastPartOfANameIsTheNumberOfNodes(name: String, nodeCount: Int) throws {
    let cluster = try Self.catalog.cluster(name)
    #expect(cluster.name == name && cluster.nodeCount == nodeCount && !cluster.namesHosts)
    #expect(cluster.levels.last?.span == cluster.deviceCount)
    #expect(cluster.host != nil && cluster.source.contains("\(nodeCount) node"))
    #expect(
      try ClusterDescription(Field(cluster.json, source: "again"), catalog: Catalog(root: nil), folder: ".") == cluster)
  }

  /// A described network of one level without oversubscription is the same for more.
  @Test func aFamilyGrowsBeyondItsLargestFile() throws {
    let cluster = try Self.catalog.cluster("aws-p5-64"), described = try Self.catalog.cluster("aws-p5-16")
    #expect(cluster.deviceCount == 512 && cluster.levels.map(\.span) == [8, 512])
    #expect(cluster.levels[1] == described.levels[1].spanning(512))
  }

  /// Domains of nodes go on as they are, and few nodes are a part of one.
  @Test func racksGoOn() throws {
    let many = try Self.catalog.cluster("gb200-nvl72-128"), few = try Self.catalog.cluster("gb200-nvl72-8")
    #expect(many.levels.map(\.span) == [4, 64, 512] && many.levels.map(\.isScaleUp) == [false, true, false])
    #expect(many.domainSize == 64 && many.levels[2].sharedBytesPerSecond == 64 * 50e9)
    #expect(few.levels.map(\.span) == [4, 32] && few.domainSize == 32 && few.levels[1].isScaleUp)
    #expect(try Self.catalog.cluster("dgx-h100-8").domainSize == 8)
  }

  @Test func aFileIsTakenAsItIs() throws {
    #expect(try Self.catalog.cluster("dgx-h100-16").source.hasPrefix("NVIDIA DGX H100 user guide"))
  }

  @Test(arguments: [
    ("a100-hdr-8", "is 16 hosts by name; --nodes takes a part of them"),
    ("dgx-h100-131072", "1,048,576 devices"), ("dgx-h100-0", "no cluster is called"),
    ("dgx-h100-08", "no cluster is called"), ("dgx-h100-x", "no cluster is called"),
    ("dgx-h10-8", "no cluster is called"), ("dgx-h100-999999", "no cluster is called"),
  ])
  func whatCannotBeMadeSaysWhy(name: String, phrase: String) throws {
    // The largest that may be is made, one device a node more is not.
    guard name != "dgx-h100-131072" else {
      #expect(try Self.catalog.cluster(name).deviceCount == ClusterDescription.largestDeviceCount)
      return
    }
    let error = try #require(throws: DocumentError.self) { try Self.catalog.cluster(name) }
    #expect("\(error)".contains(phrase), "\(error)")
    #expect(error.source == "--cluster")
  }

  /// Islands of four nodes under a spine that slows them down together.
  @Test func whatANetworkOfSeveralLevelsDoesNotSayIsNotGuessed() throws {
    let device = try Self.catalog.device("h100-sxm5-80gb")
    func cluster(nodes: Int, oversubscription: Double = 1, isFlat: Bool = false) throws -> ClusterDescription {
      let island = ClusterDescription.Level(name: "island", span: 32, bytesPerSecond: 50e9)
      return try ClusterDescription(
        name: "islands-\(nodes)", device: device, nodeNames: (0..<nodes).map { "node-\($0)" }, devicesPerNode: 8,
        levels: [.init(name: "nvlink", span: 8, bytesPerSecond: 450e9)] + (isFlat ? [] : [island]) + [
          .init(name: "spine", span: 8 * nodes, bytesPerSecond: 25e9, oversubscription: oversubscription)
        ])
    }
    let islands = try cluster(nodes: 16)
    #expect(try islands.member(ofNodes: 8, name: "a-8").levels.map(\.span) == [8, 32, 64])
    // Six nodes are an island and a half.
    #expect(try islands.member(ofNodes: 6, name: "a-6").levels.map(\.span) == [8, 32, 64])
    // Within an island the spine is not there.
    let inner = try islands.member(ofNodes: 3, name: "a-3").levels
    #expect(inner.map(\.span) == [8, 24] && inner[1].name == "island" && inner[1].bytesPerSecond == 50e9)
    #expect(try islands.member(ofNodes: 4, name: "a-4").levels.map(\.name) == ["nvlink", "island"])

    func refusal(_ body: () throws -> ClusterDescription) -> String {
      do { return try body().name } catch { return (error as? ClusterDescription.Contradiction)?.sentence ?? "" }
    }
    #expect(refusal { try islands.member(ofNodes: 32, name: "a-32") }.contains("2 levels is described for 16 nodes"))
    let slow = try cluster(nodes: 16, oversubscription: 2, isFlat: true)
    #expect(refusal { try slow.member(ofNodes: 32, name: "a-32") }.contains("oversubscribed for 16 nodes"))
    #expect(try slow.member(ofNodes: 8, name: "a-8").levels[1].oversubscription == 2)
    let lone = try Self.catalog.cluster("dgx-h100-1")
    #expect(refusal { try lone.member(ofNodes: 2, name: "a-2") }.contains("one node and no network"))
  }
}
