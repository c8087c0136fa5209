import TestSupport
import Testing

@testable import Documents

/// How many micro-batches interleaved stages can take, and which frameworks let them.
@Suite struct InterleavingTests {
  /// 24 layers on 4 stages.
  private static func sentence(microBatches: Int, framework: String) throws -> String? {
    let catalog = Catalog(root: Checkout.root)
    let job = try TrainingJob(
      model: try catalog.model("gpt2"), sequenceLength: 1024, globalBatch: microBatches, precision: .bf16,
      accumulatesGradientsInFP32: true)
    let profile = try #require(try catalog.device("a100-sxm4-80gb").framework(named: framework))
    return Strategy(mesh: [.pipeline: 4], schedule: .interleaved(chunkCount: 3)).violation(
      job: job, deviceCount: 4, hasFlashAttention: true, interleavesLargerGroups: profile.interleavesLargerGroups
    )?.description
  }

  @Test(arguments: ["megatron-lm", "torchtitan"])
  func someFrameworksTakeGroupsOfMoreThanTheStages(framework: String) throws {
    for count in [4, 5, 6, 7, 8, 10, 12, 15] {
      #expect(try Self.sentence(microBatches: count, framework: framework) == nil, "\(count)")
    }
    #expect(
      try Self.sentence(microBatches: 11, framework: framework)
        == "interleaving needs micro-batches that make equal groups, as many as fit, of at least 4; 11 do not")
    #expect(try Self.sentence(microBatches: 3, framework: framework)?.contains("of at least 4; 3 do not") == true)
  }

  @Test(arguments: ["nanotron", "megatron-deepspeed"])
  func othersWantAMultiple(framework: String) throws {
    #expect(try Self.sentence(microBatches: 8, framework: framework) == nil)
    #expect(
      try Self.sentence(microBatches: 6, framework: framework)
        == "interleaving needs a multiple of 4 micro-batches, not 6")
  }
}
