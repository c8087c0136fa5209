import Costing
import Documents
import TestSupport
import Testing
import Training

@testable import Execution

/// Whole miniatures of models whose attention is gated, or whose experts read narrow vectors.
@Suite struct GatedAndNarrowTests {
  static let layouts: [String] = [
    "data=1", "data=4,zero_stage=3,recompute=full", "data=2,recompute=selective,flash_attention=false",
    "tensor=2,data=2", "tensor=2,data=2,sequence_parallel=true,zero_stage=1",
    "tensor=4,sequence_parallel=true,recompute=full", "context=2,data=2",
    "context=2,context_exchange=all-gather,data=2,recompute=full", "context=2,context_exchange=all-to-all,data=2",
    "tensor=2,context=4,context_exchange=all-to-all+ring,context_inner=2,sequence_parallel=true",
    "pipeline=2,data=2,virtual_stages=2", "pipeline=2,data=2,schedule=zero-bubble",
    "context=2,tensor=2,pipeline=2,schedule=zero-bubble,sequence_parallel=true",
  ]

  private static func model(
    _ kind: SmallModels.GatedKind?, narrow: SmallModels.ExpertKind? = nil
  ) throws -> ModelDescription {
    var form = ModelDescription.Form(norm: .rms, hasRotaryPositions: true)
    form.hasOutputGate = kind != nil
    var experts = narrow.map { SmallModels.experts($0, count: 16, perToken: 4) }
    experts?.latentSize = 24
    var latent: ModelDescription.LatentAttention?
    if kind == .latent || narrow == .latent { latent = SmallModels.latentAttention }
    if let it = latent ?? (kind == .latentButQueries ? SmallModels.latentAttention : nil), kind == .latentButQueries {
      latent = .init(
        queryRank: nil, keyValueRank: it.keyValueRank, plainSize: it.plainSize, rotarySize: it.rotarySize,
        valueSize: it.valueSize)
    }
    // Heads together are narrower than the residual stream, so that a miniature's norms are over more numbers.
    return try ModelDescription(
      name: "small", family: .llama, layerCount: 8, hiddenSize: 128, headCount: 16,
      keyValueHeadCount: latent == nil ? 8 : 16, headSize: latent == nil ? 4 : nil, feedForwardSize: 160,
      vocabularySize: 101, hasGatedFeedForward: true,
      hasTiedEmbeddings: false, hasQueryKeyValueBias: kind == .grouped, latent: latent, experts: experts, form: form)
  }

  private static func run(_ pattern: String, _ model: ModelDescription, balances: Bool = true) throws -> DryRun {
    let plan = try statedPlan(
      pattern, cluster: Shipped.smallCluster(SmallPlans.worldSize(of: pattern)), model: model, globalBatch: 48,
      sequenceLength: 128)
    let miniature = try Miniature(of: plan, rankLimit: 8)
    #expect(miniature.model.job.model.form.hasOutputGate == model.form.hasOutputGate)
    #expect((miniature.model.job.model.experts?.latentSize == nil) == (model.experts?.latentSize == nil))
    return try DryRun(miniature, options: DryRun.Options(stepCount: 2, balancesExperts: balances))
  }

  @Test(arguments: layouts, SmallModels.GatedKind.allCases)
  func gatedAttentionHolds(pattern: String, kind: SmallModels.GatedKind) throws {
    let run = try Self.run(pattern, Self.model(kind))
    #expect(run.disagreements.isEmpty, "\(run.disagreements)")
  }

  /// In every way that tokens reach experts; the rows are of narrow vectors, and the rest of the block is not.
  @Test(
    arguments: [
      "data=4,expert=4", "data=4,expert=4,moe_dispatcher=allgather,zero_stage=1",
      "data=4,expert=2,moe_dispatcher=deepep,zero_stage=2", "data=8,expert=8,moe_dispatcher=hybridep,zero_stage=1",
      "data=4,expert=2,expert_tensor=2", "data=4,expert=2,zero_stage=3,recompute=full",
      "tensor=2,data=2,sequence_parallel=true,expert=4", "context=2,data=2,expert=4,zero_stage=1",
      "pipeline=2,data=2,expert=2,virtual_stages=2,moe_overlap=true",
      "tensor=2,data=2,sequence_parallel=true,expert=2,expert_tensor=2,recompute=full",
    ], SmallModels.expertKinds)
  func expertsOfNarrowVectorsHold(pattern: String, kind: SmallModels.ExpertKind) throws {
    for balances in [true, false] {
      // With a gate besides where nothing else of attention is out of the ordinary.
      let model = try Self.model(kind == .latent ? nil : .grouped, narrow: kind)
      let run = try Self.run(pattern, model, balances: balances)
      #expect(run.disagreements.isEmpty, "\(run.disagreements)")
    }
  }
}
