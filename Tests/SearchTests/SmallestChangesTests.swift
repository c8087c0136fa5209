import Costing
import Documents
import JSONText
import TestSupport
import Testing

@testable import Search

/// Where there is no plan, every change that is named leaves one, and no smaller change of the same kind does.
@Suite struct SmallestChangesTests {
  private static func model(
    cluster: String, nodes: Int? = nil, model: String = "gpt2", batch: Int, sequence: Int = 1024
  ) throws -> CostModel {
    let whole = try Shipped.catalog.cluster(cluster)
    return try CostModel(
      cluster: nodes.map { try #require(whole.resized(nodeCount: $0)) } ?? whole,
      job: TrainingJob(model: Shipped.catalog.model(model), sequenceLength: sequence, globalBatch: batch))
  }

  /// Whether a question has an answer.
  private static func hasPlan(_ model: CostModel, fixed: String = "", _ capabilities: Capabilities? = nil) throws
    -> Bool
  {
    let pattern = try StrategyPattern(text: fixed, source: "fixed")
    return !PlanSearch(model: model, pattern: pattern, capabilities: capabilities).run().best.isEmpty
  }

  private static func changes(
    _ model: CostModel, fixed: String = "", _ capabilities: Capabilities? = nil
  ) throws -> SmallestChanges {
    let pattern = try StrategyPattern(text: fixed, source: "fixed")
    let result = PlanSearch(model: model, pattern: pattern, capabilities: capabilities).run()
    #expect(result.best.isEmpty)
    return try #require(result.changes)
  }

  /// Batches around a prime one, one below every data degree, one on a number of nodes that is prime, and one of
  /// micro-batches that are fixed.
  @Test(
    arguments: [
      ("dgx-a100-128", nil, 1, ""), ("dgx-a100-16", nil, 13, ""), ("dgx-a100-16", 13, 64, ""),
      ("dgx-a100-1", nil, 16, "micro_batch=3"), ("dgx-a100-1", nil, 10, "data=4"),
      ("dgx-a100-1", nil, 9, "pipeline=2,virtual_stages=2,tensor=1"),
    ] as [(String, Int?, Int, String)])
  func theNearestBatches(cluster: String, nodes: Int?, batch: Int, fixed: String) throws {
    func model(_ batch: Int) throws -> CostModel { try Self.model(cluster: cluster, nodes: nodes, batch: batch) }
    let found = try Self.changes(model(batch), fixed: fixed).globalBatches
    let near = stride(from: batch - 1, to: max(0, batch - 200), by: -1)
    let below = try near.first { try Self.hasPlan(model($0), fixed: fixed) }
    let above = try (batch + 1...batch + 200).first { try Self.hasPlan(model($0), fixed: fixed) }
    #expect(found == [below, above].compactMap { $0 })
    #expect(!found.isEmpty)
  }

  @Test func theMostNodesThatTheBatchFeeds() throws {
    for (nodes, batch) in [(16, 13), (13, 64)] {
      func model(_ nodes: Int) throws -> CostModel {
        try Self.model(cluster: "dgx-a100-16", nodes: nodes, batch: batch)
      }
      let count = try #require(try Self.changes(model(nodes)).nodeCount)
      #expect(try Self.hasPlan(model(count)))
      for more in count + 1..<nodes { #expect(try !Self.hasPlan(model(more)), "\(more) nodes") }
    }
  }

  @Test func theNearestDegrees() throws {
    let model = try Self.model(cluster: "dgx-a100-1", batch: 16)
    let three = try Self.changes(model, fixed: "tensor=3")
    #expect(three.fixed == [.init(key: "tensor", value: .integer(3), others: [.integer(2), .integer(4)])])
    #expect(three.globalBatches.isEmpty && three.nodeCount == nil && !three.isWithoutFixed)
    // GPT-2 has 12 heads.
    let eight = try Self.changes(model, fixed: "tensor=8")
    #expect(eight.fixed == [.init(key: "tensor", value: .integer(8), others: [.integer(4)])])
    // No single one is enough.
    let both = try Self.changes(model, fixed: "tensor=3,data=3")
    #expect(both.fixed.isEmpty && both.isWithoutFixed)
    #expect(both.words(globalBatch: 16, presentNodeCount: 1) == ["less of the strategy fixed"])
  }

  @Test func theFrameworksThatCouldBeToldOne() throws {
    let model = try Self.model(cluster: "dgx-a100-1", batch: 16)
    let nanotron = try #require(Capabilities.named("nanotron"))
    let changes = try Self.changes(model, nanotron)
    #expect(changes.frameworks.contains("megatron-lm") && !changes.frameworks.contains("nanotron"))
    for name in Capabilities.all.map(\.name) {
      #expect(try Self.hasPlan(model, Capabilities.named(name)) == changes.frameworks.contains(name), "\(name)")
    }
  }

  /// What memory lacks is told by the shortage; of the batch only what leaves a plan.
  @Test func nothingIsNamedThatDoesNotFit() throws {
    let result = PlanSearch(model: try Self.model(cluster: "dgx-a100-1", model: "megatron-1t", batch: 16)).run()
    let changes = try #require(result.changes)
    #expect(result.shortage != nil && changes.globalBatches.isEmpty && changes.nodeCount == nil)
    #expect(changes.words(globalBatch: 16, presentNodeCount: 1).isEmpty)
  }
}
