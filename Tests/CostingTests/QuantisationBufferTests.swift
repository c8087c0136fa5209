import Documents
import TestSupport
import Testing

@testable import Costing

/// Buffers of quantised collectives, counted by hand for a layer of the fixture's GPT on nodes of four.
@Suite struct QuantisationBufferTests {
  private static let layer = StateMemoryTests.layer

  /// Eight replicas, nothing recomputed.
  private func memory(
    _ w: Int, _ g: Int, _ o: Int, weights: Bool, gradients: Bool, devicesPerNode: Int = 4
  ) throws -> Prediction.StageMemory {
    let strategy = Strategy(
      mesh: [.data: 8],
      sharding: Sharding(
        weightDegree: w, gradientDegree: g, optimizerDegree: o, quantisesWeights: weights,
        quantisesGradients: gradients))
    return MemoryModel(
      job: try Fixture.job(Fixture.gpt(vocabularySize: 64)), device: Fixture.device(), framework: Fixture.framework(),
      strategy: strategy, devicesPerNode: devicesPerNode
    ).stageMemory(stage: 0, Split.Stage(layerCount: 4))
  }

  /// Workspace that quantisation adds.
  private func added(
    _ w: Int, _ g: Int, _ o: Int, weights: Bool = false, gradients: Bool = false, devicesPerNode: Int = 4
  ) throws -> Int {
    try memory(w, g, o, weights: weights, gradients: gradients, devicesPerNode: devicesPerNode).workspaceBytes
      - memory(w, g, o, weights: false, gradients: false, devicesPerNode: devicesPerNode).workspaceBytes
  }

  private func words(_ elements: Int, _ bits: Int, group: Int) -> Int {
    (elements * bits + 31) / 32 + (elements + group - 1) / group
  }

  @Test func aGatherHoldsWhatAllRanksHaveSent() throws {
    // Eight shards of a code a byte and a step for every 2,048 of them.
    #expect(try added(8, 8, 8, weights: true) == 4 * 8 * words(Self.layer / 8, 8, group: 2048))
  }

  @Test func anExchangeHoldsWhatItSendsAndReceivesTwiceAndTheNodesSum() throws {
    let inside = 4 * 4 * words(Self.layer / 4, 4, group: 256)
    let across = 2 * 4 * words(Self.layer / 8, 4, group: 256)
    #expect(try added(8, 8, 8, gradients: true) == 2 * (inside + across) + 4 * Self.layer / 4)
    // Of pairs with one rank in each node there is one exchange, of what the node's reduction has left.
    #expect(try added(4, 8, 8, gradients: true) == 2 * 2 * 4 * words(Self.layer / 8, 4, group: 256))
  }

  @Test func groupsInsideANodePackNothing() throws {
    #expect(try added(4, 4, 4, weights: true, gradients: true) == 0)
    #expect(try added(8, 8, 8, weights: true, gradients: true, devicesPerNode: 8) == 0)
  }

  /// Where gradients are whole all of them are quantised at once, at the step, when nothing else is alive.
  @Test func theStepIsAMomentOfItsOwn() throws {
    let all = 4 * Self.layer + (64 + 256) * 512 + 1024
    let inside = 4 * 4 * words(all / 4, 4, group: 256), across = 2 * 4 * words(all / 8, 4, group: 256)
    let moment = try memory(1, 1, 8, weights: false, gradients: true)
    #expect(moment.activationBytes + moment.workspaceBytes == 2 * (inside + across) + 4 * all / 4)
  }
}
