package import Documents

/// What offloaded optimizer states need of the nodes' memory.
extension IterationCost {
  /// Share of a node's memory that offloaded states may take: the rest is for the system, data loaders and staging. A
  /// judgement, not a fit.
  package static let hostMemoryFraction = 0.75

  /// Bytes of a node's memory that offloaded states may take; nil if the cluster does not describe its hosts.
  package var hostLimitBytes: Int? { host.map { Int(Double($0.memoryBytes) * Self.hostMemoryFraction) } }

  /// How many devices of each stage a node holds, for every kind of node, each kind once: stages that lie on one node
  /// share its memory.
  package var hostShares: [[(stage: Int, deviceCount: Int)]] {
    let mesh = strategy.mesh, perNode = layout.links[0].devicesPerNode
    var shares: [[(stage: Int, deviceCount: Int)]] = []
    for node in 0..<(strategy.worldSize + perNode - 1) / perNode {
      let first = node * perNode, end = min(strategy.worldSize, first + perNode)
      let stages = [first, end - 1].map { mesh.coordinate(ofRank: $0, along: .pipeline) }
      let share = (stages[0]...stages[1]).map { stage in
        (stage: stage, deviceCount: mesh.block(stage, below: .pipeline).clamped(to: first..<end).count)
      }
      if let last = shares.last, last.elementsEqual(share, by: ==) { continue }
      shares.append(share)
    }
    return shares
  }

  /// Whether every node can hold what its devices offload.
  package func hostHolds(_ stageMemory: [Prediction.StageMemory]) -> Bool {
    guard stageMemory.contains(where: { $0.hostBytes > 0 }) else { return true }
    guard let hostLimitBytes else { return false }
    return hostShares.allSatisfy { share in
      share.reduce(0) { $0 + $1.deviceCount * stageMemory[$1.stage].hostBytes } <= hostLimitBytes
    }
  }
}
