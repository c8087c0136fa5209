import Documents
import JSONText
import Testing

/// A cluster takes from a measurement what is of its nodes, whatever others there are and in whatever order.
@Suite struct MeasuredLinksSelectionTests {
  private func links() throws -> MeasuredLinks {
    try MeasuredLinks(Field(Checkout.json("Tests/DocumentsTests/Inputs/examples/links-full.json"), source: "full"))
  }

  @Test func everyMatrixAndMarkMovesWithItsNodes() throws {
    let links = try links()
    // Of host-a, host-b and host-c.
    let part = links.selecting([1, 0])
    let snapshot = part.snapshots[0], whole = links.snapshots[0]
    #expect(part.nodeNames == ["host-b", "host-a"])
    #expect(snapshot.bytesPerSecond == [[nil, 9.25e9], [9.5e9, nil]])
    #expect(snapshot.latencySeconds == [[nil, 1.5e-5], [1.5e-5, nil]])
    #expect(snapshot.sampleCount == [[nil, 7], [5, nil]])
    #expect(snapshot.sizes[0].bytesPerSecond == [[nil, 4.5e9], [5e9, nil]])
    #expect(snapshot.gaps.isEmpty && whole.gaps.count == 2)
    #expect(snapshot.superseded.map { [$0.from, $0.to] } == [[1, 0]])
    #expect(part.inside.map(\.nodeIndex) == [1, nil])
    #expect(part.collectives.map(\.nodeIndices) == [[1, 0], nil])
    #expect(links.selecting([2]).collectives.count == 1)
    #expect(try MeasuredLinks(Field(part.json, source: "again")) == part)
    #expect(links.selecting([0, 1, 2]) == links)
  }

  @Test func aClusterOfSomeOfTheMeasuredNodesTakesTheirRates() throws {
    let links = try links()
    let base = try Catalog(root: Checkout.root).cluster("dgx-a100-1")
    func cluster(_ names: [String]) throws -> ClusterDescription {
      try ClusterDescription(
        name: "part", device: base.device, nodeNames: names, devicesPerNode: 8,
        levels: base.levels + [.init(name: "network", span: 8 * names.count, bytesPerSecond: 25e9)], measured: links)
    }
    #expect(try cluster(["host-c", "host-a"]).measured?.snapshots[0].bytesPerSecond == [[nil, 8.75e9], [9e9, nil]])
    #expect { try cluster(["host-a", "host-x"]) } throws: {
      "\($0)".contains("host-x")
    }
  }
}
