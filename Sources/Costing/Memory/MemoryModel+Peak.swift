package import Documents
import Training

/// The peak of a stage: states that are always there, and the worst of the moments that come and go.
extension MemoryModel {
  /// What is held, beyond shards, of a part of the model that runs backward, a layer's weights on their way.
  ///
  /// - Parameter narrowCount: those of its parameters that are weights of products.
  private func unshardedBytes(parameterCount: Int, narrowCount: Int) -> Int {
    // Undivided weights that come from the host need room like those that are gathered.
    let fetched =
      strategy.hosting.holdsWeights && sharding.weightDegree == 1
      ? (parameterCount + parameters.layer) * weightByteCount : 0
    let gatheredCount = narrowCount + products.layers.dense
    let savedBytes =
      gatheredFormat.map { gatheredCount * weightByteCount - $0.gatheredByteCount(weightCount: gatheredCount) } ?? 0
    return fetched
      + buffers.passBytes(
        parameterCount: parameterCount, nextCount: parameters.layer, weightByteCount: weightByteCount,
        savedBytes: savedBytes)
  }

  /// What comes and goes at the stage's worst moment within a micro-batch, bytes, its activations among them.
  ///
  /// Two moments: all micro-batches in flight while a layer, or the head with the logits, runs backward; and the end of a
  /// backward pass, when one micro-batch's activations are gone and all of its gradients are there.
  private func passBytes(
    _ layers: LayerCounts, isFirst: Bool, isLast: Bool, recomputes: Bool, parameterCount: Int, activationBytes: Int,
    chunkActivationBytes: Int
  ) -> Int {
    let ofLayer = recomputes ? layerWorkspaceBytes : keptLayerWorkspaceBytes
    var workspace = 0
    if layers.dense > 0 || layers.experts == 0 {
      workspace = ofLayer.dense + unshardedBytes(parameterCount: parameters.layer, narrowCount: products.layers.dense)
    }
    if layers.experts > 0 {
      workspace = max(
        workspace,
        ofLayer.experts
          + unshardedBytes(
            parameterCount: parameters.layers.experts + parameters.routed,
            narrowCount: products.layers.experts + products.routed))
    }
    workspace += max(isFirst ? wideWorkspaceBytes.first : 0, isLast ? wideWorkspaceBytes.last : 0)
    if isLast {
      workspace = max(
        workspace + (parameters.predictionDepth > 0 ? earlierLossBytes : 0),
        logitsWorkspaceBytes + earlierLossBytes
          + unshardedBytes(
            parameterCount: endingCount,
            // Of routed experts one further prediction's are there at a time.
            narrowCount: parameters.predictionDepth * products.prediction + products.predictionRouted))
    }
    guard framework.separatesMicroBatchGradients else { return activationBytes + workspace }
    let gradients = parameterCount * weightByteCount
    return max(activationBytes + workspace, activationBytes - chunkActivationBytes + gradients)
  }

  /// Parameters that are there at once, of what follows the last layer: the output matrix, and where tokens further on are
  /// predicted all parts, and the table that these are looked up in.
  private var endingCount: Int {
    guard parameters.predictionDepth > 0 else { return parameters.outputMatrix }
    return parameters.head + parameters.predictionRouted + (strategy.separatesEnds ? 0 : parameters.embedding)
  }

  /// Of one of a stage's layers, the one that keeps most before a layer beside it gives up what is its own.
  private func largestLayerBytes(_ layers: LayerCounts, _ recomputed: LayerCounts) -> Int {
    let kept = layers - recomputed
    let dense = max(
      recomputed.dense > 0 ? layerActivationBytes.dense : 0, kept.dense > 0 ? keptLayerActivationBytes.dense : 0)
    let experts = max(
      recomputed.experts > 0 ? layerActivationBytes.experts : 0, kept.experts > 0 ? keptLayerActivationBytes.experts : 0
    )
    return max(dense, experts - lateLayerBytes, 0)
  }

  /// Activations at the worst moment of a stage whose backward passes are split: all that forward has kept until the weights'
  /// gradients are there, and of what waits for these what the input gradient has computed again, and the logits' gradients.
  private func splitActivationBytes(stage: Int, chunkActivationBytes: Int, awaitingChunkBytes: Int) -> Int {
    var most = 0
    inFlight.forEachMoment(ofStage: stage) { moment in
      most = max(
        most,
        moment.count * chunkActivationBytes + moment.awaitingCount * awaitingChunkBytes
          + moment.inFirstChunk * embeddingActivationBytes + moment.inLastChunk * headActivationBytes
          + moment.awaitingInLastChunk * logitsGradientBytes)
    }
    return most
  }

  /// What the optimizer's step needs beside states: copies of the gradients where all are reduced at once, and quantised
  /// ones.
  private func stepBytes(parameterCount: Int, gradientBytes: Int) -> Int {
    let isWhole = sharding.gradientDegree == 1
    let copies =
      isWhole && sharding.optimizerDegree > 1 ? Self.scaled(gradientBytes, by: framework.stepGradientCopies) : 0
    guard sharding.isQuantised else { return copies }
    return copies
      + buffers.stepBytes(
        parameterCount: isWhole ? parameterCount : max(parameters.layer, parameters.embedding, parameters.outputMatrix))
  }

  /// Buffers that are alive throughout: gathers of the tensor group, buckets of an all-reduce of gradients.
  private func bufferBytes(parameterCount: Int) -> Int {
    guard strategy.replicaCount > 1, strategy.zeroStage == .none else { return tensorBufferBytes }
    return tensorBufferBytes + Self.scaled(parameterCount, by: framework.bucketBytesPerParameter)
  }

  /// Of a stage's passes, the share of those that none of another micro-batch runs beside: as many forward passes as are in
  /// flight on the first stage before its first backward pass, and as many backward ones at the end.
  var unpairedShare: Double {
    let unpaired = min(inFlight.onFirstStage - (strategy.overlapsExperts ? 1 : 0), inFlight.passCount)
    return min(1, Double(unpaired) / Double(microBatchCount * strategy.virtualStageCount))
  }

  /// Peak bytes of a device of a stage.
  ///
  /// The parts add up to the peak: activations are those of all micro-batches in flight, workspace is what the worst
  /// moment takes beside them.
  package func stageMemory(stage: Int, _ content: Split.Stage) -> Prediction.StageMemory {
    if evaluationCount > 0 { return zerothOrderMemory(stage: stage, content) }
    let (layers, choice) = (content.layers, content.choice)
    let parameterCount = parameterCount(stage: stage, layers) + routedCount(stage: stage, layers)
    let isFirst = stage == 0, isLast = stage == headStage
    let chunkCount = strategy.virtualStageCount
    let passesInFlight = inFlight.count(stage: stage)
    // Of all chunks in the mean; so it is of a chunk's bytes beside those of activations.
    let layersInFlight = (passesInFlight * layers.total + chunkCount - 1) / chunkCount
    let recomputed = strategy.recompute == .full ? content.recomputed ?? layers : layers
    let stageActivations =
      layerActivationBytes.sum(recomputed) + keptLayerActivationBytes.sum(layers - recomputed)
    let chunkActivations = (stageActivations + chunkCount - 1) / chunkCount
    var activations: Int
    if inFlight.splitting != .none {
      activations = splitActivationBytes(
        stage: stage, chunkActivationBytes: chunkActivations,
        awaitingChunkBytes: awaitingLayerBytes.sum(recomputed) / chunkCount)
    } else if strategy.schedule.isInterleaved, let chunks = content.chunks {
      switch chunks {
      case .laid(let chunks): activations = activationBytes(stage: stage, chunks, hasChoice: choice != nil)
      case .open(let endCount):
        activations = leastActivationBytes(
          stage: stage, layers,
          recomputedCount: recomputed == layers ? nil : recomputed == .none ? 0 : choice?.recomputedLayerCount,
          endCount: endCount)
      }
    } else {
      // The last chunk runs each backward pass right after the forward pass; its logits are part of the workspace.
      let head = isLast ? headActivationBytes : 0
      if strategy.overlapsExperts,
        inFlight.onFirstStage - inFlight.fewerPerStage * stage <= inFlight.passCount
      {
        // The forward pass of a pair keeps a layer's, and then the backward pass gives up another's: of both together there
        // is one layer more than of one, or the head.
        activations = ((passesInFlight - 1) * stageActivations + chunkCount - 1) / chunkCount
        activations += max(head, largestLayerBytes(layers, recomputed))
      } else {
        activations = (passesInFlight * stageActivations + chunkCount - 1) / chunkCount + head
      }
      if isFirst { activations += inFlight.inFirstChunk * embeddingActivationBytes }
    }
    var weights = weightBytes(stage: stage, layers) + narrowWeightBytes(stage: stage, layers)
    var gradients = gradientBytes(stage: stage, layers)
    var optimizer = optimizerBytes(stage: stage, layers)
    var hostBytes = 0
    if strategy.hosting != .none {
      let hosted = hostedBytes(
        stage: stage, layers, chunkActivationBytes: chunkActivations, passesInFlight: passesInFlight)
      activations -= hosted.activations
      weights -= hosted.weights
      gradients -= hosted.gradients
      optimizer -= hosted.optimizer
      hostBytes = hosted.onHost
    }

    var outer = outerByteCount == 0 ? 0 : outerBytes(stage: stage, layers)
    if strategy.outer.isHosted {
      hostBytes = min(hostBytes + outer, HostedBytes.mostOnHost)
      outer = 0
    }
    let passes = passBytes(
      layers, isFirst: isFirst, isLast: isLast,
      recomputes: strategy.recompute != .full || choice?.recomputedLayerCount != 0,
      parameterCount: parameterCount, activationBytes: activations, chunkActivationBytes: chunkActivations)
    let step = stepBytes(parameterCount: parameterCount, gradientBytes: gradients)
    let buffers = bufferBytes(parameterCount: parameterCount)
    let counted = max(passes, step) + buffers
    let pending = Double(layersInFlight) * pendingLayerBytes
    let lost =
      Double(counted) * memory.fragmentationFraction + pending
      + min(Double(passes) + pending, Double(step)) * memory.unreusedFraction
    if choice?.offloadsOptimizer == true {
      // States are back for the step, when activations are gone: the larger of the two moments counts.
      let atStep = step + buffers
      let lostAtStep = Double(atStep) * memory.fragmentationFraction
      let stepIsWorse = Double(optimizer + atStep) + lostAtStep > Double(counted) + lost
      return Prediction.StageMemory(
        weightBytes: weights, gradientBytes: gradients, optimizerBytes: stepIsWorse ? optimizer : 0,
        activationBytes: stepIsWorse ? 0 : activations,
        workspaceBytes: stepIsWorse ? atStep : counted - activations,
        reservedBytes: memory.reservedBytes + framework.reservedBytes,
        fragmentationBytes: Int((stepIsWorse ? lostAtStep : lost).rounded(.up)),
        hostBytes: min(hostBytes + optimizer, HostedBytes.mostOnHost), outerBytes: outer)
    }
    return Prediction.StageMemory(
      weightBytes: weights, gradientBytes: gradients, optimizerBytes: optimizer, activationBytes: activations,
      workspaceBytes: counted - activations, reservedBytes: memory.reservedBytes + framework.reservedBytes,
      fragmentationBytes: Int(lost.rounded(.up)), hostBytes: hostBytes, outerBytes: outer)
  }
}
