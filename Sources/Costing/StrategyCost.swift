public import Documents

/// The cost of one strategy as a function of how its layers are split among stages.
///
/// Complete when it exists: everything that does not depend on the split is computed once, everything that does is a
/// function of (stage, layers of the stage). ``iterationSeconds(layerCounts:scratch:)`` folds the pipeline schedule over it; the search minimises
/// over splits.
public struct StrategyCost: Sendable {
  /// Seconds of a forward and of a backward pass of one micro-batch, communication included.
  public struct PassSeconds: Sendable, Equatable {
    /// Seconds of the forward pass.
    public var forward: Double
    /// Seconds of the backward pass, recomputation included.
    public var backward: Double

    var sum: Double { forward + backward }

    mutating func slow(by factor: Double) {
      forward *= factor
      backward *= factor
    }
  }

  /// The strategy that is priced.
  public let strategy: Strategy
  /// Micro-batches of each pipeline in an iteration.
  public let microBatchCount: Int
  /// Bytes of every stage.
  public let memory: MemoryModel
  let microBatch: MicroBatchCost
  let layout: LayoutCost
  /// One layer, with what the data-parallel group's per-micro-batch traffic adds.
  public let layer: PassSeconds
  /// The host needs this to launch a layer's kernels, forward and backward: no stage is faster.
  public let layerFloorSeconds: Double
  /// One layer on a stage without head, launches included: what stages before the last grow by.
  public let launchedLayer: PassSeconds
  /// The same three of a layer that is not recomputed where others are, in full.
  let keptLayer: PassSeconds
  let keptLayerFloorSeconds: Double
  /// One kept layer on a stage without head, launches included.
  public let launchedKeptLayer: PassSeconds
  /// What the embedding adds to the first stage, and the head to the last.
  public let embedding: PassSeconds
  /// What the head and the loss add to the last stage.
  public let head: PassSeconds
  /// Bytes of activations that one rank sends across a stage boundary, one direction.
  public let boundaryByteCount: Int
  /// Completing the activations on all ranks of a tensor group after a transfer that was split among them.
  let boundaryGatherSeconds: Double
  let framework: DeviceProfile.Framework
  let secondsPerMemoryByte: Double
  /// The nodes' memory and its link to a device; nil if the cluster does not say.
  let host: ClusterDescription.Host?
  /// Summing the gradients of tied embeddings between first and last stage.
  let embeddingSumSeconds: Double

  /// Layers of the model.
  public let layerCount: Int

  init(
    strategy: Strategy, job: TrainingJob, microBatch: MicroBatchCost, layout: LayoutCost, memory: MemoryModel,
    device: DeviceSpeed, framework: DeviceProfile.Framework, host: ClusterDescription.Host?
  ) {
    self.strategy = strategy
    self.microBatch = microBatch
    self.layout = layout
    self.memory = memory
    self.framework = framework
    microBatchCount = memory.microBatchCount
    layerCount = job.model.layerCount
    secondsPerMemoryByte = device.secondsPerMemoryByte
    self.host = host

    layerFloorSeconds = Self.layerFloorSeconds(
      strategy: strategy, recompute: strategy.recompute, framework: framework, devicesPerNode: layout.devicesPerNode)
    let group = layout.slowestDataGroup
    let parameters = memory.parameters
    layer = Self.withDataTraffic(
      microBatch.layer, parameterCount: parameters.layer, memory: memory, group: group, framework: framework)
    var launched = layer
    launched.slow(by: framework.slowdown(device: layer.sum, host: layerFloorSeconds))
    launchedLayer = launched
    if strategy.recompute == .full {
      keptLayerFloorSeconds = Self.layerFloorSeconds(
        strategy: strategy, recompute: .none, framework: framework, devicesPerNode: layout.devicesPerNode)
      keptLayer = Self.withDataTraffic(
        microBatch.keptLayer, parameterCount: parameters.layer, memory: memory, group: group, framework: framework)
      var launched = keptLayer
      launched.slow(by: framework.slowdown(device: keptLayer.sum, host: keptLayerFloorSeconds))
      launchedKeptLayer = launched
    } else {
      (keptLayer, keptLayerFloorSeconds, launchedKeptLayer) = (layer, layerFloorSeconds, launchedLayer)
    }
    embedding = Self.withDataTraffic(
      microBatch.embedding, parameterCount: parameters.embedding, memory: memory, group: group, framework: framework)
    head = Self.withDataTraffic(
      microBatch.head, parameterCount: parameters.head,
      // A tied head on the embedding's own stage gathers the embedding once more; its gradient waits for the embedding's.
      borrowedCount: job.model.hasTiedEmbeddings && strategy.pipelineDegree == 1 ? parameters.embedding : 0,
      memory: memory, group: group, framework: framework)

    // Each rank of a tensor group holds all of a stage's output, or its part along the sequence; either way it sends
    // only its part, and without sequence parallelism the receivers gather the rest among themselves
    // (Narayanan et al. 2021, section 4.1).
    let activationBytes = strategy.microBatch * job.sequenceLength * job.model.hiddenSize * job.precision.byteCount
    boundaryByteCount = activationBytes / strategy.tensorDegree
    boundaryGatherSeconds =
      strategy.usesSequenceParallelism || strategy.pipelineDegree == 1
      ? 0 : layout.tensorGroup.allGatherSeconds(byteCount: Double(activationBytes))

    if job.model.hasTiedEmbeddings, strategy.pipelineDegree > 1 {
      let rows = job.model.paddedVocabularySize(
        multiple: framework.vocabularyMultiple, tensorDegree: strategy.tensorDegree)
      let bytes = rows / strategy.tensorDegree * job.model.hiddenSize * job.gradientByteCount
      embeddingSumSeconds = layout.embeddingGroup.allReduceSeconds(byteCount: Double(bytes))
    } else {
      embeddingSumSeconds = 0
    }
  }

  /// The launch floor of a layer, with what pipelines and tensor groups across nodes add to it.
  static func layerFloorSeconds(
    strategy: Strategy, recompute: Strategy.Recompute, framework: DeviceProfile.Framework, devicesPerNode: Int
  ) -> Double {
    // Full recomputation launches the forward kernels, about a third of all, again.
    var floor = framework.layerFloorSeconds * (recompute == .full ? 4 / 3 : 1)
    floor += framework.tensorFloorSecondsPerRank * Double(strategy.tensorDegree - 1)
    if strategy.tensorDegree > 1, strategy.pipelineDegree > 1, strategy.worldSize > devicesPerNode {
      floor += framework.pipelineFloorSecondsPerTensorRank * Double(strategy.tensorDegree)
    }
    if strategy.tensorDegree > devicesPerNode {
      floor += framework.tensorFloorSecondsPerNode * Double(strategy.tensorDegree) / Double(devicesPerNode)
    }
    return floor
  }

  /// Adds to a part's passes what ZeRO 2 and 3 communicate in every micro-batch: weights gathered before forward and
  /// backward, gradients reduced during backward, hidden under computation as far as the framework does:
  /// `max(computation, communication) + (1 − o) · min(computation, communication)`.
  ///
  /// - Parameter borrowedCount: parameters of another part that the passes need as well.
  private static func withDataTraffic(
    _ passes: MicroBatchCost.Passes, parameterCount: Int, borrowedCount: Int = 0, memory: MemoryModel,
    group: CommunicationGroup, framework: DeviceProfile.Framework
  ) -> PassSeconds {
    let stage = memory.strategy.zeroStage
    guard stage >= .gradients, group.rankCount > 1 else {
      return PassSeconds(forward: passes.forwardSeconds, backward: passes.backwardSeconds)
    }
    let bytes = Double(parameterCount * memory.weightByteCount)
    let gather =
      stage >= .weights
      ? group.allGatherSeconds(byteCount: Double((parameterCount + borrowedCount) * memory.weightByteCount)) : 0
    let scatter = group.reduceScatterSeconds(byteCount: bytes)
    let overlap = stage >= .weights ? framework.gatherOverlapFraction : framework.shardedGradientOverlapFraction
    func phase(_ computation: Double, _ communication: Double) -> Double {
      max(computation, communication) + (1 - overlap) * min(computation, communication)
    }
    return PassSeconds(
      forward: phase(passes.forwardSeconds, gather), backward: phase(passes.backwardSeconds, gather + scatter))
  }

  /// Seconds of one micro-batch through `layerCount` layers of a stage, with embedding or head where they belong.
  ///
  /// - Parameters:
  ///   - recomputedCount: how many of them are recomputed, see ``StageChoice``; nil is all where the strategy recomputes.
  ///   - isFirst: whether these layers follow the embedding.
  ///   - isLast: whether these layers are followed by the head.
  ///
  /// The host runs ahead while the device works on the head, so launches bound the stage, not each layer.
  @inline(__always)
  public func passSeconds(
    layerCount: Int, recomputedCount: Int? = nil, isFirst: Bool, isLast: Bool
  ) -> PassSeconds {
    // n layers as the strategy says, k that keep what the others recompute.
    let n = Double(recomputedCount ?? layerCount), k = Double(layerCount - (recomputedCount ?? layerCount))
    var seconds = PassSeconds(
      forward: n * launchedLayer.forward + k * launchedKeptLayer.forward,
      backward: n * launchedLayer.backward + k * launchedKeptLayer.backward)
    if isLast {
      seconds = PassSeconds(
        forward: n * layer.forward + k * keptLayer.forward + head.forward,
        backward: n * layer.backward + k * keptLayer.backward + head.backward)
      seconds.slow(
        by: framework.slowdown(device: seconds.sum, host: n * layerFloorSeconds + k * keptLayerFloorSeconds))
    }
    if isFirst {
      seconds.forward += embedding.forward
      seconds.backward += embedding.backward
    }
    return seconds
  }

  /// What a micro-batch takes on all stages together at least, whatever the split into `stageCount` stages: the head may
  /// run while the device would wait for launches anyway.
  public func leastWorkSeconds(stageCount: Int) -> Double {
    let most = Double(layerCount - stageCount + 1)
    let waiting = most * (launchedLayer.sum - layer.sum)
    return embedding.sum + Double(layerCount) * launchedLayer.sum + max(0, head.sum - waiting)
  }

  /// Seconds of a transfer from a stage to the next, activations forward or gradients backward.
  public func transferSeconds(afterStage stage: Int) -> Double {
    layout.boundary(afterStage: stage).seconds(byteCount: Double(boundaryByteCount)) + boundaryGatherSeconds
  }

  /// Seconds of a transfer from the last stage to the first, between chunks.
  public var wrapTransferSeconds: Double {
    layout.wrap.seconds(byteCount: Double(boundaryByteCount)) + boundaryGatherSeconds
  }

  /// What a stage does after its last backward pass.
  public struct Tail: Sendable, Equatable {
    /// Reduction of gradients and gather of updated weights, as far as nothing hides them.
    public let dataSeconds: Double
    /// The optimizer step.
    public let optimizerSeconds: Double

    /// All of it.
    public var seconds: Double { dataSeconds + optimizerSeconds }
  }

  /// The tail of a stage that holds `layerCount` layers in all its chunks.
  ///
  /// - Parameter choice: what the stage trades for memory; nil is what the strategy says of all.
  public func tail(stage: Int, layerCount: Int, choice: StageChoice? = nil) -> Tail {
    let traffic = traffic(stage: stage, layerCount: layerCount)
    var reduce = traffic.reduceSeconds, gather = traffic.gatherSeconds
    if strategy.overlapsGradientReduce, reduce + gather > 0 {
      // Reductions of early buckets run under the rest of the last micro-batch's backward, gathers under the first
      // forward of the next iteration.
      let passes = passSeconds(
        layerCount: layerCount, recomputedCount: recomputedCount(choice), isFirst: stage == 0,
        isLast: stage == strategy.pipelineDegree - 1)
      reduce -= reductionOverlapFraction * min(reduce, passes.backward)
      gather -= framework.gatherOverlapFraction * min(gather, passes.forward)
    }
    var optimizer = optimizerSeconds(stage: stage, layerCount: layerCount)
    if choice?.offloadsOptimizer == true, let host {
      // States come for the step and go after it; nothing is taken to hide that.
      optimizer += 2 * Double(memory.optimizerBytes(stage: stage, layerCount: layerCount)) / host.bytesPerSecond
    }
    return Tail(dataSeconds: reduce + gather, optimizerSeconds: optimizer)
  }

  /// Recomputed layers of all chunks of a stage; nil where nothing is chosen, or nothing is recomputed in full.
  public func recomputedCount(_ choice: StageChoice?) -> Int? {
    strategy.recompute == .full ? choice.map { $0.recomputedLayerCount * strategy.virtualStageCount } : nil
  }

  /// Adam on a stage's parameters: it reads and writes its states, reads the gradient and writes the weight.
  private func optimizerSeconds(stage: Int, layerCount: Int) -> Double {
    let shards = strategy.zeroStage >= .optimizer ? strategy.dataDegree : 1
    let bytesEach = 2 * memory.optimizerByteCount + memory.gradientByteCount + memory.weightByteCount
    let parameters = memory.parameterCount(stage: stage, layerCount: layerCount)
    return Double(parameters) / Double(shards) * Double(bytesEach) * secondsPerMemoryByte
  }

  /// Share of the gradient reduction that the framework hides.
  private var reductionOverlapFraction: Double {
    strategy.zeroStage >= .optimizer
      ? framework.shardedGradientOverlapFraction : framework.gradientOverlapFraction
  }

  /// What a stage's data-parallel group communicates once an iteration, nothing hidden.
  private func traffic(stage: Int, layerCount: Int) -> (reduceSeconds: Double, gatherSeconds: Double) {
    let group = layout.dataGroup(ofStage: stage)
    guard group.rankCount > 1 else { return (0, 0) }
    let parameters = memory.parameterCount(stage: stage, layerCount: layerCount)
    let gradientBytes = Double(parameters * memory.gradientByteCount)
    let weightBytes = Double(parameters * memory.weightByteCount)
    // Every further bucket pays latency and launch again.
    func buckets(_ bytes: Double, passes: Double = 1) -> Double {
      max(0, bytes / framework.bucketBytes - 1)
        * (group.collectiveSeconds + passes * Double(group.rankCount - 1) * group.latencySeconds)
    }
    // Between nodes reductions reach less of the network than a large transfer does.
    let reach =
      layout.layout.tensorDegree * group.rankCount > layout.devicesPerNode ? framework.reductionRateFraction : 1
    let reduced = gradientBytes / reach, gathered = weightBytes / reach
    return switch strategy.zeroStage {
    case .none: (group.allReduceSeconds(byteCount: reduced) + buckets(gradientBytes, passes: 2), 0)
    case .optimizer:
      (
        group.reduceScatterSeconds(byteCount: reduced) + buckets(gradientBytes),
        group.allGatherSeconds(byteCount: gathered) + buckets(weightBytes)
      )
    case .gradients: (0, group.allGatherSeconds(byteCount: gathered) + buckets(weightBytes))
    case .weights: (0, 0)
    }
  }

  /// The part of a stage's tail that no overlap can hide, tied embeddings included: grows with the layers, and is never
  /// more than the tail.
  func unhidableTailSeconds(stage: Int, layerCount: Int) -> Double {
    let traffic = traffic(stage: stage, layerCount: layerCount)
    let hides = strategy.overlapsGradientReduce
    return traffic.reduceSeconds * (hides ? 1 - reductionOverlapFraction : 1)
      + traffic.gatherSeconds * (hides ? 1 - framework.gatherOverlapFraction : 1)
      + optimizerSeconds(stage: stage, layerCount: layerCount) + (stage == 0 ? embeddingSumSeconds : 0)
  }

  /// What follows the last backward pass of a stage at least, tied embeddings included, seconds.
  public func tailSeconds(stage: Int, layerCount: Int, choice: StageChoice? = nil) -> Double {
    let isEnd = stage == 0 || stage == strategy.pipelineDegree - 1
    return tail(stage: stage, layerCount: layerCount, choice: choice).seconds + (isEnd ? embeddingSumSeconds : 0)
  }
}

extension LayoutCost {
  /// The slowest of the stages' data-parallel groups.
  var slowestDataGroup: CommunicationGroup {
    var result = dataGroups[0]
    for group in dataGroups.dropFirst() { result = result.slower(group) }
    return result
  }
}
