package import Documents

/// What the nodes' memory has to hold.
extension IterationMemory {
  /// Bytes of a node's memory that a run may take; nil if the cluster does not describe its hosts.
  package var hostLimitBytes: Int? { host?.usableMemoryBytes }

  /// How many devices of each stage a node holds, see ``Documents/Strategy/stagesOfNodes(devicesPerNode:)``.
  package var hostShares: [[(stage: Int, deviceCount: Int)]] {
    strategy.stagesOfNodes(devicesPerNode: layout.links[0].devicesPerNode)
  }

  /// The most that the devices of any one node have in its memory, bytes.
  package func hostBytes(of stageMemory: [Prediction.StageMemory]) -> Int {
    strategy.hostBytes(of: stageMemory, devicesPerNode: layout.links[0].devicesPerNode)
  }

  /// Whether every node can hold what its devices have there.
  package func hostHolds(_ stageMemory: [Prediction.StageMemory]) -> Bool {
    let bytes = hostBytes(of: stageMemory)
    return bytes == 0 || bytes <= hostLimitBytes ?? 0
  }

  /// Bytes that no split of the layers can have less of in some node's memory: what all devices have there with equal
  /// stages, evenly over the nodes. 0, which says nothing, where stages differ in how many micro-batches keep activations
  /// there.
  package var leastHostBytes: Int {
    if strategy.hosting.activations != .onDevice, !hasEqualStages { return 0 }
    // Stages have as little there as they must, which their layers decide.
    if strategy.update == .zerothOrder { return 0 }
    let p = strategy.pipelineDegree, perNode = layout.links[0].devicesPerNode
    let memory = stageMemory(
      of: .even(layerCount: layerCount, stageCount: p, chunkCount: strategy.virtualStageCount))
    let rankCount = strategy.mesh.blockSize(below: .worker)
    let nodeCount = (rankCount + perNode - 1) / perNode
    let all = memory.reduce(0.0) { $0 + Double($1.hostBytes) } * Double(rankCount / p)
    return Int(all / Double(nodeCount))
  }

  /// Memory that a node would have to have for its devices to have this much in it, bytes.
  package static func neededHostBytes(_ bytes: Int) -> Int {
    Int((Double(bytes) / ClusterDescription.Host.usableMemoryFraction).rounded(.up))
  }
}
