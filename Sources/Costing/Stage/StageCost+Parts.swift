package import Documents
package import Training

/// A part of a stage as the passes of a micro-batch go through it.
package enum StagePart: Sendable, Hashable {
  case embedding
  /// A block of a kind; one that keeps its activations where others are recomputed in full, or one as the strategy says.
  case layer(LayerCounts.Kind, isKept: Bool)
  case head
}

/// Seconds of one pass through a part, by cause: ``StageCost/passSeconds(_:recomputed:isFirst:isLast:)`` taken
/// apart.
package struct PassCauses: Sendable, Equatable {
  /// Computation of the pass itself.
  package var computeSeconds = 0.0
  /// Computation that a backward pass repeats.
  package var recomputeSeconds = 0.0
  /// Exposed collectives of the tensor group.
  package var tensorSeconds = 0.0
  /// Exposed exchanges of ranks that divide a sequence.
  package var contextSeconds = 0.0
  /// Exposed exchanges of tokens and experts.
  package var expertSeconds = 0.0
  /// Waits of the device for its host to launch.
  package var launchSeconds = 0.0
  /// What the traffic of replicas slows computation by, however well it is hidden.
  package var dataSeconds = 0.0

  package init() {}

  /// All of it.
  package var seconds: Double {
    computeSeconds + recomputeSeconds + tensorSeconds + launchSeconds + dataSeconds + contextSeconds + expertSeconds
  }
}

extension StageCost {
  /// Seconds of the passes of a micro-batch through a part, by cause.
  package struct PartPasses: Sendable, Equatable {
    package var forward = PassCauses()
    package var backward = PassCauses()
    /// Of the backward pass, what is left when the input has its gradient.
    package var weightGradient = PassCauses()

    /// The rest of the backward pass.
    package var inputGradient: PassCauses {
      var rest = backward
      rest.computeSeconds = max(0, rest.computeSeconds - weightGradient.computeSeconds)
      rest.tensorSeconds -= weightGradient.tensorSeconds
      rest.launchSeconds = max(0, rest.launchSeconds - weightGradient.launchSeconds)
      rest.dataSeconds -= weightGradient.dataSeconds
      return rest
    }
  }

  /// Seconds on the links of an exchange in a micro-batch, of a part's weights or gradients, over the slowest of all
  /// stages' groups: in every micro-batch they wait for each other.
  ///
  /// - Parameters:
  ///   - elementCount: of the whole part.
  ///   - narrowCount: those that are weights of products.
  package func seconds(of exchange: Exchange, elementCount: Int, narrowCount: Int) -> Double {
    traffic(
      of: exchange, elementCount: elementCount, narrowCount: narrowCount,
      in: exchange.isOfExperts ? expertGroups ?? groups : groups
    ).seconds
  }

  /// Seconds of both passes of a micro-batch through one part of a virtual stage, by cause, beside what replicas
  /// communicate meanwhile. The parts of a virtual stage add up to its passes where replicas communicate nothing in a
  /// micro-batch.
  ///
  /// - Parameters:
  ///   - content: of the virtual stage.
  ///   - isLast: whether it ends with the head.
  package func passes(
    through part: StagePart, of content: Split.Stage, isLast: Bool
  ) -> PartPasses {
    let passes = passes(of: part)
    let factor: Double
    if part == .embedding {
      factor = 1
    } else if isLast {
      // The host runs ahead while the device works on the head: launches bound the whole stage.
      let n = recomputed(content) ?? content.layers, k = content.layers - n
      factor = framework.slowdown(
        device: microBatch.layers.sum(n, seconds) + microBatch.keptLayers.sum(k, seconds) + seconds(microBatch.head),
        host: layers.sum(n, \.launchFloorSeconds) + keptLayers.sum(k, \.launchFloorSeconds))
    } else if case .layer(let kind, let isKept) = part {
      factor = framework.slowdown(device: seconds(passes), host: layers(keeping: isKept)[kind].launchFloorSeconds)
    } else {
      factor = 1
    }
    var forward = PassCauses(), backward = PassCauses()
    forward.computeSeconds = passes.forwardComputeSeconds
    forward.tensorSeconds = passes.forwardTensorSeconds
    forward.contextSeconds = passes.forwardContextSeconds
    forward.expertSeconds = passes.forwardExpertSeconds
    forward.launchSeconds = (factor - 1) * passes.forwardSeconds
    backward.computeSeconds = passes.backwardComputeSeconds
    backward.recomputeSeconds = passes.recomputeSeconds
    backward.tensorSeconds = passes.backwardTensorSeconds
    backward.contextSeconds = passes.backwardContextSeconds
    backward.expertSeconds = passes.backwardExpertSeconds
    backward.launchSeconds = (factor - 1) * passes.backwardSeconds
    forward.dataSeconds = slowdown(of: passes.forwardSeconds, at: [.laterUse], part)
    backward.dataSeconds = slowdown(of: passes.backwardSeconds, at: [.laterUse, .partBackward], part)
    var weights = PassCauses()
    if part == .embedding {
      // It has no input that has a gradient.
      weights = backward
    } else {
      weights.computeSeconds = passes.weightGradientSeconds
      weights.launchSeconds = (factor - 1) * passes.weightGradientSeconds
    }
    return PartPasses(forward: forward, backward: backward, weightGradient: weights)
  }

  private func passes(of part: StagePart) -> MicroBatchCost.Passes {
    switch part {
    case .embedding: microBatch.embedding
    case .layer(let kind, let isKept): (isKept ? microBatch.keptLayers : microBatch.layers)[kind]
    case .head: microBatch.head
    }
  }

  private func seconds(_ passes: MicroBatchCost.Passes) -> Double { passes.forwardSeconds + passes.backwardSeconds }

  // MARK: What replicas exchange meanwhile

  /// The seconds by which exchanges at some moments slow computation that hides them: making and reading codes, and the share
  /// of the shorter of the two that the framework does not hide.
  private func slowdown(of seconds: Double, at moments: [Moment], _ part: StagePart) -> Double {
    var onLinks = 0.0, kernels = 0.0, isAlone = true
    func add(_ groups: ShardGroups, _ elementCount: Int, _ narrowCount: Int) {
      for exchange in moments.flatMap(groups.exchanges(at:)) {
        guard elementCount > 0 else { continue }
        let traffic = traffic(of: exchange, elementCount: elementCount, narrowCount: narrowCount, in: groups)
        onLinks += traffic.seconds
        kernels += traffic.kernelBytes * secondsPerMemoryByte
        isAlone = false
      }
    }
    add(groups, parameterCount(of: part), productCount(of: part))
    // Among those that hold the same routed experts.
    if let expertGroups {
      switch part {
      case .layer(.experts, _): add(expertGroups, memory.parameters.routed, memory.products.routed)
      case .head:
        add(
          expertGroups, memory.parameters.headRouted,
          memory.parameters.predictionDepth * memory.products.predictionRouted)
      case .embedding, .layer(.dense, _): break
      }
    }
    if isAlone { return 0 }
    let overlap =
      memory.sharding.weightDegree > 1 ? framework.gatherOverlapFraction : framework.shardedGradientOverlapFraction
    return kernels + (1 - overlap) * min(seconds + kernels, onLinks)
  }

  private func traffic(
    of exchange: Exchange, elementCount: Int, narrowCount: Int, in groups: ShardGroups
  ) -> ShardTraffic {
    Self.traffic(
      of: exchange, parameterCount: elementCount, narrowCount: narrowCount, memory: memory, groups: groups)
  }

  private func productCount(of part: StagePart) -> Int {
    switch part {
    case .embedding: 0
    case .layer(let kind, _): memory.products.layers[kind]
    case .head: memory.parameters.predictionDepth * memory.products.prediction
    }
  }

  private func parameterCount(of part: StagePart) -> Int {
    switch part {
    case .embedding: memory.parameters.embedding
    case .layer(let kind, _): memory.parameters.layers[kind]
    case .head: memory.parameters.head
    }
  }
}
