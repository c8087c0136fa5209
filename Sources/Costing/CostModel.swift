public import Documents

/// Seconds and bytes of any strategy for one job on one cluster under one framework. Pure: same question, same answer.
public struct CostModel: Sendable {
  /// Where it is trained.
  public let cluster: ClusterDescription
  /// What is trained.
  public let job: TrainingJob
  /// The framework whose coefficients are used.
  public let framework: DeviceProfile.Framework
  /// The nodes that are used, by their index in the cluster: node k of a layout is `nodeOrder[k]`.
  public private(set) var nodeOrder: [Int]
  var fabric: Fabric
  /// The links as measured, and what rings of so many nodes reach on them at best; nil unless bounds are asked for.
  private var bestRings: (fabric: Fabric, rates: [Double])?
  var device: DeviceSpeed
  /// How many times as fast as described the hosts' links are, see ``scaling(_:by:)``.
  var hostFactor = 1.0
  /// Of a mixed cluster, the same job as if all nodes had the devices of one kind, by kind; otherwise empty.
  private(set) var kinds: [CostModel] = []

  /// All nodes in the cluster's order.
  ///
  /// - Parameter frameworkName: one of the device profile's frameworks; nil takes the first.
  /// - Throws: `Refusal` when the device cannot compute in the job's precision or the framework is not known.
  public init(cluster: ClusterDescription, job: TrainingJob, frameworkName: String? = nil) throws(Refusal) {
    guard cluster.device.peakFLOPPerSecond(job.precision) > 0 else {
      throw .noPrecision(device: cluster.device.name, precision: job.precision)
    }
    if let frameworkName {
      guard let framework = cluster.device.framework(named: frameworkName) else {
        throw .noFramework(
          device: cluster.device.name, framework: frameworkName, known: cluster.device.frameworks.map(\.name))
      }
      self.framework = framework
    } else {
      framework = cluster.device.frameworks[0]
    }
    self.cluster = cluster
    self.job = job
    nodeOrder = Array(0..<cluster.nodeCount)
    fabric = Fabric(cluster)
    device = DeviceSpeed(
      cluster.device, precision: job.precision, gemmFactor: framework.gemmFactor,
      attentionFactor: framework.attentionFactor)
    if cluster.isMixed {
      var kinds: [CostModel] = []
      for index in cluster.devices.indices {
        kinds.append(
          try CostModel(cluster: cluster.assuming(deviceIndex: index), job: job, frameworkName: framework.name))
      }
      self.kinds = kinds
    }
  }

  /// Changes this model, and of a mixed cluster that of each kind of device.
  func changing(_ change: (inout Self) -> Void) -> Self {
    var copy = self
    change(&copy)
    copy.kinds = kinds.map { $0.changing(change) }
    return copy
  }

  /// The same job on the same cluster, with other nodes in the layout's places, or on some of them only.
  ///
  /// - Parameter nodeOrder: indices into the cluster's nodes, each once.
  public func arranged(_ nodeOrder: [Int]) -> Self {
    changing {
      $0.nodeOrder = nodeOrder
      $0.fabric = $0.fabric.arranged(nodeOrder)
    }
  }

  /// The same, but every pair of nodes as fast as the fastest that was measured, and rings of whole nodes as fast as any
  /// ring of their length can be: what it says of a strategy's time is a lower bound for every order of the nodes.
  public func assumingBestLinks() -> Self {
    changing {
      let measured = $0.fabric
      $0.fabric = measured.assumingBestLinks()
      $0.bestRings = measured.ringRates.map { (measured, $0) }
    }
  }

  /// The same with the links of one snapshot instead of the median of all.
  public func observing(snapshot index: Int) -> Self {
    changing { $0.fabric = Fabric($0.cluster, snapshotIndex: index).arranged($0.nodeOrder) }
  }

  /// Devices that are used.
  public var deviceCount: Int { nodeOrder.count * cluster.devicesPerNode }

  /// Why a cluster and a job cannot be priced together.
  public enum Refusal: Error, Sendable, Equatable, CustomStringConvertible {
    case noPrecision(device: String, precision: Precision)
    case noFramework(device: String, framework: String, known: [String])

    public var description: String {
      switch self {
      case .noPrecision(let device, let precision): "device \(device) does not compute in \(precision.rawValue)"
      case .noFramework(let device, let framework, let known):
        "device \(device) has no coefficients for the framework \"\(framework)\" (known: \(known.joined(separator: ", ")))"
      }
    }
  }

  /// Whether attention can be fused on this device in the job's precision.
  public var hasFlashAttention: Bool { cluster.devices.allSatisfy { $0.hasFlashAttention(in: job.precision) } }

  /// The first rule that a strategy breaks; nil if it can be priced.
  public func violation(of strategy: Strategy) -> StrategyViolation? {
    strategy.violation(
      job: job, deviceCount: deviceCount, hasFlashAttention: hasFlashAttention,
      allowsEmptyStages: framework.layerSplit == .cumulativeCost)
  }

  /// The groups and boundaries of a mesh; shared by the strategies that have it.
  public func layoutCost(_ mesh: Mesh) -> LayoutCost {
    if !kinds.isEmpty {
      let each = kinds.map { $0.layoutCost(mesh) }
      var first = each[0]
      first.kinds = each
      return first
    }
    let nodesPerStage = mesh.blockSize(below: .pipeline) / cluster.devicesPerNode
    guard let bestRings, nodesPerStage > 1, placesWholeNodes(mesh) else { return LayoutCost(mesh, on: fabric) }
    let rate = min(bestRings.rates[nodesPerStage], bestRings.fabric.bestMeasuredBytesPerSecond)
    return LayoutCost(mesh, on: fabric, rings: bestRings.fabric.assumingLinks(bytesPerSecond: rate))
  }

  /// The passes of a micro-batch; shared by the strategies that agree in what it depends on.
  public func microBatchCost(
    layout: LayoutCost, microBatch: Int, recompute: Strategy.Recompute, sequenceParallel: Bool, flashAttention: Bool
  ) -> MicroBatchCost {
    if !kinds.isEmpty {
      let each = zip(kinds, layout.kinds).map { kind, layout in
        kind.microBatchCost(
          layout: layout, microBatch: microBatch, recompute: recompute, sequenceParallel: sequenceParallel,
          flashAttention: flashAttention)
      }
      var first = each[0]
      first.kinds = each
      return first
    }
    return MicroBatchCost(
      job: job, device: device, framework: framework, tensorGroup: layout.tensorGroup,
      tensorDegree: layout.mesh.degree(of: .tensor), microBatch: microBatch, recompute: recompute,
      sequenceParallel: sequenceParallel, flashAttention: flashAttention)
  }

  /// The cost of a strategy from parts that were computed before.
  /// - Precondition: the strategy breaks no rule, and the parts are its own.
  public func cost(of strategy: Strategy, layout: LayoutCost, microBatch: MicroBatchCost) -> StrategyCost {
    if !kinds.isEmpty {
      let each = kinds.indices.map {
        kinds[$0].cost(of: strategy, layout: layout.kinds[$0], microBatch: microBatch.kinds[$0])
      }
      return each[0].mixed(
        DeviceKinds(
          each,
          kindsOfStage: (0..<strategy.pipelineDegree).map {
            cluster.deviceKinds(ofStage: $0, of: layout.mesh, nodeOrder: nodeOrder)
          }))
    }
    let host = StrategyCost.layerFloorSeconds(
      strategy: strategy, recompute: strategy.recompute, framework: framework, devicesPerNode: layout.devicesPerNode)
    return StrategyCost(
      strategy: strategy, job: job, microBatch: microBatch, layout: layout,
      memory: MemoryModel(
        job: job, device: cluster.device, framework: framework, strategy: strategy,
        deviceBoundShare: framework.deviceBoundShare(
          device: microBatch.layer.forwardSeconds + microBatch.layer.backwardSeconds, host: host),
        isFragile: framework.hasFragileReplicatedPipelines && strategy.zeroStage == .none
          && strategy.pipelineDegree > 1 && strategy.dataDegree > 1 && strategy.worldSize > layout.devicesPerNode,
        packing: layout.shardGroups(strategy.sharding).packing),
      device: device, framework: framework, host: self.host)
  }

  /// The cost of one strategy.
  /// - Precondition: the strategy breaks no rule, see ``violation(of:)``.
  public func cost(of strategy: Strategy) -> StrategyCost {
    cost(of: strategy, layout: layoutCost(strategy.mesh))
  }

  /// The cost of one strategy, from its layout's groups.
  /// - Precondition: as for ``cost(of:)``, and the layout is the strategy's own.
  public func cost(of strategy: Strategy, layout: LayoutCost) -> StrategyCost {
    cost(
      of: strategy, layout: layout,
      microBatch: microBatchCost(
        layout: layout, microBatch: strategy.microBatch, recompute: strategy.recompute,
        sequenceParallel: strategy.usesSequenceParallelism, flashAttention: strategy.usesFlashAttention))
  }

  /// Of a device of the nodes that are used.
  private var meanPeakFLOPPerSecond: Double {
    guard cluster.isMixed else { return cluster.device.peakFLOPPerSecond(job.precision) }
    let peaks = cluster.devices.map { $0.peakFLOPPerSecond(job.precision) }
    return nodeOrder.reduce(0) { $0 + peaks[cluster.deviceOfNode[$1]] } / Double(nodeOrder.count)
  }

  /// The prediction for a strategy whose layers are split as given.
  public func prediction(of cost: StrategyCost, split: Split) -> Prediction {
    var scratch = EvaluationScratch()
    let seconds = cost.iterationSeconds(of: split, scratch: &scratch)
    let memory = cost.stageMemory(of: split)
    let tokens = Double(job.globalBatch) * Double(job.sequenceLength)
    let devices = Double(deviceCount)
    let peak = meanPeakFLOPPerSecond
    let flop = job.model.modelFLOP(sequenceLength: job.sequenceLength, sequenceCount: job.globalBatch)
    return Prediction(
      iterationSeconds: seconds,
      timeSplit: cost.timeSplit(of: split, scratch: &scratch),
      stageMemory: memory,
      // One stage without a layer still computes the loss; with more, frameworks that make them do not start.
      verdict: split.stages.dropFirst().dropLast().count(where: { $0.layerCount == 0 }) > 1
        || !cost.hostHolds(memory)
        ? .unfit : cost.verdict(of: memory),
      tokensPerSecondPerDevice: tokens / seconds / devices,
      modelFLOPUtilization: flop / (seconds * devices * peak))
  }
}
