import Documents

/// What the workers of a mesh reach each other over.
struct Workers: Sendable {
  /// The slowest group of ranks that have the same place in all workers.
  let group: CommunicationGroup
  /// Where a worker has several nodes, the rate of the workers' all-reduce on a device's link between nodes, as a share of what
  /// inner traffic reaches there, at most 1; 0 where a worker is one node, which has the link to itself.
  let innerShare: Double
  /// Of the level that workers lie under together.
  let wideArea: ClusterDescription.WideArea?

  /// - Parameter isAligned: whether all ranks of a worker see the same links.
  init(_ mesh: Mesh, on fabric: Fabric, isAligned: Bool) {
    let places = mesh.spacing(along: .worker), perNode = fabric.devicesPerNode
    guard places.count > 1 else {
      (group, innerShare, wideArea) = (.alone, 0, nil)
      return
    }
    // All devices of a node send at once, each to its like: one stands for them.
    let step = places.stride % perNode == 0 ? perNode : 1
    group = stride(from: 0, to: isAligned ? 1 : places.stride, by: step).reduce(.alone) { slowest, first in
      slowest.slower(fabric.group(first: first, stride: places.stride, count: places.count))
    }
    wideArea = fabric.level(from: 0, to: places.stride * (places.count - 1))?.wideArea
    let between = fabric.levels.first { $0.span > perNode }
    let inner = between.map { min($0.bytesPerSecond, $0.equalShareBytesPerSecond) } ?? .infinity
    innerShare = places.stride > perNode ? min(1, group.ringBytesPerSecond / inner) : 0
  }
}
