import Documents
import TestSupport
import Testing

@testable import Search

/// Orders of nodes on clusters with several levels between them.
@Suite struct NodeLevelsTests {
  private func levels(_ nodes: Int, _ counts: [Int]) throws -> NodeLevels {
    NodeLevels(
      try ClusterDescription(
        name: "levels", device: Shipped.catalog.device("a100-sxm4-80gb"), nodeNames: (0..<nodes).map { "n\($0)" },
        devicesPerNode: 8,
        levels: [.init(name: "node", span: 8, bytesPerSecond: 1)]
          + (counts + [nodes]).enumerated().map { .init(name: "\($0)", span: 8 * $1, bytesPerSecond: 1) }))
  }

  @Test func anyOrderWillDoUnderOneLevel() throws {
    #expect(try levels(6, []).keeping([3, 1, 5, 0, 2, 4]) == [3, 1, 5, 0, 2, 4])
  }

  /// Nodes 0 to 3 are a site, and 4 to 7.
  @Test func sitesStayTogether() throws {
    let sites = try levels(8, [4])
    #expect(sites.keeping([6, 4, 7, 5, 1, 0, 3, 2]) == [6, 4, 7, 5, 1, 0, 3, 2])
    // What takes turns is brought together in the order in which it comes.
    #expect(sites.keeping([5, 0, 4, 1, 7, 2, 6, 3]) == [5, 4, 7, 6, 0, 1, 2, 3])
    // Three of one site and three of the other do not fill any.
    #expect(sites.keeping([0, 1, 2, 4, 5, 6]) == nil)
    #expect(sites.keeping([4, 5, 6, 7, 1, 0]) == [4, 5, 6, 7, 1, 0])
  }

  @Test func soDoLevelsInLevels() throws {
    let racks = try levels(8, [2, 4])
    #expect(racks.keeping([7, 2, 5, 1, 6, 3, 4, 0]) == [7, 6, 5, 4, 2, 3, 1, 0])
  }
}
