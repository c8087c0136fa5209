import Documents
import Training

/// What a pipeline stage of one strategy costs on one model of device, as a function of its place in the pipeline and of
/// what it holds.
///
/// Complete when it exists: everything that does not depend on the split of layers is computed once, and the rest is a
/// function of a stage's index and its ``Documents/Split/Stage``. ``IterationCost`` has one for every model of device in
/// the cluster.
///
/// A reference, since an evaluation asks it once for every virtual stage: as a value of a thousand bytes it would be
/// copied each time.
package final class StageCost: Sendable {
  /// Bytes of the stage.
  package let memory: MemoryModel
  /// Seconds of a micro-batch without what replicas add.
  let microBatch: MicroBatchCost
  let links: LayoutLinks
  /// The subgroups that the strategy's sharding communicates in.
  let groups: ShardGroups
  /// Those that routed experts' states are divided and exchanged in; nil in a model without.
  let expertGroups: ShardGroups?
  let framework: DeviceProfile.Framework
  let secondsPerMemoryByte: Double
  /// Nil where the optimizer orthogonalises nothing.
  let orthogonalisation: Orthogonalisation?
  /// The node's host side, for one of its devices; nil if the cluster does not say.
  let host: HostSpeed?
  /// Layers as the strategy says.
  let layers: ByKind<LayerSeconds>
  /// Layers that are not recomputed where others are, in full; the same as ``layers`` where none is.
  let keptLayers: ByKind<LayerSeconds>
  /// Added by the embedding on the first stage.
  let embedding: PassSeconds
  /// Added by the head and the loss on the last stage.
  let head: PassSeconds
  /// The parts of the last stage in the first micro-batch and in later ones, where they differ.
  private let unevenMicroBatches: (first: LastStageParts, later: LastStageParts)?
  /// Completing the activations on all ranks of a tensor group after a transfer that was split among them.
  package let boundaryGatherSeconds: Double
  /// Summing the gradients of a token table that first and last stage hold; 0 where it is there once.
  let embeddingSumSeconds: Double
  /// Zeroth-order training; nil where weights move by gradients.
  package let visits: StageVisits?

  /// The strategy that is priced.
  var strategy: Strategy { memory.strategy }
  /// Micro-batches of each pipeline in an iteration.
  var microBatchCount: Int { memory.microBatchCount }

  init(
    job: TrainingJob, microBatch whole: MicroBatchCost, links: LayoutLinks, memory: MemoryModel, groups: ShardGroups,
    expertGroups: ShardGroups?, speed: DeviceSpeed, perturbation: PerturbationSpeed?,
    framework: DeviceProfile.Framework, host: HostSpeed?
  ) {
    let strategy = memory.strategy
    let microBatch =
      strategy.overlapsExperts ? whole.combined(unpairedShare: memory.unpairedShare) : whole
    self.memory = memory
    self.microBatch = microBatch
    self.links = links
    self.groups = groups
    self.expertGroups = expertGroups
    self.framework = framework
    self.host = host
    secondsPerMemoryByte = speed.secondsPerMemoryByte
    orthogonalisation = Orthogonalisation(job: job, strategy: strategy, speed: speed)

    let m = memory.microBatchCount
    func part(
      _ passes: MicroBatchCost.Passes, _ parameterCount: Int, routedCount: Int = 0,
      products: (shared: Int, routed: Int) = (0, 0), borrowedCount: Int = 0, activationBytes: Int = 0
    ) -> MicroBatches {
      let shared = Self.withShardTraffic(
        passes, parameterCount: parameterCount, routedCount: routedCount, products: products,
        borrowedCount: borrowedCount, memory: memory, groups: groups, expertGroups: expertGroups, framework: framework,
        secondsPerMemoryByte: speed.secondsPerMemoryByte)
      guard let host, strategy.hosting != .none else { return shared }
      let bytes = HostPassBytes(
        parameterCount: parameterCount + borrowedCount, activationBytes: activationBytes, memory: memory)
      return shared.map { host.withTraffic($0, bytes) }
    }
    func seconds(_ layers: MicroBatches, floor: Double) -> LayerSeconds {
      let launched = layers.map { passes in
        var slowed = passes
        slowed.slow(by: framework.slowdown(device: passes.sum, host: floor))
        return slowed
      }
      return LayerSeconds(device: layers.mean(of: m), launchFloorSeconds: floor, launched: launched.mean(of: m))
    }
    let parameters = memory.parameters, products = memory.products
    /// Layers of every kind, before launches.
    func every(_ passes: ByKind<MicroBatchCost.Passes>, _ activationBytes: ByKind<Int>) -> ByKind<MicroBatches> {
      let dense = part(
        passes.dense, parameters.layers.dense, products: (products.layers.dense, 0),
        activationBytes: activationBytes.dense)
      guard memory.hasRoutedExperts else { return ByKind(dense) }
      return ByKind(
        dense: dense,
        experts: part(
          passes.experts, parameters.layers.experts, routedCount: parameters.routed,
          products: (products.layers.experts, products.routed), activationBytes: activationBytes.experts))
    }
    func launched(_ layers: ByKind<MicroBatches>, again share: ByKind<Double>) -> ByKind<LayerSeconds> {
      func floor(_ kind: LayerCounts.Kind) -> Double {
        Self.launchFloorSeconds(
          strategy: strategy, job: job, againShare: share[kind], kind: kind, framework: framework,
          devicesPerNode: links.devicesPerNode)
      }
      let dense = seconds(layers.dense, floor: floor(.dense))
      return memory.hasRoutedExperts
        ? ByKind(dense: dense, experts: seconds(layers.experts, floor: floor(.experts))) : ByKind(dense)
    }
    let asSaid = every(microBatch.layers, memory.layerActivationBytes)
    layers = launched(asSaid, again: microBatch.launchedAgainShare)
    let kept: ByKind<MicroBatches>
    if strategy.recompute == .full {
      kept = every(microBatch.keptLayers, memory.keptLayerActivationBytes)
      keptLayers = launched(kept, again: ByKind(0))
    } else {
      kept = asSaid
      keptLayers = layers
    }
    embedding = part(microBatch.embedding, parameters.embedding).mean(of: m)
    // A tied head on the embedding's own stage gathers the embedding once more, and so do further predictions; its gradient waits for the embedding's.
    let heads = part(
      microBatch.head, parameters.head, routedCount: parameters.headRouted,
      products: (
        parameters.predictionDepth * products.prediction, parameters.predictionDepth * products.predictionRouted
      ),
      borrowedCount: strategy.sharesTokenTable(of: job.model) ? parameters.embedding : 0)
    head = heads.mean(of: m)
    unevenMicroBatches =
      memory.sharding.secondaryDegree == nil
      ? nil
      : (
        first: LastStageParts(layers: asSaid.map(\.first), keptLayers: kept.map(\.first), head: heads.first),
        later: LastStageParts(layers: asSaid.map(\.later), keptLayers: kept.map(\.later), head: heads.later)
      )

    boundaryGatherSeconds =
      strategy.usesSequenceParallelism || strategy.pipelineDegree == 1
      ? 0 : links.tensorGroup.allGatherSeconds(byteCount: Double(strategy.boundaryActivationBytes(job: job)))
    let launchFloorSeconds = layers.dense.launchFloorSeconds
    visits = perturbation.map {
      StageVisits(
        job: job, microBatch: microBatch, memory: memory, groups: groups, launchFloorSeconds: launchFloorSeconds,
        speed: $0, framework: framework, host: host)
    }
    if strategy.copiesTokenTable(of: job.model), visits == nil {
      embeddingSumSeconds = links.embeddingGroup.allReduceSeconds(
        byteCount: Double(parameters.outputMatrix * job.gradientByteCount))
    } else {
      embeddingSumSeconds = 0
    }
  }

  /// The launch floor of a layer, with what pipelines and tensor groups across nodes add to it, seconds.
  ///
  /// - Parameter share: of the forward pass' kernels, what is launched again before the backward pass.
  static func launchFloorSeconds(
    strategy: Strategy, job: TrainingJob, againShare share: Double, kind: LayerCounts.Kind,
    framework: DeviceProfile.Framework, devicesPerNode: Int
  ) -> Double {
    var kernels = framework.layerFloorSeconds
    if kind == .experts {
      kernels = framework.expertLayerFloorSeconds
      if job.expertCapacity.factor != nil || strategy.dispatcher == .hybridEP {
        kernels *= DeviceProfile.Framework.expertLaunchesWithoutWaiting
      }
      if strategy.overlapsExperts { kernels *= DeviceProfile.Framework.overlappedExpertLaunches }
    }
    // Forward kernels are about a third of all.
    var floor = kernels * job.graphs.launchedShare * ((3 + share) / 3)
    floor += framework.tensorFloorSecondsPerRank * Double(strategy.tensorDegree - 1)
    if strategy.tensorDegree > 1, strategy.pipelineDegree > 1,
      strategy.mesh.blockSize(below: .worker) > devicesPerNode
    {
      floor += framework.pipelineFloorSecondsPerTensorRank * Double(strategy.tensorDegree)
    }
    if strategy.tensorDegree > devicesPerNode {
      floor += framework.tensorFloorSecondsPerNode * Double(strategy.tensorDegree) / Double(devicesPerNode)
    }
    return floor
  }

  /// The passes of the last stage's layers and head in one micro-batch, before launches.
  private struct LastStageParts: Sendable {
    let layers: ByKind<PassSeconds>
    let keptLayers: ByKind<PassSeconds>
    let head: PassSeconds
  }

  /// Seconds of one micro-batch through some layers of a stage, with embedding or head where they belong, the mean
  /// of an iteration's micro-batches.
  ///
  /// The host runs ahead while the device works on the head, so launches bound the stage, not each layer.
  ///
  /// - Parameters:
  ///   - recomputed: those of them that are recomputed, see ``StageChoice``; nil is all where the strategy recomputes.
  ///   - isFirst: whether these layers follow the embedding.
  ///   - isLast: whether these layers are followed by the head.
  @inline(__always)
  func passSeconds(
    _ layers: LayerCounts, recomputed: LayerCounts? = nil, isFirst: Bool, isLast: Bool
  ) -> PassSeconds {
    // n layers as the strategy says, k that keep what the others recompute.
    let n = recomputed ?? layers, k = layers - n
    let own = self.layers, kept = keptLayers
    var seconds = PassSeconds(
      forward: own.sum(n, \.launched.forward) + kept.sum(k, \.launched.forward),
      backward: own.sum(n, \.launched.backward) + kept.sum(k, \.launched.backward))
    if isLast {
      func launched(_ parts: LastStageParts) -> PassSeconds {
        var seconds = PassSeconds(
          forward: parts.layers.sum(n, \.forward) + parts.keptLayers.sum(k, \.forward) + parts.head.forward,
          backward: parts.layers.sum(n, \.backward) + parts.keptLayers.sum(k, \.backward) + parts.head.backward)
        seconds.slow(
          by: framework.slowdown(
            device: seconds.sum, host: own.sum(n, \.launchFloorSeconds) + kept.sum(k, \.launchFloorSeconds)))
        return seconds
      }
      if let unevenMicroBatches {
        seconds = MicroBatches(first: launched(unevenMicroBatches.first), later: launched(unevenMicroBatches.later))
          .mean(of: microBatchCount)
      } else {
        seconds = launched(
          LastStageParts(layers: own.map(\.device), keptLayers: kept.map(\.device), head: head))
      }
    }
    if isFirst {
      seconds.forward += embedding.forward
      seconds.backward += embedding.backward
    }
    return seconds
  }

  /// Of the backward pass of one micro-batch through so many layers, the gradients of weights: their share of what the device
  /// computes, with its share of waits for launches. An embedding has no other gradients.
  ///
  /// - Parameter passes: ``passSeconds(_:recomputed:isFirst:isLast:)`` of the same.
  func weightGradientSeconds(
    of passes: PassSeconds, _ layers: LayerCounts, recomputed: LayerCounts? = nil, isFirst: Bool, isLast: Bool
  ) -> Double {
    let n = recomputed ?? layers, k = layers - n
    let ofEmbedding = isFirst ? embedding.backward : 0
    let all =
      self.layers.sum(n, \.device.backward) + keptLayers.sum(k, \.device.backward) + (isLast ? head.backward : 0)
    guard all > 0 else { return ofEmbedding }
    let weights =
      microBatch.layers.sum(layers, \.weightGradientSeconds) + (isLast ? microBatch.head.weightGradientSeconds : 0)
    return ofEmbedding + (passes.backward - ofEmbedding) * min(1, weights / all)
  }

  /// Seconds of one micro-batch through all that a stage holds.
  @inline(__always)
  func passSeconds(stage: Int, _ content: Split.Stage) -> PassSeconds {
    if let visits {
      return PassSeconds(
        forward: visits.busy(
          content, isFirst: stage == 0, isLast: stage == strategy.headStage, updates: false
        ).most, backward: 0)
    }
    return passSeconds(
      content.layers, recomputed: recomputed(content), isFirst: stage == 0,
      isLast: stage == strategy.headStage)
  }

  /// Layers that keep all activations, or as the strategy says.
  @inline(__always)
  func layers(keeping: Bool) -> ByKind<LayerSeconds> { keeping ? keptLayers : layers }

  /// Recomputed layers of all chunks of a stage; nil where nothing is chosen, or nothing is recomputed in full.
  @inline(__always)
  func recomputed(_ content: Split.Stage) -> LayerCounts? { strategy.recompute == .full ? content.recomputed : nil }

  /// Seconds of a transfer from a stage to the next, activations forward or gradients backward, as this device sees the
  /// links.
  func transferSeconds(afterStage stage: Int, byteCount: Int) -> Double {
    links.boundary(afterStage: stage).seconds(byteCount: Double(byteCount)) + boundaryGatherSeconds
  }

  /// Seconds of a transfer across the cheapest of the boundaries; 0 without a pipeline.
  func leastTransferSeconds(byteCount: Int) -> Double {
    var least = Double.infinity
    for boundary in links.boundaries { least = min(least, boundary.seconds(byteCount: Double(byteCount))) }
    return least.isFinite ? least + boundaryGatherSeconds : 0
  }

  /// Seconds of a transfer from the last stage to the first, between chunks.
  func wrapTransferSeconds(byteCount: Int) -> Double {
    links.wrap.seconds(byteCount: Double(byteCount)) + boundaryGatherSeconds
  }
}

extension Strategy {
  /// Bytes of a micro-batch's activations between layers, of a rank's part of its sequences whole: a tensor group holds them once or divided. Those of all
  /// losses that a rank evaluates travel together.
  func boundaryActivationBytes(job: TrainingJob) -> Int {
    tokenCount(job) * job.model.hiddenSize * job.precision.byteCount
      * (update == .zerothOrder ? evaluationCount(job) : 1)
  }
}
