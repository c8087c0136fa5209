import Costing
import Documents
import Search
import TestSupport
import Testing

/// What single moves of an order bring, and the pair that binds.
@Suite struct OrderGainTests {
  /// Eight nodes of eight devices whose links are all alike but for some between neighbours.
  private func model(slow pairs: [(Int, Int)], rate: Double) throws -> CostModel {
    let base = try Shipped.catalog.cluster("a100-hdr-16")
    let names = (0..<8).map { "gpu-\($0)" }
    var rates: [[Double?]] = (0..<8).map { row in (0..<8).map { $0 == row ? nil : 24e9 } }
    for (node, other) in pairs { (rates[node][other], rates[other][node]) = (rate, rate) }
    let cluster = try ClusterDescription(
      name: "eight", device: base.device, nodeNames: names, devicesPerNode: 8,
      levels: [base.levels[0], .init(name: "hdr", span: 64, bytesPerSecond: 25e9, sharedBytesPerSecond: 100e9)],
      measured: MeasuredLinks(
        name: "eight", engine: "synthetic", source: "", nodeNames: names,
        snapshots: [.init(name: "once", bytesPerSecond: rates)]))
    return try CostModel(
      cluster: cluster,
      job: TrainingJob(model: Shipped.catalog.model("megatron-22b"), sequenceLength: 2048, globalBatch: 64))
  }

  private func plan(_ model: CostModel, pipeline: Int) throws -> Plan {
    var pattern = StrategyPattern()
    (pattern.tensorDegree, pattern.pipelineDegree, pattern.virtualStageCount) = (8, pipeline, 1)
    return try #require(
      PlanSearch(model: model, pattern: pattern).plan(toolVersion: "test"))
  }

  @Test(arguments: [1, 4]) func eachMoveBringsWhatUndoingItCosts(pipeline: Int) throws {
    let model = try model(slow: [(0, 1), (2, 4), (3, 6)], rate: 2e9)
    let plan = try plan(model, pipeline: pipeline)
    let gain = try OrderGain(plan)
    #expect(plan.arrangement.reason == .searched)
    #expect(plan.prediction.iterationSeconds < plan.arrangement.givenOrderSeconds)
    #expect(!gain.moves.isEmpty)
    #expect(gain.moves.map(\.share) == gain.moves.map(\.share).sorted(by: >))
    var scratch = EvaluationScratch()
    for move in gain.moves {
      var order = plan.arrangement.nodeOrder
      #expect(order[move.replaced] == move.node)
      let now = try #require(order.firstIndex(of: move.replaced))
      order.swapAt(move.replaced, now)
      let undone = model.arranged(order).cost(of: plan.strategy).iterationSeconds(
        of: plan.split, scratch: &scratch)
      #expect(abs(1 - plan.prediction.iterationSeconds / undone - move.share) < 1e-12)
      #expect(move.share > 0)
      #expect(plan.arrangement.nodeOrder.contains(move.neighbour) && move.neighbour != move.node)
    }
  }

  @Test func aSlowPairThatCannotBeAvoidedBinds() throws {
    // Node 5 is slow to all others, and all eight are needed.
    let model = try model(slow: [0, 1, 2, 3, 4, 6, 7].map { (5, $0) }, rate: 4e9)
    let pair = try #require(try OrderGain(plan(model, pipeline: 8)).slowestPair)
    #expect([pair.from, pair.to].contains(5))
    #expect(pair.bytesPerSecond == 4e9 && !pair.isInRing)
    #expect(pair.savedSeconds > 0)
  }

  @Test func withoutMeasurementsNothingIsSaid() throws {
    let cluster = try Shipped.catalog.cluster("dgx-a100-4")
    let model = try CostModel(
      cluster: cluster,
      job: TrainingJob(model: Shipped.catalog.model("megatron-22b"), sequenceLength: 2048, globalBatch: 64))
    let gain = try OrderGain(plan(model, pipeline: 4))
    #expect(gain.moves.isEmpty && gain.slowestPair == nil)
  }
}
