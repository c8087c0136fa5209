package import Documents
import Training

/// Seconds and bytes of any strategy for one job on one cluster under one framework. Pure: same question, same answer.
package struct CostModel: Sendable {
  /// Where it is trained.
  package let cluster: ClusterDescription
  /// What is trained.
  package let job: TrainingJob
  /// The nodes that are used, by their index in the cluster: node k of a layout is `nodeOrder[k]`.
  package private(set) var nodeOrder: [Int]
  /// How many times as fast as described the hosts' links are, see ``scaling(_:by:)``.
  var hostFactor = 1.0
  /// In the order of the cluster's models of device.
  private(set) var devices: [DeviceModel]

  /// All nodes in the cluster's order.
  ///
  /// - Parameter frameworkName: one of the device profile's frameworks; nil takes the first.
  /// - Throws: `Refusal` when the device cannot compute in the job's precision or the framework is not known.
  package init(cluster: ClusterDescription, job: TrainingJob, frameworkName: String? = nil) throws(Refusal) {
    let first = try DeviceModel(cluster.device, of: cluster, precision: job.precision, frameworkName: frameworkName)
    var devices = [first]
    for device in cluster.devices.dropFirst() {
      devices.append(
        try DeviceModel(device, of: cluster, precision: job.precision, frameworkName: first.framework.name))
    }
    self.cluster = cluster
    self.job = job
    self.devices = devices
    nodeOrder = Array(0..<cluster.nodeCount)
  }

  /// The framework whose coefficients are used, on the first of the devices.
  package var framework: DeviceProfile.Framework { devices[0].framework }

  /// The links as the first of the devices reaches them.
  var fabric: Fabric { devices[0].fabric }

  /// The model with every device changed.
  func changingDevices(_ change: (inout DeviceModel) -> Void) -> Self {
    var copy = self
    for index in devices.indices { change(&copy.devices[index]) }
    return copy
  }

  /// The same job on the same cluster, with other nodes in the layout's places, or on some of them only.
  ///
  /// - Parameter nodeOrder: indices into the cluster's nodes, each once.
  package func arranged(_ nodeOrder: [Int]) -> Self {
    var arranged = changingDevices { $0.fabric = $0.fabric.arranged(nodeOrder) }
    arranged.nodeOrder = nodeOrder
    return arranged
  }

  /// The same, but every pair of nodes as fast as the fastest that was measured, and rings of whole nodes as fast as
  /// any ring of their length can be: what it says of a strategy's time is a lower bound for every order of the nodes.
  package func assumingBestLinks() -> Self {
    changingDevices {
      let measured = $0.fabric
      $0.fabric = measured.assumingBestLinks()
      $0.bestRings = measured.ringRates.map { (measured, $0) }
    }
  }

  /// The same with the links of one snapshot instead of the median of all.
  package func observing(snapshot index: Int) -> Self {
    changingDevices {
      $0.fabric = Fabric(cluster, device: $0.profile, snapshotIndex: index).arranged(nodeOrder)
    }
  }

  /// Devices that are used.
  package var deviceCount: Int { nodeOrder.count * cluster.devicesPerNode }

  /// Why a cluster and a job cannot be priced together.
  package enum Refusal: Error, Sendable, Equatable, CustomStringConvertible {
    case noPrecision(device: String, precision: Precision)
    case noFramework(device: String, framework: String, known: [String])

    package var description: String {
      switch self {
      case .noPrecision(let device, let precision): "device \(device) does not compute in \(precision.rawValue)"
      case .noFramework(let device, let framework, let known):
        "device \(device) has no coefficients for the framework \"\(framework)\" (known: \(known.joined(separator: ", ")))"
      }
    }
  }

  /// Whether attention can be fused on this device in the job's precision.
  package var hasFlashAttention: Bool { cluster.devices.allSatisfy { $0.hasFlashAttention(in: job.precision) } }

  /// The first rule that a strategy breaks; nil if it can be priced.
  package func violation(of strategy: Strategy) -> StrategyViolation? {
    if let violation = strategy.violation(
      job: job, deviceCount: deviceCount, hasFlashAttention: hasFlashAttention,
      allowsEmptyStages: framework.layerSplit == .cumulativeCost,
      interleavesLargerGroups: framework.interleavesLargerGroups, hasHost: cluster.host != nil)
    {
      return violation
    }
    // Frameworks that select by operation name no modules.
    if strategy.recomputesModules, framework.memory.selective != .attentionCore {
      return .recomputeModules(.beside(what: "a framework that selects by operation"))
    }
    if let violation = tensorOverlapViolation(strategy) { return violation }
    // What is slow lies between nodes, and what a node's devices share they share with their own worker.
    let workerSize = strategy.mesh.blockSize(below: .worker)
    return strategy.workerDegree > 1 && workerSize % cluster.devicesPerNode != 0
      ? .workersSplitNode(ranks: workerSize, devicesPerNode: cluster.devicesPerNode) : nil
  }

  /// Where the tensor group's exchanges are to run beside products: why its ranks do not reach into each other's memory; nil
  /// where they do.
  package func tensorOverlapViolation(_ strategy: Strategy) -> StrategyViolation? {
    guard strategy.overlapsTensorExchange else { return nil }
    let domain = cluster.domainSize, tensor = strategy.tensorDegree
    return domain % tensor != 0 ? .tensorOverlapLeavesDomain(tensor: tensor, domain: domain) : nil
  }

  /// Whether tensor groups' exchanges beside products, asked for, hide anything on all of the devices: one whose profile knows of
  /// nothing that hides may not be able to.
  package var hidesTensorExchangesWhereAsked: Bool {
    devices.allSatisfy { $0.framework.tensorOverlapFraction > 0 && $0.framework.overlapsTensorExchangesWhereAsked }
  }

  /// The groups and boundaries of a mesh; shared by the strategies that have it.
  package func layoutCost(_ mesh: Mesh) -> LayoutCost {
    let nodesPerStage = placesWholeNodes(mesh) ? mesh.blockSize(below: .pipeline) / cluster.devicesPerNode : 0
    return layoutCost(mesh, links: devices.map { $0.links(of: mesh, nodesPerStage: nodesPerStage) })
  }

  /// The same mesh with the nodes in this model's order, on the links of another order of them: where no links between
  /// nodes were measured, all orders see the same.
  package func layoutCost(_ mesh: Mesh, sharing other: LayoutCost) -> LayoutCost {
    layoutCost(mesh, links: other.links)
  }

  /// A mesh on links that each model of device sees its own way.
  func layoutCost(_ mesh: Mesh, links: [LayoutLinks]) -> LayoutCost {
    LayoutCost(
      mesh, kinds: LayerKinds(of: job.model), links: links,
      devices: (0..<mesh.degree(of: .pipeline)).map {
        cluster.deviceModels(ofStage: $0, of: mesh, nodeOrder: nodeOrder)
      })
  }

  /// The passes of micro-batches, of each on each model of device; shared by the strategies that agree in what they depend on.
  ///
  /// - Parameters:
  ///   - layout: of the mesh whose strategies run them.
  ///   - keys: whose passes are asked for. What of them is the same is priced once.
  package func microBatchCosts(layout: LayoutCost, _ keys: [MicroBatchKey]) -> [[MicroBatchCost]] {
    var pricing = MicroBatchPricing(self, layout: layout, keys)
    return keys.indices.map { pricing.costs($0) }
  }

  /// What a strategy's devices hold, from parts that were computed before.
  ///
  /// - Parameters:
  ///   - kept: of its micro-batches, by model of device.
  ///   - microBatches: what these cost; asked for where a framework's memory depends on who sets the pace of a layer.
  /// - Precondition: the strategy breaks no rule, and the parts are its own.
  package func memory(
    of strategy: Strategy, layout: LayoutCost, kept: [KeptActivations], microBatches: () -> [MicroBatchCost]
  ) -> IterationMemory {
    IterationMemory(
      strategy: strategy, layout: layout,
      models: devices.indices.map { index in
        devices[index].memoryModel(of: strategy, job: job, links: layout.links[index], kept: kept[index]) {
          microBatches()[index]
        }
      },
      host: host)
  }

  /// The cost of a strategy whose memory is known.
  ///
  /// - Parameter microBatches: what its micro-batches cost, by model of device.
  package func cost(of memory: IterationMemory, microBatches: [MicroBatchCost]) -> IterationCost {
    IterationCost(
      memory: memory, job: job,
      costs: devices.indices.map {
        devices[$0].stageCost(
          of: memory.models[$0], job: job, links: memory.layout.links[$0], microBatch: microBatches[$0], host: host)
      })
  }

  /// The cost of a strategy from parts that were computed before.
  /// - Precondition: the strategy breaks no rule, and the parts are its own.
  package func cost(of strategy: Strategy, layout: LayoutCost, microBatches: [MicroBatchCost]) -> IterationCost {
    cost(
      of: memory(of: strategy, layout: layout, kept: microBatches.map(\.kept)) { microBatches },
      microBatches: microBatches)
  }

  /// The cost of one strategy.
  /// - Precondition: the strategy breaks no rule, see ``violation(of:)``.
  package func cost(of strategy: Strategy) -> IterationCost {
    cost(of: strategy, layout: layoutCost(strategy.mesh))
  }

  /// The cost of one strategy, from its layout's groups.
  /// - Precondition: as for ``cost(of:)``, and the layout is the strategy's own.
  package func cost(of strategy: Strategy, layout: LayoutCost) -> IterationCost {
    cost(
      of: strategy, layout: layout, microBatches: microBatchCosts(layout: layout, [MicroBatchKey(strategy)])[0])
  }

  /// Of a device of the nodes that are used.
  private var meanPeakFLOPPerSecond: Double {
    devices.indices.reduce(0) { sum, device in
      let share = Double(nodeOrder.count { cluster.deviceOfNode[$0] == device }) / Double(nodeOrder.count)
      return sum + share * devices[device].profile.peakFLOPPerSecond(devices[device].productPrecision)
    }
  }

  /// The prediction for a strategy whose layers are split as given.
  package func prediction(of cost: IterationCost, split: Split) -> Prediction {
    var scratch = EvaluationScratch()
    let seconds = cost.iterationSeconds(of: split, scratch: &scratch)
    let timeSplit = cost.timeSplit(of: split, scratch: &scratch)
    let memory = cost.memory.stageMemory(of: split)
    let tokens = Double(job.globalBatch) * Double(job.sequenceLength)
    let devices = Double(deviceCount)
    let peak = meanPeakFLOPPerSecond
    let flop =
      job.model.modelFLOP(sequenceLength: job.sequenceLength, sequenceCount: job.globalBatch)
      // Of which a forward pass is a third.
      * (cost.strategy.update == .zerothOrder ? Double(job.zerothOrder.evaluationCount) / 3 : 1)
    return Prediction(
      iterationSeconds: seconds,
      timeSplit: timeSplit,
      stageMemory: memory,
      // One stage without a layer still computes the loss; with more, frameworks that make them do not start.
      verdict: (0..<split.stageCount).dropFirst().dropLast().count(where: { split.layerCount(ofStage: $0) == 0 }) > 1
        || !cost.memory.hostHolds(memory)
        ? .unfit : cost.memory.verdict(of: memory),
      tokensPerSecondPerDevice: tokens / seconds / devices,
      modelFLOPUtilization: flop / (seconds * devices * peak),
      outerRound: cost.outerRound(of: split, localSeconds: seconds - timeSplit.outerSeconds),
      // Of training by losses alone, and of workers that step together now and then, no run was measured.
      iterationSecondsRange: cost.strategy.update == .firstOrder
        ? accuracy.range(around: seconds) : nil)
  }

  /// How far predictions are to be trusted: of several models of device, on the one of which least is known.
  package var accuracy: DeviceProfile.Accuracy {
    cluster.accuracy(for: runs)
  }

  /// Which measured runs are of the same kind.
  package var runs: DeviceProfile.Accuracy.Scope {
    DeviceProfile.Accuracy.Scope(
      framework: framework.name, hasExperts: job.model.experts != nil,
      spansNodes: deviceCount > cluster.devicesPerNode)
  }
}
