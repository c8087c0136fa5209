import Testing
import Training

@testable import Costing
@testable import Documents

@Suite struct TrafficTests {
  /// Sums of what the closed form and what a ring's schedule sends from each rank to each other.
  @Test(arguments: [(2, 7), (3, 3), (4, 10), (5, 2), (8, 1000), (8, 1001)])
  func aRingSendsWhatItsScheduleLists(rankCount: Int, elementCount: Int) {
    let volume = CollectiveVolume(degrees: [rankCount], elementCount: elementCount)
    var closed = [Int](repeating: 0, count: rankCount * rankCount)
    func listed(_ kind: CollectiveKind) -> [Int] {
      var pairs = [Int](repeating: 0, count: rankCount * rankCount)
      for transfer in CollectiveSchedule(kind, rankCount: rankCount, elementCount: elementCount).transfers {
        pairs[transfer.fromRank * rankCount + transfer.toRank] += transfer.elementRange.count
      }
      return pairs
    }
    volume.forEachAllGatherPair { closed[$0 * rankCount + $1] += $2 }
    #expect(closed == listed(.allGather))
    closed = closed.map { _ in 0 }
    volume.forEachReduceScatterPair { closed[$0 * rankCount + $1] += $2 }
    #expect(closed == listed(.reduceScatter))
  }

  /// 8 elements on 2 nodes of 4: each rank gets one element of its rail from the
  /// other node, then the three pairs of its neighbours inside.
  @Test func aHierarchicalGatherCrossesNodesOncePerRail() {
    var between = 0, inside = 0
    CollectiveVolume(degrees: [4, 2], elementCount: 8).forEachAllGatherPair { from, to, elements in
      if from / 4 == to / 4 { inside += elements } else { between += elements }
    }
    #expect(between == 8)
    #expect(inside == 8 * 6)
  }

  /// Whatever the levels, a gather brings every rank the S − cₖ elements it lacks.
  @Test(arguments: [[2, 2], [4, 2], [2, 3, 2], [3, 1, 4]])
  func everyRankReceivesWhatItLacks(degrees: [Int]) {
    let n = degrees.reduce(1, *)
    for elementCount in [0, 1, n - 1, n, 5 * n + 3] {
      var received = [Int](repeating: 0, count: n), sent = received
      let volume = CollectiveVolume(degrees: degrees, elementCount: elementCount)
      volume.forEachAllGatherPair { received[$1] += $2 }
      volume.forEachReduceScatterPair { sent[$0] += $2 }
      let lacking = (0..<n).map { elementCount - elementCount / n - ($0 < elementCount % n ? 1 : 0) }
      #expect(received == lacking, "\(elementCount) elements")
      #expect(sent == lacking, "\(elementCount) elements")
    }
  }

  private func count(_ strategy: Strategy, isTied: Bool = true, levels: Int = 1) throws -> TrafficCount {
    let world = strategy.worldSize
    let cluster =
      try levels == 1
      ? Fixture.node(of: world)
      : Fixture.cluster(
        nodeCount: world / 4, devicesPerNode: 4,
        levels: [
          .init(name: "node", span: 4, bytesPerSecond: 100e9), .init(name: "net", span: world, bytesPerSecond: 10e9),
        ])
    let model = try CostModel(cluster: cluster, job: Fixture.job(Fixture.gpt(isTied: isTied), globalBatch: 16))
    #expect(model.violation(of: strategy) == nil)
    let stages = strategy.pipelineDegree * strategy.virtualStageCount
    return model.traffic(
      of: strategy, split: Split([Int](repeating: 4 / stages, count: stages), stageCount: strategy.pipelineDegree))
  }

  /// h = 512, 256 tokens of 2 bytes: S = 262,144 bytes; 16 micro-batches of 4 layers on 2 ranks. A sum sends S from
  /// each rank, four times a layer, once for the embedding, once for the head; the loss three times 1,024 bytes.
  @Test func tensorTrafficOfTwoRanks() throws {
    let traffic = try count(Strategy(mesh: [.tensor: 2]))
    #expect(traffic.byteCount(.tensor, level: 0) == 2 * 16 * ((4 * 4 + 2) * 262_144 + 3 * 1024))
    #expect(traffic.byteCount(.tensor, level: 0, fromRank: 1) == 16 * ((4 * 4 + 2) * 262_144 + 3 * 1024))
    for kind in [TrafficKind.pipeline, .data, .embedding] { #expect(traffic.byteCount(kind, level: 0) == 0) }
    #expect(traffic.byteCount(.control, level: 0) == 2 * 8)
  }

  /// Gathers and scatters of S/2 each: 3 a half layer forward and backward together, 2 scatters; embedding one of each;
  /// head two gathers and a scatter. Norms and biases of 4 · 512 + 2 · 512 a layer, positions and the final norm are
  /// summed once, 2 bytes each.
  @Test func sequenceParallelismAddsTwoGathersALayerAndTheSumOfItsNorms() throws {
    let traffic = try count(
      Strategy(mesh: [.tensor: 2], usesSequenceParallelism: true))
    let halves = 4 * (6 + 4) + 2 + 3
    let replicated = 4 * (4 + 2) * 512 + 256 * 512 + 2 * 512
    #expect(
      traffic.byteCount(.tensor, level: 0, fromRank: 0) == 16 * (halves * 131_072 + 3 * 1024) + replicated * 2)
  }

  /// Two replicas sum (ZeRO 0) or scatter and gather (1): as many bytes. At 3 each micro-batch scatters once and
  /// gathers twice, the tied embedding four times.
  @Test func dataTrafficByZeroStage() throws {
    let layers = 4 * (12 * 512 * 512 + 13 * 512), embedding = 1024 * 512 + 256 * 512, norm = 2 * 512
    let all = layers + embedding + norm
    func data(_ stage: Strategy.ZeroStage) throws -> Int {
      try count(Strategy(mesh: [.data: 2], zeroStage: stage))
        .byteCount(.data, level: 0)
    }
    #expect(try data(.none) == 2 * 2 * all)
    #expect(try data(.optimizer) == 2 * 2 * all)
    #expect(try data(.gradients) == (8 + 1) * 2 * all)
    #expect(try data(.weights) == 8 * 2 * (3 * all + 2 * embedding))
  }

  /// Stages of 4 ranks on a node each; m = 16 / 2 micro-batches: 262,144 bytes each way across the network, the tied
  /// matrix between rank 0…3 and 4…7, replicas and tensor groups inside.
  @Test func levelsAreThoseThatAMessageCrosses() throws {
    let traffic = try count(Strategy(mesh: [.tensor: 2, .pipeline: 2, .data: 2]), levels: 2)
    #expect(traffic.byteCount(.pipeline, level: 1) == 2 * 2 * 8 * 262_144)
    #expect(traffic.byteCount(.pipeline, level: 0) == 0)
    #expect(traffic.byteCount(.embedding, level: 1) == 8 * (1024 / 2 * 512) * 2)
    #expect(traffic.byteCount(.embedding, level: 0) == 0)
    #expect(traffic.byteCount(.data, level: 1) == 0)
    #expect(traffic.byteCount(.tensor, level: 1) == 0)
    #expect(traffic.byteCount(.tensor, level: 0) > 0)
  }

  /// Chunks: three boundaries of four virtual stages.
  @Test func everyBoundaryOfVirtualStagesIsCrossed() throws {
    let plain = try count(Strategy(mesh: [.pipeline: 2]))
    let chunks = try count(Strategy(mesh: [.pipeline: 2], schedule: .interleaved(chunkCount: 2)))
    #expect(chunks.byteCount(.pipeline, level: 0) == 3 * plain.byteCount(.pipeline, level: 0))
  }

  @Test func hierarchyIsUsedWhereItIsFaster() throws {
    // Replicas of 2 in each of 2 nodes: a ring crosses the network at two links' rate
    // for all of S, rails for half of it.
    let traffic = try count(Strategy(mesh: [.tensor: 2, .data: 4]), levels: 2)
    let model = try CostModel(
      cluster: Fixture.cluster(
        nodeCount: 2, devicesPerNode: 4,
        levels: [
          .init(name: "node", span: 4, bytesPerSecond: 100e9, latencySeconds: 2e-6),
          .init(name: "net", span: 8, bytesPerSecond: 10e9, latencySeconds: 5e-6),
        ]), job: Fixture.job(Fixture.gpt()))
    func route(_ stride: Int, _ kind: CollectiveKind, _ byteCount: Int) -> Route {
      model.route(of: kind, over: RankGroup(first: 0, stride: stride, count: 4), byteCount: byteCount)
    }
    #expect(route(2, .allReduce, 1 << 30) == .hierarchical(degrees: [2, 2]))
    #expect(route(2, .reduceScatter, 1 << 30) == .hierarchical(degrees: [2, 2]))
    #expect(route(1, .allReduce, 1 << 30) == .ring)
    // Six steps round a ring of four, four up a tree and down again.
    #expect(route(1, .allReduce, 8) == .tree && route(1, .allGather, 8) == .ring)
    #expect(traffic.byteCount(.data, level: 1) > 0)
  }
}
