import Testing
import Training

@testable import Costing
@testable import Documents

/// Bytes of shard degrees on 2 nodes of 4, by hand: parts of 3,152,384 (four layers), 655,360 and 1,024 parameters.
@Suite struct ShardTrafficTests {
  static let parts = [3_152_384, 3_152_384, 3_152_384, 3_152_384, 655_360, 1_024]
  /// Parameters; 2 bytes each as weights and as gradients.
  static let all = parts.reduce(0, +)

  private func data(_ sharding: Sharding, microBatches: Int) throws -> [Int] {
    let cluster = try Fixture.cluster(
      nodeCount: 2, devicesPerNode: 4,
      levels: [
        .init(name: "node", span: 4, bytesPerSecond: 100e9), .init(name: "net", span: 8, bytesPerSecond: 10e9),
      ])
    let model = try CostModel(
      cluster: cluster, job: Fixture.job(Fixture.gpt(isTied: true), globalBatch: 8 * microBatches))
    let strategy = Strategy(mesh: [.data: 8], sharding: sharding)
    #expect(model.violation(of: strategy) == nil)
    #expect(
      model.route(of: .reduceScatter, over: RankGroup(first: 0, stride: 1, count: 8), byteCount: 1 << 30)
        == .hierarchical(degrees: [4, 2]))
    let traffic = model.traffic(of: strategy, split: Split([4]))
    return (0..<2).map { traffic.byteCount(.data, level: $0) }
  }

  /// Three levels: between nodes gradients are reduced and weights gathered once an iteration, M = 2 bytes a parameter
  /// each, half of it into either node, however many micro-batches.
  @Test func threeLevelsCrossNodesOnceAnIteration() throws {
    let sharding = Sharding(weightDegree: 2, gradientDegree: 4, optimizerDegree: 8)
    for microBatches in [1, 2, 4] {
      let found = try data(sharding, microBatches: microBatches)
      #expect(found[1] == 2 * 2 * Self.all)
      // Within: every micro-batch gathers twice over 4 pairs, the embedding four times, reduces over the pairs, then
      // half of it over 4 pairs more; at the step the halves of the weights are gathered over those.
      let gathers = 2 * microBatches * (4 * 2 * (Self.all + 655_360))
      let reductions = microBatches * (4 * 2 * Self.all + 4 * 2 * Self.all / 2)
      #expect(found[0] == gathers + reductions + 4 * 2 * Self.all / 2)
    }
  }

  /// The same quantised: what crosses nodes is an eighth of each part from each rank,
  /// as INT4 and as INT8, with its steps.
  @Test func packedLevelsCountCodesAndSteps() throws {
    let sharding = Sharding(
      weightDegree: 2, gradientDegree: 4, optimizerDegree: 8, quantisesWeights: true, quantisesGradients: true)
    let found = try data(sharding, microBatches: 2)
    let bytes = Self.parts.reduce(0) { sum, n in
      let shard = n / 8
      let weights = (shard + 3) / 4 + (shard + 2047) / 2048, gradients = (shard + 7) / 8 + (shard + 255) / 256
      return sum + 8 * 4 * (weights + gradients)
    }
    #expect(found[1] == bytes)
    let exact = try data(sharding.exact, microBatches: 2)
    #expect(found[0] == exact[0], "nothing is quantised inside nodes")
  }

  /// ZeRO++: weights cross once as INT8, gradients in every micro-batch as INT4 of what a node has summed; inside a
  /// node one gather of codes, the others of the secondary copy, and the first hop.
  @Test func everythingPackedWithASecondaryCopy() throws {
    let sharding = Sharding(
      weightDegree: 8, gradientDegree: 8, optimizerDegree: 8, secondaryDegree: 4, quantisesWeights: true,
      quantisesGradients: true)
    for m in [1, 3] {
      let found = try data(sharding, microBatches: m)
      var inside = 0, across = 0
      for n in Self.parts {
        let shard = n / 8, ofNode = n / 4
        let weights = 4 * ((shard + 3) / 4 + (shard + 2047) / 2048)
        // On the rails each rank sends its own codes, then two of eight go round the node.
        across += 8 * weights
        inside += 8 * 6 * weights
        let first = 4 * ((ofNode + 7) / 8 + (ofNode + 255) / 256), second = 4 * ((shard + 7) / 8 + (shard + 255) / 256)
        inside += m * 8 * 3 * first
        across += m * 8 * second
        inside += ((n == 655_360 ? 4 : 2) * m - 1) * 8 * 3 * (n / 4) * 2
      }
      #expect(found == [inside, across])
    }
  }

  /// Partial replicas: the same shard on both nodes is summed once an iteration.
  @Test func replicasOfShardsAreSummedAcrossNodes() throws {
    let found = try data(Sharding(weightDegree: 4, gradientDegree: 4, optimizerDegree: 4), microBatches: 3)
    // An all-reduce over 4 pairs of a quarter of everything: each rank sends it once in halves, there and back.
    #expect(found[1] == 4 * 2 * 2 * Self.all / 4)
  }
}
