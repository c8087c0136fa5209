import Documents
import TestSupport
import Testing
import Training

@testable import Costing

/// Tokens dropped to a capacity, and padded rows: what is sent, computed and kept, row by row.
@Suite struct ExpertCapacityTests {
  // 4,096 tokens of a rank, 8 experts of each among 128, on 8 ranks.
  static let tokens = 4_096, perToken = 8, experts = 128, ranks = 8, hidden = 2_048, width = 768

  private static func job(_ capacity: ExpertCapacity, load: Double = 1) throws -> TrainingJob {
    var job = try TrainingJob(
      model: Shipped.catalog.model("qwen3-30b-a3b"), sequenceLength: tokens, globalBatch: 64)
    job.expertCapacity = capacity
    job.expertLoad = load
    return job
  }

  private static func recipe(_ capacity: ExpertCapacity, load: Double = 1) throws -> Recipe {
    var strategy = Strategy(mesh: [.data: ranks], usesFlashAttention: true)
    strategy.expertDegree = ranks
    return Recipe(job: try job(capacity, load: load), strategy: strategy, vocabularySize: 151_936)
  }

  /// Rows that a rank's tokens are sent as, that products have, and that are kept for backward.
  private static func rows(_ recipe: Recipe) -> (sent: Int, computed: Double, kept: Int) {
    var sent = 0, computed = 0.0, kept = 0
    for step in recipe.steps(.expertBlock, .forward) {
      switch step {
      case .collective(let it) where it.operand == .routed(.tokens): sent = it.elementCount / hidden
      case .collective: break
      case .piece(_, let operations):
        for operation in operations {
          if case .groupedProduct(let layer, .forward) = operation { computed = layer.rowCount }
          if case .keep(let tensor) = operation, tensor.role == .activatedRows { kept = tensor.byteCount / (2 * width) }
        }
      }
    }
    return (sent, computed, kept)
  }

  /// ⌈T·k/E·c⌉ of each expert and rank, whatever the load: 256 rows at 1, 320 at 1.25, 282 at 1.1 of 281.6.
  @Test(arguments: [(1.0, 256), (1.25, 320), (1.1, 282), (0.5, 128)], [1.0, 1.5])
  func paddedExchangesAndProductsAreOfExactlySoManyRows(_ capacity: (factor: Double, rows: Int), load: Double) throws {
    let found = Self.rows(try Self.recipe(ExpertCapacity(factor: capacity.factor, pads: true), load: load))
    let rows = Self.experts * capacity.rows
    #expect(found == (rows, Double(rows), rows))
  }

  @Test func droppedAloneTheyAreNoMoreThanTheTokens() throws {
    let all = Self.tokens * Self.perToken
    // Twice what each would get drops nothing of the mean, and bounds the fullest.
    #expect(Self.rows(try Self.recipe(ExpertCapacity(factor: 2))) == (all, Double(all), all))
    #expect(
      Self.rows(try Self.recipe(ExpertCapacity(factor: 2), load: 1.5)) == (all, 1.5 * Double(all), all * 3 / 2))
    #expect(
      Self.rows(try Self.recipe(ExpertCapacity(factor: 1.25), load: 1.5)) == (all, 1.25 * Double(all), all * 5 / 4))
    let half = all / 2
    #expect(Self.rows(try Self.recipe(ExpertCapacity(factor: 0.5), load: 1.5)) == (half, Double(half), half))
  }

  /// 2,048 rows come to each of 16 experts: multiples of 16 to 256 add none, of 3,000 they add 952.
  @Test func multiplesOfRowsAreOfProductsAlone() throws {
    let plain = try Self.recipe(.none), padded = try Self.recipe(ExpertCapacity(rowMultiple: 3_000))
    #expect(Self.rows(padded).computed == 16 * 3_000)
    #expect(Self.rows(try Self.recipe(ExpertCapacity(rowMultiple: 256))) == Self.rows(plain))
    #expect(Self.rows(padded).sent == Self.rows(plain).sent && Self.rows(padded).kept == Self.rows(plain).kept)
    #expect(KeptActivations(padded).blocks.experts.bytes == KeptActivations(plain).blocks.experts.bytes)
  }

  /// Nothing else drops tokens on the way.
  @Test func onlyOneWayDropsTokens() throws {
    let cluster = try Fixture.node(of: 8)
    for dispatcher in Strategy.Dispatcher.allCases {
      var strategy = Strategy(mesh: [.data: 8], usesFlashAttention: true)
      strategy.expertDegree = 8
      strategy.dispatcher = dispatcher
      let refusal = try CostModel(cluster: cluster, job: Self.job(ExpertCapacity(factor: 1))).violation(of: strategy)
      #expect((refusal == nil) == (dispatcher == .allToAll))
      #expect(try CostModel(cluster: cluster, job: Self.job(.none)).violation(of: strategy) == nil)
    }
  }

  @Test func whatIsPaddedTakesLongerAndIsSaid() throws {
    func layer(_ capacity: ExpertCapacity) throws -> (seconds: Double, bytes: Int) {
      var strategy = Strategy(mesh: [.data: 8], usesFlashAttention: true)
      strategy.expertDegree = 8
      let cost = try CostModel(cluster: Fixture.node(of: 8), job: Self.job(capacity)).cost(of: strategy)[0]
      return (cost.layers.experts.device.sum, cost.memory.layerActivationBytes.experts)
    }
    let plain = try layer(.none), padded = try layer(ExpertCapacity(factor: 1.25, pads: true))
    #expect(padded.seconds > 1.05 * plain.seconds && padded.seconds < 1.25 * plain.seconds)
    #expect(padded.bytes - plain.bytes == 4_096 * 8 / 4 * (2 * Self.hidden + 6 * Self.width + 4))
    #expect(try Self.job(ExpertCapacity(factor: 1.25)).notes.contains { $0.contains("1.25 times") })
  }
}
