import Documents
import TestSupport
import Testing
import Training

@testable import Costing

/// Seconds of what shard degrees communicate, worked out by hand on two nodes of four devices: 100 GB/s inside, 10 GB/s
/// for each device between them, no latency, nothing hidden, 1 TB/s of device memory.
@Suite struct ShardTimeTests {
  private static let inside = 100e9, across = 10e9, memory = 1e12
  /// Parameters of a layer.
  private static let layer = Double(StateMemoryTests.layer)
  private static let all = 4 * layer + Double(StateMemoryTests.embedding + StateMemoryTests.finalNorm)

  private static func cost(
    _ sharding: Sharding, nodeCount: Int = 2, microBatchCount: Int = 1,
    framework: DeviceProfile.Framework = Fixture.framework()
  ) throws -> IterationCost {
    let cluster = try Fixture.cluster(
      nodeCount: nodeCount, devicesPerNode: 4,
      levels: [
        .init(name: "node", span: 4, bytesPerSecond: inside),
        .init(name: "network", span: 4 * nodeCount, bytesPerSecond: across),
      ], device: Fixture.device(framework: framework))
    let job = try Fixture.job(
      Fixture.gpt(), globalBatch: 4 * nodeCount * microBatchCount, accumulatesGradientsInFP32: true)
    let model = try CostModel(cluster: cluster, job: job)
    let strategy = Strategy(mesh: [.data: 4 * nodeCount], sharding: sharding)
    #expect(model.violation(of: strategy) == nil)
    return model.cost(of: strategy)
  }

  /// What the replicas add to a layer's passes.
  private static func added(_ cost: IterationCost) -> (forward: Double, backward: Double) {
    (
      cost[0].layer.device.forward - cost[0].microBatch.layer.forwardSeconds,
      cost[0].layer.device.backward - cost[0].microBatch.layer.backwardSeconds
    )
  }

  /// Differences of larger numbers.
  private func agree(_ left: Double, _ right: Double) -> Bool { agrees(left, right, relative: 1e-9) }

  @Test func weightsAreGatheredAndGradientsReducedInTheirOwnGroups() throws {
    let gather = 2 * Self.layer * 3 / 4 / Self.inside
    // A quarter of the gradient, among pairs of devices on both nodes.
    let outer = 2 * Self.layer / 4 / 2 / Self.across
    let added = try Self.added(Self.cost(Sharding(weightDegree: 4, gradientDegree: 8, optimizerDegree: 8)))
    #expect(agree(added.forward, gather))
    #expect(agree(added.backward, 2 * gather + outer))
    // Hybrid sharding: nothing leaves the node in a micro-batch.
    let hybrid = try Self.added(Self.cost(Sharding(weightDegree: 4, gradientDegree: 4, optimizerDegree: 4)))
    #expect(agree(hybrid.forward, gather))
    #expect(agree(hybrid.backward, 2 * gather))
    // Gradients alone.
    let gradients = try Self.added(Self.cost(Sharding(weightDegree: 1, gradientDegree: 4, optimizerDegree: 8)))
    #expect(gradients.forward == 0)
    #expect(agree(gradients.backward, gather))
  }

  @Test func theStepReducesSumsAndGathersOnce() throws {
    func tail(_ w: Int, _ g: Int, _ o: Int) throws -> StageCost.Tail {
      let cost = try Self.cost(Sharding(weightDegree: w, gradientDegree: g, optimizerDegree: o))
      return cost.tail(stage: 0, Split.Stage(layerCount: 4))
    }
    let psi = Self.all, half = 1.0 / 2 / Self.across, quarters = 3.0 / 4 / Self.inside
    // Quarters of the gradient to eighths, eighths of the weights to quarters to all of them.
    #expect(agree(try tail(1, 4, 8).dataSeconds, (4 * psi / 4 + 2 * psi / 4) * half + 2 * psi * quarters))
    #expect(agree(try tail(2, 4, 8).dataSeconds, (6 * psi / 4) * half + 2 * psi / 2 * (1.0 / 2 / Self.inside)))
    #expect(agree(try tail(4, 4, 8).dataSeconds, (6 * psi / 4) * half))
    // Two copies of every optimizer shard: an all-reduce, once there and once back.
    #expect(agree(try tail(4, 4, 4).dataSeconds, 2 * (4 * psi / 4) * half))
    #expect(agree(try tail(1, 1, 4).dataSeconds, 4 * psi * quarters + 2 * (4 * psi / 4) * half + 2 * psi * quarters))
    #expect(try tail(8, 8, 8).dataSeconds == 0)
    // Adam reads and writes 12 bytes, reads a gradient of 4 and writes a weight of 2.
    for o in [4, 8] {
      #expect(agree(try tail(4, 4, o).optimizerSeconds, psi / Double(o) * 30 / Self.memory))
    }
  }

  @Test func aSecondaryPartitionKeepsAllGathersButTheFirstInItsNode() throws {
    let sharding = Sharding(weightDegree: 8, gradientDegree: 8, optimizerDegree: 8, secondaryDegree: 4)
    // Hierarchical: half of a quarter between nodes, three quarters inside.
    let all = 2 * Self.layer * (1.0 / 2 / 4 / Self.across + 3.0 / 4 / Self.inside)
    let node = 2 * Self.layer * 3 / 4 / Self.inside
    for m in [1, 2, 5] {
      let cost = try Self.cost(sharding, microBatchCount: m)
      let added = Self.added(cost)
      #expect(agree(Double(m) * added.forward, all + Double(m - 1) * node), "\(m) micro-batches")
      #expect(agree(added.backward, node + all), "\(m) micro-batches")
    }
  }

  /// The tied head finds the embedding's matrix in the secondary partition, where its look-up has left it.
  @Test func whatTheHeadBorrowsWasGatheredBefore() throws {
    func added(_ secondary: Int?) throws -> Double {
      let cost = try Self.cost(
        Sharding(weightDegree: 8, gradientDegree: 8, optimizerDegree: 8, secondaryDegree: secondary))
      return cost[0].head.forward - cost[0].microBatch.head.forwardSeconds
    }
    let norm = 2 * Double(StateMemoryTests.finalNorm), matrix = 2 * Double(StateMemoryTests.embedding)
    let all = 1.0 / 2 / 4 / Self.across + 3.0 / 4 / Self.inside, node = 3.0 / 4 / Self.inside
    #expect(agree(try added(nil), (norm + matrix) * all))
    #expect(agree(try added(4), norm * all + matrix * node))
  }

  /// A secondary partition holds what was dequantised, and its own gathers quantise
  /// nothing, even where they leave a node.
  @Test func aSecondaryPartitionPacksNothing() throws {
    func backward(_ quantises: Bool) throws -> Double {
      let cost = try Self.cost(
        Sharding(
          weightDegree: 16, gradientDegree: 16, optimizerDegree: 16, secondaryDegree: 8, quantisesWeights: quantises),
        nodeCount: 4)
      return cost[0].layer.device.backward
    }
    #expect(try backward(true) == backward(false))
  }

  /// A host that slows the device makes passes nonlinear in their parts; micro-batches still add up one by one.
  @Test func everyLaterMicroBatchAddsTheSame() throws {
    let sharding = Sharding(weightDegree: 8, gradientDegree: 8, optimizerDegree: 8, secondaryDegree: 2)
    let seconds = try (1...5).map { m in
      var scratch = EvaluationScratch()
      return try Self.cost(sharding, microBatchCount: m, framework: Fixture.framework(floor: 1e-3, sharpness: 2))
        .iterationSeconds(of: Split([4]), scratch: &scratch)
    }
    let added = zip(seconds, seconds.dropFirst()).map { $1 - $0 }
    for next in added { #expect(agree(next, added[0])) }
    // The first pays for gathers between nodes.
    #expect(seconds[0] > added[0] * 1.01)
    // There is no pipeline, and nothing of the mean's rounding is called a bubble.
    var scratch = EvaluationScratch()
    let split = try Self.cost(sharding, microBatchCount: 7).timeSplit(of: Split([4]), scratch: &scratch)
    #expect(split.bubbleSeconds == 0)
  }

  @Test func packedWeightsTakeTheirWordsAndTheKernels() throws {
    // Eight shards of a layer, a code a byte and a step for every 2,048 of them.
    let shard = StateMemoryTests.layer / 8
    let words = Double(8 * ((shard + 3) / 4 + (shard + 2047) / 2048)), bytes = 4 * words
    let links = bytes * (1.0 / 2 / 4 / Self.across + 3.0 / 4 / Self.inside)
    let kernels = (2 * Self.layer / 8 + bytes / 8 + bytes + 2 * Self.layer) / Self.memory
    let quantised = try Self.added(
      Self.cost(Sharding(weightDegree: 8, gradientDegree: 8, optimizerDegree: 8, quantisesWeights: true)))
    #expect(agree(quantised.forward, links + kernels))
    // About half of the bytes.
    #expect(abs(bytes / (2 * Self.layer) - 0.501) < 0.001)
  }

  @Test func packedGradientsAreExchangedTwice() throws {
    let n = StateMemoryTests.layer
    func bytes(_ elements: Int, count: Int) -> Double {
      Double(4 * count * ((elements + 7) / 8 + (elements + 255) / 256))
    }
    let inside = bytes(n / 4, count: 4), across = bytes(n / 8, count: 2)
    let links = inside * 3 / 4 / Self.inside + across / 2 / Self.across
    // Layer and codes; codes and the node's sum in fp32; that and codes; codes and the shard.
    let kernels =
      (2 * Self.layer + 2 * inside + Self.layer + Self.layer + 2 * across + 2 * Self.layer / 8) / Self.memory
    let exact = try Self.added(Self.cost(Sharding(.weights, replicaCount: 8)))
    let quantised = try Self.added(
      Self.cost(Sharding(weightDegree: 8, gradientDegree: 8, optimizerDegree: 8, quantisesGradients: true)))
    #expect(quantised.forward == exact.forward)
    #expect(agree(quantised.backward - exact.forward, links + kernels))
    // Among pairs of both nodes there is one exchange, of a quarter.
    let pairs = try Self.added(
      Self.cost(Sharding(weightDegree: 4, gradientDegree: 8, optimizerDegree: 8, quantisesGradients: true)))
    let one = bytes(n / 8, count: 2)
    let gather = 2 * Self.layer * 3 / 4 / Self.inside
    let pairKernels = (2 * Self.layer / 4 + 2 * one + 2 * Self.layer / 8) / Self.memory
    #expect(agree(pairs.backward - 2 * gather, one / 2 / Self.across + pairKernels))
  }

  @Test func nothingIsQuantisedInsideANode() throws {
    let exact = Sharding(weightDegree: 4, gradientDegree: 4, optimizerDegree: 4)
    let codes = Sharding(
      weightDegree: 4, gradientDegree: 4, optimizerDegree: 4, quantisesWeights: true, quantisesGradients: true)
    let (plain, quantised) = (try Self.cost(exact), try Self.cost(codes))
    #expect(plain[0].layer == quantised[0].layer && plain[0].head == quantised[0].head)
    #expect(plain.tail(stage: 0, Split.Stage(layerCount: 4)) == quantised.tail(stage: 0, Split.Stage(layerCount: 4)))
  }

  /// The step quantises what it moves between nodes: 16 bits of weights to 8, 32 of gradients to 4.
  @Test func theStepPacksBetweenNodesOnly() throws {
    func data(_ quantises: Bool) throws -> Double {
      try Self.cost(
        Sharding(
          weightDegree: 1, gradientDegree: 4, optimizerDegree: 8, quantisesWeights: quantises,
          quantisesGradients: quantises)
      ).tail(stage: 0, Split.Stage(layerCount: 4)).dataSeconds
    }
    let psi = Self.all, half = 1.0 / 2 / Self.across, node = 2 * psi * 3 / 4 / Self.inside
    let quantised = (psi / 4 * (0.5 + 4.0 / 256) + psi / 4 * (1 + 4.0 / 2048)) * half + node
    let kernels =
      (psi / 4 * (4 + 2 * 0.5) + psi / 8 * 4 + psi / 4 * (2 + 1 + 1.0 / 2 * 3)) / Self.memory
    let links = try data(true)
    #expect(try links < data(false))
    // Steps of short runs add a little.
    #expect(agrees(links, quantised + kernels, relative: 0.01))
  }

  /// The volumes that are priced, added up over all ranks, are the bytes that are counted message by message.
  @Test(arguments: [
    Sharding(weightDegree: 1, gradientDegree: 4, optimizerDegree: 8),
    Sharding(weightDegree: 2, gradientDegree: 4, optimizerDegree: 8),
    Sharding(weightDegree: 4, gradientDegree: 4, optimizerDegree: 4),
    Sharding(weightDegree: 8, gradientDegree: 8, optimizerDegree: 8, secondaryDegree: 4),
    Sharding(
      weightDegree: 8, gradientDegree: 8, optimizerDegree: 8, secondaryDegree: 2, quantisesWeights: true,
      quantisesGradients: true),
    Sharding(weightDegree: 2, gradientDegree: 4, optimizerDegree: 8, quantisesWeights: true, quantisesGradients: true),
    Sharding(weightDegree: 4, gradientDegree: 8, optimizerDegree: 8, quantisesGradients: true),
  ])
  func whatIsPricedIsWhatIsSent(sharding: Sharding) throws {
    let m = 3
    let cluster = try Fixture.cluster(
      nodeCount: 2, devicesPerNode: 4,
      levels: [
        .init(name: "node", span: 4, bytesPerSecond: Self.inside),
        .init(name: "network", span: 8, bytesPerSecond: Self.across),
      ])
    let model = try CostModel(
      cluster: cluster, job: Fixture.job(Fixture.gpt(), globalBatch: 8 * m, accumulatesGradientsInFP32: true))
    let strategy = Strategy(mesh: [.data: 8], sharding: sharding)
    let families = model.cost(of: strategy)[0].groups.slowest
    /// Bytes of all eight ranks.
    func sent(_ group: ShardGroup, _ volume: ShardVolume, passes: Double = 1) -> Double {
      func others(_ count: Int) -> Double { 8 * Double(count - 1) / Double(count) }
      let hops = group.hops?.quantisation.split
      return passes * others(group.group.rankCount) * volume.bytes
        + others(hops?.insideCount ?? 1) * volume.insideBytes + others(hops?.acrossCount ?? 1) * volume.acrossBytes
    }
    func gather(_ group: ShardGroup, _ count: Int, isQuantised: Bool = true) -> Double {
      let volume = group.gatherVolume(
        elementCount: count, byteCount: 2 * count, isQuantised: isQuantised && sharding.quantisesWeights)
      return sent(group, volume)
    }
    func reduce(_ group: ShardGroup, _ count: Int, bytes: Int) -> Double {
      sent(
        group,
        group.reduceVolume(elementCount: count, byteCount: bytes * count, isQuantised: sharding.quantisesGradients))
    }
    let w = sharding.weightDegree, g = sharding.gradientDegree, o = sharding.optimizerDegree
    var expected = 0.0
    for (n, copies, uses) in [
      (StateMemoryTests.layer, 4, 2), (StateMemoryTests.embedding, 1, 4), (StateMemoryTests.finalNorm, 1, 2),
    ] {
      let secondary = sharding.secondaryDegree == nil ? 0 : m * uses - 1
      let part =
        Double(m * uses - secondary) * gather(families.weights, n)
        + Double(secondary) * gather(families.secondary, n, isQuantised: false)
        + Double(m) * (reduce(families.weights, n, bytes: 2) + reduce(families.gradients, n / w, bytes: 2))
        + reduce(families.optimizer, n / g, bytes: 4)
        + sent(families.replicas, ShardVolume(bytes: Double(4 * n / o)), passes: 2)
        + gather(families.optimizer, n / g) + gather(families.gradients, n / w)
      expected += Double(copies) * part
    }
    let traffic = model.traffic(of: strategy, split: Split([4]))
    let counted = traffic.byteCount(.data, level: 0) + traffic.byteCount(.data, level: 1)
    #expect(agree(Double(counted), expected), "\(counted), \(expected)")
  }
}
