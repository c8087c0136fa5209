import Costing
import Documents
import TestSupport
import Testing

@testable import Search

/// Of the strategies within a margin of the fastest the plainest is the answer.
@Suite struct PlainnessTests {
  private static let margin = 0.03

  @Test func noPlainerStrategyIsWithinTheMargin() throws {
    var plainerCount = 0
    for seed in UInt64(2_000)...2_060 {
      let problem = try RandomProblem(seed: seed)
      let result = PlanSearch(model: problem.model, options: .init(margin: Self.margin)).run()
      guard let answer = result.best.first else { continue }
      // Every strategy with its best split, and no bound to close it.
      let all = PlanSearch(model: problem.model, options: .init(resultCount: 1_000_000)).run().best
      let fastest = try #require(all.first)
      #expect((result.fastest ?? answer) == fastest, "\(problem.description)")
      #expect(answer.scoreSeconds <= fastest.scoreSeconds * (1 + Self.margin) * (1 + 1e-12), "\(problem.description)")
      let own = Self.plainness(answer)
      for other in all where other.scoreSeconds <= fastest.scoreSeconds * (1 + Self.margin) {
        let plainness = Self.plainness(other)
        #expect(!(plainness < own), "\(problem.description): \(other.strategy.text)")
        if plainness == own { #expect(answer.scoreSeconds <= other.scoreSeconds, "\(problem.description)") }
      }
      if answer != fastest { plainerCount += 1 }
      #expect(result.certificate.fastestScoreSeconds == fastest.scoreSeconds)
      #expect(result.certificate.gap >= result.certificate.proofGap)
    }
    #expect(plainerCount > 5)
  }

  /// As far as a completion shows it: stages that choose did so.
  private static func plainness(_ completion: PlanSearch.Completion) -> Plainness {
    let choices = completion.split.choices ?? []
    return Plainness(
      completion.strategy,
      freedom: StageFreedom(
        choosesRecomputation: choices.map(\.recomputedLayerCount)
          != completion.split.choices(under: completion.strategy).map(\.recomputedLayerCount) && !choices.isEmpty,
        choosesOffload: choices.contains(where: \.offloadsOptimizer)),
      hasEqualLayers: Set(completion.split.layerCounts).count == 1)
  }

  @Test func withoutAMarginTheFastestIsTheAnswer() throws {
    let model = try CostModel(
      cluster: Shipped.catalog.cluster("frontier-16"),
      job: TrainingJob(model: Shipped.catalog.model("megatron-22b"), sequenceLength: 2_048, globalBatch: 512))
    let plan = try #require(PlanSearch(model: model).plan(toolVersion: "test"))
    #expect(plan.certificate.plainnessCost == 0 && plan.certificate.plainerCount == 0)
    #expect(!plan.alternatives.contains { $0.family == Plan.Alternative.fastest })
    let plain = try #require(PlanSearch(model: model, options: .init(margin: 0.01)).plan(toolVersion: "test"))
    #expect(!plain.strategy.hasShardLevels && plain.split.choices == nil)
    #expect(plain.alternatives.first?.family == Plan.Alternative.fastest)
    #expect(plain.alternatives.first?.strategy == plan.strategy)
    #expect(plain.certificate.plainnessCost > 0 && plain.certificate.plainnessCost <= 0.01)
  }

  @Test(arguments: Capabilities.all.map(\.name)) func everyAnswerIsOneThatTheFrameworkRuns(name: String) throws {
    let table = try #require(Capabilities.named(name))
    var planCount = 0
    for (cluster, model) in [
      ("dgx-h100-1", "llama-3-8b"), ("dgx-a100-4", "llama-2-7b"), ("frontier-16", "llama-2-7b"),
      ("dgx-h100-4", "llama-2-70b"), ("dgx-a100-4", "gpt2"), ("a100-hdr-16", "mistral-7b"),
    ] {
      let search = try PlanSearch(
        model: CostModel(
          cluster: Shipped.catalog.cluster(cluster),
          job: TrainingJob(model: Shipped.catalog.model(model), sequenceLength: 1_024, globalBatch: 256)),
        capabilities: table, options: .init(margin: 0.01))
      let result = search.run()
      guard let plan = search.plan(of: result, toolVersion: "test") else {
        #expect(result.shortage != nil || !result.certificate.rejections.isEmpty, "\(cluster), \(model)")
        continue
      }
      planCount += 1
      #expect(table.refusal(of: plan.strategy, split: plan.split, job: plan.job) == nil, "\(cluster), \(model)")
      for other in plan.alternatives {
        #expect(table.refusal(of: other.strategy, split: other.split, job: plan.job) == nil, "\(cluster), \(model)")
      }
    }
    #expect(planCount >= 3)
  }
}
