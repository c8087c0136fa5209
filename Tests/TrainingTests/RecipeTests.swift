import Documents
import Testing
import Training

/// The recipe of a block against the formulas of the papers.
@Suite struct RecipeTests {
  /// h hidden, a heads, f feed-forward width of a GPT block, s tokens of a sequence, b sequences.
  static let h = 768, a = 12, f = 3072, s = 96, b = 3

  private func model(
    keyValueHeads: Int = 12, isLlama: Bool = false, block: ModelDescription.Block = .sequential, window: Int? = nil
  ) throws -> ModelDescription {
    try ModelDescription(
      name: "block", family: isLlama ? .llama : .gpt, layerCount: 1, hiddenSize: Self.h, headCount: Self.a,
      keyValueHeadCount: keyValueHeads, feedForwardSize: Self.f, vocabularySize: 1200, hasGatedFeedForward: isLlama,
      hasTiedEmbeddings: false, positionCount: isLlama ? 0 : 96,
      form: ModelDescription.Form(
        norm: isLlama ? .rms : .layerNorm, block: block, hasRotaryPositions: isLlama),
      details: ModelDescription.Details(attentionWindow: window))
  }

  private func recipe(
    _ model: ModelDescription, tensor t: Int = 1, recompute: Strategy.Recompute = .none, sequenceParallel: Bool = false,
    flash: Bool = false
  ) throws -> Recipe {
    Recipe(
      job: try TrainingJob(model: model, sequenceLength: Self.s, globalBatch: 6), tensorDegree: t, microBatch: Self.b,
      recompute: recompute, sequenceParallel: sequenceParallel, flashAttention: flash, vocabularySize: 1200)
  }

  private func operations(_ recipe: Recipe, _ part: Recipe.Part, _ pass: Recipe.Pass) -> [Recipe.Operation] {
    recipe.steps(part, pass).flatMap { step -> [Recipe.Operation] in
      if case .piece(_, let operations) = step { operations } else { [] }
    }
  }

  private func collectives(_ recipe: Recipe, _ part: Recipe.Part, _ pass: Recipe.Pass) -> [CollectiveKind] {
    recipe.steps(part, pass).compactMap { if case .collective(let it) = $0 { it.kind } else { nil } }
  }

  // MARK: FLOP

  /// Forward: 2·T·(h(q + 2kv) + hq + …) for the weights and 4·T·s·q for the scores; every product once more for each of
  /// its two gradients backward.
  @Test(arguments: [(12, false), (4, true)], [1, 2, 4])
  func productsAreTwoFLOPForEachTokenAndWeight(shape: (keyValueHeads: Int, isLlama: Bool), t: Int) throws {
    let model = try model(keyValueHeads: shape.keyValueHeads, isLlama: shape.isLlama)
    let T = Self.s * Self.b, h = Self.h, q = 768, kv = 64 * shape.keyValueHeads
    let weights = h * (q + 2 * kv) + h * q + (shape.isLlama ? 3 : 2) * h * Self.f
    let recipe = try recipe(model, tensor: t)
    for (pass, direction, cores) in [
      (Recipe.Pass.forward, Recipe.Operation.Direction.forward, 1), (.backward, .backward, 2),
    ] {
      var products = 0.0, scores = 0.0
      for operation in operations(recipe, .block, pass) {
        if case .product(let layer, let found) = operation {
          products += layer.forwardFLOP
          #expect(found == direction)
        }
        if case .headProducts(let it) = operation { scores += it.flop }
      }
      #expect(products == Double(2 * T * weights / t))
      #expect(scores == Double(cores * 4 * T * Self.s * q / t))
    }
    let fused = operations(try self.recipe(model, tensor: t, flash: true), .block, .forward)
    let core = fused.compactMap { if case .fusedAttention(let core, _) = $0 { core.forwardFLOP } else { nil } }
    // A causal kernel leaves the masked half out.
    #expect(core == [Double(2 * T * Self.s * q / t)])
  }

  /// Pairs of tokens counted one by one, over those of causal attention.
  @Test func aWindowTakesItsShareOfFusedAttention() throws {
    func flop(_ window: Int?, _ pass: Recipe.Pass) throws -> Double {
      operations(try recipe(model(isLlama: true, window: window), flash: true), .block, pass)
        .reduce(0) { if case .fusedAttention(let core, _) = $1 { $0 + core.forwardFLOP } else { $0 } }
    }
    let all = (1...Self.s).reduce(0, +), seen = (1...Self.s).reduce(0) { $0 + min($1, 24) }
    for pass in [Recipe.Pass.forward, .backward] {
      #expect(try abs(flop(24, pass) / flop(nil, pass) - Double(seen) / Double(all)) < 1e-12)
      #expect(try flop(Self.s, pass) == flop(nil, pass))
    }
  }

  /// Each norm is a pass over the rows, and keeps its input; what is kept is given up, whatever the block.
  @Test(arguments: [
    (ModelDescription.Block.sequential, 2), (.normsAfter, 2), (.normsAround, 4), (.parallel, 2), (.parallelOneNorm, 1),
  ])
  func everyNormOfABlockIsCounted(block: ModelDescription.Block, count: Int) throws {
    for recompute in [Strategy.Recompute.none, .full] {
      let recipe = try recipe(model(keyValueHeads: 4, isLlama: true, block: block), tensor: 2, recompute: recompute)
      var kept: [KeptTensor.Role: Int] = [:], norms = 0
      let passes: [Recipe.Pass] = recompute == .full ? [.forward, .recompute, .backward] : [.forward, .backward]
      for operation in passes.flatMap({ operations(recipe, .block, $0) }) {
        switch operation {
        case .keep(let tensor): kept[tensor.role, default: 0] += tensor.byteCount
        case .free(let tensor): kept[tensor.role, default: 0] -= tensor.byteCount
        case .elementWise(Self.s * Self.b * Self.h * 4, .backward): norms += 1
        default: break
        }
      }
      #expect(norms == count)
      #expect(kept.values.allSatisfy { $0 == 0 }, "\(kept)")
    }
  }

  @Test func backwardAddsAGradientForEveryParameter() throws {
    for model in [try model(), try model(keyValueHeads: 4, isLlama: true)] {
      for t in [1, 4] {
        func accumulated(_ part: Recipe.Part) throws -> Int {
          operations(try recipe(model, tensor: t), part, .backward).reduce(0) {
            if case .accumulate(let count) = $1 { $0 + count } else { $0 }
          }
        }
        #expect(try accumulated(.block) == model.layerParameters(.dense).perRank(tensorDegree: t))
        #expect(try accumulated(.head) == 1200 / t * Self.h)
      }
    }
  }

  // MARK: Bytes

  private func bytes(_ operations: [Recipe.Operation], isKept: Bool) -> Int {
    operations.reduce(0) { sum, operation in
      switch operation {
      case .keep(let tensor) where isKept: sum + tensor.byteCount
      case .free(let tensor) where !isKept: sum + tensor.byteCount
      default: sum
      }
    }
  }

  /// Korthikanti et al. 2022, table 2: s·b·h·(10 + 24/t + 5·a·s/(h·t)) bytes of a block, s·b·h/t·(34 + 5·a·s/h) with
  /// sequence parallelism, the last term gone under selective recomputation, and 2·s·b·h (over t) of the input alone.
  @Test(arguments: [1, 2, 4], [false, true])
  func aBlockKeepsWhatIsPublished(t: Int, sequenceParallel: Bool) throws {
    guard t > 1 || !sequenceParallel else { return }
    let sbh = Self.s * Self.b * Self.h, scores = 5 * Self.a * Self.s * Self.s * Self.b / t
    let rest = sequenceParallel ? 34 * sbh / t : 10 * sbh + 24 * sbh / t
    for (recompute, expected, again) in [
      (Strategy.Recompute.none, rest + scores, 0), (.selective, rest, scores),
      (.full, 2 * sbh / (sequenceParallel ? t : 1), rest + scores),
    ] {
      let recipe = try recipe(model(), tensor: t, recompute: recompute, sequenceParallel: sequenceParallel)
      #expect(bytes(operations(recipe, .block, .forward), isKept: true) == expected, "\(recompute)")
      #expect(bytes(operations(recipe, .block, .recompute), isKept: true) == again, "\(recompute)")
    }
  }

  @Test func backwardGivesUpAllThatWasKept() throws {
    for recompute in [Strategy.Recompute.none, .selective, .full] {
      for (t, sequenceParallel, flash) in [(1, false, false), (4, false, true), (4, true, false)] {
        for model in [try model(), try model(isLlama: true)] {
          let recipe = try recipe(
            model, tensor: t, recompute: recompute, sequenceParallel: sequenceParallel, flash: flash)
          for part in Recipe.Part.allCases {
            let kept = [Recipe.Pass.forward, .recompute].map { bytes(operations(recipe, part, $0), isKept: true) }
            #expect(bytes(operations(recipe, part, .backward), isKept: false) == kept[0] + kept[1], "\(part)")
          }
        }
      }
    }
  }

  // MARK: Collectives

  /// Two sums forward and two backward (Shoeybi et al. 2019, figure 4).
  @Test func aTensorGroupSumsOnceForEachHalfAndDirection() throws {
    let recipe = try recipe(model(), tensor: 4, recompute: .full)
    for pass in [Recipe.Pass.forward, .recompute, .backward, .inputGradient] {
      #expect(collectives(recipe, .block, pass) == [.allReduce, .allReduce])
    }
    // Gradients of weights are of what the rank has.
    #expect(collectives(recipe, .block, .weightGradient) == [])
    #expect(collectives(recipe, .embedding, .forward) == [.allReduce])
    #expect(collectives(recipe, .embedding, .backward) == [])
    #expect(collectives(recipe, .head, .forward) == [.allReduce, .allReduce, .allReduce])
    #expect(collectives(recipe, .head, .backward) == [.allReduce])
    let alone = try self.recipe(model())
    for part in Recipe.Part.allCases {
      for pass in Recipe.Pass.allCases { #expect(collectives(alone, part, pass) == []) }
    }
  }

  /// Four gathers and scatters forward and backward, and two more gathers backward (Korthikanti et al. 2022, section
  /// 4.2.2), each of as many bytes as half a sum.
  @Test func underSequenceParallelismASumIsAGatherAndAScatter() throws {
    let recipe = try recipe(model(), tensor: 4, sequenceParallel: true)
    #expect(collectives(recipe, .block, .forward) == [.allGather, .reduceScatter, .allGather, .reduceScatter])
    #expect(
      collectives(recipe, .block, .backward) == [
        .allGather, .allGather, .reduceScatter, .allGather, .allGather, .reduceScatter,
      ])
    for pass in Recipe.Pass.allCases {
      for case .collective(let it) in recipe.steps(.block, pass) {
        #expect(it.byteCount == Self.s * Self.b * Self.h * 2)
      }
    }
  }
}
