import Costing
import Documents
import JSONText
import TestSupport
import Testing

@testable import Search

/// Plans of workers with outer steps.
@Suite struct OuterPlanTests {
  private static func allowing(_ periods: ClosedRange<Int>, tolerance: Double? = nil) -> Allowance {
    Allowance(quantisationTolerance: nil, outerPeriods: periods, outerTolerance: tolerance)
  }

  /// 16 nodes of eight A100 whose networks have a rate, one direction.
  private static func model(nodeBytesPerSecond rate: Double, perDevice: Double, batch: Int) throws -> CostModel {
    let cluster = try ClusterDescription(
      name: "test", device: Shipped.catalog.device("a100-sxm4-80gb"), nodeNames: (0..<16).map { "n\($0)" },
      devicesPerNode: 8,
      levels: [
        .init(name: "nvlink", span: 8, bytesPerSecond: 300e9),
        .init(name: "net", span: 128, bytesPerSecond: perDevice, sharedBytesPerSecond: rate),
      ])
    let job = try TrainingJob(
      model: Shipped.catalog.model("llama-2-7b"), sequenceLength: 2048, globalBatch: batch, precision: .bf16)
    return try CostModel(cluster: cluster, job: job)
  }

  // MARK: Where it gains, and where it does not

  /// On 80 Gb/s of TCP a node, few sequences for each device: gradients of every step are what everybody waits for.
  @Test func slowNetworksWantWorkers() throws {
    let model = try Self.model(nodeBytesPerSecond: 10e9, perDevice: 10e9, batch: 128)
    let search = PlanSearch(
      model: model, allowance: Self.allowing(12...48), capabilities: .megatronLM, options: .init(margin: 0.01))
    let plan = try #require(search.plan(toolVersion: "test"))
    let strategy = plan.strategy
    #expect(strategy.update == .outer && strategy.workerDegree > 1)
    #expect((12...48).contains(strategy.outer.period))
    #expect(plan.certificate.proofGap < 1e-9 && plan.certificate.gap <= 0.01 + 1e-9)
    let other = try #require(plan.alternatives.first { $0.family == Plan.Alternative.firstOrder })
    #expect(other.iterationSeconds > 1.1 * plan.prediction.iterationSeconds)
    #expect(plan.decisions.contains { $0.name == "update" && $0.effect == .algorithmicallyDifferent })
    #expect(try Plan(parse(Array(plan.json.text(style: .pretty).utf8), source: "plan")) == plan)
    #expect(try PlanVerification(plan, threadCount: 2).disagreements.isEmpty)
    #expect(try PlanVerification.disagreementsWithoutSearch(of: plan).isEmpty)

    // What is given up in time goes into a shorter period: one less takes longer than the margin allows.
    let limit = plan.certificate.fastestScoreSeconds * 1.01
    var scratch = EvaluationScratch()
    #expect(plan.prediction.iterationSeconds <= limit)
    #expect(strategy.outer.period > 12)
    let sooner = strategy.with(\.outer.period, strategy.outer.period - 1)
    #expect(model.cost(of: sooner).iterationSeconds(of: plan.split, scratch: &scratch) > limit)
  }

  /// On a port of 800 Gb/s RDMA for each device nothing is gained that would be worth another optimisation.
  @Test func fastNetworksDoNot() throws {
    let model = try Self.model(nodeBytesPerSecond: 800e9, perDevice: 100e9, batch: 2048)
    let search = PlanSearch(
      model: model, allowance: Self.allowing(12...48), capabilities: .megatronLM, options: .init(margin: 0.01))
    let plan = try #require(search.plan(toolVersion: "test"))
    #expect(plan.strategy.update == .firstOrder)
    #expect(plan.certificate.gap <= 0.01 + 1e-9)
    let other = try #require(plan.alternatives.first { $0.family == Plan.Alternative.outer })
    #expect(other.iterationSeconds > 0.99 * plan.prediction.iterationSeconds)
  }

  @Test func itIsNeverSearchedUnasked() throws {
    let model = try Self.model(nodeBytesPerSecond: 10e9, perDevice: 10e9, batch: 512)
    let exact = PlanSearch(model: model, capabilities: .megatronLM).run()
    #expect(exact.best.allSatisfy { $0.strategy.update == .firstOrder && $0.strategy.workerDegree == 1 })
    let both = PlanSearch(model: model, allowance: Self.allowing(12...48), capabilities: .megatronLM).run()
    // What it would be without is what it was, and the strategy can be fixed either way.
    #expect(both.families.first { $0.name == Plan.Alternative.firstOrder }?.completion == exact.best.first)
    var pattern = StrategyPattern()
    pattern.update = .firstOrder
    let fixed = PlanSearch(
      model: model, pattern: pattern, allowance: Self.allowing(12...48), capabilities: .megatronLM
    ).run()
    #expect(fixed.best.first == exact.best.first)
    pattern = StrategyPattern()
    pattern.workerDegree = 16
    pattern[dynamicMember: \.outer.period] = 20
    pattern[dynamicMember: \.outer.staleness] = 0
    let stated = PlanSearch(
      model: model, pattern: pattern, allowance: Self.allowing(12...48), capabilities: .megatronLM,
      options: .init(margin: 0.01)
    ).run()
    let strategy = try #require(stated.best.first).strategy
    #expect(strategy.workerDegree == 16 && strategy.outer == OuterStep(period: 20))
    // A period that is not allowed leaves nothing, with the reason, and asks what else would do.
    pattern[dynamicMember: \.outer.period] = 100
    let none = PlanSearch(model: model, pattern: pattern, allowance: Self.allowing(12...48)).run()
    #expect(none.best.isEmpty && none.certificate.rejections.contains { $0.rule.contains("not allowed") })
  }

  @Test func roundedMeansNeedATolerance() throws {
    let model = try Self.model(nodeBytesPerSecond: 10e9, perDevice: 10e9, batch: 128)
    var pattern = StrategyPattern()
    pattern.update = .outer
    func formats(_ allowance: Allowance) -> Set<OuterStep.Format> {
      let lattice = Lattice(model: model, pattern: pattern, allowance: allowance)
      return Set(lattice.meshes.flatMap { lattice.branch($0).branch.points.map(\.strategy.outer.format) })
    }
    #expect(formats(Self.allowing(1...4)) == [.fp32])
    #expect(formats(Self.allowing(1...4, tolerance: 0.003)) == [.fp32, .bf16])
    #expect(formats(Self.allowing(1...4, tolerance: 0.1)) == [.fp32, .bf16, .int8])
    // Ranks of a tensor group would round what all of them hold with steps of their own.
    let lattice = Lattice(model: model, pattern: StrategyPattern(), allowance: Self.allowing(1...4, tolerance: 0.1))
    let codes = lattice.meshes.flatMap { lattice.branch($0).branch.points.map(\.strategy) }
      .filter { $0.outer.format == .int8 }
    #expect(!codes.isEmpty && codes.allSatisfy { $0.tensorDegree == 1 })
  }

  @Test func answersDoNotDependOnThreadsAndStopsCanBeRepeated() throws {
    let model = try Self.model(nodeBytesPerSecond: 10e9, perDevice: 10e9, batch: 512)
    func search(_ threads: Int) -> PlanSearch {
      PlanSearch(
        model: model, allowance: Self.allowing(12...48), capabilities: .megatronLM,
        options: .init(margin: 0.01, threadCount: threads))
    }
    let one = try #require(search(1).plan(toolVersion: "test")), two = try #require(search(2).plan(toolVersion: "test"))
    #expect(one.json.text(style: .pretty) == two.json.text(style: .pretty))
    for steps in [0, 1, 3] {
      let stopping = PlanSearch(
        model: model, allowance: Self.allowing(12...48), capabilities: .megatronLM,
        options: .init(margin: 0.01, repeatedStop: (steps, .user)))
      let plan = try #require(stopping.plan(toolVersion: "test"), "\(steps) steps")
      #expect(plan.certificate.stoppedAfter == steps && plan.certificate.ending == .interrupted)
      #expect(try PlanVerification(plan).disagreements.isEmpty)
    }
  }
}
