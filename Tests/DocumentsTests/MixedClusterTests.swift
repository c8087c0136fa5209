import JSONText
import TestSupport
import Testing

@testable import Documents

/// Clusters whose nodes have different devices.
@Suite struct MixedClusterTests {
  static func cluster() throws -> ClusterDescription {
    try Catalog(root: Checkout.root).cluster("\(Checkout.inputs)/examples/cluster-mixed.json")
  }

  @Test func kindsAreNumberedAsNodesNeedThem() throws {
    let cluster = try Self.cluster()
    #expect(cluster.isMixed)
    #expect(cluster.devices.map(\.name) == ["h100-sxm5-80gb", "a100-sxm4-80gb"])
    #expect(cluster.deviceOfNode == [0, 1, 1, 0])
    #expect(cluster.device == cluster.devices[0])
  }

  @Test func aMixedClusterIsReadAsItIsWritten() throws {
    let cluster = try Self.cluster()
    let text = cluster.json.text(style: .pretty)
    let again = try ClusterDescription(
      parse(Array(text.utf8), source: "test"), catalog: Catalog(root: nil), folder: ".")
    #expect(again == cluster)
  }

  @Test func oneKindInSeveralRunsIsNotMixed() throws {
    let device = try Catalog(root: Checkout.root).device("a100-sxm4-80gb")
    let level = ClusterDescription.Level(name: "net", span: 4, bytesPerSecond: 1e9)
    let cluster = try ClusterDescription(
      name: "one", devices: [device, device], deviceOfNode: [1, 0, 1, 0], nodeNames: ["a", "b", "c", "d"],
      devicesPerNode: 1, levels: [level])
    #expect(!cluster.isMixed && cluster.deviceOfNode == [0, 0, 0, 0])
  }

  @Test func moreNodesKeepTheProportionsOfKinds() throws {
    let larger = try #require(try Self.cluster().resized(nodeCount: 8))
    #expect(larger.deviceOfNode == [0, 0, 1, 1, 1, 1, 0, 0])
  }

  @Test(arguments: [
    (#"[{"device": "a100-sxm4-80gb", "nodes": 3}]"#, "3 nodes, but the cluster has 4"),
    (#"[{"device": "a100-sxm4-80gb", "nodes": 4, "count": 1}]"#, "count"),
    (#"[{"device": "a100-sxm4-80gb", "nodes": 0}]"#, "/device/0/nodes"), ("[]", "/device"),
    (#"[{"nodes": 4}]"#, "device"),
  ])
  func whatDoesNotFitIsRefused(device: String, phrase: String) throws {
    let text = """
      {"schema": "sextant.cluster/1", "name": "x", "device": \(device), "nodes": 4, "devices_per_node": 1,
       "levels": [{"name": "net", "span": 4, "bytes_per_second": 1e9}]}
      """
    let error = try #require(throws: DocumentError.self) {
      try ClusterDescription(
        parse(Array(text.utf8), source: "test"), catalog: Catalog(root: Checkout.root), folder: ".")
    }
    #expect("\(error)".contains(phrase), "\(error)")
  }
}
