import Costing
import Documents
import Oracles
import TestSupport
import Testing
import Training

@testable import Execution

/// Shard degrees move data and change no number: bit for bit what plain data parallelism computes when it adds up the same
/// numbers in the same order.
@Suite struct ShardLevelTests {
  static func parameters(
    _ pattern: String, microBatches: Int, family: ModelDescription.Family = .gpt, isTied: Bool = false,
    route: (Sharding.Family) -> Route
  ) throws -> [ModelPart: [Float]] {
    var run = try RoutedRun(pattern, microBatches: microBatches, family: family, isTied: isTied, route: route)
    return try run.parameters()
  }

  /// One micro-batch: shards are summed within a weights' group, those sums within a gradients' group, and so on; plain data
  /// parallelism does so in one all-reduce, level by level.
  @Test(arguments: ShardDegrees.legal(replicas: 4) + ShardDegrees.legal(replicas: 8))
  func allLegalDegreesAgreeWithDataParallelism(degrees: ShardDegrees) throws {
    let plain = try Self.parameters("data=\(degrees.replicas),zero_stage=0", microBatches: 1) { _ in
      .directByLevel(degrees: degrees.levels)
    }
    let sharded = try Self.parameters(degrees.pattern, microBatches: 1) { _ in .direct }
    #expect(sharded == plain)
  }

  /// Several micro-batches: sums over micro-batches stand between those over gradient shards and those at the step, whoever
  /// holds what. Without gradient shards that is plain data parallelism, with them the same gradient shards alone.
  @Test(arguments: ShardDegrees.legal(replicas: 4) + ShardDegrees.legal(replicas: 8))
  func degreesAgreeOverSeveralMicroBatches(degrees: ShardDegrees) throws {
    let g = degrees.gradients, levels = degrees.levels
    let alone = ShardDegrees(weights: 1, gradients: g, optimizer: g, replicas: degrees.replicas)
    let reference = try Self.parameters(alone.pattern, microBatches: 3) { family in
      .directByLevel(degrees: family == .gradients ? Array(levels[..<2]) : Array(levels[2...]))
    }
    let sharded = try Self.parameters(degrees.pattern, microBatches: 3) { _ in .direct }
    #expect(sharded == reference)
  }

  /// Of one place per level a sum is made in one order only: rings do as well as direct messages.
  @Test func theOrderOfSumsMatters() throws {
    let flat = try Self.parameters("data=8,zero_stage=0", microBatches: 1) { _ in .direct }
    let levels = try Self.parameters("data=8,zero_stage=0", microBatches: 1) { _ in .directByLevel(degrees: [2, 4]) }
    #expect(flat != levels)
  }

  /// A secondary copy moves data only: whatever the routes, and however many micro-batches.
  @Test(arguments: ShardDegrees.withSecondary(replicas: 4) + ShardDegrees.withSecondary(replicas: 8))
  func aSecondaryCopyChangesNoBit(degrees: ShardDegrees) throws {
    var primary = degrees
    primary.secondary = nil
    for (index, isTied) in [true, false].enumerated() {
      let family: ModelDescription.Family = index == 0 ? .gpt : .llama
      let without = try Self.parameters(primary.pattern, microBatches: 2, family: family, isTied: isTied) { _ in .ring }
      let with = try Self.parameters(degrees.pattern, microBatches: 2, family: family, isTied: isTied) { _ in .ring }
      #expect(with == without)
    }
  }

  /// The whole verdict, over nodes of four: numbers, bytes by level and rank, bytes held, with tensor groups and without.
  @Test(arguments: ShardDegrees.legal(replicas: 8) + ShardDegrees.withSecondary(replicas: 8))
  func everyByteIsCounted(degrees: ShardDegrees) throws {
    let miniature = try RoutedRun.miniature(degrees.pattern, microBatches: 2, family: .llama, isTied: true)
    let run = try DryRun(miniature, options: DryRun.Options(stepCount: 2))
    #expect(run.disagreements.isEmpty)
    // What was sent is what an account of its own counts.
    let oracle = TrafficOracle.traffic(
      miniature.model, miniature.strategy, miniature.split, routes: miniature.routes)
    let levels = miniature.model.cluster.levels
    for row in run.traffic {
      let kind = try #require(TrafficKind(rawValue: row.kind)), level = levels.firstIndex { $0.name == row.level }
      #expect(row.executedBytes == oracle.byteCount(kind, level: try #require(level)), "\(row)")
    }
  }

  @Test(
    arguments: ShardDegrees.legal(replicas: 4) + ShardDegrees.withSecondary(replicas: 4), [false, true])
  func tensorGroupsCompose(degrees: ShardDegrees, isSequenceParallel: Bool) throws {
    let miniature = try RoutedRun.miniature(
      "tensor=2,\(degrees.pattern),sequence_parallel=\(isSequenceParallel),recompute=full", microBatches: 2,
      isTied: true)
    let run = try DryRun(miniature, options: DryRun.Options(stepCount: 1))
    #expect(run.disagreements.isEmpty)
  }

  /// Optimizer states alone are divided by levels in a pipeline, too.
  @Test func optimizerLevelsComposeWithAPipeline() throws {
    let plan = try SmallPlans.plan(
      "pipeline=2,data=4,optimizer_shards=2,weight_shards=1,gradient_shards=1", .gpt, isTied: true, deviceCount: 8)
    #expect(plan.strategy.hasShardLevels)
    let run = try DryRun(Miniature(of: plan, rankLimit: 64), options: DryRun.Options(stepCount: 2))
    #expect(run.disagreements.isEmpty)
  }

  // MARK: The secondary copy

  /// Bytes that gathers of weights send from node to node in an iteration.
  static func gatheredBetweenNodes(_ pattern: String, microBatches: Int) throws -> (bytes: Int, weightBytes: Int) {
    // As large messages go: level by level.
    let shape = try RoutedRun(pattern, microBatches: microBatches) {
      $0 == .weights ? .hierarchical(degrees: [4, 2]) : .ring
    }.shape
    var bytes = 0
    for program in shape.programs() {
      for case .collective(let it) in program.steps.map(\.operation) where it.kind == .allGather && it.traffic == .data
      {
        let place = it.group.firstIndex(of: program.rank)
        for transfer in it.schedule.transfers where transfer.fromRank == place {
          let from = it.group[transfer.fromRank], to = it.group[transfer.toRank]
          if from / 4 != to / 4 { bytes += transfer.elementRange.count * it.elementByteCount }
        }
      }
    }
    return (bytes, shape.parameters(ofStage: 0).count * shape.job.precision.byteCount)
  }

  /// hpZ on 2 nodes of 4: the weights M cross once an iteration (half of them into either node), not twice in every
  /// micro-batch; and from a secondary copy that is larger than a node they cross again.
  @Test(arguments: [1, 2, 3])
  func weightsCrossNodesOnceAnIteration(microBatches: Int) throws {
    let zero = try Self.gatheredBetweenNodes("data=8,zero_stage=3", microBatches: microBatches)
    let hpz = try Self.gatheredBetweenNodes("data=8,zero_stage=3,secondary_shards=4", microBatches: microBatches)
    #expect(zero.bytes == 2 * microBatches * zero.weightBytes)
    #expect(hpz.bytes == hpz.weightBytes)
  }

  @Test func theSecondaryCopyIsGoneAfterTheStep() throws {
    let degrees = ShardDegrees(weights: 8, gradients: 8, optimizer: 8, replicas: 8, secondary: 4)
    var run = try RoutedRun(degrees.pattern, microBatches: 2) { _ in .ring }
    _ = try run.parameters(steps: 1)
    for rank in run.run.ranks {
      #expect(rank.machine.state.parts.allSatisfy { $0.secondary.isEmpty && $0.weights.isEmpty })
      let primary = rank.machine.state.parts.reduce(0) { $0 + $1.weightShard.count }
      #expect(rank.machine.state.memory.liveBytes(.weights) == 2 * primary)
      let secondary = rank.machine.state.parts.reduce(0) { $0 + $1.ranges.secondary.count }
      #expect(rank.machine.state.memory.peakBytes(.weights) == 2 * (primary + secondary))
    }
  }

  /// No rank holds more gathered parts than the one it computes with and the next, nor more whole gradients than the one
  /// that is written and the one that is reduced.
  @Test(arguments: ShardDegrees.legal(replicas: 4) + ShardDegrees.withSecondary(replicas: 4))
  func noMoreIsHeldThanTwoParts(degrees: ShardDegrees) throws {
    var run = try RoutedRun(degrees.pattern, microBatches: 2, layers: 6) { _ in .ring }
    var plain = try RoutedRun("data=4,zero_stage=0", microBatches: 2, layers: 6) { _ in .ring }
    _ = try plain.parameters(steps: 1)
    _ = try run.parameters(steps: 1)
    let largest = run.shape.parameters(ofStage: 0).entries.map(\.range.count).max() ?? 0
    for (rank, other) in zip(run.run.ranks, plain.run.ranks) {
      let parts = (degrees.weights > 1 ? 2 : 0) + (degrees.gradients > 1 ? 2 : 0)
      let memory = rank.machine.state.memory, without = other.machine.state.memory
      #expect(memory.peakBytes(.workspace) <= without.peakBytes(.workspace) + parts * 2 * largest)
      #expect(memory.liveBytes(.workspace) == without.liveBytes(.workspace), "all is given back")
    }
  }
}

extension MemoryAccount {
  /// Bytes that are held now.
  fileprivate func liveBytes(_ kind: Kind) -> Int { live[kind.rawValue] }
}
