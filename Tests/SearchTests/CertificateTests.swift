import Costing
import Documents
import JSONText
import Search
import TestSupport
import Testing

@Suite("What a search says of its answer holds")
struct CertificateTests {
  private func model(cluster: String, model: String, batch: Int, sequence: Int = 2048) throws -> CostModel {
    try CostModel(
      cluster: Shipped.catalog.cluster(cluster),
      job: TrainingJob(model: Shipped.catalog.model(model), sequenceLength: sequence, globalBatch: batch))
  }

  @Test(
    "The plan is the same, byte for byte, from run to run and for any number of threads",
    arguments: [
      ("dgx-a100-16", "gpt3-175b", 512), ("a100-hdr-16", "megatron-145b", 256), ("frontier-16", "megatron-22b", 128),
    ])
  func determinism(cluster: String, name: String, batch: Int) throws {
    let model = try model(cluster: cluster, model: name, batch: batch)
    let texts = [1, 2, 1, 3].map { threads in
      PlanSearch(model: model, options: .init(threadCount: threads)).plan(toolVersion: "test")?
        .json.text(style: .pretty)
    }
    #expect(texts[0] != nil)
    #expect(Set(texts).count == 1)
  }

  @Test("A plan that is written and read again is the same plan")
  func roundTrip() throws {
    let model = try model(cluster: "dgx-a100-4", model: "megatron-22b", batch: 60)
    let plan = try #require(
      PlanSearch(model: model).plan(toolVersion: "test"))
    let text = plan.json.text(style: .pretty)
    let again = try Plan(Field(JSON(parsing: Array(text.utf8)), source: "plan"))
    #expect(again == plan)
    #expect(again.json.text(style: .pretty) == text)
  }

  @Test("The shipped job on the shipped cluster gives a plan that fits and is proven")
  func acceptance() throws {
    let model = try model(cluster: "dgx-a100-16", model: "gpt3-175b", batch: 512)
    let plan = try #require(
      PlanSearch(model: model).plan(toolVersion: "test"))
    #expect(plan.prediction.verdict == .fits)
    #expect(plan.certificate.ending == .exhausted)
    #expect(plan.certificate.gap < 1e-9)
    #expect(plan.alternatives.contains { $0.family == "no pipeline" })
    #expect(plan.split.layerCounts.reduce(0, +) == 96)
  }

  @Test("Every strategy is accounted for once")
  func counts() throws {
    for seed in UInt64(300)...320 {
      let problem = try RandomProblem(seed: seed)
      let certificate = PlanSearch(model: problem.model).run().certificate
      let rejected = certificate.rejections.reduce(0) { $0 + $1.count }
      #expect(
        certificate.enumeratedCount
          == rejected + certificate.memoryRejectedCount + certificate.closedByBoundCount + certificate.completedCount,
        "\(problem.description)")
    }
  }

  @Test("A search that is stopped early says so, and its bound is still one")
  func stoppedEarly() throws {
    for seed in UInt64(400)...430 {
      let problem = try RandomProblem(seed: seed)
      let best = PlanSearch(model: problem.model).run()
      guard let optimum = best.best.first?.scoreSeconds else { continue }
      let limited = PlanSearch(model: problem.model, options: .init(resultCount: 3, completionLimit: 1)).run()
      if limited.certificate.ending == .completionLimit {
        #expect(limited.certificate.lowerBoundSeconds <= optimum * (1 + 1e-12), "\(problem.description)")
      }
      let found = try #require(limited.best.first, "\(problem.description)")
      #expect(found.scoreSeconds >= optimum * (1 - 1e-12), "\(problem.description)")
      #expect(
        abs(limited.certificate.gap - max(0, 1 - limited.certificate.lowerBoundSeconds / found.scoreSeconds)) < 1e-12)

      let interrupted = PlanSearch(model: problem.model).run(interruption: { .user })
      #expect(interrupted.certificate.ending == .interrupted)
      // What it answers all the same is no better than the best.
      #expect((interrupted.best.first?.scoreSeconds ?? .infinity) >= optimum * (1 - 1e-12), "\(problem.description)")
      #expect(interrupted.certificate.lowerBoundSeconds <= optimum * (1 + 1e-12))
    }
  }

  @Test("When nothing fits, the stated memory is just enough, and so are the stated nodes and sequence")
  func shortage() throws {
    let short = try model(cluster: "dgx-a100-1", model: "llama-2-70b", batch: 16, sequence: 4096)
    // Hosts are to hold nothing, which would fit.
    let pattern = try StrategyPattern(
      text: "host_update_percent=0,host_weights=false,host_activations=false", source: "fix")
    let result = PlanSearch(model: short, pattern: pattern).run()
    #expect(result.best.isEmpty)
    let shortage = try #require(result.shortage)
    #expect(shortage.excessBytes > 0)
    #expect(shortage.stageMemory.peakBytes == shortage.limitBytes + shortage.excessBytes)

    func fits(memoryBytes: Int) throws -> Bool {
      let json = short.cluster.json.replacing("/device/datasheet/memory_bytes", with: .integer(memoryBytes))
      let cluster = try ClusterDescription(
        Field(json, source: "cluster"), catalog: Catalog(root: nil), folder: ".")
      return try !PlanSearch(model: CostModel(cluster: cluster, job: short.job), pattern: pattern).run().best.isEmpty
    }
    #expect(try fits(memoryBytes: shortage.neededDeviceBytes + 1_000))
    #expect(try !fits(memoryBytes: shortage.neededDeviceBytes - 1_000_000))

    let nodes = try #require(shortage.sufficientNodeCount)
    let larger = try #require(short.cluster.resized(nodeCount: nodes))
    #expect(try !PlanSearch(model: CostModel(cluster: larger, job: short.job), pattern: pattern).run().best.isEmpty)
    if let length = shortage.sufficientSequenceLength {
      let shorter = try model(cluster: "dgx-a100-1", model: "llama-2-70b", batch: 16, sequence: length)
      #expect(!PlanSearch(model: shorter, pattern: pattern).run().best.isEmpty)
    }
  }

  @Test("Where recomputation is fixed, allowing more of it is among what makes a plan fit")
  func allowedRecomputation() throws {
    let model = try model(cluster: "dgx-a100-1", model: "megatron-22b", batch: 64)
    var pattern = StrategyPattern()
    (pattern.tensorDegree, pattern.microBatch) = (8, 64)
    pattern.recompute = Strategy.Recompute.none
    for key in ["host_weights", "host_activations"] { pattern = pattern.stating(key, .boolean(false)) }
    pattern = pattern.stating("host_update_percent", .integer(0))
    let fixed = PlanSearch(model: model, pattern: pattern).run()
    #expect(fixed.best.isEmpty)
    let enough = try #require(fixed.shortage?.sufficientRecompute)
    #expect(enough != Strategy.Recompute.none)
    pattern.recompute = enough
    #expect(!PlanSearch(model: model, pattern: pattern).run().best.isEmpty)
    // More than all there is cannot be allowed.
    pattern.recompute = .full
    pattern.microBatch = 1
    let large = try self.model(cluster: "dgx-a100-1", model: "gpt3-175b", batch: 16)
    #expect(PlanSearch(model: large, pattern: pattern).run().shortage?.sufficientRecompute == nil)
  }

  @Test("Where no strategy is possible at all, memory is not blamed")
  func nothingPossible() throws {
    var pattern = StrategyPattern()
    pattern.tensorDegree = 7
    let result = try PlanSearch(
      model: model(cluster: "dgx-a100-1", model: "gpt2", batch: 8, sequence: 1024), pattern: pattern
    ).run()
    #expect(result.best.isEmpty)
    #expect(result.shortage == nil)
  }
}
