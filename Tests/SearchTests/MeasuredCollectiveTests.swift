import Documents
import TestSupport
import Testing

@testable import Costing
@testable import Search

@Suite("The search with measured collectives")
struct MeasuredCollectiveTests {
  /// A random problem with collectives of some shapes, slower or faster than the model has them, and now and then with
  /// rates of pairs. Times are as they come, not growing with the size.
  private func model(seed: UInt64, withPairs: Bool = false) throws -> CostModel {
    let base = try RandomProblem(seed: seed).model
    let cluster = base.cluster, names = cluster.nodeNames
    var random = SeededGenerator(seed: seed)
    var collectives: [MeasuredLinks.CollectiveTimes] = []
    for nodes in Set([1, 2, cluster.nodeCount]).sorted() where nodes <= cluster.nodeCount {
      for kind in [MeasuredLinks.CollectiveTimes.Kind.allReduce, .allGather, .reduceScatter] {
        let ranks = nodes * cluster.devicesPerNode
        guard ranks > 1, Bool.random(using: &random) else { continue }
        let rate = [1e8, 1e10, 1e12].randomElement(using: &random) ?? 1e10
        collectives.append(
          MeasuredLinks.CollectiveTimes(
            kind: kind, rankCount: ranks, nodeCount: nodes,
            points: [10_000, 1_000_000, 30_000_000].map {
              .init(
                messageBytes: $0, seconds: 1e-5 + Double($0) / rate * Double.random(in: 0.2...2, using: &random))
            }, originIndex: 0))
      }
    }
    let rates = names.indices.map { from in
      names.indices.map { to in from == to ? nil : Double.random(in: 1e9...2e10, using: &random) as Double? }
    }
    return try CostModel(
      cluster: cluster.measured(
        MeasuredLinks(
          name: "timed", engine: "nccl-tests", source: "", nodeNames: names,
          origins: [.init(engine: "nccl-tests", source: "log", trust: .collective)],
          snapshots: withPairs ? [.init(name: "once", bytesPerSecond: rates)] : [], collectives: collectives)),
      job: base.job)
  }

  @Test("The optimum equals brute force, and no bound is above a score")
  func equalsBruteForce() throws {
    var solved = 0, moved = 0
    for seed in UInt64(500)...540 {
      let model = try model(seed: seed)
      let result = PlanSearch(model: model, options: .init(resultCount: 4)).run()
      let truth = BruteForce(model)
      #expect(result.best.count == min(4, truth.scores.count), "seed \(seed)")
      for (found, best) in zip(result.best, truth.scores) {
        #expect(abs(found.scoreSeconds - best) <= 1e-9 * best, "seed \(seed): \(found.strategy.text)")
      }
      #expect(result.certificate.gap <= 1e-9 || result.best.isEmpty, "seed \(seed)")
      OptimalityTests.expectBoundsAreAdmissible(model, "seed \(seed)")
      guard let best = result.best.first else { continue }
      solved += 1
      if !model.measuredPrices(of: best.strategy).isEmpty { moved += 1 }
    }
    #expect(solved >= 20)
    #expect(moved >= 10)
  }

  @Test("With rates of pairs as well, no order of the nodes is faster than the bound, and the plan holds")
  func boundsHoldForEveryOrder() throws {
    var scratch = EvaluationScratch()
    var compared = 0, verified = 0
    for seed in UInt64(600)...625 {
      let model = try model(seed: seed, withPairs: true)
      guard model.cluster.nodeCount > 1 else { continue }
      let bounding = model.assumingBestLinks()
      var random = SeededGenerator(seed: seed)
      let orders = (0..<4).map { _ in Array(0..<model.cluster.nodeCount).shuffled(using: &random) }
      for sample in PlanSearch(model: bounding).pricingSamples() where sample.strategy.microBatch == 1 {
        let strategy = sample.strategy
        let split = Split.even(
          layerCount: model.job.model.layerCount, stageCount: strategy.pipelineDegree,
          chunkCount: strategy.virtualStageCount)
        let bound = bounding.cost(of: strategy, layout: sample.layout).iterationSeconds(of: split, scratch: &scratch)
        for order in orders {
          let seconds = model.arranged(order).cost(of: strategy).iterationSeconds(of: split, scratch: &scratch)
          #expect(bound <= seconds * (1 + 1e-12), "seed \(seed): \(strategy.text) \(order)")
          compared += 1
        }
      }
      guard seed % 5 == 0, let plan = PlanSearch(model: model).plan(toolVersion: "test") else { continue }
      let read = try Plan(Field(plan.json, source: "plan"))
      #expect(read == plan)
      #expect(try PlanVerification(read).disagreements.isEmpty, "seed \(seed)")
      #expect(try PlanVerification.disagreementsWithoutSearch(of: read).isEmpty, "seed \(seed)")
      verified += 1
    }
    #expect(compared > 1_000)
    #expect(verified >= 1)
  }
}
