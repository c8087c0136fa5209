import Documents
import TestSupport
import Testing
import Training

@testable import Costing
@testable import Execution

/// Further predictions on numbers: whole miniatures, in every way that a model and its states are divided.
@Suite struct PredictionDryRunTests {
  /// What a model is beside its further predictions.
  enum Kind: String, Sendable, CaseIterable {
    case plain, tied, dropping, latent, experts
  }

  static func plan(
    _ pattern: String, _ kind: Kind, depth: Int, layers: Int = 8, layerCounts: [Int]? = nil
  ) throws -> Plan {
    let isLatent = kind == .latent || kind == .experts
    let model = try ModelDescription(
      name: "small", family: kind == .dropping ? .gpt : .llama, layerCount: layers, hiddenSize: 64, headCount: 8,
      keyValueHeadCount: isLatent ? 8 : 4, feedForwardSize: 160, vocabularySize: 101, hasGatedFeedForward: true,
      hasTiedEmbeddings: kind == .tied, hasQueryKeyNorm: kind == .tied,
      latent: isLatent ? SmallModels.latentAttention : nil,
      experts: kind == .experts ? SmallModels.experts(.latent, count: 16, perToken: 4) : nil, predictionDepth: depth)
    return try statedPlan(
      pattern, cluster: Shipped.smallCluster(SmallPlans.worldSize(of: pattern)), model: model, globalBatch: 48,
      sequenceLength: 128, layerCounts: layerCounts)
  }

  private static func holds(_ plan: Plan, balances: Bool = true) throws {
    let run = try DryRun(
      Miniature(of: plan, rankLimit: 8), options: DryRun.Options(stepCount: 2, balancesExperts: balances))
    #expect(run.disagreements.isEmpty, "\(run.disagreements)")
  }

  static let layouts: [String] = [
    "data=1", "data=2,micro_batch=2", "data=2,zero_stage=1", "data=2,zero_stage=2", "data=2,zero_stage=3",
    "data=4,zero_stage=3,recompute=full", "tensor=2", "tensor=2,sequence_parallel=true,recompute=full",
    "tensor=2,data=2,sequence_parallel=true,zero_stage=3", "tensor=2,data=2,zero_stage=2",
    "pipeline=2,data=2,zero_stage=1", "pipeline=4", "pipeline=2,virtual_stages=2", "pipeline=2,data=2,recompute=full",
    "tensor=2,pipeline=2,data=2,sequence_parallel=true,zero_stage=1,virtual_stages=2",
    "tensor=2,pipeline=2,recompute=selective,flash_attention=false", "context=2,flash_attention=true",
    "context=2,pipeline=2,data=2,flash_attention=true,zero_stage=1",
    "tensor=2,context=2,sequence_parallel=true,flash_attention=true,recompute=full",
  ]

  @Test(arguments: layouts, [Kind.plain, .tied, .dropping, .latent])
  func wholeMiniaturesHold(pattern: String, kind: Kind) throws {
    // Nothing is dropped where ranks divide sequences.
    guard kind != .dropping || !pattern.contains("context") else { return }
    try Self.holds(Self.plan(pattern, kind, depth: kind == .latent ? 1 : 2))
  }

  static let expertLayouts: [String] = [
    "data=4,expert=4", "data=4,expert=2,zero_stage=1", "data=4,expert=2,moe_dispatcher=deepep,zero_stage=2",
    "data=4,expert=2,zero_stage=3,recompute=full", "tensor=2,data=2,sequence_parallel=true,expert=4",
    "pipeline=2,data=2,expert=2,virtual_stages=2", "pipeline=2,data=4,expert=4,zero_stage=1",
    "context=2,data=2,expert=4,zero_stage=1", "data=4,expert=4,moe_overlap=true,zero_stage=1",
    "data=4,expert=2,moe_overlap=true,moe_dispatcher=deepep,zero_stage=3",
    "tensor=2,pipeline=2,data=2,sequence_parallel=true,expert=4,virtual_stages=2,moe_overlap=true,zero_stage=1",
  ]

  @Test(arguments: expertLayouts, [true, false])
  func theirExpertsAreDividedAsThoseOfLayers(pattern: String, balances: Bool) throws {
    try Self.holds(Self.plan(pattern, .experts, depth: 1), balances: balances)
  }

  /// Any layers each, and none beside the head and what is behind it.
  @Test(arguments: [[3, 2, 3, 0], [0, 4, 3, 1], [2, 3, 2, 1]])
  func laidOutChunksHold(layerCounts: [Int]) throws {
    let pattern = "pipeline=2,data=2,virtual_stages=2,zero_stage=1"
    try Self.holds(Self.plan(pattern, .plain, depth: 2, layerCounts: layerCounts))
  }

  /// Plans of a model that is shipped with its further prediction are run with it.
  @Test(arguments: [
    "pipeline=8,data=128,expert=64,virtual_stages=4,recompute=full,zero_stage=1,moe_dispatcher=deepep",
    "tensor=4,pipeline=4,data=64,sequence_parallel=true,expert=64,virtual_stages=4,zero_stage=1,moe_dispatcher=deepep",
  ])
  func deepSeeksPlansRunWithTheirs(pattern: String) throws {
    let plan = try statedPlan(
      pattern, cluster: Shipped.catalog.cluster("dgx-h100-128"), model: Shipped.catalog.model("deepseek-v3"),
      globalBatch: 8192,
      layerCounts: pattern.contains("pipeline=8")
        ? [1] + [Int](repeating: 2, count: 30) + [0] : [3] + [Int](repeating: 4, count: 13) + [3, 3])
    let miniature = try Miniature(of: plan, rankLimit: 16)
    #expect(miniature.model.job.model.predictionDepth == 1)
    let last = miniature.strategy.pipelineDegree - 1
    // As many layers as the stages have that are kept.
    let prediction = ModelPart.prediction(miniature.model.job.model.layerCount)
    #expect(miniature.shape.parameters(ofStage: last).entries.contains { $0.part == prediction })
    let run = try DryRun(miniature, options: DryRun.Options(stepCount: 1))
    #expect(run.disagreements.isEmpty, "\(run.disagreements)")
    #expect(run.traffic.contains { $0.kind == TrafficKind.embedding.rawValue && $0.executedBytes > 0 })
  }

  /// Without further predictions nothing of them is there: programs, numbers and bytes are those of the model without.
  @Test func noneIsTheModelWithout() throws {
    for pattern in ["pipeline=2,data=2", "tensor=2,sequence_parallel=true"] {
      let (none, one) = try (Self.plan(pattern, .plain, depth: 0), Self.plan(pattern, .plain, depth: 1))
      let shapes = try [none, one].map { try Miniature(of: $0, rankLimit: 8).shape }
      #expect(!shapes[0].copiesTokenTable && shapes[0].predictions.isEmpty)
      #expect(shapes[1].copiesTokenTable == pattern.contains("pipeline"))
      func isFurther(_ step: ProgramStep) -> Bool {
        guard case .compute(let computation) = step.operation else { return false }
        return "\(computation)".contains("further") || "\(computation)".contains("prediction")
      }
      #expect(!shapes[0].programs().flatMap(\.steps).contains(where: isFurther))
      #expect(shapes[1].programs().flatMap(\.steps).contains(where: isFurther))
    }
  }

  /// Before training every prediction is about as bad a guess as any other, so that those of all depths together add a tenth.
  @Test func theirLossCountsForATenth() throws {
    func loss(depth: Int) throws -> Double {
      let miniature = try Miniature(of: Self.plan("data=1", .plain, depth: depth), rankLimit: 1)
      return try DryRun(miniature, options: DryRun.Options(stepCount: 1)).steps[0].loss.executed
    }
    let (none, one, two) = try (loss(depth: 0), loss(depth: 1), loss(depth: 2))
    for more in [one, two] { #expect(abs((more - none) / none - 0.1) < 0.02) }
  }

  @Test func whatIsNotExecutedIsRefused() throws {
    let plan = try Self.plan("pipeline=2,data=2,zero_stage=2", .plain, depth: 1)
    #expect {
      try DryRun(Miniature(of: plan, rankLimit: 8))
    } throws: {
      "\($0)".contains("ZeRO 2 with the token table of further predictions on two pipeline stages is not executed")
    }
  }

  /// Threads and turns give the same bits.
  @Test func threadsGiveTheSameBits() throws {
    let miniature = try Miniature(of: Self.plan("tensor=2,pipeline=2,data=2", .tied, depth: 2), rankLimit: 8)
    let runs = try [false, true].map {
      try DryRun(miniature, options: DryRun.Options(stepCount: 2, usesThreads: $0))
    }
    #expect(runs[0].steps == runs[1].steps)
  }
}
