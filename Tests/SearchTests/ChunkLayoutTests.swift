import Costing
import Documents
import JSONText
import TestSupport
import Testing

@testable import Search

/// Interleaved chunks that differ in their layers: which layouts are searched, bounds, plans that have them.
@Suite struct ChunkLayoutTests {
  /// A mixture whose last chunk is long, in little time: the head counts for several layers, and the first layers are dense.
  private static func model(layers: Int, dense: Int = 2, predictions: Int = 1, batch: Int, devices: Int = 8) throws
    -> CostModel
  {
    var experts = ModelDescription.Experts(count: 8, perToken: 2, feedForwardSize: 512)
    experts.denseLayers = Array(0..<dense)
    let shape = try ModelDescription(
      name: "small mixture", family: .llama, layerCount: layers, hiddenSize: 1024, headCount: 8, keyValueHeadCount: 8,
      feedForwardSize: 2048, vocabularySize: 64_000, hasGatedFeedForward: true, hasTiedEmbeddings: false,
      experts: experts, predictionDepth: predictions)
    let job = try TrainingJob(model: shape, sequenceLength: 1024, globalBatch: batch)
    return try CostModel(cluster: Shipped.smallCluster(devices), job: job)
  }

  private static func strategy(_ pipeline: Int, _ chunks: Int, devices: Int = 8, recompute: Strategy.Recompute = .none)
    -> Strategy
  {
    Strategy(
      mesh: [.pipeline: pipeline, .data: devices / pipeline], schedule: .init(chunkCount: chunks), microBatch: 1,
      zeroStage: .optimizer, recompute: recompute, usesFlashAttention: true)
  }

  @Test func `No layout takes less than the bound of its ends, nor these less than the bound of all`() throws {
    var looked = 0, closest = 0.0
    for (layers, dense, predictions, pipeline, chunks) in [
      (6, 2, 1, 2, 2), (7, 3, 0, 2, 2), (9, 1, 1, 2, 3), (8, 2, 1, 2, 4), (9, 3, 1, 4, 2), (8, 2, 0, 4, 2),
      (11, 4, 1, 4, 3),
    ] {
      for batch in [8, 16, 32] {
        let model = try Self.model(layers: layers, dense: dense, predictions: predictions, batch: batch)
        for recompute in [Strategy.Recompute.none, .full] {
          let strategy = Self.strategy(pipeline, chunks, recompute: recompute)
          guard model.violation(of: strategy) == nil else { continue }
          let cost = model.cost(of: strategy)
          #expect(cost.laysOutChunks)
          var scratch = EvaluationScratch()
          let ofEnds = cost.chunkLayouts(freedom: .none, within: MemoryLimit(.risky))
          var least = Double.infinity
          for counts in BruteForce.layouts(of: layers, into: pipeline * chunks) {
            let seconds = cost.iterationSeconds(of: Split(counts, stageCount: pipeline), scratch: &scratch)
            least = min(least, seconds)
            let ends = try #require(
              ofEnds.first { $0.firstCount == counts.first && $0.lastCount == counts.last }, "\(counts)")
            #expect(ends.boundSeconds <= seconds * (1 + 1e-12), "\(strategy.text) \(counts)")
            closest = max(closest, ends.boundSeconds / seconds)
            looked += 1
          }
          #expect(cost.boundSeconds <= (ofEnds.first?.boundSeconds ?? 0) * (1 + 1e-12))
          #expect(ofEnds.map(\.boundSeconds) == ofEnds.map(\.boundSeconds).sorted())
          #expect(least.isFinite)
        }
      }
    }
    // They say something: some layout takes hardly longer.
    #expect(looked > 1_000 && closest > 0.98, "\(looked) layouts, \(closest)")
  }

  @Test func `What has to beat a cutoff is found if it does, and ruled out if not`() throws {
    for (layers, dense, pipeline, chunks, recompute) in [
      (9, 3, 4, 2, Strategy.Recompute.none), (13, 2, 4, 2, .full), (9, 1, 2, 4, .none), (9, 3, 4, 1, .none),
      (13, 2, 8, 1, .full),
    ] {
      let model = try Self.model(layers: layers, dense: dense, batch: 16)
      let strategy = Self.strategy(pipeline, chunks, recompute: recompute)
      let freedom = StageFreedom(choosesRecomputation: recompute == .full, choosesOffload: false)
      let cost = model.cost(of: strategy)
      var scratch = EvaluationScratch()
      func best(below cutoffSeconds: Double) throws -> LayerSplitter.BestSplit {
        try #require(
          try LayerSplitter.bestSplit(
            of: cost, freedom: freedom, verdict: .risky, cutoffSeconds: cutoffSeconds, scratch: &scratch,
            watch: .never))
      }
      let all = try best(below: .infinity)
      let seconds = all.iterationSeconds
      #expect(all.isExhausted && seconds.isFinite)
      let narrow = try best(below: seconds * (1 + 1e-9))
      #expect(narrow.split == all.split && narrow.isExhausted, "\(strategy.text)")
      // Nothing below half of it: of that there is not even a stage, or a layout.
      for share in [1 - 1e-9, 0.5, 1e-3] {
        let none = try best(below: seconds * share)
        #expect(none.isExhausted && none.iterationSeconds >= seconds * share, "\(strategy.text) \(share)")
        #expect(none.lowerBoundSeconds >= seconds * share)
      }
    }
  }

  @Test func `The path of rounds is part of the bound where the last chunk is long`() throws {
    // Stages with as much work as the last one wait for its head in every round.
    let model = try Self.model(layers: 22, dense: 0, predictions: 1, batch: 64)
    let cost = model.cost(of: Self.strategy(4, 4))
    let ends = try #require(
      cost.chunkLayouts(freedom: .none, within: MemoryLimit(.risky)).first { $0.lastCount == 1 && $0.firstCount == 1 })
    var scratch = EvaluationScratch()
    let seconds = cost.iterationSeconds(
      of: Split([1, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1], stageCount: 4), scratch: &scratch)
    #expect(ends.boundSeconds <= seconds)
    // All stages together have this much work, of which each has a fourth at best.
    let all = (0..<4).reduce(0.0) { sum, stage in
      let split = Split([1, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1], stageCount: 4)
      return sum + cost.passSeconds(stage: stage, split.stage(stage, of: cost.kinds)).sum
    }
    #expect(ends.boundSeconds > 1.05 * Double(cost.microBatchCount) * all / 4)
  }

  @Test func `The layout that is found is the best of all there are`() throws {
    for (layers, dense, pipeline, chunks, batch) in [
      (6, 2, 2, 2, 16), (9, 3, 4, 2, 16), (9, 1, 2, 4, 8), (13, 2, 4, 2, 8), (5, 1, 2, 2, 12),
    ] {
      let model = try Self.model(layers: layers, dense: dense, batch: batch)
      let strategy = Self.strategy(pipeline, chunks)
      // All experts on every rank, as the layouts below are priced.
      let pattern = try StrategyPattern(text: "\(strategy.text),expert=1", source: "fix")
      let result = PlanSearch(model: model, pattern: pattern, options: .init(resultCount: 1)).run()
      let found = try #require(result.best.first)
      let cost = model.cost(of: strategy)
      var scratch = EvaluationScratch()
      let best = BruteForce.layouts(of: layers, into: pipeline * chunks).map {
        cost.iterationSeconds(of: Split($0, stageCount: pipeline), scratch: &scratch)
      }.min()
      #expect(abs(found.iterationSeconds - (best ?? 0)) <= 1e-12, "\(layers) \(pipeline) \(chunks)")
      #expect(result.certificate.gap == 0)
      #expect(result.certificate.proofs.first?.split == .exhausted)
    }
  }

  @Test func `DeepSeek-V3 is interleaved for Megatron-LM, and its plan says which layers lie where`() throws {
    let model = try CostModel(
      cluster: Shipped.catalog.cluster("dgx-h100-128"),
      job: TrainingJob(model: Shipped.catalog.model("deepseek-v3"), sequenceLength: 4096, globalBatch: 1024))
    let pattern = try StrategyPattern(
      text: "tensor=4,pipeline=4,virtual_stages=4,micro_batch=1,expert=64,moe_overlap=true,moe_dispatcher=deepep",
      source: "fix")
    let result = PlanSearch(model: model, pattern: pattern, capabilities: .megatronLM).run()
    let best = try #require(result.best.first)
    #expect(best.split.layerCounts.count == 16 && best.split.layerCount == 61)
    #expect(result.certificate.gap < 0.02)
    let inner = best.split.layerCounts.dropFirst().dropLast()
    #expect((inner.max() ?? 0) - (inner.min() ?? 0) <= 1)
    // The last chunk, with the head and a further prediction, has fewer layers.
    #expect((best.split.layerCounts.last ?? 9) < (inner.min() ?? 0))
  }

  @Test func `Of chunks that differ as many layers are recomputed, and of a shorter one all`() throws {
    let model = try Self.model(layers: 9, dense: 0, predictions: 0, batch: 16)
    let alike = LayerKinds(of: model.job.model)
    let split = Split(
      [3, 2, 2, 2], stageCount: 2,
      choices: [StageChoice(recomputedLayerCount: 3), StageChoice(recomputedLayerCount: 1)])
    #expect(split.stage(0, of: alike).recomputed?.total == 5)
    #expect(split.stage(1, of: alike).recomputed?.total == 2)
    let strategy = Self.strategy(2, 2, recompute: .full)
    #expect(strategy.contradiction(of: split, optimizer: .adam, host: nil) == nil)
    let more = split.with(choices: [StageChoice(recomputedLayerCount: 4), StageChoice(recomputedLayerCount: 1)])
    #expect(
      strategy.contradiction(of: more, optimizer: .adam, host: nil)
        == "stage 0 recomputes 4 layers of a chunk that has 3")
  }
}
