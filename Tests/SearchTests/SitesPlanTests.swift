import Costing
import Documents
import TestSupport
import Testing

@testable import Search

/// Plans of the shipped cluster of three sites behind wide-area links.
@Suite struct SitesPlanTests {
  private static let allowance = Allowance(quantisationTolerance: nil, outerPeriods: 50...500)

  private static func model(_ cluster: ClusterDescription) throws -> CostModel {
    let job = try TrainingJob(model: Shipped.catalog.model("llama-3-8b"), sequenceLength: 4096, globalBatch: 384)
    return try CostModel(cluster: cluster, job: job)
  }

  private static func search(_ model: CostModel, workers: Int? = nil) -> PlanSearch {
    var pattern = StrategyPattern()
    pattern.workerDegree = workers
    return PlanSearch(
      model: model, pattern: pattern, allowance: allowance, capabilities: .megatronLM,
      options: .init(margin: 0.01, threadCount: 2))
  }

  /// The sites under each worker of a plan.
  private static func sites(of order: [Int], workers: Int, cluster: ClusterDescription) -> [Set<String>] {
    let size = order.count / workers
    return (0..<workers).map { worker in
      Set(order[worker * size..<(worker + 1) * size].map { cluster.nodeNames[$0].prefix { $0 != "-" }.description })
    }
  }

  @Test func onlyOuterStepsLeaveTheirSites() throws {
    let cluster = try Shipped.catalog.cluster("h100-sites-12")
    let plan = try #require(Self.search(Self.model(cluster)).plan(toolVersion: "test"))
    let workers = plan.strategy.workerDegree
    #expect(plan.strategy.update == .outer && workers >= 3)
    let sites = Self.sites(of: plan.arrangement.nodeOrder, workers: workers, cluster: cluster)
    #expect(sites.allSatisfy { $0.count == 1 }, "\(sites)")
    // Its certificate: little is left open, and what is given up to hear from each other sooner is within the margin.
    let certificate = plan.certificate
    #expect(certificate.ending == .exhausted && certificate.proofGap < 0.02, "\(certificate.proofGap)")
    #expect(certificate.plainnessCost <= 0.01 + 1e-9)
    let round = try #require(plan.prediction.outerRound)
    #expect(round.roundSeconds > 0.98 * Double(plan.strategy.outer.period) * plan.prediction.iterationSeconds)
    let other = try #require(plan.alternatives.first { $0.family == Plan.Alternative.firstOrder })
    #expect(other.iterationSeconds > 1.5 * plan.prediction.iterationSeconds)
    #expect(try PlanVerification.disagreementsWithoutSearch(of: plan).isEmpty)
    // What moves of nodes bring, and what the plan hangs on, can be asked of it.
    _ = try OrderGain(plan)
    _ = try Sensitivity(plan)
  }

  /// Nodes that are listed in any order are put together by their links.
  @Test func sitesAreFoundAgain() throws {
    let cluster = try Shipped.catalog.cluster("h100-sites-12")
    let listed = try #require(Self.search(Self.model(cluster), workers: 3).run().best.first)
    var random = SeededGenerator(seed: 3)
    let names = cluster.nodeNames.shuffled(using: &random)
    let shuffled = try ClusterDescription(
      name: "shuffled", device: cluster.device, nodeNames: names, devicesPerNode: 8, levels: cluster.levels,
      host: cluster.host, measured: cluster.measured)
    let found = try #require(Self.search(Self.model(shuffled), workers: 3).run().best.first)
    #expect(Self.sites(of: found.nodeOrder, workers: 3, cluster: shuffled).allSatisfy { $0.count == 1 })
    #expect(found.strategy == listed.strategy)
    #expect(abs(found.iterationSeconds / listed.iterationSeconds - 1) < 0.002)
    // Without an order of its own the cluster's would have workers wait for wide-area links in every iteration.
    let arrangement = NodeArranger(model: try Self.model(shuffled)).arrangement(of: found)
    #expect(arrangement.reason == .searched && arrangement.givenOrderSeconds > 1.5 * found.iterationSeconds)
  }
}
