import Testing
import Training

@testable import Costing
@testable import Documents

/// What divided sequences take and hold, against formulas written out here.
@Suite struct ContextCostTests {
  private func model(length: Int = 8192) throws -> CostModel {
    try CostModel(
      cluster: Fixture.node(of: 8, device: Fixture.device(framework: Fixture.framework())),
      job: Fixture.job(Fixture.llama()).with(sequenceLength: length))
  }

  private func strategy(
    _ exchange: Strategy.ContextExchange, context: Int, tensor: Int = 1, inner: Int = 1,
    recompute: Strategy.Recompute = .none
  ) -> Strategy {
    var strategy = Strategy(
      mesh: [.tensor: tensor, .context: context, .data: 8 / context / tensor], recompute: recompute,
      usesFlashAttention: true)
    strategy.contextExchange = exchange
    strategy.contextInnerDegree = inner
    return strategy
  }

  private func passes(_ model: CostModel, _ strategy: Strategy) -> MicroBatchCost.Passes {
    model.microBatchCosts(layout: model.layoutCost(strategy.mesh), [MicroBatchKey(strategy)])[0][0].layer
  }

  /// What a block sends in one pass, and what of it nothing hides, by the formulas of the exchanges.
  @Test(arguments: [2, 4])
  func exposedSecondsAreThoseOfTheFormulas(degree: Int) throws {
    for length in [8192, 1024] {
      let model = try model(length: length), shape = model.job.model, e = 2
      let t = length / degree, kv = 2 * t * shape.keyValueSize * e
      let links = model.layoutCost(strategy(.ring, context: degree).mesh).links[0]
      let group = links.contextGroups(strategy(.ring, context: degree).contextDivision).sequence
      // Rings: the keys of the next step, and backward the gradients of the one before, beside the core.
      let ring = passes(model, strategy(.ring, context: degree))
      let core = 4 * Double(t) * Double(length) * Double(shape.querySize) / 2 * model.secondsPerAttentionFLOP
      let hop = group.latencySeconds + Double(kv) / group.ringBytesPerSecond
      let n = Double(degree)
      #expect(ring.forwardContextSeconds.isClose(to: (n - 1) * max(0, hop - core / n)))
      let last = 2 * max(0, hop - 2.5 * core / n), middle = (n - 2) * max(0, 2 * hop - 2.5 * core / n)
      #expect(ring.backwardContextSeconds.isClose(to: last + middle))
      // Gathers are waited for: twice, and a scatter backward.
      let gather = passes(model, strategy(.allGather, context: degree))
      let whole = group.allGatherSeconds(byteCount: n * Double(kv))
      #expect(gather.forwardContextSeconds.isClose(to: whole))
      #expect(gather.backwardContextSeconds.isClose(to: 2 * whole))
      // Exchanges for heads are waited for: queries, keys and values there, the output back; backward likewise.
      let heads = passes(model, strategy(.allToAll, context: degree))
      let there = Double(t * (shape.querySize + 2 * shape.keyValueSize) * e), back = Double(t * shape.querySize * e)
      let both = group.allToAllSeconds(byteCount: there) + group.allToAllSeconds(byteCount: back)
      #expect(heads.forwardContextSeconds.isClose(to: both))
      #expect(heads.backwardContextSeconds.isClose(to: both))
      // What is computed is the same for all; a ring puts results of its steps together.
      let plain = passes(model, strategy(.ring, context: 1)).forwardComputeSeconds
      #expect(gather.forwardComputeSeconds < plain / n * 1.5)
      #expect(heads.forwardComputeSeconds == gather.forwardComputeSeconds)
      let corrections = (n - 1) * 8 * Double(t * shape.querySize) * model.secondsPerMemoryByte
      #expect((ring.forwardComputeSeconds - gather.forwardComputeSeconds).isClose(to: corrections))
    }
  }

  /// What recomputation runs again it exchanges again.
  @Test func recomputationExchangesAgain() throws {
    let model = try model()
    let kept = passes(model, strategy(.allGather, context: 4))
    let again = passes(model, strategy(.allGather, context: 4, recompute: .full))
    #expect(again.backwardContextSeconds.isClose(to: kept.backwardContextSeconds + kept.forwardContextSeconds))
  }

  /// A rank keeps 1/CP of the activations, and all of the weights; gathers hold the whole sequence's keys and values.
  @Test func memoryIsDividedWhereTokensAre() throws {
    let model = try model(), split = Split([4])
    func memory(_ strategy: Strategy) -> Prediction.StageMemory {
      model.cost(of: strategy).memory.stageMemory(of: split)[0]
    }
    let whole = memory(strategy(.ring, context: 1)), ring = memory(strategy(.ring, context: 4))
    #expect(ring.weightBytes == whole.weightBytes && ring.gradientBytes == whole.gradientBytes)
    #expect(ring.activationBytes * 4 == whole.activationBytes)
    let heads = memory(strategy(.allToAll, context: 4))
    // The output is kept by heads and by tokens.
    let output = 4 * 8192 / 4 * model.job.model.querySize * 2
    #expect(heads.activationBytes == ring.activationBytes + output)
    let keys = 2 * 8192 / 4 * model.job.model.keyValueSize * 2
    #expect(workspace(.allGather) - workspace(.ring) == 2 * 4 * keys - 2 * 2 * keys)
    func workspace(_ exchange: Strategy.ContextExchange) -> Int {
      model.cost(of: strategy(exchange, context: 4)).costs[0].memory.layerWorkspaceBytes.dense
    }
    var sharded = strategy(.ring, context: 4)
    sharded = sharded.on(sharded.mesh, zeroStage: .optimizer, sharding: nil)
    #expect(sharded.sharding.optimizerDegree == 8)
    #expect(memory(sharded).optimizerBytes * 8 <= whole.optimizerBytes + 64)
  }

  /// Exchanges are on the links of their groups: between nodes where tensor groups fill the nodes.
  @Test func groupsLieWhereRanksDo() throws {
    let model = try CostModel(
      cluster: Fixture.cluster(
        nodeCount: 4, devicesPerNode: 4,
        levels: [
          .init(name: "node", span: 4, bytesPerSecond: 100e9), .init(name: "net", span: 16, bytesPerSecond: 10e9),
        ]),
      job: Fixture.job(Fixture.llama()))
    func groups(_ mesh: Mesh, _ division: Strategy.ContextDivision) -> ContextGroups {
      model.layoutCost(mesh).links[0].contextGroups(division)
    }
    let inside = groups([.context: 4, .data: 4], .init(headDegree: 1, sequenceDegree: 4, gathers: false))
    #expect(inside.sequence.ringBytesPerSecond == 100e9 && inside.heads.rankCount == 1)
    let across = groups([.tensor: 4, .context: 4], .init(headDegree: 1, sequenceDegree: 4, gathers: false))
    #expect(across.sequence.ringBytesPerSecond == 10e9)
    let both = groups([.context: 16], .init(headDegree: 4, sequenceDegree: 4, gathers: false))
    #expect(both.heads.ringBytesPerSecond == 100e9 && both.sequence.ringBytesPerSecond < 100e9)
  }
}

extension CostModel {
  fileprivate var secondsPerAttentionFLOP: Double { devices[0].speed.secondsPerAttentionFLOP }
  fileprivate var secondsPerMemoryByte: Double { devices[0].speed.secondsPerMemoryByte }
}

extension Double {
  fileprivate func isClose(to other: Double) -> Bool { abs(self - other) <= 1e-9 * max(abs(self), abs(other), 1e-12) }
}
