import TestSupport
import Testing

@testable import Documents

/// Weights that lie and are gathered in the format that they are multiplied in: where that can be.
@Suite struct NarrowWeightsTests {
  private static func job(_ precision: Precision, _ optimizer: Optimizer = .adam) throws -> TrainingJob {
    try TrainingJob(
      model: Shipped.catalog.model("llama-3-8b"), sequenceLength: 4_096, globalBatch: 64, precision: precision,
      optimizer: optimizer)
  }

  private static func strategy(_ pattern: String) throws -> Strategy {
    try StrategyPattern(text: "narrow_weights=true,\(pattern)", source: "test").completed(
      deviceCount: 32, flashAttention: true, overlap: true)
  }

  @Test(arguments: [
    ("zero_stage=1", Precision.fp8Delayed), ("zero_stage=1", .fp8Current), ("zero_stage=1", .mxfp8),
    ("zero_stage=1", .nvfp4), ("zero_stage=2", .mxfp8), ("zero_stage=3", .fp8Current),
    ("tensor=8,pipeline=4", .fp8Current), ("zero_stage=1,host_update_percent=50", .fp8Current),
    ("weight_shards=8,gradient_shards=8,optimizer_shards=32,zero_stage=3", .fp8Delayed),
  ])
  func theyCanBeHeld(pattern: String, precision: Precision) throws {
    #expect(try Self.strategy(pattern).narrowWeightsViolation(Self.job(precision)) == nil)
  }

  @Test(arguments: [
    ("zero_stage=1", Precision.bf16, Optimizer.adam, "bf16 has no format of products narrower than weights"),
    (
      "zero_stage=1", .fp8Blockwise, .adam,
      "weights of fp8-blockwise are gathered as they are stored, and cast afterwards"
    ),
    (
      "zero_stage=3", .mxfp8, .adam,
      "weights of mxfp8 that replicas divide are gathered as they are stored for every use"
    ),
    (
      "zero_stage=0", .fp8Current, .adam,
      "narrow weights of several replicas want optimizer states that these divide (ZeRO 1 or more)"
    ),
    (
      "zero_stage=1", .fp8Current, Optimizer(masterWeights: .none),
      "narrow weights cannot be updated themselves: they want master weights in fp32"
    ),
    (
      "zero_stage=1", .fp8Current, Optimizer(masterWeights: .remainders),
      "remainders of master weights are of weights in bf16, not of narrow ones"
    ),
    (
      "zero_stage=0,update=zeroth-order", .fp8Current, .adam,
      "update=zeroth-order moves weights as they are stored, not narrow ones"
    ),
    (
      "zero_stage=1,update=outer,worker=2", .fp8Current, .adam,
      "update=outer moves weights as they are stored, not narrow ones"
    ),
    (
      "zero_stage=3,quantise_weights=true", .fp8Current, .adam,
      "weights are gathered as INT8, or in the format of products, not both"
    ),
    (
      "zero_stage=3,secondary_shards=8", .fp8Current, .adam,
      "a second copy of the weights is of weights as they are stored, not of narrow ones"
    ),
    ("zero_stage=3,host_weights=true", .fp8Current, .adam, "weights on the host lie there as they are stored"),
  ])
  func theyCannot(pattern: String, precision: Precision, optimizer: Optimizer, sentence: String) throws {
    let strategy = try Self.strategy(pattern), job = try Self.job(precision, optimizer)
    #expect(strategy.narrowWeightsViolation(job)?.description == sentence)
    #expect(strategy.with(\.holdsNarrowWeights, false).narrowWeightsViolation(job) == nil)
    #expect(strategy.with(\.holdsNarrowWeights, false).withNarrowWeights(job).holdsNarrowWeights == false)
    #expect(
      strategy.violation(job: job, deviceCount: strategy.worldSize, hasFlashAttention: true, hasHost: true)?.description
        == sentence)
  }

  /// By hand: llama-3-8b has per layer h·(q + 2·kv) + q·h + 3·h·f.
  @Test func productsAreMatricesAlone() throws {
    let llama = try Shipped.catalog.model("llama-3-8b")
    let matrices = 4_096 * (4_096 + 2 * 1_024) + 4_096 * 4_096 + 3 * 4_096 * 14_336
    #expect(llama.layerProductParameters(.dense) == ParameterCount(sharded: matrices, replicated: 0))
    #expect(llama.layerParameters(.dense).total == matrices + 2 * 4_096)
    // DeepSeek-V3 (2024, table of its configuration): narrow queries of 1,536, keys and values of 512 and 64, 128 heads of
    // 128 + 64 and 128; 256 experts of 2,048 and a shared one. A router of 256 rows and a bias, and four norms are no products.
    let deepSeek = try Shipped.catalog.model("deepseek-v3")
    let attention =
      7_168 * 1_536 + 1_536 * 128 * 192 + 7_168 * (512 + 64) + 512 * 128 * 256 + 128 * 128 * 7_168
    let expert = 3 * 7_168 * 2_048
    let layer = deepSeek.layerProductParameters(.experts)
    #expect(layer.total == attention + 257 * expert && layer.ofExperts == 256 * expert)
    #expect(deepSeek.layerParameters(.experts).total - layer.total == 256 * 7_168 + 256 + 2 * 7_168 + 1_536 + 512)
    #expect(deepSeek.predictionProductParameters.total == layer.total + 2 * 7_168 * 7_168)
  }

  /// Numbers that two of a byte's halves hold are rounded up to whole bytes.
  @Test func gatheredBytes() throws {
    func bytes(_ precision: Precision, _ count: Int) -> Int? {
      precision.products.flatMap { $0.gatheredWeightBitCount == nil ? nil : $0.gatheredByteCount(weightCount: count) }
    }
    #expect(bytes(.fp8Delayed, 7) == 7 && bytes(.fp8Current, 7) == 7 && bytes(.mxfp8, 7) == 14)
    #expect(bytes(.nvfp4, 7) == 4 && bytes(.fp8Blockwise, 7) == nil && bytes(.bf16, 7) == nil)
  }

  // MARK: Frameworks

  @Test(arguments: [
    ("megatron-lm", "zero_stage=1", Precision.fp8Current, nil as String?),
    ("megatron-lm", "zero_stage=1,host_update_percent=50", .fp8Delayed, nil),
    (
      "megatron-lm", "zero_stage=1,host_update_percent=50", .fp8Current,
      "megatron-lm (core 0.20) has no host update weights that lie in fp8-current-scaling; nearest: host_update_percent=0 or narrow_weights=false"
    ),
    ("torchtitan-0.2", "zero_stage=3", .fp8Current, nil), ("megatron-lm", "tensor=8,pipeline=4", .fp8Current, nil),
    (
      "torchtitan-0.2", "tensor=8,pipeline=4,sequence_parallel=true", .fp8Current,
      "torchtitan-0.2 (0.2.2) casts weights for gathers, and a single replica has none; nearest: narrow_weights=false"
    ),
    (
      "torchtitan-0.2", "zero_stage=2", .mxfp8,
      "torchtitan-0.2 (0.2.2) gathers weights of mxfp8 as they are stored; nearest: narrow_weights=false"
    ),
    (
      "torchtitan", "zero_stage=3", .fp8Current,
      "torchtitan (0.3) gathers weights of fp8-current-scaling as they are stored; nearest: narrow_weights=false"
    ),
  ])
  func frameworksOfferThemOrSayWhyNot(name: String, pattern: String, precision: Precision, refusal: String?) throws {
    let table = try #require(Capabilities.named(name))
    let strategy = try Self.strategy(pattern), job = try Self.job(precision)
    #expect(table.refusal(ofNarrowWeights: strategy, job: job)?.description == refusal)
    #expect(table.refusal(of: strategy, job: job)?.description == refusal)
    #expect(table.refusal(ofNarrowWeights: strategy.with(\.holdsNarrowWeights, false), job: job) == nil)
  }
}
