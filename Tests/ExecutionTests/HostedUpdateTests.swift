import Costing
import Documents
import TestSupport
import Testing
import Training

@testable import Execution

/// Updates that hosts take: the same numbers, fewer bytes on the device, and what moves between the two.
@Suite struct HostedUpdateTests {
  struct Case: Sendable, CustomTestStringConvertible {
    let pattern: String
    var kind: SmallModels.ExpertKind?
    var framework = "megatron-lm"
    var testDescription: String { "\(pattern), \(kind.map { "\($0)" } ?? "dense"), \(framework)" }
  }

  static let cases: [Case] = [
    Case(pattern: "data=1", framework: "deepspeed"), Case(pattern: "data=4,zero_stage=1", framework: "deepspeed"),
    Case(pattern: "data=4,zero_stage=2", framework: "deepspeed"),
    Case(pattern: "data=4,zero_stage=3", framework: "deepspeed"), Case(pattern: "tensor=2,data=2,zero_stage=1"),
    Case(pattern: "pipeline=2,data=2,zero_stage=1,virtual_stages=2"),
    Case(pattern: "data=4,expert=2,zero_stage=1", kind: .grouped),
    Case(pattern: "data=4,expert=4,zero_stage=1", kind: .plain),
    Case(pattern: "tensor=2,data=4,sequence_parallel=true,expert=2,expert_tensor=2,zero_stage=1", kind: .gated),
    Case(pattern: "pipeline=2,data=2,expert=2,virtual_stages=2,moe_overlap=true,zero_stage=1", kind: .latent),
  ]

  private static func miniature(_ it: Case, percent: Int) throws -> Miniature {
    let plan =
      try it.kind.map { try SmallPlans.expertPlan(it.pattern, $0) }
      ?? SmallPlans.plan(
        it.pattern, .llama, isTied: false, deviceCount: SmallPlans.worldSize(of: it.pattern))
    let cluster = try ClusterDescription(
      name: "hosts", device: plan.cluster.device, nodeNames: plan.cluster.nodeNames,
      devicesPerNode: plan.cluster.devicesPerNode, levels: plan.cluster.levels,
      host: ClusterDescription.Host(memoryBytes: 1_000_000_000_000, bytesPerSecond: 30e9))
    let model = try CostModel(cluster: cluster, job: plan.job, frameworkName: it.framework)
    return try Miniature(
      of: Plan(stating: plan.strategy.with(\.hosting, Hosting(updatePercent: percent)), split: plan.split, on: model),
      rankLimit: 8)
  }

  /// With none, half and all of the update on the host: values are the same to the bit; of so many parameters that a rank
  /// updates 12 bytes each leave the device, or 8 where its master weights stay, and 16 are on the host with a gradient.
  @Test(arguments: cases)
  func theSameNumbersWithFewerBytes(it: Case) throws {
    let whole = try DryRun(Self.miniature(it, percent: 0), options: DryRun.Options(stepCount: 2))
    #expect(whole.disagreements.isEmpty, "\(whole.disagreements)")
    #expect(!whole.traffic.contains { $0.level.hasSuffix("the host") })
    for percent in [50, 100] {
      let run = try DryRun(Self.miniature(it, percent: percent), options: DryRun.Options(stepCount: 2))
      #expect(run.disagreements.isEmpty, "\(percent) %: \(run.disagreements)")
      #expect(run.steps == whole.steps)
      for before in whole.memory where before.kind == "optimizer" {
        func bytes(_ kind: String) -> Int? {
          run.memory.first { $0.stage == before.stage && $0.kind == kind }?.executedBytes
        }
        let updated = before.executedBytes / 12, hosted = updated * percent / 100
        let staying = it.framework == "megatron-lm" ? 4 : 0
        #expect(bytes("optimizer") == 12 * (updated - hosted) + staying * hosted)
        #expect(bytes("offloaded") == 16 * hosted)
      }
    }
  }

  /// With all of the update on the host every gradient goes there once and every weight comes back once: whole ones of 4 bytes
  /// once an iteration, divided ones of 2 bytes in every micro-batch; weights of 2 bytes.
  @Test(arguments: cases.filter { !$0.pattern.contains("tensor") })
  func whatMovesIsCounted(it: Case) throws {
    let miniature = try Self.miniature(it, percent: 100)
    let setting = ExecutionSetting(
      shape: miniature.shape, optimizer: OptimizerSettings(), seed: 1, arithmetic: .fp32)
    let parameterCount = setting.referenceLayouts.reduce(0) { $0 + $1.count }
    let run = try DryRun(miniature, options: DryRun.Options(stepCount: 2))
    func bytes(_ kind: String, _ level: String) -> Int? {
      run.traffic.first { $0.kind == kind && $0.level == level }?.executedBytes
    }
    let strategy = miniature.strategy
    let gradient =
      strategy.sharding.gradientDegree > 1
      ? 2 * strategy.microBatchCount(globalBatch: miniature.model.job.globalBatch) : 4
    #expect(bytes("gradients", "to the host") == gradient * parameterCount)
    #expect(bytes("weights", "from the host") == 2 * parameterCount)
    let half = try DryRun(Self.miniature(it, percent: 50), options: DryRun.Options(stepCount: 1))
    // Each rank's half is rounded down.
    let weights = try #require(half.traffic.first { $0.kind == "weights" && $0.level == "from the host" })
    #expect(weights.executedBytes <= parameterCount && weights.executedBytes >= parameterCount - 2 * 8)
  }

  /// A rank that leaves its update on the device moves nothing, and gives the same numbers.
  @Test func aRankWithoutItsHostShows() throws {
    let it = Case(pattern: "data=4,expert=2,zero_stage=1", kind: .grouped)
    func setting(_ percent: Int) throws -> ExecutionSetting {
      try ExecutionSetting(
        shape: Self.miniature(it, percent: percent).shape, optimizer: OptimizerSettings(), seed: 1, arithmetic: .fp32)
    }
    let own = try setting(50)
    var run = try MiniatureRun(
      setting: own, programs: own.shape.programs(), usesThreads: false, settingOfRank: [1: setting(0)])
    try run.iterate()
    let moves = run.ranks.map(\.machine.state.hostMoves)
    #expect(moves[1] == .init() && moves[0].fromHost > 0 && moves[2] == moves[0])
  }

  /// Experts' gradients are not cut as others' are where both are divided; weights and activations stay on the device.
  @Test func whatMixturesDoNotHaveOnTheHostIsSaid() throws {
    let plan = try SmallPlans.expertPlan("data=4,expert=2,zero_stage=1", .plain)
    func violation(_ strategy: Strategy) -> String? {
      strategy.violation(job: plan.job, deviceCount: 4, hasFlashAttention: true, hasHost: true).map { "\($0)" }
    }
    let strategy = plan.strategy
    #expect(violation(strategy.with(\.hosting, Hosting(updatePercent: 50))) == nil)
    let divided = try SmallPlans.expertPlan("data=4,expert=2,zero_stage=2", .plain).strategy
    #expect(
      violation(divided.with(\.hosting, Hosting(updatePercent: 50)))?.contains("divided gradients") == true)
    #expect(
      violation(strategy.with(\.hosting, Hosting(activations: .allButLast)))?.contains("activations on the host")
        == true)
  }
}
