import Costing
import Documents
import JSONText
import Search
import TestSupport
import Testing

/// Clusters and jobs that nobody has, but that the readers let pass: whatever was read can be priced.
@Suite struct MutatedInputsTests {
  @Test(arguments: FuzzRun.seeds(1, 2, 3, 4, 5, 6))
  func whateverIsReadIsEstimatedWithFiniteTimes(seed: UInt64) throws {
    var drift = Drift(seed: seed)
    var estimateCount = 0
    for index in 0..<500 {
      guard let model = try drift.next() else { continue }
      for _ in 0..<4 {
        guard let estimate = try? Estimate(model: model, pattern: randomPattern(&drift.mutator)) else { continue }
        let seconds = estimate.prediction.iterationSeconds
        let place = "seed \(seed), index \(index), \(estimate.strategy.text)"
        #expect(seconds > 0 && seconds.isFinite, "\(place)")
        #expect(estimate.prediction.timeSplit.parts.allSatisfy { $0.seconds >= 0 && $0.seconds.isFinite }, "\(place)")
        let parts = estimate.prediction.timeSplit.parts.reduce(0) { $0 + $1.seconds }
        #expect(abs(parts - seconds) <= 1e-6 * seconds, "\(place)")
        #expect(estimate.prediction.stageMemory.allSatisfy { $0.parts.allSatisfy { $0.bytes >= 0 } }, "\(place)")
        // As text it can be read again: no number is out of the reader's range.
        let text = estimate.json.text(style: .pretty)
        #expect(try JSON(parsing: Array(text.utf8)) == estimate.json, "\(place)")
        estimateCount += 1
      }
    }
    #expect(estimateCount > 100, "seed \(seed)")
  }

  @Test func whateverIsReadIsPlannedOrRefusedAndAPlanCanBeReadAgain() throws {
    var refusalCount = 0
    for seed in FuzzRun.seeds(11, 12, 13, 14) { try planWhateverIsRead(seed: seed, refusalCount: &refusalCount) }
    #expect(refusalCount > 0)
  }

  private func planWhateverIsRead(seed: UInt64, refusalCount: inout Int) throws {
    var drift = Drift(seed: seed)
    var planCount = 0
    for index in 0..<300 {
      guard let model = try drift.next(), model.cluster.deviceCount <= 16, model.job.model.layerCount <= 24,
        model.job.globalBatch <= 256
      else { continue }
      let search = PlanSearch(model: model, options: PlanSearch.Options(resultCount: 2, completionLimit: 5))
      let result = search.run()
      guard let plan = search.plan(of: result, toolVersion: "0.0.0") else {
        refusalCount += 1
        continue
      }
      planCount += 1
      let text = plan.json.text(style: .pretty)
      do {
        let again = try Plan(parse(Array(text.utf8), source: "plan"))
        #expect(again == plan, "seed \(seed), index \(index)")
      } catch {
        Issue.record("seed \(seed), index \(index): \(error)")
      }
    }
    #expect(planCount > 20, "seed \(seed)")
  }

  // MARK: Random inputs

  private static let clusters =
    ["dgx-a100-4", "v100-edr-16"].compactMap { try? Shipped.catalog.cluster($0).json }
    .map { $0.replacing("/nodes", with: .integer(2)) } + [measuredCluster].compactMap { $0 }

  /// Four nodes of two devices with measured links.
  private static var measuredCluster: JSON? {
    guard let cluster = try? Shipped.catalog.cluster("dgx-a100-1").json else { return nil }
    let names = JSON.strings(["a", "b", "c", "d"])
    let row: (Int) -> JSON = { row in .array((0..<4).map { $0 == row ? .null : .number(1e10 + Double($0) * 1e9) }) }
    let links = JSON.object([
      JSONMember("schema", .string("sextant.links/1")), JSONMember("name", .string("links")),
      JSONMember("engine", .string("none")), JSONMember("source", .string("invented for tests")),
      JSONMember("nodes", names),
      JSONMember(
        "snapshots",
        .array([
          .object([JSONMember("name", .string("one")), JSONMember("bytes_per_second", .array((0..<4).map(row)))])
        ])),
    ])
    return cluster.replacing("/nodes", with: names).replacing("/devices_per_node", with: .integer(2))
      .replacing("/levels", with: .array([level(span: 2, rate: 3e11), level(span: 8, rate: 2.5e10)]))
      .replacing("/measured", with: links)
  }

  private static func level(span: Int, rate: Double) -> JSON {
    .object([
      JSONMember("name", .string("span \(span)")), JSONMember("span", .integer(span)),
      JSONMember("bytes_per_second", .number(rate)), JSONMember("latency_seconds", .number(1e-5)),
      JSONMember("efficiency", .number(0.5)), JSONMember("shared_bytes_per_second", .number(rate * 1.5)),
      JSONMember("oversubscription", .number(1.25)),
    ])
  }

  private static let models = ["gpt2", "llama-3-8b", "qwen3-8b", "opt-175b"].compactMap {
    try? Shipped.catalog.model($0).json
  }.map { $0.replacing("/layers", with: .integer(8)) }

  /// Documents that change a little at every step and stay readable, so that they drift to the ends of their ranges.
  private struct Drift {
    var mutator: DocumentMutator
    private var stepCount = 0
    private var cluster = JSON.null, model = JSON.null, job = JSON.null

    init(seed: UInt64) { mutator = DocumentMutator(seed: seed) }

    /// The next step's cost model; nil where a reader refuses the documents, which then stay as they were.
    mutating func next() throws -> CostModel? {
      if stepCount % 40 == 0 {
        cluster = mutator.element(of: MutatedInputsTests.clusters)
        model = mutator.element(of: MutatedInputsTests.models)
        job = .object([
          JSONMember("schema", .string("sextant.job/1")), JSONMember("model", .null),
          JSONMember("sequence_length", .integer(512)), JSONMember("global_batch", .integer(32)),
          JSONMember("precision", .string("fp16")), JSONMember("gradient_accumulation_precision", .string("fp32")),
          JSONMember("optimizer", .string("adam")),
        ])
      }
      stepCount += 1
      var (cluster, model, job) = (cluster, model, job)
      switch mutator.number(in: 0...9) {
      case 0...4: cluster = mutator.withOtherNumbers(cluster)
      case 5: cluster = mutator.mutated(cluster)
      case 6...8: model = mutator.withOtherNumbers(model)
      default: job = mutator.withOtherNumbers(job)
      }
      do {
        let description = try ClusterDescription(
          Field(cluster, source: "cluster"), catalog: Catalog(root: nil), folder: ".")
        let trainingJob = try TrainingJob(
          Field(job.replacing("/model", with: model), source: "job"), catalog: Catalog(root: nil), folder: ".")
        // What is large is slow, and is no other case for that.
        guard description.deviceCount <= 1_024, trainingJob.globalBatch <= 4_096 else { return nil }
        let result = try CostModel(cluster: description, job: trainingJob)
        (self.cluster, self.model, self.job) = (cluster, model, job)
        return result
      } catch is DocumentError {
        return nil
      } catch is CostModel.Refusal {
        return nil
      }
    }
  }

  /// Degrees that often divide, and what else a strategy has.
  private func randomPattern(_ mutator: inout DocumentMutator) -> StrategyPattern {
    var pattern = StrategyPattern()
    pattern.tensorDegree = mutator.element(of: [1, 1, 2, 4, 8])
    pattern.pipelineDegree = mutator.element(of: [1, 1, 2, 4, 8])
    pattern.microBatch = mutator.element(of: [1, 2, 4])
    pattern.virtualStageCount = mutator.element(of: [1, 1, 2])
    pattern.zeroStage = mutator.element(of: Strategy.ZeroStage.allCases)
    pattern.recompute = mutator.element(of: Strategy.Recompute.allCases)
    pattern.usesSequenceParallelism = mutator.number(in: 0...1) == 0
    pattern.usesFlashAttention = mutator.element(of: [nil, false])
    pattern.overlapsGradientReduce = mutator.number(in: 0...1) == 0
    return pattern
  }
}
