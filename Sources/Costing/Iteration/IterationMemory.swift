package import Documents

/// What the devices of one strategy hold as a function of how its layers are split among stages: all that tells whether it
/// fits, and nothing of how long it takes.
package struct IterationMemory: Sendable {
  /// The strategy that is looked at.
  package let strategy: Strategy
  package private(set) var layout: LayoutCost
  /// A stage of the strategy on each model of device, in the layout's order.
  let models: [MemoryModel]
  /// The nodes' memory and its link to a device; nil if the cluster does not say.
  let host: ClusterDescription.Host?

  /// - Parameter models: in the order of the layout's models of device.
  init(strategy: Strategy, layout: LayoutCost, models: [MemoryModel], host: ClusterDescription.Host?) {
    self.strategy = strategy
    self.layout = layout
    self.models = models
    self.host = host
  }

  /// The same strategy on the layout of another order of the nodes.
  package func on(_ layout: LayoutCost) -> Self {
    var moved = self
    moved.layout = layout
    return moved
  }

  /// Which layers have experts.
  package var kinds: LayerKinds { layout.kinds }

  /// Layers of the model.
  package var layerCount: Int { kinds.layerCount }

  /// Index of the last stage.
  var lastStage: Int { strategy.pipelineDegree - 1 }

  /// Whether the strategy's chunks may differ in their layers.
  package var laysOutChunks: Bool { models[0].laysOutChunks }

  /// Whether all stages have as many layers, or as nearly as can be.
  package var hasEqualStages: Bool { strategy.hasEqualStages && !laysOutChunks }

  /// So many layers of a stage, made up in each way that may take least of its devices.
  package func fewestBytesLayers(_ count: Int, ofStage stage: Int) -> [StageLayers] {
    models[layout.firstDevices[stage]].extremes(of: kinds).map { $0.first(count) }
  }

  /// What a stage holds on every model of device that it lies on.
  private func onEachDevice(_ stage: Int) -> some Sequence<MemoryModel> {
    layout.devices[stage].lazy.map { models[$0] }
  }

  /// Peak bytes of a device of a stage; of several models, the one with the least room to spare.
  package func stageMemory(stage: Int, _ content: Split.Stage) -> Prediction.StageMemory {
    let devices = layout.devices[stage]
    var tightest = models[devices[0]].stageMemory(stage: stage, content)
    guard devices.count > 1 else { return tightest }
    var least = models[devices[0]].limitBytes(.risky) - tightest.peakBytes
    for model in onEachDevice(stage).dropFirst() {
      let memory = model.stageMemory(stage: stage, content)
      let room = model.limitBytes(.risky) - memory.peakBytes
      if room < least { (tightest, least) = (memory, room) }
    }
    return tightest
  }

  /// Peak bytes of a device of each stage when the layers are split as given.
  package func stageMemory(of split: Split) -> [Prediction.StageMemory] {
    (0...lastStage).map { stageMemory(stage: $0, split.stage($0, of: kinds)) }
  }

  /// The largest peak of a stage within a limit, bytes: that of its smallest device.
  package func limitBytes(_ limit: MemoryLimit, stage: Int) -> Int {
    onEachDevice(stage).reduce(.max) { min($0, $1.limitBytes(limit)) }
  }

  /// Whether a stage's memory keeps a limit.
  package func holds(_ stageMemory: Prediction.StageMemory, stage: Int, within limit: MemoryLimit) -> Bool {
    stageMemory.peakBytes <= limitBytes(limit, stage: stage)
  }

  /// What the stages' peaks mean, the worst of them.
  package func verdict(of stageMemory: [Prediction.StageMemory]) -> Prediction.Verdict {
    var worst = Prediction.Verdict.fits
    for (stage, memory) in stageMemory.enumerated() {
      for model in onEachDevice(stage) {
        switch model.verdict(peakBytes: memory.peakBytes) {
        case .unfit: return .unfit
        case .risky: worst = .risky
        case .fits: break
        }
      }
    }
    return worst
  }

  /// The fewest recomputed layers per chunk with which a stage keeps a limit; nil if no number does.
  package func leastRecomputedLayerCount(
    stage: Int, _ layers: StageLayers, offloadsOptimizer: Bool, within limit: MemoryLimit
  ) -> Int? {
    var least = 0
    for model in onEachDevice(stage) {
      guard
        let count = model.leastRecomputedLayerCount(
          stage: stage, layers, offloadsOptimizer: offloadsOptimizer, limitBytes: model.limitBytes(limit))
      else { return nil }
      least = max(least, count)
    }
    return least
  }

  /// The fewest layers on the host with which a stage keeps a limit; nil if no number does.
  package func leastHostedLayerCount(stage: Int, _ layers: StageLayers, within limit: MemoryLimit) -> Int? {
    guard strategy.hosting.holdsWeights else { return 0 }
    var least = 0
    for model in onEachDevice(stage) {
      guard
        let count = model.leastHostedLayerCount(stage: stage, layers, limitBytes: model.limitBytes(limit))
      else { return nil }
      least = max(least, count)
    }
    return least
  }
}
