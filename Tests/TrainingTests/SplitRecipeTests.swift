import Documents
import TestSupport
import Testing
import Training

/// The parts of a split backward pass against the whole.
@Suite struct SplitRecipeTests {
  private static func recipe(
    _ model: String, tensor: Int, recompute: Strategy.Recompute, sequenceParallel: Bool,
    selective: DeviceProfile.Framework.Selective = .attentionCore, context: Int = 1
  ) throws -> Recipe {
    let job = try TrainingJob(
      model: Shipped.catalog.model(model), sequenceLength: 1024, globalBatch: 8, precision: .bf16)
    let strategy = Strategy(
      mesh: [.tensor: tensor, .context: context], recompute: recompute, usesSequenceParallelism: sequenceParallel,
      usesFlashAttention: recompute != .selective)
    return Recipe(
      job: job, strategy: strategy,
      vocabularySize: job.model.paddedVocabularySize(multiple: 1, tensorDegree: tensor), selective: selective)
  }

  /// What a list of steps does, in no order: a whole product's gradients as the two of them, and how many parameters'
  /// gradients are added up in all.
  private static func contents(_ steps: [Recipe.Step]) -> [String] {
    var accumulated = 0
    let words = steps.flatMap { step -> [String] in
      switch step {
      case .collective(let it): return ["\(it)"]
      case .piece(_, let operations):
        return operations.flatMap { operation -> [String] in
          switch operation {
          case .product(let layer, .backward):
            return [
              "\(Recipe.Operation.product(layer, .inputGradient))",
              "\(Recipe.Operation.product(layer, .weightGradient))",
            ]
          case .accumulate(let count):
            accumulated += count
            return []
          default: return ["\(operation)"]
          }
        }
      }
    }
    return words.sorted() + ["\(accumulated) gradients"]
  }

  @Test func `Input and weight gradients together are the whole backward pass`() throws {
    for model in ["gpt2", "llama-3-8b"] {
      for (tensor, isDivided) in [(1, false), (2, false), (2, true)] {
        for recompute in Strategy.Recompute.allCases {
          let selectives: [DeviceProfile.Framework.Selective] = [.attentionCore, .everySecondProduct]
          // A divided sequence has its attention in pieces, each in one kernel.
          for context in recompute == .selective ? [1] : [1, 2] {
            for selective in selectives {
              try Self.expectParts(
                Self.recipe(
                  model, tensor: tensor, recompute: recompute, sequenceParallel: isDivided, selective: selective,
                  context: context), "\(model), \(tensor), \(recompute), \(context)")
            }
          }
        }
      }
    }
  }

  private static func expectParts(_ recipe: Recipe, _ description: String) {
    for part in Recipe.Part.allCases {
      let whole = contents(recipe.steps(part, .backward))
      let parts = recipe.steps(part, .inputGradient) + recipe.steps(part, .weightGradient)
      #expect(contents(parts) == whole, "\(description), \(part)")
    }
  }

  @Test func `Weight gradients are one product of forward's size a linear layer, and nothing of the attention core`()
    throws
  {
    let recipe = try Self.recipe("llama-3-8b", tensor: 1, recompute: .none, sequenceParallel: false)
    func flop(_ part: Recipe.Part, _ pass: Recipe.Pass) -> (products: Double, attention: Double) {
      var sum = (products: 0.0, attention: 0.0)
      for case .piece(_, let operations) in recipe.steps(part, pass) {
        for operation in operations {
          switch operation {
          case .product(let layer, let direction): sum.products += (direction == .backward ? 2 : 1) * layer.forwardFLOP
          case .fusedAttention(let core, let direction):
            sum.attention += (direction == .forward ? 1 : 2.5) * core.forwardFLOP
          default: break
          }
        }
      }
      return sum
    }
    // F = G + A, I = G + 2.5 A, W = G.
    for part in [Recipe.Part.block, .head] {
      let forward = flop(part, .forward), input = flop(part, .inputGradient), weight = flop(part, .weightGradient)
      #expect(input.products == forward.products && weight.products == forward.products)
      #expect(input.attention == 2.5 * forward.attention && weight.attention == 0)
    }
    #expect(recipe.steps(.embedding, .inputGradient).isEmpty)
    #expect(recipe.steps(.embedding, .weightGradient) == recipe.steps(.embedding, .backward))
  }
}
