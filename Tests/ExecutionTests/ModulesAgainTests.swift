import Documents
import TestSupport
import Testing
import Training

@testable import Execution

/// Single modules that are computed again before a block's backward pass, with their exchanges, on numbers.
@Suite struct ModulesAgainTests {
  struct Case: Sendable, CustomTestStringConvertible {
    let pattern: String
    let kind: SmallModels.ExpertKind
    let modules: String
    var testDescription: String { "\(pattern), \(kind), \(modules)" }

    func plan(_ recompute: String? = nil, capacity: ExpertCapacity = .none) throws -> Plan {
      try SmallPlans.expertPlan(
        "\(pattern),\(recompute ?? "recompute=selective,recompute_modules=\(modules)")", kind,
        layers: pattern.contains("virtual_stages=4") ? 8 : 4, capacity: capacity)
    }
  }

  /// By what a model has, sets with every module, alone or with others.
  static let sets: [(kind: SmallModels.ExpertKind, modules: [String])] = [
    (.plain, ["moe"]), (.biased, ["moe_act+layernorm", "core_attn+moe"]),
    (.gated, ["shared_experts", "layernorm+moe"]),
    (.grouped, ["mlp", "core_attn+moe_act+layernorm+mlp+shared_experts", "mlp+moe"]),
    (.latent, ["mla_up_proj", "core_attn+layernorm+mla_up_proj+shared_experts", Strategy.RecomputeModules.all.words]),
  ]

  /// Every layout with a few of them in turn, so that each set meets every way to divide ranks.
  static let mixtures: [Case] = {
    let all = sets.flatMap { set in set.modules.map { (set.kind, $0) } }
    let alone = all.filter { !$0.1.split(separator: "+").contains("moe") }
    return ExpertDryRunTests.layouts.filter { !$0.contains("recompute") }.enumerated().flatMap { index, layout in
      // Passes that run beside each other leave out the way of tokens.
      let possible = layout.contains("overlap") ? alone : all
      return [0, 3].map { offset in
        let (kind, modules) = possible[(index + offset) % possible.count]
        return Case(pattern: layout, kind: kind, modules: modules)
      }
    }
  }()

  private static func run(_ plan: Plan, balances: Bool = true) throws -> DryRun {
    try DryRun(
      Miniature(of: plan, rankLimit: 8), options: DryRun.Options(stepCount: 1, balancesExperts: balances))
  }

  /// Values, bytes on every level of links, and bytes held are those of the reference and of the model; and bit for bit the
  /// values are those of a run that keeps everything.
  @Test(arguments: mixtures) func mixturesHold(_ it: Case) throws {
    let run = try Self.run(it.plan()), kept = try Self.run(it.plan("recompute=none"))
    #expect(run.disagreements.isEmpty, "\(run.disagreements)")
    #expect(run.steps == kept.steps)
  }

  /// Where tokens go where routers send them, they are sent the same way again.
  @Test(arguments: mixtures.filter { $0.modules.split(separator: "+").contains("moe") })
  func tokensGoTheSameWayAgain(_ it: Case) throws {
    let run = try Self.run(it.plan(), balances: false)
    let kept = try Self.run(it.plan("recompute=none"), balances: false)
    #expect(run.disagreements.isEmpty, "\(run.disagreements)")
    #expect(run.steps == kept.steps)
  }

  /// Experts drop the same tokens again, and are filled up by as many rows.
  @Test(arguments: ["data=4,expert=4", "data=4,expert=2,expert_tensor=2,zero_stage=2"], [false, true])
  func theSameTokensAreDroppedAgain(pattern: String, pads: Bool) throws {
    for (kind, modules) in [(SmallModels.ExpertKind.grouped, "moe"), (.biased, "layernorm+moe"), (.gated, "moe_act")] {
      let it = Case(pattern: pattern, kind: kind, modules: modules)
      let capacity = ExpertCapacity(factor: 0.5, pads: pads, rowMultiple: 16)
      let run = try Self.run(it.plan(capacity: capacity), balances: false)
      let kept = try Self.run(it.plan("recompute=none", capacity: capacity), balances: false)
      #expect(run.disagreements.isEmpty, "\(run.disagreements)")
      #expect(run.steps == kept.steps)
    }
  }

  // MARK: Models without experts

  static let dense: [String] = {
    let divided = ContextTests.kinds.map { kind -> String in
      "\(kind),\(kind.contains("=4") ? "data=2,zero_stage=1" : "tensor=2,data=2,sequence_parallel=true")"
    }
    let whole = [
      "tensor=2,data=2", "tensor=2,data=2,sequence_parallel=true,zero_stage=3", "tensor=2,pipeline=2,virtual_stages=2",
      "pipeline=2,data=2,virtual_stages=2,zero_stage=2", "tensor=4,data=2,sequence_parallel=true,flash_attention=false",
    ]
    return whole + divided
      + ["context=2,pipeline=2,data=2,virtual_stages=2", "context=2,context_exchange=all-to-all,pipeline=2,tensor=2"]
  }()

  @Test(arguments: dense) func denseModelsHold(pattern: String) throws {
    for (family, modules) in [
      (ModelDescription.Family.gpt, "core_attn+layernorm+mlp"), (.llama, "core_attn"), (.llama, "mlp"),
    ] {
      func run(_ recompute: String) throws -> DryRun {
        try Self.run(
          SmallPlans.plan(
            "\(pattern),micro_batch=2,\(recompute)", family,
            isTied: family == .gpt && !pattern.contains("zero_stage=2"),
            deviceCount: SmallPlans.worldSize(of: pattern), layers: 4))
      }
      let found = try run("recompute=selective,recompute_modules=\(modules)"), kept = try run("recompute=none")
      #expect(found.disagreements.isEmpty, "\(family): \(found.disagreements)")
      #expect(found.steps == kept.steps)
    }
  }

  /// Heads of narrow vectors are made again: of all tokens where a tensor group divides the sequence, of rows that are not
  /// narrow where queries are; before they are exchanged once more, or as far as backward reads them as they were made.
  @Test(arguments: dense) func headsOfNarrowVectorsAreMadeAgain(pattern: String) throws {
    for (hasNarrowQueries, modules) in [
      (false, "mla_up_proj"), (true, "mla_up_proj"), (false, "core_attn+layernorm+mla_up_proj"),
      (true, "core_attn+mla_up_proj"),
    ] {
      let model = try ModelDescription(
        name: "latent", family: .llama, layerCount: 4, hiddenSize: 64, headCount: 8, feedForwardSize: 160,
        vocabularySize: 101, hasGatedFeedForward: true, hasTiedEmbeddings: false,
        latent: .init(
          queryRank: hasNarrowQueries ? 5 : nil, keyValueRank: 6, plainSize: 3, rotarySize: 4, valueSize: 5))
      func run(_ recompute: String) throws -> DryRun {
        try Self.run(
          statedPlan(
            "\(pattern),\(recompute)", cluster: Shipped.smallCluster(SmallPlans.worldSize(of: pattern)), model: model,
            globalBatch: 48, sequenceLength: 64))
      }
      let found = try run("recompute=selective,recompute_modules=\(modules)"), kept = try run("recompute=none")
      #expect(found.disagreements.isEmpty, "\(hasNarrowQueries): \(found.disagreements)")
      #expect(found.steps == kept.steps)
    }
  }

  /// Further predictions have blocks of their own, whose modules are computed again as well.
  @Test(arguments: ["data=4,expert=4", "tensor=2,pipeline=2,data=2,sequence_parallel=true,expert=2"])
  func blocksOfFurtherPredictionsAreOfModulesToo(pattern: String) throws {
    var experts = SmallModels.experts(.grouped, count: 8, perToken: 2)
    experts.denseLayers = [0]
    let model = try SmallModels.further(
      ModelDescription(
        name: "small", family: .llama, layerCount: 4, hiddenSize: 64, headCount: 8, keyValueHeadCount: 4,
        feedForwardSize: 160, vocabularySize: 101, hasGatedFeedForward: true, hasTiedEmbeddings: false,
        experts: experts), 1)
    func run(_ recompute: String) throws -> DryRun {
      try Self.run(
        statedPlan(
          "\(pattern),\(recompute)", cluster: Shipped.smallCluster(SmallPlans.worldSize(of: pattern)), model: model,
          globalBatch: 48, sequenceLength: 64))
    }
    let found = try run("recompute=selective,recompute_modules=core_attn+layernorm+mlp+moe")
    #expect(found.disagreements.isEmpty, "\(found.disagreements)")
    #expect(try found.steps == run("recompute=none").steps)
  }

  // MARK: What it takes and saves

  /// Bytes of a kind that all ranks send, and activations that the first stage holds.
  private static func bytes(_ run: DryRun, _ kind: TrafficKind) -> Int {
    run.traffic.reduce(0) { $0 + ($1.kind == kind.rawValue ? $1.executedBytes : 0) }
  }

  private static func activations(_ run: DryRun) -> Int {
    run.memory.first { $0.kind == "activations" }?.executedBytes ?? 0
  }

  /// Every exchange that is made again is sent again, and what is brought back is not held.
  @Test func exchangesAreMadeAgainAndBytesAreNotHeld() throws {
    for (kind, modules, traffic, share) in [
      // Both ways forward and backward have as many rows; one forward way more, of three.
      (SmallModels.ExpertKind.plain, "moe", TrafficKind.expert, 1.5), (.gated, "shared_experts", .expert, 1),
      (.gated, "moe", .expert, 1.5), (.plain, "moe_act", .expert, 1),
    ] {
      let it = Case(
        pattern: "tensor=2,data=2,sequence_parallel=true,expert=2,expert_tensor=1", kind: kind, modules: modules)
      let run = try Self.run(it.plan()), kept = try Self.run(it.plan("recompute=none"))
      let ratio = Double(Self.bytes(run, traffic)) / Double(Self.bytes(kept, traffic))
      #expect(abs(ratio - share) < 0.02, "\(modules): \(ratio)")
      #expect(Self.activations(run) < Self.activations(kept))
      let sendsMore = Self.bytes(run, .tensor) > Self.bytes(kept, .tensor)
      #expect(sendsMore == (kind == .gated))
    }
  }

  // MARK: Broken programs

  /// The step of a rank that matches, behind the first that is computed again of a piece.
  private static func index(
    _ program: RankProgram, after piece: ModelPiece, where matches: (ProgramStep) -> Bool
  ) -> Int? {
    let first = program.steps.firstIndex {
      if case .compute(.recompute(piece, _, _)) = $0.operation { true } else { false }
    }
    return first.flatMap { program.steps[$0...].firstIndex(where: matches) }
  }

  private static func isRefusedOrDiffers(
    _ plan: Plan, after piece: ModelPiece, where matches: (ProgramStep) -> Bool, _ expected: String
  ) throws {
    let miniature = try Miniature(of: plan, rankLimit: 8), shape = miniature.shape
    var programs = shape.programs()
    for rank in programs.indices {
      let place = index(programs[rank], after: piece, where: matches)
      programs[rank].remove(try #require(place))
    }
    #expect(shape.defect(in: programs) != nil)
    let run = try DryRun(miniature, options: DryRun.Options(stepCount: 1), shape: shape, programs: programs)
    #expect(run.disagreements.contains { $0.contains(expected) }, "\(run.disagreements)")
  }

  /// Its result is not needed, and real frameworks make it all the same: bytes show it.
  @Test func aSumThatIsNotMadeAgainShows() throws {
    let plan = try SmallPlans.plan(
      "tensor=2,data=2,recompute=selective,recompute_modules=mlp", .llama, isTied: false, deviceCount: 4)
    try Self.isRefusedOrDiffers(plan, after: .feedForwardCore, where: { $0.isCollective(.branch) }, "tensor traffic")
  }

  /// Experts then see again only what is their own rank's.
  @Test func tokensThatAreNotSentAgainShow() throws {
    let plan = try Case(pattern: "data=4,expert=4", kind: .plain, modules: "moe").plan()
    for expected in ["the gradient's norm", "expert traffic"] {
      try Self.isRefusedOrDiffers(plan, after: .router, where: { $0.isCollective(.routed(.tokens)) }, expected)
    }
  }

  @Test func anExchangeOfHeadsThatIsNotMadeAgainShows() throws {
    let plan = try SmallPlans.plan(
      "context=2,context_exchange=all-to-all,data=2,recompute=selective,recompute_modules=core_attn", .llama,
      isTied: false, deviceCount: 4)
    try Self.isRefusedOrDiffers(
      plan, after: .attentionFirst, where: { $0.isCollective(.attention(.output)) }, "context traffic")
  }

  @Test func aPieceThatIsNotComputedAgainIsRefused() throws {
    let shape = try Miniature(
      of: Case(pattern: "data=4,expert=4", kind: .plain, modules: "moe").plan(), rankLimit: 8
    ).shape
    var programs = shape.programs()
    let isDropped = programs.drop(1) {
      if case .compute(.recompute(.experts, .layer(2), _)) = $0.operation { true } else { false }
    }
    #expect(isDropped)
    let defect = try #require(shape.defect(in: programs))
    #expect("\(defect)".contains("experts of layer 2"), "\(defect)")
  }
}
