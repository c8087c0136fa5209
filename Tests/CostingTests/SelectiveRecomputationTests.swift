import Documents
import TestSupport
import Testing

@testable import Costing
@testable import Training

/// Selective recomputation by operation, as torchtitan has it.
@Suite struct SelectiveRecomputationTests {
  private static func recipe(_ model: ModelDescription, _ recompute: Strategy.Recompute) throws -> Recipe {
    let job = try Fixture.job(model, precision: .bf16)
    return Recipe(
      job: job, tensorDegree: 1, microBatch: 2, recompute: recompute, sequenceParallel: false, flashAttention: true,
      vocabularySize: model.vocabularySize, selective: .everySecondProduct)
  }

  private static func bytes(_ recipe: Recipe, _ pass: Recipe.Pass, freed: Bool = false) -> [KeptTensor.Role: Int] {
    var sums: [KeptTensor.Role: Int] = [:]
    for case .piece(_, let operations) in recipe.steps(.block, pass) {
      for operation in operations {
        switch operation {
        case .keep(let tensor) where !freed: sums[tensor.role, default: 0] += tensor.byteCount
        case .free(let tensor) where freed: sums[tensor.role, default: 0] += tensor.byteCount
        default: break
        }
      }
    }
    return sums
  }

  private static func products(_ recipe: Recipe, _ pass: Recipe.Pass) -> Double {
    var flop = 0.0
    for case .piece(_, let operations) in recipe.steps(.block, pass) {
      for case .product(let layer, .forward) in operations { flop += layer.forwardFLOP }
    }
    return flop
  }

  /// What forward keeps and what is computed again is what backward gives up, role by role.
  @Test func whatIsKeptIsGivenUp() throws {
    for model in [try Fixture.gpt(), try Fixture.llama(), try Fixture.llama(keyValueHeadCount: 8)] {
      for recompute in Strategy.Recompute.allCases where recompute != .full {
        let recipe = try Self.recipe(model, recompute)
        let kept = Self.bytes(recipe, .forward).merging(Self.bytes(recipe, .recompute), uniquingKeysWith: +)
        #expect(kept == Self.bytes(recipe, .backward, freed: true), "\(model.name) \(recompute)")
      }
    }
  }

  /// h = q = 512, kv = 256, f = 1536, 512 tokens of 2 bytes, 8 heads: the input, queries and values, the core's output with
  /// its fp32 sums, the gate and the output are kept; keys, the attention's output and the gated value come again.
  @Test func everySecondProductIsKept() throws {
    let recipe = try Self.recipe(Fixture.llama(), .selective)
    let kept = Self.bytes(recipe, .forward).values.reduce(0, +)
    #expect(kept == 512 * (2 * (512 + (512 + 256) + 512 + 1536 + 512) + 4 * 8))
    #expect(Self.products(recipe, .recompute) == 2 * 512 * Double(512 * 256 + 512 * 512 + 512 * 1536))
    #expect(Self.products(recipe, .forward) == Self.products(try Self.recipe(Fixture.llama(), .none), .forward))
  }

  /// Llama 3 8B under FSDP, a sequence of 8192 a device, compiled (people's reports): 2,793 to 2,949 tokens/s and 51.1 GB
  /// on A100, 5,760 tokens/s and 51.2 GB on H100 of 96 GB.
  @Test(arguments: [("a100-sxm4-80gb", 2_793...2_949.0, 51.1), ("h100-sxm5-96gb-hbm2e-500w", 5_760...5_760.0, 51.2)])
  func publishedRunsOfLlama8B(device: String, rate: ClosedRange<Double>, gigabytes: Double) throws {
    let cluster = try Fixture.cluster(
      nodeCount: 1, devicesPerNode: 8, levels: [.init(name: "nvlink", span: 8, bytesPerSecond: 300e9)],
      device: Shipped.catalog.device(device))
    let job = try TrainingJob(model: Shipped.catalog.model("llama-3-8b"), sequenceLength: 8192, globalBatch: 8)
    let model = try CostModel(cluster: cluster, job: job, frameworkName: "torchtitan")
    let prediction = try Estimate(
      model: model, pattern: StrategyPattern(text: "zero_stage=3,recompute=selective", source: "test")
    ).prediction
    #expect((0.9 * rate.lowerBound...1.1 * rate.upperBound).contains(prediction.tokensPerSecondPerDevice))
    #expect(abs(Double(prediction.peakBytes) / (gigabytes * 1e9) - 1) < 0.1)
  }
}
