import Costing
import Documents
import TestSupport
import Testing
import Training

@testable import Execution

/// Programs of models with experts on a clock.
@Suite("Timed runs of experts") struct TimedExpertTests {
  private static let patterns = [
    "data=4,expert=4", "data=4,expert=2,zero_stage=1", "data=4,expert=4,moe_dispatcher=allgather,zero_stage=1",
    "data=4,expert=2,expert_tensor=2,zero_stage=1", "data=4,expert=2,zero_stage=1,recompute=full",
    "data=8,expert=4,moe_dispatcher=deepep,zero_stage=1", "data=4,expert=4,zero_stage=1,moe_overlap=true",
    "tensor=2,data=4,sequence_parallel=true,expert=4,zero_stage=1",
    "tensor=4,data=2,sequence_parallel=true,expert=2,zero_stage=1",
    "context=2,data=2,expert=2,zero_stage=1", "pipeline=2,data=2,expert=2",
    "pipeline=2,data=4,expert=2,virtual_stages=2,zero_stage=1",
    "pipeline=2,data=4,expert=2,virtual_stages=2,zero_stage=1,moe_overlap=true",
    "pipeline=2,data=2,expert=2,recompute=selective,recompute_modules=moe_act+layernorm",
  ]

  private struct Question {
    let plan: Plan
    let model: CostModel

    init(_ pattern: String, _ kind: SmallModels.ExpertKind) throws {
      plan = try SmallPlans.expertPlan(pattern, kind)
      model = try CostModel(cluster: plan.cluster, job: plan.job, frameworkName: plan.coefficientName)
    }

    func run(contends: Bool = false) throws -> TimedRun {
      try TimedRun(model, strategy: plan.strategy, split: plan.split, contends: contends)
    }

    var cost: IterationCost { model.cost(of: plan.strategy) }
  }

  /// Of models all of whose layers have experts, and of one whose first has not, with latent attention.
  @Test("Passes and iterations end when the recurrences say, where links are not shared", arguments: patterns)
  func ends(pattern: String) throws {
    for kind in [SmallModels.ExpertKind.plain, .gated, .latent] {
      let question = try Question(pattern, kind), run = try question.run()
      let cost = question.cost, split = question.plan.split, last = question.plan.strategy.pipelineDegree - 1
      let ends = run.passEndSeconds, expected = cost.passEndSeconds(of: split)
      // A pair of passes begins when both inputs are there and sends when both are through, in the model one after the other.
      let bound = question.plan.strategy.overlapsExperts && last > 0 ? 0.01 : 1e-9
      for (end, other) in zip(ends, expected) {
        #expect(abs(end - other) <= bound * other, "\(kind): \(end), \(other)")
      }
      // Every stage reduces what it has, experts' after the rest; the norm needs everyone's; then each takes its step.
      let tails = (0...last).map { cost.tail(stage: $0, cost.content(of: split, stage: $0)) }
      let norm = zip(ends, tails).map { $0 + $1.reduceSeconds }.max() ?? 0
      let steps = tails.map { $0.optimizerSeconds + $0.gatherSeconds }.max() ?? 0
      let whole = norm + steps + cost.fixedSeconds
      #expect(abs(run.iterationSeconds - whole) <= 1e-9 * whole, "\(kind): \(run.iterationSeconds), \(whole)")
    }
  }

  @Test(
    "Causes add up to the iteration, tokens' ways among them, and links that are shared never help", arguments: patterns
  )
  func folds(pattern: String) throws {
    for kind in [SmallModels.ExpertKind.grouped, .biased] {
      let question = try Question(pattern, kind)
      let alone = try question.run().iterationSeconds, run = try question.run(contends: true)
      #expect(run.iterationSeconds >= alone * (1 - 1e-12))
      for causes in run.causesOfStages {
        let sum = causes.parts.reduce(0) { $0 + $1.seconds }
        #expect(abs(sum - run.iterationSeconds) <= 1e-9 * run.iterationSeconds)
        #expect(causes.parts.allSatisfy { $0.seconds >= 0 } && causes.expertSeconds > 0)
      }
    }
  }

  /// Where a stage's chunks are alike: the mean of them otherwise.
  @Test("Activations are the model's count", arguments: patterns.filter { !$0.contains("moe_overlap") })
  func activations(pattern: String) throws {
    let question = try Question(pattern, .gated)
    #expect(
      try question.run().peakActivationBytes == question.plan.prediction.stageMemory.map(\.activationBytes))
  }

  @Test("States of experts are exchanged by themselves, and take their share of what a stage does")
  func shares() throws {
    let question = try Question("data=8,expert=4,zero_stage=1", .plain), run = try question.run()
    let tail = question.cost.tail(stage: 0, question.cost.content(of: question.plan.split, stage: 0))
    #expect(tail.routedReduceShare > 0 && tail.routedReduceShare < 1)
    func seconds(_ isOfExperts: Bool, _ content: Exchange.Content) -> Double {
      run.tracks[0].slices.reduce(0) { sum, slice in
        guard case .collective(let it) = run.tracks[0].program.steps[slice.step].operation,
          case .exchanged(let exchange, _, _) = it.operand, exchange.isOfExperts == isOfExperts,
          exchange.content == content
        else { return sum }
        return sum + slice.endSeconds - slice.metSeconds
      }
    }
    for isOfExperts in [true, false] {
      func share(_ routed: Double) -> Double { isOfExperts ? routed : 1 - routed }
      let reduced = tail.reduceSeconds * share(tail.routedReduceShare)
      let gathered = tail.gatherSeconds * share(tail.routedGatherShare)
      #expect(abs(seconds(isOfExperts, .gradient) - reduced) <= 1e-9 * tail.reduceSeconds)
      #expect(abs(seconds(isOfExperts, .updatedWeights) - gathered) <= 1e-9 * tail.gatherSeconds)
    }
  }

  /// Where they are alone on their links experts' gathers and reductions take what the model prices of them, in every micro-batch.
  @Test("Divided states of experts are gathered and reduced beside computation", arguments: [2, 3])
  func dividedStates(zeroStage: Int) throws {
    for pattern in ["data=8,expert=2", "data=8,expert=8", "tensor=2,data=4,sequence_parallel=true,expert=2"] {
      let question = try Question("\(pattern),zero_stage=\(zeroStage)", .grouped)
      let run = try question.run(contends: true)
      for causes in run.causesOfStages {
        let sum = causes.parts.reduce(0) { $0 + $1.seconds }
        #expect(abs(sum - run.iterationSeconds) <= 1e-9 * run.iterationSeconds, "\(pattern)")
      }
      #expect(run.iterationSeconds > 0.5 * question.plan.prediction.iterationSeconds, "\(pattern)")
      #expect(run.iterationSeconds < 2 * question.plan.prediction.iterationSeconds, "\(pattern)")
      // Of each exchange of experts, the price of its group.
      let alone = try question.run(), track = alone.tracks[0]
      var count = 0
      for slice in track.slices {
        guard case .collective(let it) = track.program.steps[slice.step].operation,
          case .exchanged(let exchange, let part?, _) = it.operand, exchange.isOfExperts,
          exchange.content == .weights || exchange.content == .gradient && exchange.format == .weights
        else { continue }
        let expected = question.cost[0].seconds(
          of: exchange, elementCount: alone.setting.shape.elementCount(of: exchange, part: part, stage: 0),
          narrowCount: 0)
        #expect(abs(slice.endSeconds - slice.metSeconds - expected) <= 1e-9 * expected)
        count += 1
      }
      // With all ranks dividing experts nobody has the same ones.
      #expect((count > 0) == !pattern.contains("expert=8"), "\(pattern): \(count)")
    }
  }

  /// Their seconds are the head's, their states and the copy of the token table are exchanged with all others.
  @Test(
    "Further predictions run with the head",
    arguments: [
      "data=2,zero_stage=1", "pipeline=2,data=2,zero_stage=1", "pipeline=2,virtual_stages=2",
      "tensor=2,pipeline=2,data=2,sequence_parallel=true,zero_stage=1,recompute=full",
    ], [PredictionDryRunTests.Kind.plain, .tied, .latent])
  func predictions(pattern: String, kind: PredictionDryRunTests.Kind) throws {
    // Chunks are alike, so that the mean of them is what a stage holds.
    let layerCounts = pattern.contains("virtual_stages") ? [2, 2, 2, 2] : nil
    try Self.predictionsEndAsPriced(PredictionDryRunTests.plan(pattern, kind, depth: 2, layerCounts: layerCounts))
  }

  @Test(
    "So they do in models with experts",
    arguments: [
      "data=4,expert=4", "data=4,expert=2,zero_stage=1", "tensor=2,data=2,sequence_parallel=true,expert=4",
      "pipeline=2,data=4,expert=4,zero_stage=1",
    ])
  func predictionsOfExperts(pattern: String) throws {
    try Self.predictionsEndAsPriced(PredictionDryRunTests.plan(pattern, .experts, depth: 1))
  }

  private static func predictionsEndAsPriced(_ plan: Plan) throws {
    let model = try CostModel(cluster: plan.cluster, job: plan.job, frameworkName: plan.coefficientName)
    let run = try TimedRun(model, strategy: plan.strategy, split: plan.split, contends: false)
    let cost = model.cost(of: plan.strategy), split = plan.split, last = plan.strategy.pipelineDegree - 1
    var reduced = run.passEndSeconds
    for (end, other) in zip(reduced, cost.passEndSeconds(of: split)) {
      #expect(abs(end - other) <= 1e-9 * other, "\(end), \(other)")
    }
    let tails = (0...last).map { cost.tail(stage: $0, cost.content(of: split, stage: $0)) }
    func reduce() { reduced = zip(reduced, tails).map { $0 + $1.reduceSeconds } }
    let isSharded = plan.strategy.sharding.optimizerDegree > 1
    if !isSharded { reduce() }
    if cost.embeddingSumSeconds > 0 {
      let both = max(reduced[0], reduced[last]) + cost.embeddingSumSeconds
      (reduced[0], reduced[last]) = (both, both)
    }
    if isSharded { reduce() }
    let steps = tails.map { $0.optimizerSeconds + $0.gatherSeconds }.max() ?? 0
    let whole = (reduced.max() ?? 0) + steps + cost.fixedSeconds
    #expect(abs(run.iterationSeconds - whole) <= 1e-9 * whole, "\(run.iterationSeconds), \(whole)")
    for causes in run.causesOfStages {
      let sum = causes.parts.reduce(0) { $0 + $1.seconds }
      #expect(abs(sum - run.iterationSeconds) <= 1e-9 * run.iterationSeconds)
    }
    if plan.job.model.experts == nil {
      #expect(run.peakActivationBytes == plan.prediction.stageMemory.map(\.activationBytes))
    }
  }
}
