package import Documents

/// What the order of a cluster's nodes changes about a strategy with given layers.
package struct PlacementTerms: Sendable {
  /// Nodes that a stage spans; 1 if nodes hold several stages.
  package let nodesPerStage: Int
  /// Forward and backward pass of one micro-batch of each stage, seconds.
  package let stageSeconds: [Double]
  /// Micro-batches of each pipeline.
  package let microBatchCount: Int
  /// Bytes of a transfer between stages, one direction.
  package let hopByteCount: Int
  /// What follows the last backward pass of each stage: seconds with infinitely fast links between nodes less the
  /// stage's lead over the first, and how many more for every second per byte of its ring's slowest link.
  package let tails: [(baseSeconds: Double, byteCount: Double)]
  /// Seconds per byte of a transfer between stages on any two nodes of the cluster, row to column, the slower
  /// direction, with what shared links leave of a measured rate.
  package let hopSecondsPerByte: [Double]
  /// The same of an edge of a ring, in its own direction.
  package let ringSecondsPerByte: [Double]
}

extension CostModel {
  /// Whether the order of the nodes is all there is to a strategy's placement: tensor groups lie inside nodes, and
  /// stages and nodes divide each other.
  package func placesWholeNodes(_ strategy: Strategy) -> Bool { placesWholeNodes(strategy.mesh) }

  /// The same of a mesh.
  func placesWholeNodes(_ mesh: Mesh) -> Bool {
    let stageSize = mesh.blockSize(below: .pipeline)
    let devicesPerNode = cluster.devicesPerNode
    return devicesPerNode % mesh.degree(of: .tensor) == 0
      && (stageSize % devicesPerNode == 0 || devicesPerNode % stageSize == 0)
  }

  /// The groups and boundaries of a mesh for every order of the nodes of which one thing is known: no ring through the
  /// nodes of a stage has all its edges faster. Other links are as fast as the fastest.
  ///
  /// - Parameter ringSecondsPerByte: of the slowest edge, as in ``PlacementTerms/ringSecondsPerByte``.
  package func layoutCost(_ mesh: Mesh, ringSecondsPerByte: Double) -> LayoutCost {
    // Rings reach the same share of every link's rate.
    let probe = fabric.bestMeasuredBytesPerSecond
    let share = fabric.assumingLinks(bytesPerSecond: probe).ringBytesPerSecond(fromNode: 0, toNode: 1) / probe
    return layoutCost(
      mesh,
      links: devices.map {
        LayoutLinks(
          mesh, on: $0.fabric.assumingBestLinks(),
          rings: $0.fabric.assumingLinks(bytesPerSecond: 1 / (ringSecondsPerByte * share)))
      })
  }

  /// The same with one pair of the cluster's nodes as fast, both ways, as the fastest of all.
  package func withFastestLink(between node: Int, and other: Int) -> Self {
    changingDevices { $0.fabric = $0.fabric.withFastestLink(between: node, and: other) }
  }

  /// What the order of the nodes changes about a strategy.
  ///
  /// Tails are linear in the links' rate here; the exact model judges what is found with them.
  ///
  /// - Precondition: ``placesWholeNodes(_:)``.
  package func placementTerms(of strategy: Strategy, split: Split) -> PlacementTerms {
    let mesh = strategy.mesh, stageSize = mesh.blockSize(below: .pipeline)
    // Two points of the line that tails lie on.
    let fast = fabric.bestMeasuredBytesPerSecond, slow = fast / 2
    func priced(_ rate: Double) -> IterationCost {
      cost(
        of: strategy,
        layout: layoutCost(
          mesh, links: devices.map { LayoutLinks(mesh, on: $0.fabric.assumingLinks(bytesPerSecond: rate)) }))
    }
    let atFast = priced(fast), atSlow = priced(slow)
    let p = strategy.pipelineDegree
    let stages = split.stages(of: atFast.kinds)
    func tail(_ cost: IterationCost, _ stage: Int) -> Double {
      // Without a pipeline the ring may slow every micro-batch.
      let inPasses = p == 1 ? Double(cost.microBatchCount) * cost.passSeconds(stage: 0, stages[0]).sum : 0
      return cost.tail(stage: stage, stages[stage]).seconds + inPasses
    }
    var lead = 0.0
    let tails = (0..<p).map { stage in
      let first = tail(atFast, stage), second = tail(atSlow, stage)
      let slope = max(0, (second - first) / (1 / slow - 1 / fast))
      // With chunks only the first one's backward pass is still to come on the stages before.
      defer { lead += atFast.passSeconds(stage: stage, stages[stage]).backward / Double(strategy.virtualStageCount) }
      return (baseSeconds: first - slope / fast - lead, byteCount: slope)
    }
    let n = cluster.nodeCount
    var hop = [Double](repeating: 0, count: n * n), ring = hop
    for from in 0..<n {
      for to in 0..<n where from != to {
        ring[from * n + to] = 1 / fabric.ringBytesPerSecond(fromNode: from, toNode: to)
        hop[from * n + to] =
          1
          / min(
            fabric.transferBytesPerSecond(fromNode: from, toNode: to, distance: stageSize),
            fabric.transferBytesPerSecond(fromNode: to, toNode: from, distance: stageSize))
      }
    }
    return PlacementTerms(
      nodesPerStage: max(1, stageSize / cluster.devicesPerNode),
      stageSeconds: (0..<p).map { atFast.passSeconds(stage: $0, stages[$0]).sum },
      microBatchCount: atFast.microBatchCount, hopByteCount: atFast.boundaryByteCount, tails: tails,
      hopSecondsPerByte: hop, ringSecondsPerByte: ring)
  }
}
