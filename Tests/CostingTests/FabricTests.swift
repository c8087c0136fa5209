import Documents
import Testing

@testable import Costing

/// Groups and transfers on levels of links, worked out by hand. Nodes of 4 devices: 100 GB/s inside, one NIC of 10 GB/s
/// for each device unless said otherwise.
@Suite struct FabricTests {
  /// - Parameter nicBytesPerSecond: what the NICs of a node carry together; nil for a NIC for each device.
  private func fabric(
    nodeCount: Int = 4, nicBytesPerSecond: Double? = nil, latencySeconds: Double = 0, measured: [[Double?]]? = nil
  ) throws -> Fabric {
    Fabric(
      try Fixture.cluster(
        nodeCount: nodeCount, devicesPerNode: 4,
        levels: [
          .init(name: "node", span: 4, bytesPerSecond: 100e9),
          .init(
            name: "network", span: 4 * nodeCount, bytesPerSecond: 10e9, sharedBytesPerSecond: nicBytesPerSecond),
        ],
        device: Fixture.device(latencySeconds: latencySeconds), measured: measured.map(Fixture.links)))
  }

  @Test func aGroupOfWholeNodesFillsThemThroughAllTheirLinks() throws {
    // Node ingress: three quarters of 40 GB through four NICs of 10 GB/s, then three quarters of a rail's four parts
    // inside the node. A flat ring takes 15/16 · 40 GB at 40 GB/s, and no second step.
    let group = try fabric().group(first: 0, stride: 1, count: 16)
    let hierarchical = 0.75 * 40e9 / (4 * 10e9) + 0.75 * 40e9 / 100e9
    let ring = 15.0 / 16 * 40e9 / 40e9
    #expect(ring < hierarchical)
    #expect(agrees(group.allGatherSeconds(byteCount: 40e9), ring))
  }

  @Test func hierarchyWinsWhereLatencyCounts() throws {
    // A ring has 15 hops, a hierarchy 3 and 3.
    let group = try fabric(latencySeconds: 1e-5).group(first: 0, stride: 1, count: 16)
    let bytes = 1e3
    let hierarchical = 6e-5 + 0.75 * bytes / 40e9 + 0.75 * bytes / 100e9
    #expect(agrees(group.allGatherSeconds(byteCount: bytes), hierarchical))
  }

  @Test func ringsThatRunAtOnceShareTheNICsOfANode() throws {
    // Two NICs of 10 GB/s for four devices. With tensor degree 4 four rings leave each node: 5 GB/s each; with tensor
    // degree 2 two rings with two members each: 10 GB/s each; with 1 one ring has them all.
    let fabric = try fabric(nicBytesPerSecond: 20e9)
    #expect(agrees(fabric.group(first: 0, stride: 4, count: 4).ringBytesPerSecond, 5e9))
    #expect(agrees(fabric.group(first: 0, stride: 2, count: 8).ringBytesPerSecond, 10e9))
    #expect(agrees(fabric.group(first: 0, stride: 1, count: 16).ringBytesPerSecond, 20e9))
  }

  @Test func theBytesThroughANodesNICsDoNotDependOnHowRingsShareThem() throws {
    // t rings of 1/t of the gradients each: (n − 1)/n of all through 20 GB/s, n the nodes; and the ranks of a node that
    // share a ring pass 1/n · (1 − 1/k) of it once more around, where a flat ring does.
    let fabric = try fabric(nicBytesPerSecond: 20e9)
    let whole = 80e9
    for t in [1, 2, 4] {
      let count = 16 / t
      let seconds = fabric.group(first: 0, stride: t, count: count).allGatherSeconds(byteCount: whole / Double(t))
      let flat = Double(count - 1) / Double(count) * whole / 20e9
      let inside = 1 - Double(t) / 4
      let hierarchical = 0.75 * whole / 20e9 + inside * whole / Double(t) / 100e9
      #expect(agrees(seconds, min(flat, hierarchical)), "tensor degree \(t)")
    }
  }

  @Test func aGroupInsideANodeDoesNotSeeTheNetwork() throws {
    let group = try fabric(nicBytesPerSecond: 1e9).group(first: 4, stride: 1, count: 4)
    #expect(agrees(group.allGatherSeconds(byteCount: 1e9), 0.75 * 1e9 / 100e9))
  }

  @Test func aRingThatDoesNotTileNodesRunsAtItsEmptiestNode() throws {
    // Ranks 2…7: two in the first node, four in the second; no hierarchy has unequal parts.
    let group = try fabric(latencySeconds: 1e-6).group(first: 2, stride: 1, count: 6)
    #expect(agrees(group.ringBytesPerSecond, 20e9))
    #expect(agrees(group.allGatherSeconds(byteCount: 1e9), 5e-6 + 5.0 / 6 * 1e9 / 20e9))
    #expect(group.hierarchicalSecondsPerByte == .infinity)
  }

  @Test func theSlowestMeasuredLinkOfTheRingDecides() throws {
    var rates: [[Double?]] = (0..<4).map { row in (0..<4).map { $0 == row ? nil : 9e9 } }
    rates[1][2] = 2e9
    // Against the ring's direction, and not on it: neither counts.
    rates[2][1] = 1e9
    rates[0][2] = 1e9
    let fabric = try fabric(measured: rates)
    #expect(fabric.group(first: 0, stride: 4, count: 4).ringBytesPerSecond == 2e9)
    // The closing link of a ring of nodes 2 and 3.
    #expect(fabric.group(first: 8, stride: 4, count: 2).ringBytesPerSecond == 9e9)
    #expect(fabric.transferSeconds(from: 4, to: 8, byteCount: 2e9) == 1)
  }

  @Test func theClosingLinkOfARingCountsToo() throws {
    var rates: [[Double?]] = (0..<4).map { row in (0..<4).map { $0 == row ? nil : 9e9 } }
    rates[3][0] = 3e9
    #expect(try fabric(measured: rates).group(first: 0, stride: 4, count: 4).ringBytesPerSecond == 3e9)
  }

  @Test func aLinkThatWasNotMeasuredIsNominal() throws {
    var rates = [[Double?]](repeating: [nil, nil, nil, nil], count: 4)
    #expect(try fabric(measured: rates).group(first: 0, stride: 4, count: 4).ringBytesPerSecond == 10e9)
    rates[0][1] = 25e9
    let fabric = try fabric(measured: rates)
    #expect(fabric.group(first: 0, stride: 4, count: 4).ringBytesPerSecond == 10e9)
    #expect(fabric.transferSeconds(from: 0, to: 4, byteCount: 25e9) == 1)
  }

  @Test func measuredLinksShareTheNICsAsFarAsTheyReachThem() throws {
    let rates: [[Double?]] = (0..<4).map { row in (0..<4).map { $0 == row ? nil : 9e9 } }
    let fabric = try fabric(nicBytesPerSecond: 20e9, measured: rates)
    // Nine tenths of the nominal rate: nine tenths of 20 GB/s for four devices.
    #expect(agrees(fabric.group(first: 0, stride: 4, count: 4).ringBytesPerSecond, 4.5e9))
    #expect(agrees(fabric.transferSeconds(from: 0, to: 4, byteCount: 4.5e9), 1))
  }

  @Test func aTransferPaysLatencyAndItsSlowestSender() throws {
    let fabric = try fabric(latencySeconds: 1e-5)
    #expect(agrees(fabric.transferSeconds(from: 0, to: 1, byteCount: 1e9), 1e-5 + 0.01))
    #expect(agrees(fabric.transferSeconds(from: 0, to: 4, byteCount: 1e9), 1e-5 + 0.1))
    // Of the devices 0…3, distance 2, the last two cross to the next node.
    #expect(agrees(fabric.transferSeconds(first: 0, count: 4, distance: 2, byteCount: 1e9), 1e-5 + 0.1))
  }

  @Test func onlyTheDevicesThatCrossShareTheNICs() throws {
    // Two NICs of 10 GB/s: all four devices of a node send to the next, or the two of its last stage.
    let fabric = try fabric(nicBytesPerSecond: 20e9)
    #expect(agrees(fabric.transferSeconds(from: 0, to: 4, byteCount: 5e9), 1))
    #expect(agrees(fabric.transferSeconds(from: 2, to: 4, byteCount: 10e9), 1))
    #expect(agrees(fabric.transferSeconds(from: 3, to: 4, byteCount: 10e9), 1))
  }

  @Test func trafficBetweenRacksLeavesThroughTheNodesOwnNICs() throws {
    // Racks of two nodes of four devices whose two NICs carry 20 GB/s together; the spine above has room for all.
    let fabric = Fabric(
      try Fixture.cluster(
        nodeCount: 4, devicesPerNode: 4,
        levels: [
          .init(name: "node", span: 4, bytesPerSecond: 100e9),
          .init(name: "leaf", span: 8, bytesPerSecond: 10e9, sharedBytesPerSecond: 20e9),
          .init(name: "spine", span: 16, bytesPerSecond: 10e9),
        ]))
    #expect(agrees(fabric.group(first: 0, stride: 8, count: 2).ringBytesPerSecond, 5e9))
    #expect(agrees(fabric.transferSeconds(from: 0, to: 8, byteCount: 5e9), 1))
  }
}
