import TestSupport
import Testing

@testable import Costing
@testable import Documents

/// Iterations of workers with outer steps: rounds, memory, and what bounds them.
@Suite struct OuterCostTests {
  /// Nodes of four A100 with a slow link between any two of them.
  static func cluster(
    nodes: Int, bytesPerSecond: Double = 1e9, latencySeconds: Double = 1e-4,
    wideArea: ClusterDescription.WideArea? = nil, measured: MeasuredLinks? = nil
  ) throws -> ClusterDescription {
    try ClusterDescription(
      name: "slow", device: Shipped.catalog.device("a100-sxm4-80gb"), nodeNames: (0..<nodes).map { "n\($0)" },
      devicesPerNode: 4,
      levels: [
        .init(name: "node", span: 4, bytesPerSecond: 300e9)
      ]
        + (nodes > 1
          ? [
            .init(
              name: "slow", span: 4 * nodes, bytesPerSecond: bytesPerSecond, latencySeconds: latencySeconds,
              efficiency: 1, sharedBytesPerSecond: 4 * bytesPerSecond, wideArea: wideArea)
          ] : []),
      host: .init(memoryBytes: 1 << 41, bytesPerSecond: 25e9), measured: measured)
  }

  static func model(_ cluster: ClusterDescription, batch: Int = 64, momentum: Double = 0.5) throws -> CostModel {
    var job = try TrainingJob(model: Shipped.catalog.model("gpt2"), sequenceLength: 1024, globalBatch: batch)
    job.outer = OuterOptimizer(momentum: momentum)
    return try CostModel(cluster: cluster, job: job, frameworkName: "megatron-lm")
  }

  static func strategy(
    _ mesh: Mesh, _ outer: OuterStep, zeroStage: Strategy.ZeroStage = .optimizer
  ) -> Strategy {
    var strategy = Strategy(mesh: mesh, zeroStage: zeroStage, usesFlashAttention: true)
    strategy.update = .outer
    strategy.outer = outer
    return strategy
  }

  /// Of the whole model, on one rank, with the token table as it is padded.
  static func parameterCount(_ model: CostModel) -> Int {
    let shape = model.job.model
    return shape.embeddingParameters(vocabularySize: 50_304).perRank(tensorDegree: 1)
      + shape.layerCount * shape.layerParameters(.dense).perRank(tensorDegree: 1)
      + shape.headParameters(vocabularySize: 50_304).perRank(tensorDegree: 1)
  }

  private func prediction(_ model: CostModel, _ strategy: Strategy) throws -> Prediction {
    try #require(model.violation(of: strategy) == nil)
    let layers = model.job.model.layerCount
    return model.prediction(
      of: model.cost(of: strategy),
      split: .even(
        layerCount: layers, stageCount: strategy.pipelineDegree, chunkCount: strategy.virtualStageCount))
  }

  /// A worker of one node has the links between nodes to itself: its iteration is what it is without other workers.
  @Test(arguments: [0, 1])
  func aRoundIsWhatItIsMadeOf(staleness: Int) throws {
    let alone = try prediction(
      Self.model(Self.cluster(nodes: 1), batch: 16),
      Strategy(
        mesh: [.data: 4], zeroStage: .optimizer, usesFlashAttention: true))
    let model = try Self.model(Self.cluster(nodes: 4))
    for period in [1, 5, 60, 2_000] {
      let own = try prediction(
        model, Self.strategy([.data: 4, .worker: 4], OuterStep(period: period, staleness: staleness)))
      let round = try #require(own.outerRound)
      #expect(abs(round.localSeconds / alone.iterationSeconds - 1) < 1e-12)
      // A quarter of the parameters on each rank, in fp32, a ring of four: 2 · 3/4 · 4n bytes, and six hops.
      let count = (Self.parameterCount(model) + 3) / 4
      let links = 1.5 * 4 * Double(count) / 1e9 + 6e-4
      #expect(abs(round.allReduceSeconds / links - 1) < 1e-3, "\(round.allReduceSeconds), \(links)")
      #expect(abs(round.sentBytes - 6 * count) <= 6)
      let local = Double(period) * round.localSeconds
      let waiting = staleness == 0 ? local + round.allReduceSeconds : max(local, round.allReduceSeconds)
      #expect(abs(round.roundSeconds - waiting - round.stepSeconds) < 1e-9 * round.roundSeconds)
      #expect(abs(own.iterationSeconds * Double(period) / round.roundSeconds - 1) < 1e-12)
      let sum = own.timeSplit.parts.reduce(0) { $0 + $1.seconds }
      #expect(abs(sum / own.iterationSeconds - 1) < 1e-9)
      #expect(round.leastHiddenPeriod == Int((round.allReduceSeconds / round.localSeconds).rounded(.up)))
    }
  }

  /// One all-reduce for τ iterations: fewer bytes an iteration, and never more seconds.
  @Test func longerRoundsAreNoSlower() throws {
    let model = try Self.model(Self.cluster(nodes: 4))
    for staleness in [0, 1] {
      var last = Double.infinity
      for period in [1, 2, 3, 8, 20, 100, 500] {
        let seconds = try prediction(
          model, Self.strategy([.data: 4, .worker: 4], OuterStep(period: period, staleness: staleness))
        ).iterationSeconds
        #expect(seconds <= last, "\(staleness) \(period)")
        last = seconds
      }
    }
  }

  /// What travels in fewer bytes takes less, in proportion; an INT8 of 2,048 has a step of four bytes.
  @Test func formatsTravelInTheirBytes() throws {
    let model = try Self.model(Self.cluster(nodes: 4, latencySeconds: 0))
    let seconds = try OuterStep.Format.allCases.map { format in
      try #require(
        prediction(model, Self.strategy([.data: 4, .worker: 4], OuterStep(period: 10, format: format))).outerRound
      ).allReduceSeconds
    }
    #expect(abs(seconds[1] / seconds[0] - 0.5) < 0.01, "\(seconds)")
    #expect(abs(seconds[2] / seconds[0] - 0.25 * (1 + 4 / 2048)) < 0.01, "\(seconds)")
  }

  /// Anchor and momentum in fp32, and what is in flight as it travels, of the elements that a rank updates (table C.2 of the
  /// method: `4Ψ/Y` each, `qΨ/Y`).
  @Test(arguments: [Strategy.ZeroStage.none, .optimizer, .gradients, .weights])
  func outerStatesAreDividedAsTheOptimizersAre(zeroStage: Strategy.ZeroStage) throws {
    let cluster = try Self.cluster(nodes: 4)
    let divisor = zeroStage == .none ? 1 : 4
    let count = try Self.parameterCount(Self.model(cluster)) / divisor
    for (momentum, outer, bytes) in [
      (0.5, OuterStep(period: 8), 8), (0, OuterStep(period: 8), 4), (0.5, OuterStep(period: 8, staleness: 1), 12),
      (0.5, OuterStep(period: 8, staleness: 1, format: .int8), 9),
      (0, OuterStep(period: 8, staleness: 1, format: .bf16), 6),
    ] {
      let model = try Self.model(cluster, momentum: momentum)
      let memory = try prediction(model, Self.strategy([.data: 4, .worker: 4], outer, zeroStage: zeroStage))
        .stageMemory[0]
      // Where parts are divided one by one each rounds up.
      #expect(abs(memory.outerBytes - bytes * count) <= bytes * 32, "\(memory.outerBytes), \(bytes * count)")
      var hosted = outer
      hosted.isHosted = true
      let onHost = try prediction(model, Self.strategy([.data: 4, .worker: 4], hosted, zeroStage: zeroStage))
        .stageMemory[0]
      #expect(onHost.outerBytes == 0 && onHost.hostBytes == memory.outerBytes)
      #expect(onHost.peakBytes == memory.peakBytes - memory.outerBytes)
    }
  }

  /// No split takes less than the bound, and what a worker alone may take is what leaves an iteration below a limit.
  @Test func boundsHold() throws {
    let model = try Self.model(Self.cluster(nodes: 4), batch: 128)
    for staleness in [0, 1] {
      for period in [1, 6, 40, 400] {
        let cost = model.cost(
          of: Self.strategy([.pipeline: 2, .data: 2, .worker: 4], OuterStep(period: period, staleness: staleness)))
        var scratch = EvaluationScratch()
        for first in 1...11 {
          let split = Split([first, 12 - first])
          let seconds = cost.iterationSeconds(of: split, scratch: &scratch)
          #expect(cost.boundSeconds <= seconds)
          let local = seconds - cost.timeSplit(of: split, scratch: &scratch).outerSeconds
          #expect(cost.leastSeconds(localSeconds: local) <= seconds)
          for factor in [0.5, 0.9, 1.0001, 2] {
            let limit = factor * cost.leastSeconds(localSeconds: local)
            #expect((cost.localSeconds(within: limit) > local) == (factor > 1), "\(staleness) \(period) \(factor)")
          }
        }
      }
    }
  }

  /// Behind links between sites: no more than all connections of a device reach, votes before and after, and rounds that are
  /// tried again when a worker fails.
  @Test func linksBetweenSites() throws {
    func seconds(_ area: ClusterDescription.WideArea?) throws -> Double {
      try #require(
        prediction(
          Self.model(Self.cluster(nodes: 4, latencySeconds: 0.01, wideArea: area)),
          Self.strategy([.data: 4, .worker: 4], OuterStep(period: 10))
        ).outerRound
      ).allReduceSeconds
    }
    let plain = try seconds(nil), voting = try seconds(.init())
    #expect(abs(voting - plain - 0.04) < 1e-9)
    let flows = try seconds(.init(flowBytesPerSecond: 2.5e7, connectionCount: 8))
    #expect(abs((flows - voting) / (plain - 0.06) - 4) < 0.02, "\(flows), \(voting)")
    let failing = try seconds(.init(failureProbability: 0.1, detectionSeconds: 7))
    let p = 0.9 * 0.9 * 0.9 * 0.9
    #expect(abs(failing - voting / p - (1 / p - 1) * 7) < 1e-9)
  }

  /// A worker of several nodes shares its links between nodes with the all-reduce: both are slower for it, and with links to
  /// spare neither is.
  @Test func innerTrafficAndTheAllReduceShareLinks() throws {
    let model = try Self.model(Self.cluster(nodes: 4))
    let strategy = Self.strategy([.data: 8, .worker: 2], OuterStep(period: 20, staleness: 1))
    let cost = model.cost(of: strategy)
    #expect(cost.costs[0].links.workers.innerShare == 1)
    let round = try #require(try prediction(model, strategy).outerRound)
    let alone = cost.outer?.allReduceSeconds(
      parameterCount: cost.costs[0].memory.updatedCount(stage: 0, LayerCounts(dense: 12)))
    #expect(round.interferenceSeconds > 0 && round.allReduceSeconds > alone ?? .infinity)
    // All of both has to pass over the same links in a round.
    #expect(round.roundSeconds < 20 * round.localSeconds + 2 * round.allReduceSeconds)
    #expect(round.roundSeconds > 20 * round.localSeconds)
  }

  /// With measured links each worker has its own, and the slowest counts; the order of the nodes decides which they are.
  @Test func theSlowestWorkerCounts() throws {
    func model(_ rate: (_ from: Int, _ to: Int) -> Double) throws -> CostModel {
      let rates = (0..<4).map { from in (0..<4).map { to -> Double? in from == to ? nil : rate(from, to) } }
      return try Self.model(
        Self.cluster(
          nodes: 4, bytesPerSecond: 1e10,
          measured: MeasuredLinks(
            name: "pairs", engine: "invented", source: "for this test", nodeNames: (0..<4).map { "n\($0)" },
            snapshots: [.init(name: "now", bytesPerSecond: rates)])))
    }
    let strategy = Self.strategy([.data: 8, .worker: 2], OuterStep(period: 100, staleness: 1))
    // Nodes 0 and 1 are near each other, 2 and 3 as well; other pairs are far apart.
    let pairs = try model { $0 / 2 == $1 / 2 ? 1e10 : 1e8 }
    let near = try #require(prediction(pairs, strategy).outerRound)
    let far = try #require(prediction(pairs.arranged([0, 2, 1, 3]), strategy).outerRound)
    #expect(far.localSeconds > 5 * near.localSeconds, "\(far.localSeconds), \(near.localSeconds)")
    #expect(near.allReduceSeconds > 5 * far.allReduceSeconds)
    // One slow pair is enough, whichever worker has it.
    let second = try #require(prediction(model { min($0, $1) == 2 ? 1e8 : 1e10 }, strategy).outerRound)
    let first = try #require(prediction(model { max($0, $1) == 1 ? 1e8 : 1e10 }, strategy).outerRound)
    #expect(abs(second.localSeconds / far.localSeconds - 1) < 0.01 && second.localSeconds == first.localSeconds)
  }

  @Test func whatCannotBeIsRefused() throws {
    let model = try Self.model(Self.cluster(nodes: 4))
    func rule(_ change: (inout Strategy) -> Void) -> StrategyViolation? {
      var strategy = Self.strategy([.data: 4, .worker: 4], OuterStep(period: 8))
      change(&strategy)
      return model.violation(of: strategy)
    }
    #expect(rule { _ in } == nil)
    #expect(rule { $0.update = .firstOrder } == .workersNeedOuterSteps)
    #expect(
      rule { $0 = Self.strategy([.data: 2, .worker: 8], OuterStep(period: 8)) }
        == .workersSplitNode(ranks: 2, devicesPerNode: 4))
    #expect(rule { $0.microBatch = 3 } != nil)
    #expect(
      rule { $0 = Self.strategy([.data: 16], OuterStep(period: 8, format: .bf16)) } == .outerFormatNeedsWorkers)
    var job = model.job
    job.outer = .usual
    let half = try TrainingJob(
      model: job.model, sequenceLength: 1024, globalBatch: 64, precision: .fp16, accumulatesGradientsInFP32: false)
    let strategy = Self.strategy([.data: 4, .worker: 4], OuterStep(period: 8))
    #expect(
      try CostModel(cluster: model.cluster, job: half).violation(of: strategy) == .outerStepsIn(.fp16))
  }
}
