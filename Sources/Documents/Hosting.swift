/// What a run has in its nodes' memory, and done by their processors, instead of on its devices.
///
/// Weights stay as they are everywhere: what is computed does not change.
@usableFromInline package struct Hosting: Sendable, Hashable {
  /// Hundredths of what a rank updates that its host updates: states lie there, gradients go there and weights come back
  /// (ZeRO-Offload, Ren et al. 2021; Megatron-LM's `--optimizer-cpu-offload`).
  package var updatePercent = 0
  /// Whether weights lie there between their uses (ZeRO-Infinity, Rajbhandari et al. 2021).
  package var holdsWeights = false
  /// Of which layers what they keep for their backward passes lies there in between.
  package var activations = HostedActivations.onDevice

  package init(updatePercent: Int = 0, holdsWeights: Bool = false, activations: HostedActivations = .onDevice) {
    self.updatePercent = updatePercent
    self.holdsWeights = holdsWeights
    self.activations = activations
  }

  /// Everything on the devices.
  package static let none = Hosting()

  /// Whether the other has all of this, and perhaps more.
  package func isPart(of other: Hosting) -> Bool {
    updatePercent <= other.updatePercent && (!holdsWeights || other.holdsWeights)
      && activations.isPart(of: other.activations)
  }
}

extension Hosting {
  /// Why a strategy cannot have it; nil if it can.
  ///
  /// - Parameters:
  ///   - layerCount: of the model.
  ///   - hasHost: whether the cluster describes its nodes' memory.
  package func violation(_ strategy: Strategy, layerCount: Int, hasHost: Bool) -> StrategyViolation? {
    guard self != .none else { return nil }
    if !hasHost { return .noHost }
    if case .layers(let count) = activations, count >= layerCount {
      return .hostedLayersTooMany(count: Int(count), of: layerCount)
    }
    // Zeroth-order training takes a block at a time through all that it is needed for, so that any replica may have its own;
    // what else a host could do there is none of it.
    if strategy.update == .zerothOrder { return nil }
    // Whole replicas would all update everything on one host.
    if updatePercent > 0, strategy.replicaCount > 1, strategy.zeroStage == .none { return .hostUpdateNeedsShards }
    if holdsWeights, strategy.replicaCount > 1,
      strategy.zeroStage < .weights || strategy.sharding.secondaryDegree != nil
    {
      return .hostWeightsNeedShards
    }
    if holdsWeights, strategy.pipelineDegree > 1 { return .hostWeightsInPipeline }
    return nil
  }
}

extension Strategy {
  /// How many devices of each stage a node holds, for every kind of node, each kind once: stages that lie on one node
  /// share its memory.
  package func stagesOfNodes(devicesPerNode perNode: Int) -> [[(stage: Int, deviceCount: Int)]] {
    var shares: [[(stage: Int, deviceCount: Int)]] = []
    // Workers have nodes of their own, each the same.
    let rankCount = mesh.blockSize(below: .worker)
    for node in 0..<(rankCount + perNode - 1) / perNode {
      let first = node * perNode, end = min(rankCount, first + perNode)
      let stages = [first, end - 1].map { mesh.coordinate(ofRank: $0, along: .pipeline) }
      let share = (stages[0]...stages[1]).map { stage in
        (stage: stage, deviceCount: mesh.block(stage, below: .pipeline).clamped(to: first..<end).count)
      }
      if let last = shares.last, last.elementsEqual(share, by: ==) { continue }
      shares.append(share)
    }
    return shares
  }

  /// The most that the devices of any one node have in its memory, bytes.
  package func hostBytes(of stageMemory: [Prediction.StageMemory], devicesPerNode: Int) -> Int {
    guard stageMemory.contains(where: { $0.hostBytes > 0 }) else { return 0 }
    return stagesOfNodes(devicesPerNode: devicesPerNode).reduce(0) { most, share in
      max(most, share.reduce(0) { $0 + $1.deviceCount * stageMemory[$1.stage].hostBytes })
    }
  }
}

extension Hosting {
  /// Whether the thing at a place is one of those that are picked out of a row, evenly spread: of 2 out of 5 the third and
  /// the fifth. What lies on the host is spread over a stage's layers, so that its transfers hide under all of them.
  package static func isSpread(_ index: Int, count: Int, of all: Int) -> Bool {
    (index + 1) * count / all > index * count / all
  }
}

extension Split.Stage {
  /// Layers whose weights lie on the host between their uses.
  package func hostedLayerCount(_ hosting: Hosting) -> Int {
    hosting.holdsWeights ? choice?.hostedLayerCount ?? layerCount : 0
  }
}
