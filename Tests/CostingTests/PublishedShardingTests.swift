import Documents
import TestSupport
import Testing

@testable import Costing

/// Figures that were published for ZeRO++ and the three-level partition; docs/sharding.md has them side by side.
///
/// Devices are the shipped profiles, with two changes: groups inside a node of sixteen V100 reach its switch's whole
/// rate whatever their size, and 0.3 of the shorter of computation and communication is hidden, which fits of sharded
/// training give for A100 (0.48 and 0.52 for H100); the profiles' 0.8 was never fitted to gathers.
@Suite struct PublishedShardingTests {
  private static let hiddenFraction = 0.3

  private static func device(_ name: String) throws -> DeviceProfile {
    var device = try Shipped.catalog.device(name)
    device.fabric.scaleUpGroups = []
    device.frameworks = device.frameworks.filter { $0.name == "megatron-deepspeed" }
    device.frameworks[0].gatherOverlapFraction = hiddenFraction
    device.frameworks[0].shardedGradientOverlapFraction = hiddenFraction
    return device
  }

  private static func model(layerCount: Int, headCount: Int) throws -> ModelDescription {
    try ModelDescription(
      name: "gpt", family: .gpt, layerCount: layerCount, hiddenSize: 6144, headCount: headCount,
      feedForwardSize: 4 * 6144, vocabularySize: 50_257, hasGatedFeedForward: false, hasTiedEmbeddings: true,
      positionCount: 512)
  }

  /// Nodes of sixteen V100 behind a switch, 150 GB/s each way.
  private static func v100(nodeCount: Int, nodeBytesPerSecond: Double) throws -> ClusterDescription {
    try ClusterDescription(
      name: "v100", device: device("v100-sxm2-32gb"), nodeNames: (0..<nodeCount).map { "node-\($0)" },
      devicesPerNode: 16,
      levels: [
        .init(name: "node", span: 16, bytesPerSecond: 150e9),
        .init(
          name: "network", span: 16 * nodeCount, bytesPerSecond: nodeBytesPerSecond, efficiency: 1,
          sharedBytesPerSecond: nodeBytesPerSecond),
      ])
  }

  private static func zeroPlusPlus(_ replicaCount: Int, node: Int) -> Sharding {
    Sharding(
      weightDegree: replicaCount, gradientDegree: replicaCount, optimizerDegree: replicaCount, secondaryDegree: node,
      quantisesWeights: true, quantisesGradients: true)
  }

  /// Sequences of 512 tokens, everything recomputed, 16-bit gradients.
  private static func cost(
    _ cluster: ClusterDescription, _ model: ModelDescription, _ sharding: Sharding, microBatch: Int = 1,
    microBatchCount: Int = 1
  ) throws -> IterationCost {
    let n = cluster.deviceCount
    let job = try TrainingJob(
      model: model, sequenceLength: 512, globalBatch: n * microBatch * microBatchCount, precision: .fp16,
      accumulatesGradientsInFP32: false)
    let strategy = Strategy(
      mesh: [.data: n], microBatch: microBatch, sharding: sharding, recompute: .full)
    return try CostModel(cluster: cluster, job: job).cost(of: strategy)
  }

  private static func seconds(_ cost: IterationCost) -> Double {
    var scratch = EvaluationScratch()
    return cost.iterationSeconds(of: Split([cost.layerCount]), scratch: &scratch)
  }

  // MARK: 18 B parameters on 64 V100

  /// DeepSpeed's tutorial of ZeRO++: 4 nodes of 16 V100, 18.4 B parameters, one micro-batch of one sequence each.
  ///
  /// One number is fitted: what a node reaches of its network, to the forward pass of ZeRO 3 alone.
  private static func tutorial(_ sharding: Sharding, nodeBytesPerSecond: Double) throws -> IterationCost {
    try cost(
      v100(nodeCount: 4, nodeBytesPerSecond: nodeBytesPerSecond), model(layerCount: 40, headCount: 32), sharding)
  }

  private static func passes(_ cost: IterationCost) -> PassSeconds {
    cost.passSeconds(stage: 0, Split.Stage(layerCount: cost.layerCount))
  }

  private static func fittedNodeBytesPerSecond() throws -> Double {
    var low = 1e9, high = 100e9
    for _ in 0..<50 {
      let middle = (low * high).squareRoot()
      let forward = try passes(tutorial(Sharding(.weights, replicaCount: 64), nodeBytesPerSecond: middle)).forward
      if forward > 3.356 { low = middle } else { high = middle }
    }
    return low
  }

  @Test func passesOfTheTutorialsLogArePredictedWithinTenPercent() throws {
    let rate = try Self.fittedNodeBytesPerSecond()
    #expect(abs(rate / 9.67e9 - 1) < 0.005)
    for (sharding, forward, backward, iteration) in [
      (Sharding(.weights, replicaCount: 64), 3.356, 6.459, 9.956),
      (Self.zeroPlusPlus(64, node: 16), 1.795, 1.742, 3.681),
    ] {
      let cost = try Self.tutorial(sharding, nodeBytesPerSecond: rate)
      let passes = Self.passes(cost)
      for (what, predicted, measured) in [
        ("forward", passes.forward, forward), ("backward", passes.backward, backward),
        ("iteration", Self.seconds(cost), iteration),
      ] {
        #expect(abs(predicted / measured - 1) < 0.1, "\(what): \(predicted) s for \(measured) s, \(sharding)")
      }
    }
  }

  /// MiB allocated once the model is built, and at most: 4,421 and 8,285 with ZeRO 3, 4,460 and 10,258 with ZeRO++,
  /// whose secondary partition is not there before the first pass.
  @Test func memoryOfTheTutorialsLogIsPredicted() throws {
    func memory(_ sharding: Sharding) throws -> Prediction.StageMemory {
      try Self.tutorial(sharding, nodeBytesPerSecond: 10e9)[0].memory.stageMemory(stage: 0, Split.Stage(layerCount: 40))
    }
    let plain = try memory(Sharding(.weights, replicaCount: 64)), plus = try memory(Self.zeroPlusPlus(64, node: 16))
    func error(_ bytes: Int, _ mebibytes: Double) -> Double { Double(bytes) / 1_048_576 / mebibytes - 1 }
    let states = plain.weightBytes + plain.gradientBytes + plain.optimizerBytes
    #expect(abs(error(states, 4421)) < 0.01)
    #expect(abs(error(states, 4460)) < 0.02)
    // A bucket of 5·10⁸ elements, DeepSpeed's default, would be the 902 MiB that are missing.
    #expect((-0.12 ..< -0.10).contains(error(plain.allocatedBytes, 8285)))
    #expect(abs(error(plus.allocatedBytes, 10_258)) < 0.05)
    // The secondary partition is a sixteenth of the weights, of which 1,973 MiB more were seen in all.
    #expect(abs(error(plus.weightBytes - plain.weightBytes, 1973)) < 0.12)
  }

  /// The log's optimizer step, 140 and 142 ms, is far more than Adam's traffic
  /// through memory; both schemes take the same.
  @Test func theOptimizersStepIsTheSameForBoth() throws {
    func step(_ sharding: Sharding) throws -> Double {
      try Self.tutorial(sharding, nodeBytesPerSecond: 10e9).tail(stage: 0, Split.Stage(layerCount: 40)).seconds
    }
    let plain = try step(Sharding(.weights, replicaCount: 64)), plus = try step(Self.zeroPlusPlus(64, node: 16))
    #expect(plain == plus)
    #expect(plain < 0.02)
  }

  // MARK: 18 B parameters on 384 V100

  /// TFLOP/s per device by 8 FLOP for a parameter and token, bar labels of the ZeRO++ blog (figures 6 to 8): Gb/s of a
  /// node, sequences of 512 tokens in a micro-batch, ZeRO 3 and ZeRO++.
  private static let blog: [(gigabits: Double, microBatch: Int, plain: Double, plus: Double)] = [
    (100, 2, 14, 31), (100, 4, 26, 46), (400, 2, 25, 35), (400, 4, 40, 53), (200, 4, 37, 50), (800, 4, 47, 54),
  ]

  /// Nothing is fitted: the network at its nominal rate.
  @Test func gainsOnThreeHundredAndEightyFourDevicesArePredictedWithinFifteenPercent() throws {
    let model = try Self.model(layerCount: 40, headCount: 32)
    let gains = try Self.blog.map { row in
      let cluster = try Self.v100(nodeCount: 24, nodeBytesPerSecond: row.gigabits / 8 * 1e9)
      func flop(_ sharding: Sharding) throws -> Double {
        8 * Double(model.parameterCount) * Double(512 * row.microBatch)
          / Self.seconds(try Self.cost(cluster, model, sharding, microBatch: row.microBatch)) / 1e12
      }
      let plain = try flop(Sharding(.weights, replicaCount: 384)), plus = try flop(Self.zeroPlusPlus(384, node: 16))
      let gain = (predicted: plus / plain, published: row.plus / row.plain)
      #expect(abs(gain.predicted / gain.published - 1) < 0.15, "\(row): \(plain), \(plus)")
      return gain
    }
    // The larger of two published gains that are more than a twentieth apart is predicted to be the larger.
    for one in gains {
      for other in gains where one.published > 1.05 * other.published { #expect(one.predicted > other.predicted) }
    }
  }

  // MARK: 20 B parameters on 384 dies of Frontier

  private static let threeLevels = Sharding(weightDegree: 2, gradientDegree: 8, optimizerDegree: 384)

  /// 48 nodes of Frontier; the rate of a die to other modules of its node is the assumption that matters.
  private static func frontier(
    insideBytesPerSecond: Double = 35e9, networkEfficiency: Double = 0.85, latencySeconds: Double = 15e-6
  ) throws -> ClusterDescription {
    try ClusterDescription(
      name: "frontier", device: device("mi250x-gcd"), nodeNames: (0..<48).map { "node-\($0)" }, devicesPerNode: 8,
      levels: [
        .init(name: "pair", span: 2, bytesPerSecond: 200e9),
        .init(name: "node", span: 8, bytesPerSecond: insideBytesPerSecond, efficiency: 1),
        .init(
          name: "network", span: 384, bytesPerSecond: 25e9, latencySeconds: latencySeconds,
          efficiency: networkEfficiency, sharedBytesPerSecond: 100e9),
      ])
  }

  /// Rates over the other's: ZeRO++ over ZeRO 3, three levels over ZeRO++, three levels over ZeRO 3.
  private static func gains(_ cluster: ClusterDescription, microBatchCount: Int) throws -> [Double] {
    let model = try model(layerCount: 44, headCount: 48)
    let times = try [Sharding(.weights, replicaCount: 384), zeroPlusPlus(384, node: 8), threeLevels].map {
      seconds(try cost(cluster, model, $0, microBatch: 2, microBatchCount: microBatchCount))
    }
    return [times[0] / times[1], times[1] / times[2], times[0] / times[2]]
  }

  /// Published: 1.707 over ZeRO++ and 2.398 over ZeRO 3, hence 1.405 between those two. Batch and links are not stated;
  /// 16 micro-batches of 1,024 tokens and 10 GB/s between the modules of a node, a
  /// fifth of the nominal rate, are assumed.
  @Test func threeLevelsGainOnFrontierWhatWasPublishedIfItsNodesAreSlowInside() throws {
    let gains = try Self.gains(Self.frontier(insideBytesPerSecond: 10e9), microBatchCount: 16)
    for (predicted, published) in zip(gains, [1.405, 1.707, 2.398]) {
      #expect(abs(predicted / published - 1) < 0.2, "\(predicted) for \(published)")
    }
  }

  /// With what the profile says of its links the gain is a tenth to a fifth, whatever else is assumed; and without
  /// accumulation the step costs three levels more than they gain.
  @Test func nothingElseCarriesTheGain() throws {
    for cluster in try [
      Self.frontier(), Self.frontier(networkEfficiency: 0.2), Self.frontier(latencySeconds: 150e-6),
    ] {
      let gain = try Self.gains(cluster, microBatchCount: 16)[1]
      #expect(gain > 1 && gain < 1.35, "\(gain)")
    }
    #expect(try Self.gains(Self.frontier(), microBatchCount: 1)[1] < 1)
    #expect(try Self.gains(Self.frontier(insideBytesPerSecond: 10e9), microBatchCount: 1)[1] < 1.2)
  }
}
