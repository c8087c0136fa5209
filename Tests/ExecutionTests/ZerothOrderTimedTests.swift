import Costing
import Documents
import JSONText
import TestSupport
import Testing
import Training

@testable import Execution

/// Zeroth-order programs on a clock.
@Suite struct ZerothOrderTimedTests {
  struct Case: Sendable, CustomTestStringConvertible {
    let pattern: String
    let devices: Int
    var directions = 1
    var hosted: [Int]?
    var testDescription: String { "\(pattern), directions \(directions), hosted \(hosted ?? [])" }
  }

  static func run(_ it: Case, contends: Bool = false) throws -> (run: TimedRun, plan: Plan, cost: IterationCost) {
    let plan = try ZerothOrderDryRunTests.plan(
      it.pattern, .llama, isTied: false, deviceCount: it.devices, directions: it.directions, hosted: it.hosted)
    let model = try CostModel(cluster: plan.cluster, job: plan.job, frameworkName: plan.coefficientName)
    return (
      try TimedRun(model, strategy: plan.strategy, split: plan.split, contends: contends), plan,
      model.cost(of: plan.strategy)
    )
  }

  static let single: [Case] = [
    Case(pattern: "data=1", devices: 1), Case(pattern: "data=2,perturbation=2", devices: 2, directions: 2),
    Case(pattern: "data=1,host_weights=true", devices: 1),
    Case(pattern: "data=1,host_weights=true", devices: 1, hosted: [3]),
    Case(pattern: "tensor=2,data=2,host_weights=true", devices: 4, hosted: [5]),
    Case(pattern: "data=4,perturbation=2,zero_stage=3", devices: 4),
    Case(pattern: "data=4,perturbation=2,zero_stage=3,host_weights=true", devices: 4),
    Case(pattern: "data=4,perturbation=2,zero_stage=3,host_weights=true", devices: 4, hosted: [5]),
  ]

  /// Uploads, gathers, computation and offloads of a rank that is all of a model end when the model's streams say.
  @Test(arguments: single)
  func visitsEndWhenTheModelSays(it: Case) throws {
    let (run, plan, cost) = try Self.run(it)
    let expected = cost.passEndSeconds(of: plan.split)[0]
    #expect(abs(run.passEndSeconds[0] - expected) <= 1e-9 * expected)
    // All that follows is the step of what stays on the device, which what leaves may hide.
    let step = cost.tail(stage: 0, plan.split[0]).optimizerSeconds
    #expect(run.iterationSeconds <= expected + step + cost.fixedSeconds + 1e-9)
    #expect(run.iterationSeconds >= expected + cost.fixedSeconds - 1e-9)
  }

  static let all: [Case] =
    single + [
      Case(pattern: "pipeline=2,data=2,perturbation=2,host_weights=true", devices: 4, hosted: [1, 3]),
      Case(pattern: "pipeline=4", devices: 4), Case(pattern: "tensor=2,pipeline=2", devices: 4),
    ]

  @Test(arguments: all)
  func causesAddUpAndActivationsAreTheModels(it: Case) throws {
    let (run, plan, _) = try Self.run(it, contends: true)
    for (stage, causes) in run.causesOfStages.enumerated() {
      let sum = causes.parts.reduce(0) { $0 + $1.seconds }
      #expect(abs(sum - run.iterationSeconds) <= 1e-9 * run.iterationSeconds)
      #expect(causes.parts.allSatisfy { $0.seconds >= 0 })
      #expect(run.peakActivationBytes[stage] == plan.prediction.stageMemory[stage].activationBytes)
    }
  }

  /// What limits a simulation is counted before there are programs.
  @Test(arguments: all)
  func stepsAreForeseen(it: Case) throws {
    let (run, plan, _) = try Self.run(it)
    let model = try CostModel(cluster: plan.cluster, job: plan.job, frameworkName: plan.coefficientName)
    let foreseen = TimedRun.stepCount(model, strategy: plan.strategy, split: plan.split)
    #expect(foreseen >= run.stepCount)
    #expect(foreseen <= 3 * run.stepCount)
  }

  /// A pipeline's stages overlap at least as well as the model says, within a part of it.
  @Test(arguments: all)
  func iterationsAreNearThePrediction(it: Case) throws {
    let (run, plan, _) = try Self.run(it)
    let predicted = plan.prediction.iterationSeconds
    #expect(abs(run.iterationSeconds - predicted) <= 0.05 * predicted, "\(run.iterationSeconds), \(predicted)")
  }

  /// Tracks of uploads and offloads in the trace, where there is anything on them.
  @Test func tracesShowTheHost() throws {
    for (pattern, shows) in [("data=1,host_weights=true", true), ("data=1", false)] {
      let (run, plan, _) = try Self.run(Case(pattern: pattern, devices: 1))
      let text = String(decoding: run.trace(stageMemory: plan.prediction.stageMemory), as: UTF8.self)
      #expect(text.contains("\"upload\"") == shows && text.contains("\"offload\"") == shows)
      #expect(text.contains("layer 3 from the host") == shows && text.contains("layer 3 to the host") == shows)
      #expect(text.contains("forward of layer 3, 48 micro-batches, for loss 1, backwards along direction 0"))
      _ = try JSON(parsing: Array(text.utf8))
    }
  }
}
