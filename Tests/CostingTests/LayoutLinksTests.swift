import Documents
import TestSupport
import Testing

@testable import Costing

/// The groups of whole layouts: shortcuts for aligned groups, against looking at every group.
@Suite struct LayoutLinksTests {
  typealias Level = ClusterDescription.Level

  /// Clusters of 32, 48 and 64 devices with one to four levels, some whose inner levels are no powers of two.
  private static let clusters: [(name: String, nodeCount: Int, devicesPerNode: Int, levels: [Level])] = [
    ("one level", 32, 1, [level(32, 10e9)]),
    ("one level, 48, shared", 48, 1, [level(48, 10e9, shared: 8e9)]),
    ("two levels", 4, 8, [level(8, 100e9), level(32, 20e9, shared: 80e9)]),
    ("two levels, 48", 6, 8, [level(8, 100e9), level(48, 20e9)]),
    ("two levels, 48 in twelves", 4, 12, [level(12, 100e9), level(48, 20e9, shared: 60e9)]),
    ("two levels, 64", 8, 8, [level(8, 100e9), level(64, 20e9, shared: 80e9)]),
    ("two levels, wider than the cluster", 3, 16, [level(16, 100e9), level(80, 20e9)]),
    ("pairs in nodes", 8, 8, [level(2, 200e9), level(8, 50e9), level(64, 20e9, shared: 80e9)]),
    ("fours in twelves", 4, 12, [level(4, 200e9), level(12, 50e9), level(48, 20e9)]),
    ("sixes in twelves", 4, 12, [level(6, 200e9), level(12, 50e9), level(48, 20e9)]),
    ("racks", 8, 4, [level(4, 100e9), level(16, 20e9, shared: 40e9), level(32, 5e9, shared: 80e9)]),
    ("racks, 48", 12, 4, [level(4, 100e9), level(24, 20e9), level(48, 5e9)]),
    ("racks, 64", 8, 8, [level(8, 100e9), level(16, 20e9, shared: 40e9), level(64, 5e9)]),
    ("pairs in nodes in racks", 8, 8, [level(2, 200e9), level(8, 50e9), level(32, 20e9), level(64, 5e9)]),
  ]

  private static func level(_ span: Int, _ rate: Double, shared: Double? = nil) -> Level {
    Level(
      name: "level", span: span, bytesPerSecond: rate, latencySeconds: 1e-6 * Double(span),
      sharedBytesPerSecond: shared)
  }

  /// A cluster's links, and the same with a matrix in which nothing was measured: it says the same and forbids every
  /// shortcut.
  private static func fabrics(
    _ index: Int
  ) throws -> (name: String, deviceCount: Int, plain: Fabric, measured: Fabric) {
    let (name, nodeCount, perNode, levels) = clusters[index]
    let nothing = [[Double?]](repeating: [Double?](repeating: nil, count: nodeCount), count: nodeCount)
    return (
      name, nodeCount * perNode,
      Fabric(try Fixture.cluster(nodeCount: nodeCount, devicesPerNode: perNode, levels: levels)),
      Fabric(
        try Fixture.cluster(
          nodeCount: nodeCount, devicesPerNode: perNode, levels: levels, measured: Fixture.links(nothing)))
    )
  }

  @Test(arguments: clusters.indices)
  func alignedGroupsCostWhatLookingAtEveryGroupSays(index: Int) throws {
    let (name, deviceCount, plain, measured) = try Self.fabrics(index)
    #expect(!measured.isAligned(1))
    for mesh in Self.meshes(deviceCount: deviceCount) {
      let short = LayoutLinks(mesh, on: plain), long = LayoutLinks(mesh, on: measured)
      let what = "\(name): \(mesh)"
      #expect(short.tensorGroup == long.tensorGroup, "\(what)")
      #expect(short.pricedDataGroup == long.pricedDataGroup, "\(what)")
      #expect(short.embeddingGroup == long.embeddingGroup, "\(what)")
      #expect(short.wrap == long.wrap, "\(what)")
      for stage in 0..<mesh.degree(of: .pipeline) {
        #expect(short.dataGroup(ofStage: stage) == long.dataGroup(ofStage: stage), "\(what), stage \(stage)")
        guard stage < mesh.degree(of: .pipeline) - 1 else { continue }
        #expect(short.boundary(afterStage: stage) == long.boundary(afterStage: stage), "\(what), stage \(stage)")
      }
    }
  }

  /// Every evenly spaced part of a data-parallel group, quantised or not.
  @Test(arguments: clusters.indices)
  func alignedPartsOfGroupsCostWhatLookingAtEveryPartSays(index: Int) throws {
    let (name, deviceCount, plain, measured) = try Self.fabrics(index)
    for mesh in Self.meshes(deviceCount: deviceCount) where mesh.degree(of: .pipeline) <= 2 {
      let short = LayoutLinks(mesh, on: plain), long = LayoutLinks(mesh, on: measured)
      let d = mesh.degree(of: .data)
      for extent in 1...d where d % extent == 0 {
        for stride in 1...extent where extent % stride == 0 {
          let parts = [short, long].map {
            $0.subgroups(RankGroup.Spacing(stride: stride, count: extent / stride), withHops: true)
          }
          for stage in 0..<mesh.degree(of: .pipeline) {
            let both = parts.map { $0[min(stage, $0.count - 1)] }
            #expect(both[0] == both[1], "\(name): \(mesh), stage \(stage), \(extent / stride) every \(stride)")
          }
        }
      }
    }
  }

  /// One rank of each node in every group: all groups of a node at once share what it sends.
  @Test func groupsAcrossNodesShareTheirLinks() throws {
    let fabric = Fabric(
      try Fixture.cluster(
        nodeCount: 8, devicesPerNode: 8, levels: [Self.level(8, 100e9), Self.level(64, 20e9, shared: 80e9)]))
    let layout = LayoutLinks([.data: 64], on: fabric)
    // An eighth of the shared links each, whether they hold one rank of a node or every other.
    let rails = try #require(layout.subgroups(.init(stride: 8, count: 8), withHops: true).first)
    #expect(rails.group.ringBytesPerSecond == 10e9)
    #expect(rails.hops?.quantisation.split.insideCount == 1)
    let halves = try #require(layout.subgroups(.init(stride: 2, count: 32), withHops: true).first)
    #expect(halves.group.ringBytesPerSecond == 40e9)
    #expect(halves.hops?.quantisation.split.insideCount == 4)
    // Seven of eight parts to other nodes, straight, and as a ring.
    let bytes = 8e9, latency = 7 * 64e-6
    #expect(agrees(rails.group.allToAllSeconds(byteCount: bytes), latency + 7e9 / 10e9))
    #expect(agrees(rails.group.allGatherSeconds(byteCount: bytes), latency + 7e9 / 10e9))
  }

  @Test func theGroupsOfAShardingAreMadeOnce() throws {
    let layout = LayoutLinks([.data: 128], on: Fabric(try Shipped.catalog.cluster("frontier-16")))
    let sharding = Sharding(weightDegree: 2, gradientDegree: 8, optimizerDegree: 128)
    #expect(layout.shardGroups(sharding) === layout.shardGroups(sharding))
    #expect(layout.shardGroups(sharding) !== layout.shardGroups(Sharding(.weights, replicaCount: 128)))
  }

  @Test func alignedLayoutsOfAUniformClusterAreNotLookedAtStageByStage() throws {
    let fabric = Fabric(try Shipped.catalog.cluster("dgx-a100-128"))
    let cost = LayoutLinks([.tensor: 8, .data: 2, .pipeline: 64], on: fabric)
    #expect(cost.dataGroups.count == 1)
    #expect(cost.boundaries.count == 1)
  }

  @Test func aMeasuredClusterIsPricedStageByStage() throws {
    let fabric = Fabric(try Shipped.catalog.cluster("a100-hdr-16"))
    let cost = LayoutLinks([.tensor: 8, .data: 4, .pipeline: 4], on: fabric)
    #expect(cost.dataGroups.count == 4)
    #expect(cost.boundaries.count == 3)
    #expect(cost.pricedDataGroup == cost.dataGroups.reduce(.alone) { $0.slower($1) })
    for group in cost.dataGroups { #expect(group.ringBytesPerSecond >= cost.pricedDataGroup.ringBytesPerSecond) }
  }

  @Test func theSlowestPairSumsTiedEmbeddings() throws {
    // Stages of two nodes; the second pair of nodes is linked badly.
    var rates: [[Double?]] = (0..<4).map { row in (0..<4).map { $0 == row ? nil : 9e9 } }
    rates[3][1] = 1e9
    let cluster = try Fixture.cluster(
      nodeCount: 4, devicesPerNode: 2,
      levels: [.init(name: "node", span: 2, bytesPerSecond: 100e9), .init(name: "net", span: 8, bytesPerSecond: 10e9)],
      measured: Fixture.links(rates))
    let cost = LayoutLinks([.data: 4, .pipeline: 2], on: Fabric(cluster))
    #expect(cost.embeddingGroup.ringBytesPerSecond == 1e9)
  }

  /// Every factorisation of a device count.
  static func meshes(deviceCount: Int) -> [Mesh] {
    var meshes: [Mesh] = []
    for t in 1...deviceCount where deviceCount % t == 0 {
      for d in 1...(deviceCount / t) where deviceCount / t % d == 0 {
        meshes.append([.tensor: t, .data: d, .pipeline: deviceCount / t / d])
      }
    }
    return meshes
  }
}

extension LayoutLinks {
  /// The data-parallel group that strategies without shards are priced with: the slowest of all stages.
  fileprivate var pricedDataGroup: CommunicationGroup {
    shardGroups(Sharding(.none, replicaCount: mesh.degree(of: .data))).slowest.replicas.group
  }
}
