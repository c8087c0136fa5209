import Costing
import Documents
import TestSupport
import Testing
import Training

@testable import Execution

/// Split backward passes on numbers and on the clock.
@Suite struct SplitBackwardTests {
  /// A pattern, the devices that it fills, and the micro-batches of an iteration.
  struct Layout: Sendable, CustomTestStringConvertible {
    let pattern: String
    let deviceCount: Int
    let microBatchCount: Int
    let layerCount: Int
    var testDescription: String { pattern }

    init(_ pattern: String, _ deviceCount: Int, _ microBatchCount: Int, layers: Int = 8) {
      self.pattern = pattern
      self.deviceCount = deviceCount
      self.microBatchCount = microBatchCount
      layerCount = layers
    }

    var dataDegree: Int { pattern.contains("data=2") ? 2 : 1 }

    /// The plan with another schedule: `,`-separated keys in place of the pattern's own schedule.
    func plan(
      schedule: String? = nil, _ family: ModelDescription.Family = .llama, isTied: Bool = false
    ) throws -> Plan {
      var parts = pattern.split(separator: ",").map(String.init)
      if let schedule {
        parts.removeAll { $0.hasPrefix("schedule=") || $0.hasPrefix("virtual_stages=") }
        parts.append(schedule)
      }
      return try statedPlan(
        parts.joined(separator: ",") + ",micro_batch=1", cluster: Shipped.smallCluster(deviceCount),
        model: SmallPlans.model(family, isTied: isTied, layers: layerCount),
        globalBatch: dataDegree * microBatchCount, sequenceLength: 64)
    }
  }

  static let layouts = [
    Layout("pipeline=2,schedule=zero-bubble", 2, 5), Layout("pipeline=4,schedule=zero-bubble", 4, 6),
    Layout("pipeline=4,schedule=zero-bubble,recompute=full", 4, 9),
    Layout("pipeline=2,virtual_stages=2,schedule=zero-bubble", 2, 4),
    Layout("pipeline=2,virtual_stages=2,schedule=zero-bubble,tensor=2,sequence_parallel=true", 4, 4),
    Layout("pipeline=4,virtual_stages=2,schedule=zero-bubble,recompute=full", 4, 8),
    Layout("pipeline=2,schedule=zero-bubble-v", 2, 4), Layout("pipeline=4,schedule=zero-bubble-v", 4, 9),
    Layout("pipeline=2,schedule=zero-bubble-v,tensor=2,data=2,zero_stage=1,recompute=full", 8, 5),
    Layout("pipeline=3,schedule=zero-bubble-v,recompute=selective,flash_attention=false", 3, 7, layers: 6),
    Layout("pipeline=2,schedule=dualpipe-v", 2, 4), Layout("pipeline=4,schedule=dualpipe-v", 4, 9),
    Layout("pipeline=2,schedule=dualpipe-v,tensor=2,sequence_parallel=true,recompute=full", 4, 6),
    // Sequences that ranks divide.
    Layout("pipeline=2,context=2,schedule=zero-bubble-v", 4, 4),
    Layout("pipeline=2,context=2,virtual_stages=2,schedule=zero-bubble,recompute=full", 4, 4),
    // Fewer layers on the stage with the head.
    Layout("pipeline=4,schedule=zero-bubble-v", 4, 8, layers: 14),
    Layout("pipeline=2,virtual_stages=2,schedule=zero-bubble,recompute=full", 2, 4, layers: 6),
    Layout("pipeline=2,schedule=dualpipe-v,tensor=2", 4, 5, layers: 6),
    Layout("pipeline=3,schedule=dualpipe-v,data=2,zero_stage=1", 6, 7, layers: 6),
  ]

  @Test("A miniature holds: numbers, bytes sent, bytes held, bubble", arguments: layouts)
  func dryRun(layout: Layout) throws {
    for (family, isTied) in [(ModelDescription.Family.llama, false), (.gpt, false), (.gpt, true)] {
      let miniature = try Miniature(of: layout.plan(family, isTied: isTied), rankLimit: 64)
      #expect(miniature.strategy.schedule.splitsBackward)
      let run = try DryRun(miniature, options: DryRun.Options(stepCount: 2))
      #expect(run.disagreements.isEmpty, "\(layout.pattern) \(family) tied \(isTied): \(run.disagreements)")
    }
  }

  /// Parameters after two steps, by the schedule's own micro-batches.
  private func parameters(_ plan: Plan) throws -> [ModelPart: [Float]] {
    let miniature = try Miniature(of: plan, rankLimit: 64)
    let own = miniature.shape
    let shape = IterationShape(
      job: own.job, strategy: own.strategy, split: own.split, schedule: own.schedule,
      paddedVocabularySize: own.paddedVocabularySize, maximumGradientNorm: nil)
    let programs = shape.programs()
    #expect(shape.defect(in: programs) == nil)
    let setting = ExecutionSetting(
      shape: shape, optimizer: OptimizerSettings(clippingNorm: nil), seed: 3, arithmetic: .fp32)
    var run = MiniatureRun(setting: setting, programs: programs, usesThreads: false)
    for _ in 0..<2 { try run.iterate() }
    return run.parameters.values
  }

  @Test("Parameters are those of 1F1B to the bit", arguments: layouts)
  func bits(layout: Layout) throws {
    let split = try parameters(layout.plan()), whole = try parameters(layout.plan(schedule: "virtual_stages=1"))
    #expect(!split.isEmpty && split == whole)
  }

  @Test(
    "On the clock passes end when the walk says, causes add up, and activations peak where the model says",
    arguments: layouts)
  func clock(layout: Layout) throws {
    let plan = try layout.plan()
    let model = try CostModel(cluster: plan.cluster, job: plan.job, frameworkName: plan.coefficientName)
    let run = try TimedRun(model, strategy: plan.strategy, split: plan.split, contends: false)
    let expected = model.cost(of: plan.strategy).passEndSeconds(of: plan.split)
    for (end, other) in zip(run.passEndSeconds, expected) { #expect(abs(end - other) <= 1e-9 * other) }
    #expect(run.peakActivationBytes == plan.prediction.stageMemory.map(\.activationBytes))
    for causes in run.causesOfStages {
      let sum = causes.parts.reduce(0) { $0 + $1.seconds }
      #expect(abs(sum - run.iterationSeconds) <= 1e-9 * run.iterationSeconds)
      #expect(causes.parts.allSatisfy { $0.seconds >= -1e-12 })
    }
    let trace = String(decoding: run.trace(stageMemory: plan.prediction.stageMemory), as: UTF8.self)
    #expect(trace.contains("weight gradient") && trace.contains("\"gradients\""))
  }

  /// A way to break programs with split backward passes.
  struct Mutation: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let phrase: String
    let apply: @Sendable (inout [RankProgram]) -> Bool

    init(_ name: String, _ phrase: String, _ apply: @escaping @Sendable (inout [RankProgram]) -> Bool) {
      testDescription = name
      self.phrase = phrase
      self.apply = apply
    }
  }

  static func isPass(_ step: ProgramStep, _ pass: PipelineStep.Pass) -> Bool {
    switch step.operation {
    case .compute(.beginPass(let it)), .compute(.endPass(let it)): it.pass == pass
    default: false
    }
  }

  static let mutations: [Mutation] = {
    var all: [Mutation] = []
    all.append(
      Mutation("a weight gradient is lost", "but the schedule says W") {
        $0.dropLast(1) { isPass($0, .weightGradient) }
      })
    all.append(
      Mutation("a weight gradient is computed twice", "") { $0.double(0) { isPass($0, .weightGradient) } })
    all.append(
      Mutation("a piece of a weight gradient is lost", "is not computed in W") {
        $0.drop(1) {
          if case .compute(.weightGradient) = $0.operation { true } else { false }
        }
      })
    all.append(
      Mutation("a piece of an input gradient is computed twice", "is computed twice") {
        $0.double(0) {
          if case .compute(.inputGradient) = $0.operation { true } else { false }
        }
      })
    all.append(
      Mutation("a gradient is not received", "is received by nobody") {
        $0.dropLast(0) { if case .receive = $0.operation { $0.stream == .gradients } else { false } }
      })
    all.append(
      Mutation("a gradient is not sent", "is sent by nobody") {
        $0.dropLast(1) { if case .send = $0.operation { $0.stream == .gradients } else { false } }
      })
    all.append(
      Mutation("two gradients are exchanged", "") {
        $0.exchange(1) { if case .send = $0.operation { $0.stream == .gradients } else { false } }
      })
    return all
  }()

  @Test(arguments: mutations)
  func aBrokenProgramIsRefused(mutation: Mutation) throws {
    let shape = try Miniature(of: Layout("pipeline=2,schedule=zero-bubble-v", 2, 4).plan(), rankLimit: 64).shape
    var programs = shape.programs()
    #expect(shape.defect(in: programs) == nil)
    #expect(mutation.apply(&programs), "nothing to break")
    let defect = try #require(shape.defect(in: programs))
    #expect("\(defect)".contains(mutation.phrase), "\(defect)")
  }

  @Test func whatDoesNotGoWithSplitBackwardPassesIsRefused() throws {
    func refusal(_ pattern: String, devices: Int = 4, batch: Int = 16, layers: Int = 8) -> String {
      do {
        _ = try statedPlan(
          pattern, cluster: Shipped.smallCluster(devices),
          model: SmallPlans.model(.llama, isTied: false, layers: layers),
          globalBatch: batch, sequenceLength: 64)
        return ""
      } catch { return "\(error)" }
    }
    #expect(refusal("pipeline=1,schedule=zero-bubble-v").contains("need a pipeline degree of at least 2"))
    #expect(refusal("pipeline=4,schedule=dualpipe-v", batch: 4).contains("needs at least 8 micro-batches, not 4"))
    #expect(refusal("pipeline=2,data=2,zero_stage=2,schedule=zero-bubble-v").contains("gradients that replicas divide"))
    #expect(
      refusal("pipeline=4,schedule=zero-bubble-v", layers: 12).contains(
        "12 layers do not divide into 2 chunks of one size on each of 4 stages"))
    #expect(refusal("pipeline=4,virtual_stages=2,schedule=zero-bubble", batch: 11).contains("equal groups"))
    #expect(refusal("pipeline=4,schedule=zero-bubble-v") == "")
  }
}
