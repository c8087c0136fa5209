import Costing
import Documents
import Search
import TestSupport
import Testing

/// Nodes with different devices: which stage lies on which kind is decided with everything else.
@Suite("Stages on different devices") struct MixedNodesTests {
  /// The model with its nodes sorted by kind, in both orders.
  static func orders(_ model: CostModel) -> [CostModel] {
    let kinds = model.cluster.deviceOfNode
    return [[0, 1], [1, 0]].map { order in
      model.arranged(order.flatMap { kind in kinds.indices.filter { kinds[$0] == kind } })
    }
  }

  @Test("The optimum equals brute force over both orders of the kinds, and so do the next best")
  func equalsBruteForce() throws {
    var solved = 0
    for seed in UInt64(1)...40 {
      let problem = try RandomProblem(seed: seed, isMixed: true)
      let result = PlanSearch(model: problem.model, options: .init(resultCount: 4)).run()
      let truths = Self.orders(problem.model).map { BruteForce($0) }
      let scores = truths.flatMap(\.scores).sorted()
      // Where nothing fits what hosts can do is counted, too.
      #expect(
        scores.isEmpty && problem.model.cluster.host != nil
          || result.certificate.memoryRejectedCount == truths.reduce(0) { $0 + $1.unfitCount },
        "\(problem.description)")
      #expect(result.best.count == min(4, scores.count), "\(problem.description)")
      for (found, best) in zip(result.best, scores) {
        #expect(abs(found.scoreSeconds - best) <= 1e-9 * best, "\(problem.description): \(found.strategy.text)")
      }
      #expect(result.certificate.ending == .exhausted, "\(problem.description)")
      #expect(result.certificate.gap <= 1e-9 || result.best.isEmpty, "\(problem.description)")
      if !result.best.isEmpty { solved += 1 }
    }
    #expect(solved >= 20)
  }

  @Test("Every bound is at most the score of every split")
  func boundsAreAdmissible() throws {
    for seed in UInt64(200)...230 {
      let problem = try RandomProblem(seed: seed, isMixed: true)
      for model in Self.orders(problem.model) {
        OptimalityTests.expectBoundsAreAdmissible(model, problem.description)
      }
    }
  }

  /// All layers of this model have experts: it is they that say which device is the slower.
  @Test func aStageOnBothDevicesKeepsTheSlowerOnesPace() throws {
    let catalog = Shipped.catalog
    func seconds(_ deviceOfNode: [Int]) throws -> Double {
      let names = ["h100-sxm5-80gb", "a100-sxm4-80gb"]
      let present = Set(deviceOfNode).sorted()
      let cluster = try ClusterDescription(
        name: "mixed", devices: present.map { try catalog.device(names[$0]) },
        deviceOfNode: deviceOfNode.map { present.firstIndex(of: $0) ?? 0 }, nodeNames: ["one", "other"],
        devicesPerNode: 8,
        levels: [
          .init(name: "nvlink", span: 8, bytesPerSecond: 300e9), .init(name: "ib", span: 16, bytesPerSecond: 25e9),
        ])
      let job = try TrainingJob(model: catalog.model("qwen3-30b-a3b"), sequenceLength: 4_096, globalBatch: 64)
      let strategy = try StrategyPattern(
        text: "tensor=1,pipeline=1,data=16,expert=8,zero_stage=1,recompute=full", source: "test"
      ).completed(deviceCount: 16, flashAttention: true, overlap: true)
      return Plan(
        stating: strategy, split: Split([job.model.layerCount]), on: try CostModel(cluster: cluster, job: job)
      ).prediction.iterationSeconds
    }
    let mixed = try seconds([0, 1])
    #expect(try seconds([1, 0]) == mixed)
    #expect(try mixed > 1.3 * seconds([0, 0]))
    #expect(try mixed >= 0.95 * seconds([1, 1]))
  }

  /// A slower device gets fewer layers, and its memory is its own limit.
  @Test func slowerDevicesGetFewerLayers() throws {
    let catalog = Shipped.catalog
    let cluster = try ClusterDescription(
      name: "mixed", devices: [catalog.device("h100-sxm5-80gb"), catalog.device("a100-sxm4-40gb")],
      deviceOfNode: [1, 0], nodeNames: ["old", "new"], devicesPerNode: 8,
      levels: [
        .init(name: "nvlink", span: 8, bytesPerSecond: 300e9),
        .init(name: "ib", span: 16, bytesPerSecond: 25e9, sharedBytesPerSecond: 200e9),
      ])
    let model = try CostModel(
      cluster: cluster,
      job: TrainingJob(model: catalog.model("megatron-22b"), sequenceLength: 2048, globalBatch: 64))
    var pattern = StrategyPattern()
    pattern.tensorDegree = 8
    pattern.pipelineDegree = 2
    pattern.virtualStageCount = 1
    let search = PlanSearch(model: model, pattern: pattern)
    let result = search.run()
    let best = try #require(result.best.first)
    let stageOfOld = best.nodeOrder.firstIndex(of: 0) ?? 0
    #expect(
      best.split.layerCounts[stageOfOld] * 3 < best.split.layerCounts[1 - stageOfOld] * 2, "\(best.split.layerCounts)")
    let arrangement = try #require(result.arrangement)
    #expect(arrangement.reason == .byDevice)
    let plan = try #require(search.plan(of: result, toolVersion: "0"))
    let verification = try PlanVerification(plan)
    #expect(verification.disagreements.isEmpty, "\(verification.disagreements)")
    // What a stage may take is what its own device has.
    let cost = model.arranged(best.nodeOrder).cost(of: best.strategy)
    #expect(cost.memory.limitBytes(MemoryLimit(.risky), stage: stageOfOld) < 42_949_672_960)
    #expect(cost.memory.limitBytes(MemoryLimit(.risky), stage: 1 - stageOfOld) > 60_000_000_000)
  }

  /// As slow as its slowest device, and no better than what the smallest holds.
  @Test func aStageOnTwoKindsRunsAtThePaceOfTheSlower() throws {
    let catalog = Shipped.catalog
    func model(_ devices: [String]) throws -> CostModel {
      try CostModel(
        cluster: ClusterDescription(
          name: "x", devices: devices.map { try catalog.device($0) }, deviceOfNode: [0, devices.count - 1],
          nodeNames: ["a", "b"], devicesPerNode: 8,
          levels: [
            .init(name: "nvlink", span: 8, bytesPerSecond: 300e9, latencySeconds: 1e-6, efficiency: 0.8),
            .init(name: "ib", span: 16, bytesPerSecond: 25e9, latencySeconds: 1e-5, efficiency: 0.8),
          ]),
        job: TrainingJob(model: catalog.model("llama-2-7b"), sequenceLength: 2048, globalBatch: 64))
    }
    let strategy = Strategy(mesh: [.data: 16], zeroStage: .optimizer)
    var scratch = EvaluationScratch()
    func seconds(_ devices: [String]) throws -> Double {
      try model(devices).cost(of: strategy).iterationSeconds(of: Split([32]), scratch: &scratch)
    }
    let mixed = try seconds(["h100-sxm5-80gb", "a100-sxm4-80gb"])
    // Beside the pace only what an iteration takes whatever it does may be the other device's.
    let slower = try seconds(["a100-sxm4-80gb"])
    #expect(mixed >= slower && mixed < slower * 1.01)
    #expect(mixed > (try seconds(["h100-sxm5-80gb"])))
  }
}
