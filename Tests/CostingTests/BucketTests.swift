import Documents
import TestSupport
import Testing

@testable import Costing

/// Messages in which gradients are reduced, each with a latency of its own.
@Suite struct BucketTests {
  private static let launch = 1e-3, inside = 1e-5, across = 1e-4

  /// What the messages of an iteration take beside their bytes, of replicas on nodes of four.
  private static func seconds(nodeCount: Int, bucketBytes: Double, perRank: Double = 0) throws -> Double {
    func tail(_ bucketBytes: Double, _ perRank: Double) throws -> Double {
      var framework = Fixture.framework()
      framework.bucketBytes = bucketBytes
      framework.bucketBytesPerRank = perRank
      let cluster = try Fixture.cluster(
        nodeCount: nodeCount, devicesPerNode: 4,
        levels: [
          .init(name: "node", span: 4, bytesPerSecond: 100e9, latencySeconds: inside),
          .init(name: "network", span: 4 * nodeCount, bytesPerSecond: 10e9, latencySeconds: across),
        ], device: Fixture.device(collectiveSeconds: launch, framework: framework))
      let model = try CostModel(
        cluster: cluster,
        job: Fixture.job(Fixture.gpt(), globalBatch: 4 * nodeCount, accumulatesGradientsInFP32: true))
      let cost = model.cost(
        of: Strategy(
          mesh: [.data: 4 * nodeCount],
          sharding: Sharding(weightDegree: 1, gradientDegree: 1, optimizerDegree: 4 * nodeCount)))
      return cost.tail(stage: 0, Split.Stage(layerCount: 4)).reduceSeconds
    }
    return try tail(bucketBytes, perRank) - tail(1e24, 0)
  }

  /// A ring goes round inside every node and crosses to the next once a node, so that its steps take what a collective on
  /// two levels takes.
  @Test func aMessageCrossesTheNetworkOnceForEachNode() throws {
    let bytes = 4 * Double(4 * StateMemoryTests.layer + StateMemoryTests.embedding + StateMemoryTests.finalNorm)
    let each = Self.launch + min(15 * Self.across, Self.launch + 3 * Self.inside + 3 * Self.across)
    let seconds = try Self.seconds(nodeCount: 4, bucketBytes: bytes / 8)
    #expect(agrees(seconds, 7 * each, relative: 1e-6), "\(seconds)")
  }

  @Test func messagesGrowWithTheRanks() throws {
    let bytes = 4 * Double(4 * StateMemoryTests.layer + StateMemoryTests.embedding + StateMemoryTests.finalNorm)
    let few = try Self.seconds(nodeCount: 4, bucketBytes: bytes / 8)
    // 16 ranks of bytes / 64 are four messages, half as many as without.
    #expect(
      agrees(try Self.seconds(nodeCount: 4, bucketBytes: bytes / 8, perRank: bytes / 64), few * 3 / 7, relative: 1e-6))
    // Below the least size the ranks change nothing.
    #expect(try Self.seconds(nodeCount: 4, bucketBytes: bytes / 8, perRank: bytes / 256) == few)
  }

  /// Llama 3 8B on 64 nodes of four GH200 with a card of 25 GB/s each, two million tokens an iteration: 8,290 tokens a
  /// second and device were measured without tensor parallelism, which is not slower than with it. The messages of 256
  /// replicas must not be many small ones.
  @Test func replicasOfFourCardsANodeReduceInLargeMessages() throws {
    let cluster = try ClusterDescription(
      name: "gh200", device: Shipped.catalog.device("h100-sxm5-80gb"), nodeNames: (0..<64).map { "n\($0)" },
      devicesPerNode: 4,
      levels: [
        .init(name: "nvlink", span: 4, bytesPerSecond: 450e9),
        .init(name: "net", span: 256, bytesPerSecond: 25e9, sharedBytesPerSecond: 100e9),
      ])
    func rate(sequenceLength: Int, _ strategy: String) throws -> Double {
      let job = try TrainingJob(
        model: Shipped.catalog.model("llama-3-8b"), sequenceLength: sequenceLength,
        globalBatch: 2_097_152 / sequenceLength)
      return try Estimate(
        model: CostModel(cluster: cluster, job: job, frameworkName: "megatron-lm"),
        pattern: StrategyPattern(text: strategy, source: "test")
      ).prediction.tokensPerSecondPerDevice
    }
    let replicas = try rate(sequenceLength: 8192, "zero_stage=1,micro_batch=1")
    let halves = try rate(sequenceLength: 4096, "tensor=2,zero_stage=1,micro_batch=4")
    #expect(abs(replicas / 8_290 - 1) < 0.15, "\(replicas)")
    #expect(replicas >= halves, "\(replicas) and \(halves)")
  }
}
