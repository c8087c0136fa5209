import Documents
import TestSupport
import Testing
import Training

@testable import Execution

/// What the methods promise bit for bit.
@Suite struct BitEqualityTests {
  /// Parameters after two steps. Without clipping: the norm's sum is in another order when shards are.
  static func parameters(
    _ pattern: String, microBatches: Int, route: Route, usesThreads: Bool = false,
    family: ModelDescription.Family = .gpt
  ) throws -> [ModelPart: [Float]] {
    let plan = try statedPlan(
      "\(pattern),micro_batch=1", cluster: Shipped.smallCluster(pattern.contains("tensor=2") ? 8 : 4),
      model: SmallPlans.model(family, isTied: false), globalBatch: 4 * microBatches, sequenceLength: 64)
    let miniature = try Miniature(of: plan, rankLimit: 64)
    let own = miniature.shape
    let shape = IterationShape(
      job: own.job, strategy: own.strategy, split: own.split, schedule: own.schedule,
      paddedVocabularySize: own.paddedVocabularySize, maximumGradientNorm: nil,
      routes: CollectiveRoutes(route, along: .data, of: own.mesh))
    let programs = shape.programs()
    #expect(shape.defect(in: programs) == nil)
    let setting = ExecutionSetting(
      shape: shape, optimizer: OptimizerSettings(clippingNorm: nil), seed: 3, arithmetic: .fp32)
    var run = MiniatureRun(setting: setting, programs: programs, usesThreads: usesThreads)
    for _ in 0..<2 { try run.iterate() }
    let parameters = run.parameters
    #expect(parameters.replicasAgree)
    return parameters.values
  }

  static let layouts = ["data=4", "tensor=2,data=4", "tensor=2,data=4,sequence_parallel=true"]

  @Test(arguments: layouts)
  func zeroStagesAgreeWhenAddedInTheOrderOfRanks(layout: String) throws {
    let plain = try Self.parameters("\(layout),zero_stage=0", microBatches: 1, route: .direct)
    for stage in 1...3 {
      let sharded = try Self.parameters("\(layout),zero_stage=\(stage)", microBatches: 1, route: .direct)
      #expect(sharded == plain, "ZeRO \(stage)")
    }
  }

  /// With several micro-batches ZeRO 2 and 3 add replicas first and micro-batches
  /// then, ZeRO 0 and 1 the other way round.
  @Test(arguments: layouts)
  func zeroStagesOfOneOrderAgreeOverSeveralMicroBatches(layout: String) throws {
    let stages = try (0...3).map {
      try Self.parameters("\(layout),zero_stage=\($0)", microBatches: 3, route: .direct)
    }
    #expect(stages[0] == stages[1])
    #expect(stages[2] == stages[3])
    #expect(stages[0] != stages[2])
  }

  /// A ring adds chunk k in the order k + 1, k + 2, …: cut alike, ZeRO 0 and 1 agree on it as well.
  @Test func aRingAddsInAnOrderOfItsOwn() throws {
    let ring = try (0...1).map { try Self.parameters("data=4,zero_stage=\($0)", microBatches: 2, route: .ring) }
    #expect(ring[0] == ring[1])
    #expect(ring[0] != (try Self.parameters("data=4,zero_stage=0", microBatches: 2, route: .direct)))
  }

  @Test(arguments: [
    "data=4,zero_stage=3", "tensor=2,data=4,zero_stage=2,sequence_parallel=true", "pipeline=4", "tensor=2,pipeline=4",
    "tensor=2,pipeline=2,data=2,zero_stage=1",
  ])
  func threadsGiveTheSameBits(layout: String) throws {
    let route: Route = .ring
    let turns = try Self.parameters(layout, microBatches: 4, route: route, family: .llama)
    for _ in 0..<3 {
      let threads = try Self.parameters(layout, microBatches: 4, route: route, usesThreads: true, family: .llama)
      #expect(threads == turns)
    }
  }
}
