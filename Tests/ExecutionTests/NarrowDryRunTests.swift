import Costing
import Documents
import TestSupport
import Testing
import Training

@testable import Execution

/// Whole miniatures whose products are in a narrow format, against a reference that rounds likewise.
@Suite struct NarrowDryRunTests {
  static let precisions: [Precision] = [.fp8Delayed, .fp8Current, .fp8Blockwise, .mxfp8, .nvfp4]

  static let layouts: [(pattern: String, family: ModelDescription.Family)] = [
    ("data=2", .llama), ("data=3,zero_stage=2", .gpt), ("tensor=2", .gpt), ("tensor=2,sequence_parallel=true", .llama),
    ("tensor=2,data=2,pipeline=2,sequence_parallel=true,zero_stage=1", .llama),
    ("context=2,data=2", .llama), ("context=4,context_exchange=all-gather", .llama),
    ("tensor=2,context=2,sequence_parallel=true,context_exchange=all-to-all", .llama),
    ("tensor=4,pipeline=2,virtual_stages=2,recompute=full", .gpt), ("data=4,zero_stage=3,recompute=selective", .gpt),
    ("pipeline=2,virtual_stages=2,schedule=zero-bubble,tensor=2,sequence_parallel=true", .llama),
    ("pipeline=2,schedule=dualpipe-v", .llama),
  ]

  private static func run(
    _ plan: Plan, steps: Int = 2, emulates: Bool = false, threads: Bool = false, balances: Bool = true,
    castingOfRank: [Int: (Casting?) -> Casting?] = [:]
  ) throws -> DryRun {
    let miniature = try Miniature(of: plan, rankLimit: 8)
    #expect(miniature.narrowProducts?.areExecuted == true)
    return try DryRun(
      miniature,
      options: DryRun.Options(
        stepCount: steps, usesThreads: threads, emulatesPrecision: emulates, balancesExperts: balances),
      shape: miniature.shape, programs: miniature.shape.programs(), castingOfRank: castingOfRank)
  }

  private static func plan(
    _ pattern: String, _ precision: Precision, _ family: ModelDescription.Family = .llama
  ) throws -> Plan {
    try SmallPlans.plan(
      pattern, family, isTied: false, deviceCount: SmallPlans.worldSize(of: pattern), precision: precision)
  }

  // MARK: What holds

  @Test(arguments: layouts, precisions)
  func wholeMiniaturesHold(layout: (pattern: String, family: ModelDescription.Family), precision: Precision) throws {
    let run = try Self.run(Self.plan(layout.pattern, precision, layout.family))
    #expect(run.disagreements.isEmpty, "\(run.disagreements)")
  }

  static let expertLayouts = [
    "data=4,expert=4", "data=4,expert=2,expert_tensor=2", "data=4,expert=2,moe_dispatcher=deepep,zero_stage=2",
    "tensor=2,data=2,sequence_parallel=true,expert=4", "context=2,data=2,expert=4,zero_stage=1",
    "data=4,expert=4,moe_dispatcher=allgather", "pipeline=2,data=2,expert=2,virtual_stages=4,moe_overlap=true",
  ]

  @Test(arguments: expertLayouts, precisions)
  func mixturesHold(pattern: String, precision: Precision) throws {
    for kind in [SmallModels.ExpertKind.grouped, .gated] {
      let run = try Self.run(SmallPlans.expertPlan(pattern, kind, precision: precision), steps: 1)
      #expect(run.disagreements.isEmpty, "\(kind): \(run.disagreements)")
    }
  }

  /// Experts that are filled up, and those that routers send other numbers of tokens to.
  @Test(arguments: precisions)
  func expertsThatHaveUnlikeRowsHold(precision: Precision) throws {
    for capacity in [ExpertCapacity.none, ExpertCapacity(factor: 1.25, pads: true)] {
      for pattern in ["data=4,expert=4", "tensor=2,data=2,sequence_parallel=true,expert=4,recompute=full"] {
        let plan = try SmallPlans.expertPlan(pattern, .plain, capacity: capacity, precision: precision)
        let run = try Self.run(plan, steps: 1, balances: false)
        #expect(run.disagreements.isEmpty, "\(pattern): \(run.disagreements)")
      }
    }
  }

  /// Latent attention, whose first products are of the rank's own rows, norms of heads, gated heads, experts of narrow
  /// vectors, and further predictions.
  @Test(
    arguments: [
      "tensor=2,data=2,sequence_parallel=true", "tensor=2,data=2", "context=2,data=2,recompute=full",
      "pipeline=2,data=2,schedule=zero-bubble",
    ], precisions)
  func everyKindOfLayerHolds(pattern: String, precision: Precision) throws {
    for (isLatent, narrowWidth) in [(true, nil), (false, nil), (false, 24), (true, 24)] as [(Bool, Int?)] {
      let isSplit = pattern.contains("zero-bubble"), gathers = pattern.contains("sequence_parallel")
      // Experts need tensor groups that divide sequences, and whole backward passes.
      guard narrowWidth == nil || !isSplit && (gathers || !pattern.contains("tensor")) else { continue }
      var form = ModelDescription.Form(norm: .rms, hasRotaryPositions: true)
      form.hasOutputGate = !isLatent
      var experts = narrowWidth.map { _ in SmallModels.experts(.gated, count: 16, perToken: 4) }
      experts?.latentSize = narrowWidth
      let model = try ModelDescription(
        name: "small", family: .llama, layerCount: 8, hiddenSize: 128, headCount: 16,
        keyValueHeadCount: isLatent ? 16 : 8, headSize: isLatent ? nil : 4, feedForwardSize: 160, vocabularySize: 101,
        hasGatedFeedForward: true, hasTiedEmbeddings: false, hasQueryKeyNorm: !isLatent,
        latent: isLatent ? SmallModels.latentAttention : nil, experts: experts,
        predictionDepth: isSplit ? 0 : 1, form: form)
      let plan = try statedPlan(
        pattern, cluster: Shipped.smallCluster(4, device: "b200-sxm-180gb"), model: model, globalBatch: 48,
        sequenceLength: 128, precision: precision)
      let run = try Self.run(plan, steps: 1)
      #expect(run.disagreements.isEmpty, "latent \(isLatent), narrow \(narrowWidth ?? 0): \(run.disagreements)")
    }
  }

  /// Threads change nothing, and where what is kept is rounded as well limits are those of that rounding.
  @Test(arguments: precisions)
  func threadsAndRoundedArithmeticHold(precision: Precision) throws {
    let plan = try Self.plan("tensor=2,data=2,pipeline=2,sequence_parallel=true", precision)
    let turns = try Self.run(plan), threads = try Self.run(plan, threads: true)
    #expect(turns.steps == threads.steps)
    let emulated = try Self.run(plan, emulates: true)
    #expect(emulated.disagreements.isEmpty, "\(emulated.disagreements)")
  }

  /// What replicas send each other may be quantised beside that, within limits that are then those of its codes.
  @Test(arguments: precisions)
  func quantisedExchangesHoldBesides(precision: Precision) throws {
    let plan = try statedPlan(
      "data=8,zero_stage=3,secondary_shards=4,quantise_weights=true,quantise_gradients=true",
      cluster: Shipped.smallCluster(8, device: "b200-sxm-180gb"), model: SmallPlans.model(.llama, isTied: false),
      globalBatch: 48, sequenceLength: 64, precision: precision)
    let run = try Self.run(plan)
    #expect(run.disagreements.isEmpty, "\(run.disagreements)")
  }

  /// Random plans, some for many steps or without Adam, hold as wide ones do.
  @Test func thirtyRandomPlansHold() throws { try Self.checkRandomPlans(30, of: Self.precisions, seed: 23) }

  /// - Parameter added: keys that each plan has beside its own.
  static func checkRandomPlans(
    _ planCount: Int, of precisions: [Precision], seed: UInt64, adding added: String = ""
  ) throws {
    var random = SeededGenerator(seed: seed)
    var count = 0
    while count < planCount {
      let (pattern, family, isTied, layerCounts, degrees) = SmallPlans.random(&random)
      let precision = precisions[count % precisions.count]
      guard
        let plan = try? SmallPlans.plan(
          pattern + added, family, isTied: isTied, deviceCount: degrees.worldSize, layers: degrees.layers,
          layerCounts: layerCounts, precision: precision),
        let miniature = try? Miniature(of: plan, rankLimit: 16), miniature.unsupported() == nil
      else { continue }
      count += 1
      let run = try DryRun(
        miniature,
        options: DryRun.Options(
          stepCount: count % 10 == 0 ? 12 : 2, optimizer: count % 4 == 0 ? .sgd : .planned, seed: UInt64(count)))
      #expect(run.disagreements.isEmpty, "\(pattern) \(family) \(precision): \(run.disagreements)")
    }
  }

  // MARK: Layers that are not cast

  /// Layers at the ends stay as they are stored, in the ranks and in the reference: as many as a small model has room for.
  @Test(
    arguments: ["tensor=2,data=2", "tensor=2,pipeline=2,sequence_parallel=true,recompute=full", "data=4,zero_stage=3"],
    precisions)
  func layersAtTheEndsAreNotCast(pattern: String, precision: Precision) throws {
    func plan(_ layers: WideLayers) throws -> Plan {
      try SmallPlans.plan(
        pattern, .llama, isTied: false, deviceCount: SmallPlans.worldSize(of: pattern), precision: precision,
        wideLayers: layers)
    }
    let wide = try plan(WideLayers(first: 1, last: 2)), run = try Self.run(wide)
    #expect(run.disagreements.isEmpty, "\(run.disagreements)")
    let miniature = try Miniature(of: wide, rankLimit: 8)
    let count = miniature.model.job.model.layerCount, layers = miniature.model.job.wideLayers
    #expect(layers.first >= 1 && layers.first + layers.last < count)
    // Something else is computed than where all are cast, and than where none is.
    let losses = try [plan(.none), wide, plan(WideLayers(first: 4, last: 4))].map {
      try Self.run($0, steps: 1).steps[0].loss.executed
    }
    #expect(losses[0] != losses[1])
    // One that forgets it is seen.
    let forgetful = try Self.run(
      wide,
      castingOfRank: [
        0: {
          var casting = $0
          casting?.wide.layers = .none
          return casting
        }
      ])
    #expect(!forgetful.disagreements.isEmpty)
  }

  @Test func aSmallModelKeepsALayerThatIsCast() {
    #expect(WideLayers(first: 4, last: 14).shrunk(toLayers: 8, stageCount: 2) == WideLayers(first: 4, last: 3))
    #expect(WideLayers(first: 1, last: 1).shrunk(toLayers: 4, stageCount: 2) == WideLayers(first: 1, last: 1))
    #expect(WideLayers(first: 3, last: 3).shrunk(toLayers: 2, stageCount: 1) == WideLayers(first: 1, last: 0))
    #expect(WideLayers(first: 1, last: 1).shrunk(toLayers: 1, stageCount: 1) == .none)
    #expect(WideLayers.none.shrunk(toLayers: 8, stageCount: 1) == .none)
  }

  // MARK: What is executed

  /// Casts change what is learned, each precision in its way, and by as much as few bits do.
  @Test func castsAreReallyDone() throws {
    let pattern = "tensor=2,data=2"
    let wide = try DryRun(
      Miniature(of: Self.plan(pattern, .bf16), rankLimit: 8), options: DryRun.Options(stepCount: 1)
    ).steps[0]
    var norms: Set<Double> = []
    for precision in Self.precisions {
      let step = try Self.run(Self.plan(pattern, precision), steps: 1).steps[0]
      let moved = abs(step.loss.executed / wide.loss.executed - 1)
      #expect(moved > 1e-5 && moved < 0.1, "\(precision): \(moved)")
      // Scales of two of them are powers of two, and differ in what is far below its block's largest number alone: with this
      // seed there is such.
      let rare = try DryRun(
        Miniature(of: Self.plan(pattern, precision), rankLimit: 8), options: DryRun.Options(stepCount: 1, seed: 9))
      norms.insert(rare.steps[0].gradientNorm.executed)
      #expect(step.loss.relativeError < 1e-6 && step.gradientNorm.relativeError < 1e-5, "\(precision)")
    }
    #expect(norms.count == Self.precisions.count)
  }

  @Test func whatIsNotExecutedIsSaid() throws {
    for (pattern, devices) in [("data=4,update=zeroth-order", 4), ("worker=2,data=4,update=outer", 8)] {
      let plan = try SmallPlans.plan(pattern, .llama, isTied: false, deviceCount: devices, precision: .fp8Current)
      let miniature = try Miniature(of: plan, rankLimit: 8)
      #expect(miniature.narrowProducts?.areExecuted == false)
      #expect(miniature.casting(seed: 1) == nil)
    }
    #expect(try Miniature(of: Self.plan("data=4", .bf16), rankLimit: 8).narrowProducts == nil)
  }

  /// Llama 2's feed-forward of 11,008 is 1,376 numbers on each of eight ranks: 43 blocks of 32, and no whole ones of 128.
  @Test func widthsThatAreNoWholeBlocksAreNamed() throws {
    func products(_ pattern: String, _ precision: Precision) throws -> NarrowProducts {
      let plan = try statedPlan(
        pattern, cluster: Shipped.smallCluster(8, device: "b200-sxm-180gb"), model: Shipped.catalog.model("llama-2-7b"),
        globalBatch: 64, sequenceLength: 1000, precision: precision)
      return try #require(NarrowProducts(of: plan))
    }
    let tokens = NarrowProducts.Width(what: "tokens of a micro-batch", count: 1000)
    #expect(
      try products("tensor=8,micro_batch=1", .fp8Blockwise).widthsOffBlocks == [
        .init(what: "feed-forward", count: 1376), tokens,
      ])
    #expect(try products("tensor=8,micro_batch=1", .mxfp8).widthsOffBlocks == [tokens])
    #expect(try products("tensor=8,micro_batch=4", .mxfp8).widthsOffBlocks == [])
    #expect(try products("tensor=2,data=4,micro_batch=1", .nvfp4).widthsOffBlocks == [tokens])
    #expect(try products("tensor=8,micro_batch=1", .fp8Current).widthsOffBlocks == [])
    #expect(try products("tensor=8,micro_batch=1", .fp8Delayed).blockLength == nil)
  }

  // MARK: Mutations

  /// A rank that casts otherwise than the others is seen.
  @Test(arguments: ["tensor=2,data=2", "data=4,zero_stage=1", "context=2,data=2"])
  func aRankThatCastsOtherwiseIsSeen(pattern: String) throws {
    let mutations: [(what: String, precision: Precision, change: (Casting?) -> Casting?)] = [
      (
        "another seed of chance", .nvfp4,
        {
          var casting = $0
          casting?.seed += 1
          return casting
        }
      ),
      (
        "shorter blocks", .nvfp4,
        {
          var casting = $0
          casting?.rules = CastRules(.nvfp4, blockShare: 4)
          return casting
        }
      ),
      (
        "the scale of a tensor where it is of blocks", .fp8Blockwise,
        {
          var casting = $0
          casting?.rules = CastRules(.fp8Current)
          return casting
        }
      ),
      ("no cast", .fp8Current, { _ in nil }),
      (
        "its own largest numbers alone", .fp8Delayed,
        {
          var casting = $0
          casting?.sharesLargest = false
          return casting
        }
      ),
    ]
    for mutation in mutations {
      let plan = try Self.plan(pattern, mutation.precision)
      #expect(try Self.run(plan).disagreements.isEmpty)
      for rank in [0, 3] {
        let run = try Self.run(plan, castingOfRank: [rank: mutation.change])
        #expect(
          run.disagreements.contains {
            $0.contains("differs from the serial reference's") || $0.contains("multiply by different weights")
          }, "\(mutation.what) on rank \(rank): \(run.disagreements)")
      }
    }
  }
}
