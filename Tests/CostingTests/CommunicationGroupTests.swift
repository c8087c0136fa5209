import Documents
import Foundation
import TestSupport
import Testing

@testable import Costing

/// The prices of collectives, against the formulas of Thakur et al. 2005 and nccl-tests.
@Suite struct CommunicationGroupTests {
  static let alpha = 5e-6
  static let rate = 100e9

  /// n ranks of one node, all links alike.
  private func group(_ count: Int) throws -> CommunicationGroup {
    Fabric(try Fixture.node(of: count, device: Fixture.device(latencySeconds: Self.alpha)))
      .group(first: 0, stride: 1, count: count)
  }

  @Test(arguments: [2, 3, 4, 7, 8, 64])
  func aUniformGroupGathersAndScattersInARing(n: Int) throws {
    let group = try group(n)
    for bytes in [0, 1e3, 1e6, 1e10] {
      let ring = Double(n - 1) * Self.alpha + Double(n - 1) / Double(n) * bytes / Self.rate
      #expect(agrees(group.allGatherSeconds(byteCount: bytes), ring), "\(bytes) bytes")
      #expect(agrees(group.reduceScatterSeconds(byteCount: bytes), ring), "\(bytes) bytes")
    }
  }

  @Test(arguments: [2, 3, 4, 7, 8, 64])
  func aUniformGroupReducesByTheCheaperOfRingAndTree(n: Int) throws {
    let group = try group(n)
    let depth = [2: 1.0, 3: 2, 4: 2, 7: 3, 8: 3, 64: 6][n] ?? .nan
    for bytes in [0, 1e3, 1e6, 1e10] {
      let ring = 2 * Double(n - 1) * Self.alpha + 2 * Double(n - 1) / Double(n) * bytes / Self.rate
      let tree = 2 * depth * Self.alpha + 2 * bytes / Self.rate
      #expect(agrees(group.allReduceSeconds(byteCount: bytes), min(ring, tree)), "\(bytes) bytes")
    }
  }

  @Test func aSmallMessageTakesTheTreeAndALargeOneTheRing() throws {
    let group = try group(64)
    #expect(group.allReduceSeconds(byteCount: 8) < 2 * group.allGatherSeconds(byteCount: 8))
    #expect(group.allReduceSeconds(byteCount: 1e10) == 2 * group.allGatherSeconds(byteCount: 1e10))
  }

  @Test func whereARingIsChosenAnAllReduceIsAReduceScatterAndAnAllGather() throws {
    for n in [2, 4, 8, 32] {
      let group = try group(n)
      let halves = group.reduceScatterSeconds(byteCount: 1e10) + group.allGatherSeconds(byteCount: 1e10)
      #expect(group.allReduceSeconds(byteCount: 1e10) == halves, "\(n) ranks")
    }
  }

  @Test func everyCollectivePaysItsLaunchOnce() throws {
    let gamma = 4e-5
    for n in [2, 8] {
      let launched = Fabric(
        try Fixture.node(of: n, device: Fixture.device(latencySeconds: Self.alpha, collectiveSeconds: gamma))
      )
      .group(first: 0, stride: 1, count: n)
      let free = try group(n)
      for bytes in [8, 1e6, 1e10] {
        #expect(agrees(launched.allReduceSeconds(byteCount: bytes), gamma + free.allReduceSeconds(byteCount: bytes)))
        #expect(agrees(launched.allGatherSeconds(byteCount: bytes), gamma + free.allGatherSeconds(byteCount: bytes)))
      }
    }
  }

  @Test func aHierarchicalCollectiveIsOneForEveryLevel() throws {
    let gamma = 1e-3
    // Two nodes of four, a slow network: inside the node and between nodes, one collective each.
    let levels = [
      ClusterDescription.Level(name: "node", span: 4, bytesPerSecond: 100e9),
      ClusterDescription.Level(name: "network", span: 8, bytesPerSecond: 1e9),
    ]
    func group(_ gamma: Double) throws -> CommunicationGroup {
      Fabric(
        try Fixture.cluster(
          nodeCount: 2, devicesPerNode: 4, levels: levels, device: Fixture.device(collectiveSeconds: gamma))
      ).group(first: 0, stride: 1, count: 8)
    }
    let bytes = 1e10
    let free = try group(0), launched = try group(gamma)
    #expect(free.allGatherSeconds(byteCount: bytes) < 7.0 / 8 * bytes / 4e9)
    #expect(agrees(launched.allGatherSeconds(byteCount: bytes), free.allGatherSeconds(byteCount: bytes) + 2 * gamma))
    #expect(agrees(launched.allReduceSeconds(byteCount: bytes), free.allReduceSeconds(byteCount: bytes) + 3 * gamma))
  }

  @Test func oneRankCommunicatesNothing() throws {
    let alone = try group(1)
    #expect(alone == .alone)
    #expect(alone.allGatherSeconds(byteCount: 1e9) == 0)
    #expect(alone.reduceScatterSeconds(byteCount: 1e9) == 0)
    #expect(alone.allReduceSeconds(byteCount: 1e9) == 0)
  }

  @Test func moreBytesNeverTakeLess() throws {
    let fabric = Fabric(try Shipped.catalog.cluster("frontier-16"))
    for stride in [1, 2, 4, 8, 16] {
      for count in [2, 4, 8] {
        let group = fabric.group(first: 0, stride: stride, count: count)
        var gather = 0.0, reduce = 0.0
        for quarter in 0...44 {
          let bytes = pow(10, Double(quarter) / 4)
          let next = (
            gather: group.allGatherSeconds(byteCount: bytes), reduce: group.allReduceSeconds(byteCount: bytes)
          )
          #expect(next.gather >= gather && next.reduce >= reduce, "stride \(stride), \(count) ranks, \(bytes) bytes")
          (gather, reduce) = next
        }
      }
    }
  }

  @Test func theSlowerOfTwoGroupsIsTheOneThatALargeMessageTakesLongerIn() throws {
    let fabric = Fabric(try Shipped.catalog.cluster("dgx-a100-4"))
    let inside = fabric.group(first: 0, stride: 1, count: 4)
    let across = fabric.group(first: 0, stride: 8, count: 4)
    #expect(inside.slower(across) == across)
    #expect(across.slower(inside) == across)
    #expect(across.slower(.alone) == across)
  }
}
