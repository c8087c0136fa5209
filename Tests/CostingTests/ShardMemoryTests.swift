import Documents
import TestSupport
import Testing

@testable import Costing

/// Bytes of states that replicas divide by degrees of their own.
@Suite struct ShardMemoryTests {
  private static func strategy(_ sharding: Sharding, replicaCount: Int) -> Strategy {
    Strategy(mesh: [.data: replicaCount], sharding: sharding, recompute: .full)
  }

  private static func memory(_ sharding: Sharding, replicaCount: Int) throws -> Prediction.StageMemory {
    Fixture.memory(
      try Fixture.job(Fixture.gpt(), globalBatch: replicaCount), strategy(sharding, replicaCount: replicaCount)
    ).stageMemory(stage: 0, Split.Stage(layerCount: 4))
  }

  /// 2Ψ/w + 2Ψ/s of weights, 2Ψ/g of gradients and 12Ψ/o of optimizer states, for
  /// every chain of degrees of 64 replicas.
  @Test func everyKindIsDividedByItsOwnDegree() throws {
    let n = 64, psi = 4 * StateMemoryTests.layer + StateMemoryTests.embedding + StateMemoryTests.finalNorm
    #expect(psi % n == 0, "shards are equal, so that the table is exact")
    func divisors(_ number: Int) -> [Int] { (1...number).filter { number % $0 == 0 } }
    for o in divisors(n) {
      for g in divisors(o) {
        for w in divisors(g) {
          for s in divisors(w).dropLast().map(Optional.init) + [nil] {
            let sharding = Sharding(weightDegree: w, gradientDegree: g, optimizerDegree: o, secondaryDegree: s)
            let memory = try Self.memory(sharding, replicaCount: n)
            #expect(memory.weightBytes == 2 * psi / w + (s.map { 2 * psi / $0 } ?? 0), "\(sharding)")
            #expect(memory.gradientBytes == 2 * psi / g, "\(sharding)")
            #expect(memory.optimizerBytes == 12 * psi / o, "\(sharding)")
          }
        }
      }
    }
  }

  /// What ZeRO stages hold is what their degrees hold.
  @Test(arguments: Strategy.ZeroStage.allCases)
  func aZeROStageIsAPointOfTheLattice(stage: Strategy.ZeroStage) throws {
    let job = try Fixture.job(Fixture.gpt())
    let named = Strategy(mesh: [.data: 48], zeroStage: stage)
    let byDegrees = Strategy(
      mesh: [.data: 48], sharding: Sharding(stage, replicaCount: 48))
    #expect(named == byDegrees && !byDegrees.hasShardLevels)
    #expect(
      Fixture.memory(job, named).stageMemory(stage: 0, Split.Stage(layerCount: 4))
        == Fixture.memory(job, byDegrees).stageMemory(stage: 0, Split.Stage(layerCount: 4)))
  }

  /// Parts are cut one by one where gradients are divided, all parameters at once where they are not: longest shards.
  @Test func shardsOfUnevenPartsAreRoundedUp() throws {
    let parts =
      [Int](repeating: StateMemoryTests.layer, count: 4) + [StateMemoryTests.embedding, StateMemoryTests.finalNorm]
    // 3 does not divide any of them.
    let whole = try Self.memory(Sharding(weightDegree: 1, gradientDegree: 1, optimizerDegree: 3), replicaCount: 6)
    #expect(whole.optimizerBytes == 12 * ((parts.reduce(0, +) + 2) / 3))
    let each = try Self.memory(Sharding(weightDegree: 1, gradientDegree: 3, optimizerDegree: 6), replicaCount: 6)
    #expect(each.gradientBytes == 2 * parts.reduce(0) { $0 + ($1 + 2) / 3 })
    #expect(each.optimizerBytes == 12 * parts.reduce(0) { $0 + (($1 + 2) / 3 + 1) / 2 })
    #expect(each.weightBytes == 2 * parts.reduce(0, +))
  }

  /// A layer's gradient before its reductions and between them, its gathered weights, and the next layer's.
  @Test func whatIsGatheredAndNotYetReducedComesOnTop() throws {
    let layer = StateMemoryTests.layer
    func unsharded(_ w: Int, _ g: Int) throws -> Int {
      let sharded = try Self.memory(Sharding(weightDegree: w, gradientDegree: g, optimizerDegree: 8), replicaCount: 16)
      let plain = try Self.memory(Sharding(weightDegree: 1, gradientDegree: 1, optimizerDegree: 8), replicaCount: 16)
      return sharded.workspaceBytes - plain.workspaceBytes
    }
    #expect(try unsharded(1, 4) == 2 * layer)
    #expect(try unsharded(4, 4) == 2 * 3 * layer)
    #expect(try unsharded(2, 8) == 2 * (3 * layer + layer / 2))
  }

  /// Wang et al. 2023 of 1,024 replicas in nodes of 16: hpZ takes 8.9 times ZeRO 3's memory,
  /// data parallelism 114 times and MiCS 7.1 times that of hpZ.
  @Test func whatTheSecondaryPartitionCostsIsWhatThePaperSays() throws {
    func states(_ w: Int, _ g: Int, _ o: Int, _ s: Int? = nil) throws -> Double {
      let memory = try Self.memory(
        Sharding(weightDegree: w, gradientDegree: g, optimizerDegree: o, secondaryDegree: s), replicaCount: 1024)
      return Double(memory.weightBytes + memory.gradientBytes + memory.optimizerBytes)
    }
    let secondary = try states(1024, 1024, 1024, 16)
    #expect(abs(try secondary / states(1024, 1024, 1024) - 9) < 0.05)
    #expect(abs(try states(1, 1, 1) / secondary - 113.8) < 0.1)
    #expect(abs(try states(16, 16, 16) / secondary - 7.1) < 0.05)
  }

  /// What leaves the devices is the optimizer's shard, however many replicas hold the same.
  @Test(arguments: [2, 4, 16])
  func offloadedStatesAreTheOptimizersShard(o: Int) throws {
    let sharding = Sharding(weightDegree: 1, gradientDegree: 1, optimizerDegree: o)
    let strategy = Strategy(mesh: [.data: 16], sharding: sharding)
    #expect(strategy.canOffloadOptimizer(.adam))
    let memory = Fixture.memory(try Fixture.job(Fixture.gpt()), strategy)
    let choice = StageChoice(recomputedLayerCount: 0, offloadsOptimizer: true)
    let kept = memory.stageMemory(stage: 0, Split.Stage(layerCount: 4))
    let offloaded = memory.stageMemory(stage: 0, Split.Stage(layerCount: 4, choice: choice))
    #expect(offloaded.hostBytes == kept.optimizerBytes)
    #expect(offloaded.hostBytes == memory.optimizerBytes(stage: 0, layerCount: 4))
    #expect(offloaded.peakBytes < kept.peakBytes)
  }

  /// On Frontier, 20 B parameters in the three-level partition: 20 + 5 + 0.6 GB.
  @Test func twentyBillionParametersInThreeLevels() throws {
    let model = try ModelDescription(
      name: "20b", family: .gpt, layerCount: 44, hiddenSize: 6144, headCount: 64, feedForwardSize: 4 * 6144,
      vocabularySize: 50_257, hasGatedFeedForward: false, hasTiedEmbeddings: true, positionCount: 2048)
    let psi = Double(model.parameterCount)
    let strategy = Self.strategy(Sharding(weightDegree: 2, gradientDegree: 8, optimizerDegree: 384), replicaCount: 384)
    let memory = Fixture.memory(try Fixture.job(model, sequenceLength: 2048, globalBatch: 384), strategy)
      .stageMemory(stage: 0, Split.Stage(layerCount: 44))
    let states = Double(memory.weightBytes + memory.gradientBytes + memory.optimizerBytes)
    #expect(agrees(states, (1 + 0.25 + 12.0 / 384) * psi, relative: 1e-4))
  }
}
