import Documents

/// One model of device of a cluster, as the job's precision and its framework use it.
struct DeviceModel: Sendable {
  let profile: DeviceProfile
  /// What the framework multiplies in on this device.
  let productPrecision: Precision
  /// The framework's coefficients on this device.
  let framework: DeviceProfile.Framework
  var speed: DeviceSpeed
  /// The links, with what this device reaches of their rates.
  var fabric: Fabric
  /// The links as measured, and what rings of a given number of nodes reach on them at best; nil unless bounds are asked
  /// for.
  var bestRings: (fabric: Fabric, rates: [Double])?

  /// - Parameter frameworkName: one of the profile's frameworks; nil takes the first.
  /// - Throws: `CostModel.Refusal` when the device cannot compute in the precision or the framework is not known.
  init(
    _ profile: DeviceProfile, of cluster: ClusterDescription, precision: Precision, frameworkName: String?
  ) throws(CostModel.Refusal) {
    guard profile.peakFLOPPerSecond(precision) > 0 else {
      throw .noPrecision(device: profile.name, precision: precision)
    }
    if let frameworkName {
      guard let framework = profile.framework(named: frameworkName) else {
        throw .noFramework(device: profile.name, framework: frameworkName, known: profile.frameworks.map(\.name))
      }
      self.framework = framework
    } else {
      framework = profile.frameworks[0]
    }
    self.profile = profile
    fabric = Fabric(cluster, device: profile)
    productPrecision = profile.productPrecision(of: precision, framework: framework)
    speed = DeviceSpeed(
      profile, precision: productPrecision, gemmFactor: framework.gemmFactor, attentionFactor: framework.attentionFactor
    )
  }

  /// What bounds a mesh's links in every order of the nodes, where that was asked for; otherwise its links as they are.
  ///
  /// - Parameter nodesPerStage: more than one where stages fill whole nodes, so that data-parallel groups are rings of
  ///   whole nodes.
  func links(of mesh: Mesh, nodesPerStage: Int) -> LayoutLinks {
    guard let bestRings, nodesPerStage > 1 else { return LayoutLinks(mesh, on: fabric) }
    let rate = min(bestRings.rates[nodesPerStage], bestRings.fabric.bestMeasuredBytesPerSecond)
    return LayoutLinks(mesh, on: fabric, rings: bestRings.fabric.assumingLinks(bytesPerSecond: rate))
  }

  /// What a strategy's stages hold on this device.
  ///
  /// - Parameters:
  ///   - kept: of its micro-batches.
  ///   - microBatch: what one costs; asked for where the framework's memory depends on who sets the pace of a layer.
  func memoryModel(
    of strategy: Strategy, job: TrainingJob, links: LayoutLinks, kept: KeptActivations, microBatch: () -> MicroBatchCost
  ) -> MemoryModel {
    MemoryModel(
      job: job, device: profile, framework: framework, strategy: strategy,
      deviceBoundShare: framework.memory.pendingActivationFactor == 0
        ? 1 : deviceBoundShare(of: strategy, job: job, links: links, microBatch: microBatch()),
      isFragile: framework.hasFragileReplicatedPipelines && strategy.zeroStage == .none
        && strategy.pipelineDegree > 1 && strategy.replicaCount > 1
        && strategy.mesh.blockSize(below: .worker) > links.devicesPerNode,
      buffers: links.shardGroups(strategy.sharding).buffers, kept: kept)
  }

  /// How far the device and not its host sets the pace of a layer, 0…1.
  private func deviceBoundShare(
    of strategy: Strategy, job: TrainingJob, links: LayoutLinks, microBatch: MicroBatchCost
  ) -> Double {
    let kind: LayerCounts.Kind = job.model.experts == nil ? .dense : .experts
    let floor = StageCost.launchFloorSeconds(
      strategy: strategy, job: job, againShare: microBatch.launchedAgainShare[kind], kind: kind, framework: framework,
      devicesPerNode: links.devicesPerNode)
    let passes = microBatch.layers[kind]
    return framework.deviceBoundShare(device: passes.forwardSeconds + passes.backwardSeconds, host: floor)
  }

  /// A stage of a strategy on this device, from parts that were computed before.
  func stageCost(
    of memory: MemoryModel, job: TrainingJob, links: LayoutLinks, microBatch: MicroBatchCost,
    host: ClusterDescription.Host?
  ) -> StageCost {
    let strategy = memory.strategy
    return StageCost(
      job: job, microBatch: microBatch, links: links, memory: memory, groups: links.shardGroups(strategy.sharding),
      expertGroups: job.model.experts == nil ? nil : links.expertShardGroups(of: strategy), speed: speed,
      perturbation: strategy.update.hasGradients
        ? nil : PerturbationSpeed(profile, speed, weightByteCount: job.precision.byteCount),
      framework: framework, host: host.map { HostSpeed($0, devicesPerNode: links.devicesPerNode) })
  }
}
