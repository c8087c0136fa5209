import Documents
import Testing
import Training

/// Recomputation of single modules: what each of them gives up and runs again, token by token, written out once more.
@Suite struct RecomputeModulesTests {
  /// h hidden, a heads, F dense and f expert width, E experts, k of each token, f_s shared; n, r and v of heads, narrow widths
  /// q and c; T tokens of a rank.
  static let h = 512, a = 8, F = 1_536, f = 256, E = 8, k = 2, shared = 384, n = 64, r = 32, v = 48, q = 192, c = 128
  static let T = 2 * 128

  private static func model(hasExperts: Bool = true, isLatent: Bool = true) throws -> ModelDescription {
    var experts = ModelDescription.Experts(count: E, perToken: k, feedForwardSize: f)
    experts.sharedFeedForwardSize = shared
    experts.denseLayers = [0]
    return try ModelDescription(
      name: "block", family: .llama, layerCount: 4, hiddenSize: h, headCount: a, keyValueHeadCount: isLatent ? a : 4,
      headSize: isLatent ? n + r : nil, feedForwardSize: F, vocabularySize: 1_024, hasGatedFeedForward: true,
      hasTiedEmbeddings: false,
      latent: isLatent
        ? ModelDescription.LatentAttention(
          queryRank: q, keyValueRank: c, plainSize: n, rotarySize: r, valueSize: v) : nil,
      experts: hasExperts ? experts : nil,
      form: ModelDescription.Form(norm: .rms, block: .sequential, hasRotaryPositions: true))
  }

  /// Of a block with experts.
  private static func launchedAgainShare(_ recipe: Recipe) -> Double {
    Recipe.launchedAgainShare(
      forward: recipe.steps(.expertBlock, .forward), again: recipe.steps(.expertBlock, .recompute))
  }

  private static func recipe(
    _ model: ModelDescription, _ modules: Strategy.RecomputeModules, recompute: Strategy.Recompute = .selective,
    tensor t: Int = 1, flash: Bool = true, expert: Int = 4, context: Int = 1,
    exchange: Strategy.ContextExchange = .ring
  ) throws -> Recipe {
    let job = try TrainingJob(model: model, sequenceLength: 128, globalBatch: 32)
    var strategy = Strategy(
      mesh: [.tensor: t, .data: 8 / t, .context: context], microBatch: 2 * context, recompute: recompute,
      usesSequenceParallelism: t > 1, usesFlashAttention: flash)
    if model.experts != nil { strategy.expertDegree = expert }
    strategy.recomputeModules = modules
    strategy.contextExchange = exchange
    return Recipe(job: job, strategy: strategy, vocabularySize: 1_024)
  }

  private static func bytes(_ recipe: Recipe, _ part: Recipe.Part, _ pass: Recipe.Pass, isKept: Bool = true) -> Int {
    operations(recipe, part, pass).reduce(0) { sum, operation in
      switch operation {
      case .keep(let tensor): isKept ? sum + tensor.byteCount : sum
      case .free(let tensor): isKept ? sum : sum + tensor.byteCount
      default: sum
      }
    }
  }

  private static func operations(_ recipe: Recipe, _ part: Recipe.Part, _ pass: Recipe.Pass) -> [Recipe.Operation] {
    recipe.steps(part, pass).flatMap { step -> [Recipe.Operation] in
      if case .piece(_, let operations) = step { operations } else { [] }
    }
  }

  private static func collectives(_ recipe: Recipe, _ part: Recipe.Part, _ pass: Recipe.Pass) -> [TensorCollective] {
    recipe.steps(part, pass).compactMap { if case .collective(let it) = $0 { it } else { nil } }
  }

  /// By module, in a dense block and in one with experts.
  static let freed: [(String, Int, Int)] = [
    ("core_attn", 4 * a, 4 * a), ("moe_act", 0, 2 * k * f), ("layernorm", 2 * h, 2 * h + 2 * h),
    ("mla_up_proj", 4 * a * (n + r) + 2 * a * v, 4 * a * (n + r) + 2 * a * v), ("mlp", 6 * F, 0),
    ("shared_experts", 0, 6 * shared), ("moe", 0, 9 * E + k * (2 * h + 4 * f + 2 * f + 4) + 6 * shared),
  ]

  /// Bytes of a token that each module frees in a dense block and in one with experts, bf16, fused attention.
  @Test(arguments: freed)
  func everyModuleFreesWhatIsSaidOfIt(_ name: String, dense: Int, experts: Int) throws {
    let model = try Self.model(), modules = try #require(Strategy.RecomputeModules(names: [name]))
    let plain = try Self.recipe(model, [], recompute: .none), recipe = try Self.recipe(model, modules)
    for (part, freed) in [(Recipe.Part.block, dense), (.expertBlock, experts)] {
      let kept = Self.bytes(plain, part, .forward), left = Self.bytes(recipe, part, .forward)
      #expect(kept - left == freed * Self.T, "\(name), \(part)")
      // All of it is there again when the backward pass comes.
      #expect(Self.bytes(recipe, part, .recompute) == kept - left, "\(name), \(part)")
      #expect(Self.operations(recipe, part, .recompute).isEmpty == (freed == 0), "\(name), \(part)")
    }
  }

  /// Whatever is kept or brought back is given up, once, in every combination, divided or not.
  @Test(arguments: 1..<128) func backwardGivesUpAllThatWasKept(_ bits: Int) throws {
    let modules = Strategy.RecomputeModules(rawValue: UInt8(bits))
    for (t, flash) in [(1, true), (1, false), (2, true)] {
      let recipe = try Self.recipe(Self.model(), modules, tensor: t, flash: flash)
      let plain = try Self.recipe(Self.model(), [], recompute: .none, tensor: t, flash: flash)
      for part in [Recipe.Part.block, .expertBlock] {
        let kept = Self.bytes(recipe, part, .forward) + Self.bytes(recipe, part, .recompute)
        // Of keys that are made again, the part that all heads share, of all tokens of a tensor group.
        let gathered = t > 1 && modules.contains(.latentProjections) ? Self.T * 2 * Self.r : 0
        #expect(kept == Self.bytes(plain, part, .forward) + gathered, "\(modules.words), \(part)")
        #expect(Self.bytes(recipe, part, .backward, isKept: false) == kept, "\(modules.words), \(part)")
      }
    }
  }

  @Test func whatIsRunAgainIsPartOfTheForwardPass() throws {
    let model = try Self.model()
    let plain = try Self.recipe(model, [], recompute: .none, tensor: 2)
    func again(_ modules: Strategy.RecomputeModules, _ part: Recipe.Part) throws -> [TensorCollective] {
      Self.collectives(try Self.recipe(model, modules, tensor: 2), part, .recompute)
    }
    // Router and experts with both ways of tokens, and the shared experts' gather and scatter.
    let forward = Self.collectives(plain, .expertBlock, .forward)
    #expect(try again(.experts, .expertBlock) == Array(forward.dropFirst(2)))
    #expect(try again(.experts, .block).isEmpty)
    #expect(try again(.sharedExperts, .expertBlock) == Array(forward[2..<4]))
    // A dense feed-forward part gathers and scatters rows.
    let dense = Self.collectives(plain, .block, .forward)
    #expect(try again(.feedForward, .block) == Array(dense.suffix(2)))
    #expect(try again(.feedForward, .expertBlock).isEmpty)
    // Nothing else exchanges anything.
    for modules in [Strategy.RecomputeModules.expertActivation, .norms, .latentProjections, .attentionCore] {
      for part in [Recipe.Part.block, .expertBlock] { #expect(try again(modules, part).isEmpty) }
    }
  }

  @Test func theCoreOfADividedSequenceIsExchangedForAgain() throws {
    let model = try Self.model(hasExperts: false, isLatent: false)
    let recipe = try Self.recipe(model, .attentionCore, context: 2)
    #expect(
      Self.collectives(recipe, .block, .recompute) == Self.collectives(recipe, .block, .forward)
        && !Self.collectives(recipe, .block, .recompute).isEmpty)
  }

  /// What backward reads as it has come in an exchange is not brought back by products: keys and values that went round,
  /// everything that was exchanged for heads; unless the exchange is made again, too.
  @Test func whatWasExchangedIsNotMadeAgain() throws {
    let model = try Self.model(hasExperts: false), queries = 2 * Self.a * (Self.n + Self.r)
    let all = 2 * queries + 2 * Self.a * Self.v
    for (exchange, freed) in [
      (Strategy.ContextExchange.ring, queries), (.allGather, all), (.allToAll, 0),
    ] {
      let plain = try Self.recipe(model, [], recompute: .none, context: 2, exchange: exchange)
      let alone = try Self.recipe(model, .latentProjections, context: 2, exchange: exchange)
      #expect(
        Self.bytes(plain, .block, .forward) - Self.bytes(alone, .block, .forward) == freed * Self.T, "\(exchange)")
      #expect(Self.bytes(alone, .block, .recompute) == freed * Self.T, "\(exchange)")
      let core = try Self.recipe(model, .attentionCore, context: 2, exchange: exchange)
      let both = try Self.recipe(model, [.latentProjections, .attentionCore], context: 2, exchange: exchange)
      #expect(
        Self.bytes(core, .block, .forward) - Self.bytes(both, .block, .forward) == all * Self.T, "\(exchange)")
    }
  }

  @Test func withoutNamesTheCoreIsComputedAgainWhereItIsNotFused() throws {
    let model = try Self.model(hasExperts: false, isLatent: false)
    for flash in [false, true] {
      let recipe = try Self.recipe(model, [], flash: flash)
      #expect(Self.operations(recipe, .block, .recompute).isEmpty == flash)
      #expect(
        try Self.recipe(model, flash ? [] : .attentionCore, flash: flash).steps(.block, .recompute)
          == recipe.steps(.block, .recompute))
    }
  }

  @Test func theShareOfLaunchesIsThatOfThePass() throws {
    let model = try Self.model()
    #expect(try Self.launchedAgainShare(Self.recipe(model, [], recompute: .full)) == 1)
    #expect(try Self.launchedAgainShare(Self.recipe(model, [], recompute: .none)) == 0)
    let some = try Self.launchedAgainShare(Self.recipe(model, .experts))
    #expect(some > 0.3 && some < 1)
  }
}
