import JSONText
import TestSupport
import Testing

@testable import Documents

/// Shard degrees as a part of a strategy: what is read, what is written, what is refused.
@Suite struct ShardingTests {
  /// 2 layers, 4 heads, 8 devices.
  static func violation(_ text: String) throws -> StrategyViolation? {
    let model = try Catalog(root: Checkout.root).model("\(Checkout.inputs)/examples/model.json")
    let job = try TrainingJob(
      model: model, sequenceLength: 128, globalBatch: 8, precision: .bf16, accumulatesGradientsInFP32: true)
    let strategy = try StrategyPattern(text: text, source: "--strategy").completed(
      deviceCount: 8, flashAttention: false, overlap: false)
    return strategy.violation(job: job, deviceCount: 8, hasFlashAttention: true)
  }

  @Test func aStageIsItsDegrees() throws {
    for stage in Strategy.ZeroStage.allCases {
      let plain = Strategy(mesh: [.data: 8], zeroStage: stage)
      let stated = Strategy(
        mesh: [.data: 8], sharding: Sharding(stage, replicaCount: 8))
      #expect(plain == stated && !stated.hasShardLevels && stated.zeroStage == stage)
      #expect(stated.sharding.stage == stage)
    }
  }

  @Test(
    arguments: [
      ("zero_stage=3,secondary_shards=4", 8, 8, 8, 4), ("weight_shards=2,gradient_shards=4", 2, 4, 8, nil),
      ("weight_shards=4,optimizer_shards=4", 4, 4, 4, nil), ("optimizer_shards=2", 1, 1, 2, nil),
      ("zero_stage=1,quantise_gradients=true", 1, 1, 8, nil), ("zero_stage=3,secondary_shards=1", 8, 8, 8, nil),
    ] as [(String, Int, Int, Int, Int?)])
  func whatIsNotStatedFollows(text: String, w: Int, g: Int, o: Int, s: Int?) throws {
    let strategy = try StrategyPattern(text: text, source: "--strategy").completed(
      deviceCount: 8, flashAttention: false, overlap: false)
    let sharding = strategy.sharding
    #expect(
      [sharding.weightDegree, sharding.gradientDegree, sharding.optimizerDegree] == [w, g, o]
        && sharding.secondaryDegree == s)
    #expect(try Self.violation(text) == nil)
  }

  @Test func aStrategyIsReadAsItIsWritten() throws {
    for text in [
      "zero_stage=3,secondary_shards=4,quantise_weights=true", "weight_shards=2,gradient_shards=4", "data=8",
    ] {
      let strategy = try StrategyPattern(text: text, source: "--strategy").completed(
        deviceCount: 8, flashAttention: false, overlap: true)
      #expect(try Strategy(Field(strategy.json, source: "test")) == strategy)
      let again = try StrategyPattern(text: strategy.text, source: "--strategy")
      #expect(again.completed(deviceCount: 8, flashAttention: false, overlap: true) == strategy)
      #expect(again.matches(strategy))
    }
  }

  @Test(arguments: [
    ("weight_shards=4,gradient_shards=2", "do not each divide the next"), ("optimizer_shards=3", "do not each divide"),
    ("weight_shards=2,gradient_shards=4,optimizer_shards=16", "do not each divide"),
    ("zero_stage=3,secondary_shards=3", "does not divide"), ("zero_stage=3,secondary_shards=8", "repeats"),
    ("zero_stage=0,quantise_weights=true", "weights cannot be quantised"),
    ("zero_stage=0,quantise_gradients=true", "gradients cannot be quantised"),
    ("pipeline=2,weight_shards=2", "defeat a pipeline"), ("pipeline=2,zero_stage=1,quantise_weights=true", "defeat"),
  ])
  func whatCannotBeIsRefused(text: String, phrase: String) throws {
    let violation = try #require(try Self.violation(text))
    #expect("\(violation)".contains(phrase), "\(violation)")
    #expect(!violation.rule.isEmpty)
  }

  /// Run and priced, but not searched: each rank of a tensor group would quantise shared norms with steps of its own.
  @Test func quantisedCollectivesWithTensorGroupsAreNotSearched() throws {
    for (text, isExcluded) in [
      ("tensor=2,zero_stage=3,quantise_weights=true", true), ("tensor=2,zero_stage=1,quantise_gradients=true", true),
      ("tensor=1,zero_stage=3,quantise_weights=true", false), ("tensor=2,zero_stage=3", false),
    ] {
      let strategy = try StrategyPattern(text: text, source: "--strategy").completed(
        deviceCount: 8, flashAttention: false, overlap: false)
      #expect(try Self.violation(text) == nil, "\(text)")
      #expect((strategy.exclusion == .quantisedTensorGroups) == isExcluded, "\(text)")
    }
  }

  @Test func optimizerStatesMayBeDividedByLevelsInAPipeline() throws {
    #expect(try Self.violation("pipeline=2,optimizer_shards=2") == nil)
  }
}
