import Costing
import Documents
import JSONText
import Search
import TestSupport
import Testing

/// Schedules with split backward passes in the search: only where the framework has them, and the best of them.
@Suite struct SplitBackwardPlanTests {
  /// A problem of a model that torchtitan trains.
  private static func model(
    devices: Int, layers: Int, hidden: Int, batch: Int, memoryBytes: Int = 80_000_000_000, vocabulary: Int = 32_000
  ) throws -> CostModel {
    let shape = try ModelDescription(
      name: "small", family: .llama, layerCount: layers, hiddenSize: hidden, headCount: 8, keyValueHeadCount: 4,
      feedForwardSize: 4 * hidden, vocabularySize: vocabulary, hasGatedFeedForward: true, hasTiedEmbeddings: false)
    let job = try TrainingJob(model: shape, sequenceLength: 1024, globalBatch: batch, precision: .bf16)
    let cluster = try Shipped.smallCluster(devices)
    let device = try DeviceProfile(
      Field(
        cluster.device.json.replacing("/datasheet/memory_bytes", with: .integer(memoryBytes)), source: "device"))
    return try CostModel(cluster: cluster.replacing(device: device), job: job)
  }

  /// All stages alike but the one with the head, which may have fewer layers.
  private static func splits(of layers: Int, _ strategy: Strategy) -> [Split] {
    let p = strategy.pipelineDegree, v = strategy.virtualStageCount, isV = strategy.schedule.isV
    return (1...layers).flatMap { size in
      (1...size).filter { v * ($0 + (p - 1) * size) == layers }.map { ofHead in
        // The head's stage is the first along a V, the last otherwise.
        let stages = (0..<p).map { $0 == (isV ? 0 : p - 1) ? ofHead : size }
        return Split(
          isV ? stages + stages.reversed() : (0..<v).flatMap { _ in stages }, stageCount: p, isV: isV)
      }
    }
  }

  /// Every strategy that torchtitan's table admits, by loops of the test's own; split ones over their few splits.
  private static func bestScore(_ model: CostModel, _ table: Capabilities) -> Double? {
    let job = model.job, devices = model.cluster.deviceCount, layers = job.model.layerCount
    var best: Double?
    var scratch = EvaluationScratch()
    for tensor in 1...devices where devices % tensor == 0 {
      for pipeline in 1...devices where devices % (tensor * pipeline) == 0 {
        let data = devices / tensor / pipeline
        let schedules: [Strategy.Schedule] =
          (1...layers).map(Strategy.Schedule.init(chunkCount:))
          + (1...layers).map(Strategy.Schedule.zeroBubble(chunkCount:))
          + [.zeroBubbleV, .dualPipeV]
        for schedule in schedules {
          for microBatch in 1...job.globalBatch {
            for sharding in BruteForce.shardings(replicas: data, tensor: tensor, cluster: model.cluster) {
              for recompute in [Strategy.Recompute.none, .full] {
                for divides in [false, true] {
                  let strategy = Strategy(
                    mesh: [.tensor: tensor, .pipeline: pipeline, .data: data], schedule: schedule,
                    microBatch: microBatch, sharding: sharding, recompute: recompute, usesSequenceParallelism: divides,
                    usesFlashAttention: true, overlapsGradientReduce: model.framework.overlapsGradientReduce)
                  guard model.violation(of: strategy) == nil, strategy.exclusion == nil,
                    table.refusal(of: strategy) == nil, table.refusal(of: strategy, job: job) == nil
                  else { continue }
                  let cost = model.cost(of: strategy)
                  let splits =
                    schedule == .oneForwardOneBackward
                    ? BruteForce.compositions(of: layers, into: pipeline).map { Split($0) }
                    : schedule.splitsBackward
                      ? Self.splits(of: layers, strategy)
                      : [.even(layerCount: layers, stageCount: pipeline, chunkCount: schedule.chunkCount)]
                  for split in splits {
                    let verdict = cost.memory.verdict(of: cost.memory.stageMemory(of: split))
                    guard verdict != .unfit else { continue }
                    let seconds = cost.iterationSeconds(of: split, scratch: &scratch)
                    best = min(best ?? .infinity, verdict == .risky ? seconds * PlanSearch.headroomSurcharge : seconds)
                  }
                }
              }
            }
          }
        }
      }
    }
    return best
  }

  @Test("The optimum equals brute force over torchtitan's schedules, and most have a split backward pass")
  func optimum() throws {
    var split = 0, uneven = 0
    let problems = try [
      // A head that is worth several layers.
      Self.model(devices: 4, layers: 20, hidden: 1024, batch: 16, memoryBytes: 3_500_000_000, vocabulary: 128_000),
      Self.model(devices: 4, layers: 24, hidden: 1024, batch: 16, memoryBytes: 3_000_000_000, vocabulary: 256_000),
      Self.model(devices: 4, layers: 8, hidden: 2048, batch: 16, memoryBytes: 9_000_000_000),
      Self.model(devices: 4, layers: 8, hidden: 2048, batch: 8, memoryBytes: 12_000_000_000),
      Self.model(devices: 8, layers: 8, hidden: 2048, batch: 8, memoryBytes: 6_000_000_000),
      Self.model(devices: 2, layers: 4, hidden: 1024, batch: 8, memoryBytes: 3_000_000_000),
      Self.model(devices: 8, layers: 16, hidden: 1024, batch: 16, memoryBytes: 4_000_000_000),
    ]
    for model in problems {
      let result = PlanSearch(model: model, capabilities: .torchtitan).run()
      let best = Self.bestScore(model, .torchtitan)
      #expect((result.best.first == nil) == (best == nil))
      guard let best, let found = result.best.first else { continue }
      #expect(abs(found.scoreSeconds - best) <= 1e-9 * best, "\(found.strategy.text), \(best)")
      #expect(result.certificate.ending == .exhausted && result.certificate.gap <= 1e-9)
      guard found.strategy.schedule.splitsBackward else { continue }
      split += 1
      if Set(found.split.layerCounts).count > 1 { uneven += 1 }
    }
    #expect(split >= 2 && uneven >= 1, "\(split) of \(problems.count), \(uneven) with fewer layers beside the head")
  }

  @Test("Of the few splits of a strategy the fastest is found, with fewer layers beside a large head")
  func fastestSplit() throws {
    var scratch = EvaluationScratch()
    let model = try Self.model(devices: 4, layers: 40, hidden: 1024, batch: 32, vocabulary: 256_000)
    for schedule in ["zero-bubble-v", "dualpipe-v", "zero-bubble,virtual_stages=2"] {
      let pattern = try StrategyPattern(
        text: "pipeline=4,micro_batch=1,recompute=none,schedule=\(schedule)", source: "--fix")
      let found = try #require(PlanSearch(model: model, pattern: pattern, capabilities: .torchtitan).run().best.first)
      let cost = model.cost(of: found.strategy)
      let seconds = Self.splits(of: 40, found.strategy).map { cost.iterationSeconds(of: $0, scratch: &scratch) }
      #expect(seconds.count > 1 && found.iterationSeconds == seconds.min(), "\(schedule)")
      #expect(Set(found.split.layerCounts).count == 2, "\(schedule): \(found.split.layerCounts)")
    }
  }

  @Test("Bounds are at most the time of the split, and near it where few micro-batches wait")
  func bounds() throws {
    var scratch = EvaluationScratch()
    var count = 0, nearest = 0.0
    for (devices, layers, hidden, batch) in [(4, 16, 2048, 32), (8, 16, 1024, 16), (8, 32, 4096, 64)] {
      let model = try Self.model(devices: devices, layers: layers, hidden: hidden, batch: batch)
      for (pipeline, tensor) in [(2, 1), (4, 1), (2, 2), (8, 1)] where devices % (pipeline * tensor) == 0 {
        for schedule in [1, 2, 4].map(Strategy.Schedule.zeroBubble(chunkCount:)) + [.zeroBubbleV, .dualPipeV] {
          for (microBatch, recompute) in [(1, Strategy.Recompute.none), (2, .none), (1, .full), (4, .none)] {
            let strategy = Strategy(
              mesh: [.tensor: tensor, .pipeline: pipeline, .data: devices / pipeline / tensor], schedule: schedule,
              microBatch: microBatch, zeroStage: .optimizer, recompute: recompute, usesFlashAttention: true,
              overlapsGradientReduce: true)
            guard model.violation(of: strategy) == nil else { continue }
            let cost = model.cost(of: strategy)
            let seconds =
              Self.splits(of: layers, strategy).map {
                cost.iterationSeconds(of: $0, scratch: &scratch)
              }.min() ?? 0
            #expect(cost.boundSeconds <= seconds, "\(strategy.text)")
            nearest = max(nearest, cost.boundSeconds / seconds)
            count += 1
          }
        }
      }
    }
    #expect(count >= 50 && nearest > 0.97, "\(count), \(nearest)")
  }

  @Test("Frameworks without such schedules are offered none, and refuse them by name")
  func others() throws {
    let model = try Self.model(devices: 4, layers: 8, hidden: 2048, batch: 16, memoryBytes: 9_000_000_000)
    for table in Capabilities.all where table.splitBackward.isEmpty {
      for schedule in [Strategy.Schedule.zeroBubble(chunkCount: 2), .zeroBubbleV, .dualPipeV] {
        let refusal = try #require(table.refusal(of: schedule))
        #expect("\(refusal)".contains("has no schedule \(schedule.name)"))
      }
      let samples = PlanSearch(model: model, capabilities: table).pricingSamples()
      #expect(!samples.contains { $0.strategy.schedule.splitsBackward }, "\(table.name)")
    }
    #expect(Capabilities.torchtitan.refusal(of: Strategy.Schedule.zeroBubble(chunkCount: 1)) != nil)
    #expect(Capabilities.torchtitan.refusal(of: Strategy.Schedule.zeroBubble(chunkCount: 2)) == nil)
    #expect(!PlanSearch(model: model).pricingSamples().contains { $0.strategy.schedule.splitsBackward })
  }

  @Test("A schedule that is fixed is the only one, whatever framework")
  func fixed() throws {
    let model = try Self.model(devices: 4, layers: 8, hidden: 2048, batch: 16)
    for name in ["zero-bubble", "zero-bubble-v", "dualpipe-v", "1f1b"] {
      let pattern = try StrategyPattern(text: "pipeline=2,schedule=\(name)", source: "--fix")
      let result = PlanSearch(model: model, pattern: pattern).run()
      #expect(!result.best.isEmpty && result.best.allSatisfy { $0.strategy.schedule.name == name }, "\(name)")
    }
  }
}
