import Foundation
import TestSupport
import Testing
import Training

@testable import Costing
@testable import Documents

@Suite("Groups that measured collectives price")
struct MeasuredGroupsTests {
  typealias Timed = MeasuredLinks.CollectiveTimes

  private func timed(
    _ kind: Timed.Kind, ranks: Int, nodes: Int?, seconds: [Int: Double]
  ) -> Timed {
    Timed(
      kind: kind, rankCount: ranks, nodeCount: nodes,
      points: seconds.sorted { $0.key < $1.key }.map { .init(messageBytes: $0.key, seconds: $0.value) }, originIndex: 0)
  }

  /// Nodes of four devices, of which two can share a link of their own.
  private func cluster(
    nodes: Int = 3, islands: Bool = false, _ collectives: [Timed]
  ) throws -> ClusterDescription {
    let names = (0..<nodes).map { "node-\($0)" }
    let island = islands ? [ClusterDescription.Level(name: "pair", span: 2, bytesPerSecond: 200e9)] : []
    return try ClusterDescription(
      name: "round", device: Fixture.device(), nodeNames: names, devicesPerNode: 4,
      levels: island + [
        .init(name: "node", span: 4, bytesPerSecond: 100e9),
        .init(name: "network", span: 4 * nodes, bytesPerSecond: 10e9),
      ],
      measured: MeasuredLinks(
        name: "timed", engine: "nccl-tests", source: "", nodeNames: names,
        origins: [.init(engine: "nccl-tests", source: "log", trust: .collective)], snapshots: [],
        collectives: collectives))
  }

  private func isClose(_ left: Double, _ right: Double) -> Bool { abs(left / right - 1) < 1e-12 }

  @Test("Between sizes time goes by a power of the size, beyond them at the last rate, and never falls")
  func curve() throws {
    let curve = try #require(
      SizeCurve(
        [(1_000, 5.0), (4_000, 2.0), (16_000, 8.0), (16_000, 10.0), (0, 1.0)].map {
          .init(messageBytes: $0.0, seconds: $0.1)
        }))
    // The first size took longer than a larger message, the last has two times.
    #expect(isClose(curve.seconds(byteCount: 1_000), 2))
    #expect(isClose(curve.seconds(byteCount: 4_000), 2))
    #expect(isClose(curve.seconds(byteCount: 16_000), 9))
    #expect(isClose(curve.seconds(byteCount: 8_000), (2.0 * 9).squareRoot()))
    for size in [0.0, 1, 999] { #expect(isClose(curve.seconds(byteCount: size), 2)) }
    #expect(isClose(curve.seconds(byteCount: 32_000), 18))
    var last = 0.0
    for size in stride(from: 0.0, through: 40_000, by: 100) {
      let seconds = curve.seconds(byteCount: size)
      #expect(seconds >= last)
      last = seconds
    }
    #expect(SizeCurve([.init(messageBytes: 0, seconds: 1)]) == nil)
  }

  @Test("A group of the shape that was timed takes what was measured, with and without rates of pairs")
  func sameShape() throws {
    let seconds = [1_000: 0.5, 1_000_000: 2.0]
    let fabric = Fabric(try cluster([timed(.allReduce, ranks: 12, nodes: 3, seconds: seconds)]))
    let group = fabric.group(first: 0, stride: 1, count: 12)
    #expect(isClose(group.allReduceSeconds(byteCount: 1_000_000), 2))
    // A ring gathers in half of an all-reduce's steps.
    #expect(isClose(group.allGatherSeconds(byteCount: 1_000_000), 1))
    #expect(isClose(group.reduceScatterSeconds(byteCount: 1_000), 0.25))
    #expect(fabric.measured == nil)
    for changed in [fabric.assumingBestLinks(), fabric.assumingLinks(bytesPerSecond: 1), fabric.arranged([2, 1, 0])] {
      #expect(changed.group(first: 0, stride: 1, count: 12).measured == group.measured)
    }
    // Faster links between nodes make it faster, those inside do not.
    #expect(
      isClose(
        fabric.scaling(levelIndex: 1, by: 2).group(first: 0, stride: 1, count: 12).allReduceSeconds(
          byteCount: 1_000_000),
        1))
    #expect(fabric.scaling(levelIndex: 0, by: 2).group(first: 0, stride: 1, count: 12).measured == group.measured)
  }

  @Test("What was timed of the very kind counts before what follows from another")
  func kinds() throws {
    func group(_ kinds: [(Timed.Kind, Double)]) throws -> CommunicationGroup {
      let timed = kinds.map { self.timed($0.0, ranks: 12, nodes: 3, seconds: [1_000: $0.1]) }
      return Fabric(try cluster(timed)).group(first: 0, stride: 1, count: 12)
    }
    func seconds(_ group: CommunicationGroup) -> [Double] {
      [.allReduce, .allGather, .reduceScatter].map { group.seconds(of: $0, byteCount: 1_000) }
    }
    #expect(seconds(try group([(.allReduce, 6), (.allGather, 4), (.reduceScatter, 3)])) == [6, 4, 3])
    #expect(seconds(try group([(.allGather, 4), (.reduceScatter, 3)])) == [7, 4, 3])
    #expect(seconds(try group([(.allReduce, 6), (.allGather, 4)])) == [6, 4, 4])
    #expect(seconds(try group([(.reduceScatter, 3)])) == [6, 3, 3])
    // Of other kinds nothing follows.
    #expect(try group([(.allToAll, 1), (.broadcast, 1)]).measured == nil)
  }

  @Test("Groups that share the network of their nodes send what one group of all their ranks would")
  func sharedNetwork() throws {
    // 8 GB/s of bus bandwidth over 12 ranks, whatever the size.
    func seconds(_ bytes: Double) -> Double { bytes * (2 * 11 / 12.0) / 8e9 }
    let sizes = [1_000_000, 1_000_000_000]
    let fabric = Fabric(
      try cluster([
        timed(
          .allReduce, ranks: 12, nodes: 3,
          seconds: Dictionary(uniqueKeysWithValues: sizes.map { ($0, seconds(Double($0))) }))
      ]))
    for (stride, count) in [(1, 12), (2, 6), (4, 3)] {
      let group = fabric.group(first: 0, stride: stride, count: count)
      // Each of the groups has its part of the nodes' rate.
      let n = Double(count), bytes = 1e8
      #expect(isClose(group.allReduceSeconds(byteCount: bytes), 2 * (n - 1) / n * bytes / (8e9 / Double(stride))))
    }
    // Ranks alone on their nodes send straight to each other what a ring passes on.
    let alone = fabric.group(first: 0, stride: 4, count: 3)
    #expect(isClose(alone.allToAllSeconds(byteCount: 1e8), alone.reduceScatterSeconds(byteCount: 1e8)))
    #expect(fabric.group(first: 0, stride: 2, count: 6).measured?.price(of: .allToAll) == nil)
    // Two nodes, one node, or groups that lie on their nodes unevenly: nothing is known of those.
    for (stride, count) in [(1, 8), (1, 4), (1, 2), (4, 2), (3, 4), (1, 6)] {
      #expect(fabric.group(first: 0, stride: stride, count: count).measured == nil, "\(stride) \(count)")
    }
  }

  @Test("Inside a node the very group counts, and neighbours only where links differ")
  func insideNodes() throws {
    let two = timed(.allReduce, ranks: 2, nodes: 1, seconds: [1_000: 1])
    let even = Fabric(try cluster([two])), islands = Fabric(try cluster(islands: true, [two]))
    for first in [0, 2, 6] { #expect(even.group(first: first, stride: 1, count: 2).measured != nil) }
    #expect(even.group(first: 0, stride: 2, count: 2).measured != nil)
    #expect(even.group(first: 0, stride: 1, count: 4).measured == nil)
    #expect(islands.group(first: 0, stride: 1, count: 2).measured != nil)
    #expect(islands.group(first: 0, stride: 2, count: 2).measured == nil)
  }

  @Test("A collective that prices no group says why")
  func obstacles() throws {
    let cluster = try cluster([])
    func reason(_ one: Timed) throws -> String { try #require(one.obstacle(on: cluster)) }
    #expect(try reason(timed(.broadcast, ranks: 12, nodes: 3, seconds: [1: 1])).contains("kind"))
    #expect(try reason(timed(.allReduce, ranks: 12, nodes: 3, seconds: [:])).contains("no times"))
    #expect(try reason(timed(.allReduce, ranks: 12, nodes: nil, seconds: [1: 1])).contains("does not say"))
    #expect(try reason(timed(.allReduce, ranks: 10, nodes: 3, seconds: [1: 1])).contains("as many"))
    #expect(try reason(timed(.allReduce, ranks: 24, nodes: 3, seconds: [1: 1])).contains("more ranks"))
    // Alone on a network that training shares.
    #expect(try reason(timed(.allReduce, ranks: 6, nodes: 3, seconds: [1: 1])).contains("2 of their 4 devices"))
    #expect(timed(.allReduce, ranks: 8, nodes: 2, seconds: [1: 1]).obstacle(on: cluster) == nil)
    let strategy = Strategy(mesh: [.data: 12], microBatch: 1, zeroStage: .none)
    let alone = try self.cluster([timed(.allReduce, ranks: 6, nodes: 3, seconds: [1: 1])])
    let job = try TrainingJob(model: Shipped.catalog.model("gpt2"), sequenceLength: 256, globalBatch: 24)
    let model = try CostModel(cluster: alone, job: job)
    #expect(model.measuredPrices(of: strategy).isEmpty)
    let sentence = try #require(model.unusedCollectives(of: strategy))
    #expect(sentence.contains("all-reduce of 12 ranks on 3 nodes"))
    #expect(sentence.contains("all-reduce of 6 ranks on 3 nodes, which had the network"))
    #expect(!sentence.contains("\n"))
    let used = try CostModel(cluster: self.cluster([timed(.allReduce, ranks: 12, nodes: 3, seconds: [1: 1])]), job: job)
    #expect(used.unusedCollectives(of: strategy) == nil)
    #expect(used.measuredPrices(of: strategy).map(\.words) == ["replicas all-reduce of 12 ranks on 3 nodes"])
  }

  @Test("Collectives of a links document are records of a device")
  func records() throws {
    let links = try #require(
      try cluster([
        timed(.allReduce, ranks: 12, nodes: 3, seconds: [0: 1, 1_000: 1, 2_000: 2]),
        timed(.allGather, ranks: 2, nodes: 1, seconds: [1_000: 1]),
        timed(.allReduce, ranks: 3, nodes: 3, seconds: [1_000: 1]),
        timed(.broadcast, ranks: 12, nodes: 3, seconds: [1_000: 1]),
        timed(.allReduce, ranks: 12, nodes: nil, seconds: [1_000: 1]),
      ]).measured)
    let read = MeasuredCollective.timings(of: links, source: "links.json", device: "round")
    let timings: [MeasuredCollective] = read.records(), leftOut = read.leftOut()
    #expect(timings.map(\.byteCount) == [1_000, 2_000, 1_000])
    #expect(timings.allSatisfy { $0.devicesPerNode == 4 && $0.source == "log" && $0.device == "round" })
    #expect(leftOut.map(\.source) == [2, 3, 4].map { "links.json: /collectives/\($0)" })
    #expect(zip(leftOut, ["idle", "broadcast", "spread"]).allSatisfy { $0.reason.contains($1) })
  }
}
