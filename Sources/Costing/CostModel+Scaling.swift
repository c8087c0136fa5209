package import Documents

/// What would an iteration take if something were faster or slower?
extension CostModel {
  /// A coefficient or link whose rate can be asked about.
  package enum Resource: Sendable, Hashable {
    /// The device's rate of matrix products and fused attention.
    case computation
    /// The rate of the device's own memory.
    case deviceMemory
    /// The links of a level of the cluster, measured ones included, with what is shared of them.
    case level(index: Int)
    /// The link of a node's host to a device.
    case host

    /// Every resource of a cluster, in a fixed order.
    package static func all(of cluster: ClusterDescription) -> [Resource] {
      [.computation, .deviceMemory] + cluster.levels.indices.map { .level(index: $0) }
        + (cluster.host == nil ? [] : [.host])
    }
  }

  /// The same job where a resource is faster by a factor.
  package func scaling(_ resource: Resource, by factor: Double) -> Self {
    switch resource {
    case .computation: return changingDevices { $0.speed = $0.speed.scaling(computation: factor, memory: 1) }
    case .deviceMemory: return changingDevices { $0.speed = $0.speed.scaling(computation: 1, memory: factor) }
    case .level(let index):
      return changingDevices { $0.fabric = $0.fabric.scaling(levelIndex: index, by: factor) }
    case .host:
      var scaled = self
      scaled.hostFactor *= factor
      return scaled
    }
  }

  /// The nodes' host side, its links as fast as they are asked about.
  var host: ClusterDescription.Host? {
    cluster.host.map {
      ClusterDescription.Host(
        memoryBytes: $0.memoryBytes, bytesPerSecond: $0.bytesPerSecond * hostFactor,
        sharedBytesPerSecond: $0.sharedBytesPerSecond.map { $0 * hostFactor },
        updateBytesPerSecond: $0.updateBytesPerSecond)
    }
  }
}
