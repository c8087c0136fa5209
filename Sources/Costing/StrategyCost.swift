public import Documents

/// The cost of one strategy as a function of how its layers are split among stages.
///
/// Complete when it exists: everything that does not depend on the split is computed once, everything that does is a
/// function of (stage, layers of the stage). ``iterationSeconds(of:scratch:)`` runs the pipeline schedule over it; the
/// search minimises over splits.
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
  /// The subgroups that the strategy's sharding communicates in.
  let groups: ShardGroups
  /// One layer, with what the data-parallel group's per-micro-batch traffic adds; the mean of an iteration's
  /// micro-batches, as all passes here.
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
  /// The parts of the last stage in the first micro-batch and in later ones, where they differ.
  private let unevenMicroBatches: (first: StageParts, later: StageParts)?
  /// Bytes of activations that one rank sends across a stage boundary, one direction.
  public let boundaryByteCount: Int
  /// Completing the activations on all ranks of a tensor group after a transfer that was split among them.
  let boundaryGatherSeconds: Double
  let framework: DeviceProfile.Framework
  let secondsPerMemoryByte: Double
  /// The nodes' memory and its link to a device; nil if the cluster does not say.
  let host: ClusterDescription.Host?
  private let ownEmbeddingSumSeconds: Double

  /// Layers of the model.
  public let layerCount: Int
  /// On a mixed cluster, what stages cost on the devices that they lie on; nil where all devices are alike.
  private(set) var devices: DeviceKinds?

  /// The same where stages lie on different devices.
  func mixed(_ devices: DeviceKinds) -> StrategyCost {
    var copy = self
    copy.devices = devices
    return copy
  }

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
    let groups = layout.shardGroups(strategy.sharding)
    self.groups = groups
    let m = microBatchCount
    func part(_ passes: MicroBatchCost.Passes, _ parameterCount: Int, borrowedCount: Int = 0) -> MicroBatches {
      Self.withShardTraffic(
        passes, parameterCount: parameterCount, borrowedCount: borrowedCount, memory: memory, groups: groups,
        framework: framework, secondsPerMemoryByte: device.secondsPerMemoryByte)
    }
    func launched(_ layer: MicroBatches, floor: Double) -> PassSeconds {
      layer.map { passes in
        var slowed = passes
        slowed.slow(by: framework.slowdown(device: passes.sum, host: floor))
        return slowed
      }.mean(of: m)
    }
    let parameters = memory.parameters
    let layers = part(microBatch.layer, parameters.layer)
    layer = layers.mean(of: m)
    launchedLayer = launched(layers, floor: layerFloorSeconds)
    let keptLayers: MicroBatches
    if strategy.recompute == .full {
      keptLayerFloorSeconds = Self.layerFloorSeconds(
        strategy: strategy, recompute: .none, framework: framework, devicesPerNode: layout.devicesPerNode)
      keptLayers = part(microBatch.keptLayer, parameters.layer)
      keptLayer = keptLayers.mean(of: m)
      launchedKeptLayer = launched(keptLayers, floor: keptLayerFloorSeconds)
    } else {
      keptLayers = layers
      (keptLayer, keptLayerFloorSeconds, launchedKeptLayer) = (layer, layerFloorSeconds, launchedLayer)
    }
    embedding = part(microBatch.embedding, parameters.embedding).mean(of: m)
    // A tied head on the embedding's own stage gathers the embedding once more; its gradient waits for the embedding's.
    let heads = part(
      microBatch.head, parameters.head,
      borrowedCount: job.model.hasTiedEmbeddings && strategy.pipelineDegree == 1 ? parameters.embedding : 0)
    head = heads.mean(of: m)
    unevenMicroBatches =
      strategy.sharding.secondaryDegree == nil
      ? nil
      : (
        first: StageParts(layer: layers.first, keptLayer: keptLayers.first, head: heads.first),
        later: StageParts(layer: layers.later, keptLayer: keptLayers.later, head: heads.later)
      )

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
      ownEmbeddingSumSeconds = layout.embeddingGroup.allReduceSeconds(byteCount: Double(bytes))
    } else {
      ownEmbeddingSumSeconds = 0
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

  /// What the passes of the last stage are made of.
  private struct StageParts: Sendable {
    let layer: PassSeconds
    let keptLayer: PassSeconds
    let head: PassSeconds
  }

  /// Seconds of one micro-batch through `layerCount` layers of a stage, with embedding or head where they belong, the mean
  /// of an iteration's micro-batches.
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
      func launched(_ parts: StageParts) -> PassSeconds {
        var seconds = PassSeconds(
          forward: n * parts.layer.forward + k * parts.keptLayer.forward + parts.head.forward,
          backward: n * parts.layer.backward + k * parts.keptLayer.backward + parts.head.backward)
        seconds.slow(
          by: framework.slowdown(device: seconds.sum, host: n * layerFloorSeconds + k * keptLayerFloorSeconds))
        return seconds
      }
      if let unevenMicroBatches {
        seconds = MicroBatches(first: launched(unevenMicroBatches.first), later: launched(unevenMicroBatches.later))
          .mean(of: microBatchCount)
      } else {
        seconds = launched(StageParts(layer: layer, keptLayer: keptLayer, head: head))
      }
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

  /// Summing the gradients of tied embeddings between first and last stage.
  var embeddingSumSeconds: Double {
    devices == nil
      ? ownEmbeddingSumSeconds
      : max(
        pace(ofStage: 0).ownEmbeddingSumSeconds, pace(ofStage: strategy.pipelineDegree - 1).ownEmbeddingSumSeconds)
  }

  /// Seconds of a transfer from a stage to the next, activations forward or gradients backward.
  public func transferSeconds(afterStage stage: Int) -> Double {
    if devices != nil {
      // The slower end, by what its kind of device reaches of the links.
      return max(
        pace(ofStage: stage).transferSeconds(afterStage: stage),
        pace(ofStage: stage + 1).transferSeconds(afterStage: stage))
    }
    return layout.boundary(afterStage: stage).seconds(byteCount: Double(boundaryByteCount)) + boundaryGatherSeconds
  }

  /// Seconds of a transfer from the last stage to the first, between chunks.
  public var wrapTransferSeconds: Double {
    if devices != nil {
      return max(
        pace(ofStage: 0).wrapTransferSeconds, pace(ofStage: strategy.pipelineDegree - 1).wrapTransferSeconds)
    }
    return layout.wrap.seconds(byteCount: Double(boundaryByteCount)) + boundaryGatherSeconds
  }
}
