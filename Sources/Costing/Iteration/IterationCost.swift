package import Documents

/// The cost of one strategy as a function of how its layers are split among stages.
///
/// Each stage costs what it costs on its own devices, see ``StageCost``. ``iterationSeconds(of:scratch:)`` runs the
/// pipeline's schedule over the stages; the search minimises it over splits.
///
/// Ranks of a stage wait for each other in every collective, so that a stage on several models of device runs at the pace
/// of the slowest, and each of its devices has to hold what the layout gives it.
package struct IterationCost: Sendable {
  /// What its devices hold.
  package private(set) var memory: IterationMemory
  /// Micro-batches of each pipeline in an iteration.
  package let microBatchCount: Int
  /// Bytes of activations that one rank sends across a stage boundary, one direction.
  package let boundaryByteCount: Int
  /// A stage of the strategy on each model of device.
  let costs: [StageCost]
  /// By stage, the model of device that takes longest for a layer, by its place in the cluster's order.
  package private(set) var paces: [Int]
  /// What outer steps add; nil without.
  let outer: OuterCost?

  /// - Parameter costs: in the order of the layout's models of device.
  init(memory: IterationMemory, job: TrainingJob, costs: [StageCost]) {
    let strategy = memory.strategy
    self.memory = memory
    self.costs = costs
    microBatchCount = costs[0].microBatchCount
    // Each rank of a tensor group holds all of a stage's output, or its part along the sequence; either way it sends
    // only its part, and without sequence parallelism the receivers gather the rest among themselves
    // (Narayanan et al. 2021, section 4.1).
    boundaryByteCount = strategy.boundaryActivationBytes(job: job) / strategy.tensorDegree
    paces = Self.paces(memory.layout, costs, memory.kinds)
    // All devices wait for the slowest.
    outer =
      strategy.update == .outer
      ? costs.map { cost in
        OuterCost(
          strategy: strategy, job: job, links: cost.links, secondsPerMemoryByte: cost.secondsPerMemoryByte,
          host: cost.host)
      }.max { $0.allReduceSeconds(parameterCount: 1 << 30) < $1.allReduceSeconds(parameterCount: 1 << 30) } : nil
  }

  /// By stage, the model of device that takes longest for a layer: where layers are of two kinds, for the longer of them.
  private static func paces(_ layout: LayoutCost, _ costs: [StageCost], _ kinds: LayerKinds) -> [Int] {
    var paces = layout.firstDevices
    func seconds(_ device: Int) -> Double { costs[device].layers.most(among: kinds.counts) { $0.launched.sum } }
    for stage in layout.sharedStages {
      paces[stage] = layout.devices[stage].max { seconds($0) < seconds($1) } ?? paces[stage]
    }
    return paces
  }

  /// The same strategy on the layout of another order of the nodes, where stages lie on other models of device and all
  /// else is the same.
  package func on(_ layout: LayoutCost) -> Self {
    var moved = self
    moved.memory = memory.on(layout)
    moved.paces = Self.paces(layout, costs, kinds)
    return moved
  }

  /// The strategy that is priced.
  @inline(__always)
  package var strategy: Strategy { memory.strategy }

  /// Its mesh on the cluster.
  @inline(__always)
  package var layout: LayoutCost { memory.layout }

  /// Which layers have experts.
  @inline(__always)
  package var kinds: LayerKinds { memory.layout.kinds }

  /// A stage on the device that sets its pace.
  @inline(__always)
  package subscript(stage: Int) -> StageCost { costs[paces[stage]] }

  /// Whether the strategy's chunks may differ in their layers.
  package var laysOutChunks: Bool { memory.laysOutChunks }

  /// Whether all stages have as many layers, or as nearly as can be.
  package var hasEqualStages: Bool { memory.hasEqualStages }

  /// Layers of the model.
  package var layerCount: Int { kinds.layerCount }

  /// All layers on one stage.
  package var allLayers: StageLayers {
    StageLayers(0..<layerCount, of: kinds, chunkCount: strategy.virtualStageCount)
  }

  /// What a stage of a split holds.
  @inline(__always)
  package func content(of split: Split, stage: Int) -> Split.Stage { split.stage(stage, of: kinds) }

  /// Index of the last stage.
  var lastStage: Int { strategy.pipelineDegree - 1 }

  /// Whether replicas of a stage are alike: no two nodes were measured, all groups of an axis see the same links, and no
  /// stage lies on several models of device.
  package var areReplicasAlike: Bool { layout.sharedStages.isEmpty && layout.links.allSatisfy(\.isUniform) }

  /// A stage on every model of device that it lies on.
  func onEachDevice(_ stage: Int) -> some Sequence<StageCost> { layout.devices[stage].lazy.map { costs[$0] } }

  /// Seconds of one micro-batch through all that a stage holds.
  package func passSeconds(stage: Int, _ content: Split.Stage) -> PassSeconds {
    self[stage].passSeconds(stage: stage, content)
  }

  /// What a stage does after its last backward pass, the sum of tied embeddings aside.
  package func tail(stage: Int, _ content: Split.Stage) -> StageCost.Tail { self[stage].tail(stage: stage, content) }

  /// Seconds that follow the last backward pass of a stage at least, tied embeddings included.
  package func tailSeconds(stage: Int, _ content: Split.Stage) -> Double {
    tailSeconds(stage: stage, tail(stage: stage, content))
  }

  /// The same of a tail that is known.
  package func tailSeconds(stage: Int, _ tail: StageCost.Tail) -> Double {
    let isEnd = stage == 0 || stage == lastStage
    return tail.seconds + (isEnd ? embeddingSumSeconds : 0)
  }

  /// Summing the gradients of tied embeddings between first and last stage, seconds.
  package var embeddingSumSeconds: Double { max(self[0].embeddingSumSeconds, self[lastStage].embeddingSumSeconds) }

  /// Paid once an iteration whatever the strategy, seconds.
  package var fixedSeconds: Double { costs.reduce(0) { max($0, $1.framework.iterationFixedSeconds) } }

  /// Seconds of a transfer from a stage to the next, activations forward or gradients backward: that of the slower end, by
  /// what its device reaches of the links.
  package func transferSeconds(afterStage stage: Int) -> Double {
    max(
      self[stage].transferSeconds(afterStage: stage, byteCount: boundaryByteCount),
      self[stage + 1].transferSeconds(afterStage: stage, byteCount: boundaryByteCount))
  }

  /// Seconds of a transfer from the last stage to the first, between chunks.
  package var wrapTransferSeconds: Double {
    max(
      self[0].wrapTransferSeconds(byteCount: boundaryByteCount),
      self[lastStage].wrapTransferSeconds(byteCount: boundaryByteCount))
  }
}
