import Costing
import Documents
import TestSupport
import Testing
import Training

@testable import Execution

/// What layouts of experts have in common with each other, and what is counted of routing.
@Suite struct ExpertAgreementTests {
  /// Losses and gradients of one step are bit for bit those of ranks that have all experts, where each token's experts are
  /// added up in their order and there are two addends of every gradient.
  @Test(arguments: SmallModels.expertKinds)
  func dividedExpertsGiveTheSameBits(kind: SmallModels.ExpertKind) throws {
    func run(_ pattern: String) throws -> (loss: Double, parameters: [ModelPart: [Float]]) {
      var setting = try Self.setting(pattern, kind)
      setting.balancesExperts = false
      var run = MiniatureRun(setting: setting, programs: setting.shape.programs(), usesThreads: false)
      try run.iterate()
      return (run.loss, run.parameters.values)
    }
    let whole = try run("data=2,expert=1,micro_batch=1"), divided = try run("data=2,expert=2,micro_batch=1")
    #expect(whole.loss == divided.loss)
    for (part, values) in whole.parameters { #expect(divided.parameters[part] == values, "\(part)") }
  }

  /// Of two micro-batches, one on each rank.
  private static func setting(_ pattern: String, _ kind: SmallModels.ExpertKind) throws -> ExecutionSetting {
    let plan = try SmallPlans.expertPlan(pattern, kind, globalBatch: 2)
    let miniature = try Miniature(of: plan, rankLimit: 2)
    return ExecutionSetting(
      shape: miniature.shape, optimizer: OptimizerSettings(rule: .sgd, learningRate: 0.1, clippingNorm: nil), seed: 1,
      arithmetic: .fp32)
  }

  /// Ties go to the expert with the lower number; a correction changes the choice and no weight; of groups those with the
  /// largest sum of two, or the largest score, are kept.
  @Test func aRouterChooses() throws {
    func router(_ change: (inout ModelDescription.Experts) -> Void) -> Router {
      var experts = ModelDescription.Experts(count: 8, perToken: 2, feedForwardSize: 4)
      change(&experts)
      return Router(
        experts: experts, weight: 0..<8, bias: nil, correction: experts.hasCorrectionBias ? 8..<16 : nil,
        isBalanced: false, capacity: .none)
    }
    let none = [Float](repeating: 0, count: 16)
    #expect(router { _ in }.chosen(of: [1, 3, 2, 3, 3, 0, 0, 0], none) == [1, 3])
    #expect(router { _ in }.chosen(of: [Float](repeating: 1, count: 8), none) == [0, 1])
    var corrected = none
    corrected[8 + 5] = 10
    let correcting = router { $0.hasCorrectionBias = true }
    #expect(correcting.chosen(of: [1, 3, 2, 3, 3, 0, 0, 0], corrected) == [1, 5])
    // The weight is that of the score alone: of equal scores a half each.
    let logits = Matrix(rowCount: 1, columnCount: 1, elements: [0])
    let routing = correcting.route(logits, buffer: none.dropLast(8) + corrected[8...], tokens: [0], sources: [[0]])
    #expect(routing.choices == [[0, 5]] && routing.weights == [[0.5, 0.5]])
    // Groups of two: the best is in the last, the best two are in the second.
    let scores: [Float] = [0, 0, 4, 4, 0, 0, 5, 0]
    let grouped = router { $0.groups = .init(count: 4, kept: 1) }
    #expect(grouped.chosen(of: scores, none) == [6, 7])
    let summing = router {
      $0.groups = .init(count: 4, kept: 1)
      $0.hasCorrectionBias = true
    }
    #expect(summing.chosen(of: scores, none) == [2, 3])
  }

  /// Dealt out in turn, tokens give every expert as many, and ranks send what the model counts in closed form.
  @Test(arguments: [
    "data=4,expert=4", "data=4,expert=2,expert_tensor=2",
    "tensor=2,data=2,sequence_parallel=true,expert=4,recompute=full",
  ])
  func aBalancedMapIsTheClosedForm(pattern: String) throws {
    let miniature = try Miniature(of: SmallPlans.expertPlan(pattern, .grouped), rankLimit: 8)
    var setting = ExecutionSetting(
      shape: miniature.shape, optimizer: OptimizerSettings(rule: .sgd, clippingNorm: nil), seed: 1, arithmetic: .fp32)
    setting.balancesExperts = true
    let step = try #require(setting.reference(microBatch: miniature.strategy.microBatch, stepCount: 1).first)
    for (_, tokens) in step.choices {
      var counts: [Int: Int] = [:]
      for expert in tokens.values.joined() { counts[expert, default: 0] += 1 }
      #expect(Set(counts.values).count == 1 && counts.count == miniature.model.job.model.experts?.count)
    }
    let routed = try #require(RoutedTraffic(setting, choices: [step.choices]))
    let model = miniature.model
    let counted = model.traffic(of: miniature.strategy, split: miniature.split, routes: miniature.routes)
    for level in model.cluster.levels.indices {
      var sum = 0
      for from in 0..<miniature.strategy.worldSize {
        for to in 0..<miniature.strategy.worldSize
        where to != from && model.linkLevel(fromRank: from, toRank: to) == level {
          sum += routed.byteCount(from: from, to: to)
        }
      }
      #expect(sum == counted.byteCount(.expert, level: level) && (sum > 0 || level > 0))
    }
  }

  /// Of a group that lies on two nodes a token goes to each node once, and there once to each rank.
  @Test(arguments: ["deepep", "hybridep"], [true, false])
  func tokensThatAreSentOnceCrossNodesOnce(dispatcher: String, balances: Bool) throws {
    let plan = try SmallPlans.expertPlan("data=8,expert=8,moe_dispatcher=\(dispatcher),zero_stage=1", .grouped)
    let miniature = try Miniature(of: plan, rankLimit: 8)
    #expect(miniature.shape.expertNodeCount == 2)
    let run = try DryRun(miniature, options: DryRun.Options(stepCount: 2, balancesExperts: balances))
    #expect(run.disagreements.isEmpty, "\(run.disagreements)")
  }

  /// The same values whatever grid of ranks experts lie on: folded over tensor and context ranks, or over replicas alone.
  @Test func foldingChangesNoValue() throws {
    let patterns = [
      "tensor=2,context=2,data=2,sequence_parallel=true,expert=8", "data=8,expert=8", "data=8,expert=2",
    ]
    let losses = try patterns.map { pattern -> [Double] in
      let miniature = try Miniature(of: SmallPlans.expertPlan(pattern, .plain), rankLimit: 8)
      let run = try DryRun(miniature, options: DryRun.Options(stepCount: 2))
      #expect(run.disagreements.isEmpty, "\(run.disagreements)")
      return run.steps.map(\.loss.executed)
    }
    #expect(losses.allSatisfy { $0.count == 2 })
  }

  /// Of few micro-batches all are in flight, with a pair or without one.
  @Test(arguments: [4, 8, 12])
  func fewPassesBesideEachOtherAreCounted(globalBatch: Int) throws {
    for pattern in ["data=4,expert=4,moe_overlap=true", "pipeline=2,data=2,expert=2,virtual_stages=2,moe_overlap=true"]
    {
      let plan = try SmallPlans.expertPlan("\(pattern),micro_batch=1", .plain, globalBatch: globalBatch)
      let run = try DryRun(Miniature(of: plan, rankLimit: 8), options: DryRun.Options(stepCount: 1))
      #expect(run.disagreements.isEmpty, "\(pattern): \(run.disagreements)")
    }
  }

  /// Threads and turns give the same bits.
  @Test func threadsGiveTheSameBits() throws {
    let miniature = try Miniature(
      of: SmallPlans.expertPlan("data=4,expert=2,moe_dispatcher=deepep,moe_overlap=true,zero_stage=1", .grouped),
      rankLimit: 8)
    let runs = try [false, true].map {
      try DryRun(miniature, options: DryRun.Options(stepCount: 2, usesThreads: $0, balancesExperts: false))
    }
    #expect(runs[0].steps == runs[1].steps)
  }
}
