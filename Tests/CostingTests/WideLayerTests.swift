import Documents
import TestSupport
import Testing

@testable import Costing
@testable import Training

/// Layers at the ends of a model that multiply as they are stored where the others do so in a narrower format.
@Suite struct WideLayerTests {
  private static func model(
    _ name: String, _ precision: Precision, _ layers: WideLayers = .none, cluster: String = "dgx-b200-4"
  ) throws -> CostModel {
    try CostModel(
      cluster: Shipped.catalog.cluster(cluster),
      job: TrainingJob(
        model: Shipped.catalog.model(name), sequenceLength: 4_096, globalBatch: 256, precision: precision
      ).with(layers))
  }

  private static func prediction(_ model: CostModel, _ pattern: String) throws -> Prediction {
    try Estimate(model: model, pattern: StrategyPattern(text: pattern, source: "test")).prediction
  }

  private static let precisions: [Precision] = [.fp8Current, .fp8Blockwise, .mxfp8, .nvfp4]

  /// Where all layers are such, the job is one in bf16: in time, in bytes on every link and in bytes held, but for what
  /// recomputed layers would keep if they kept all.
  @Test(
    arguments: [
      "tensor=2,sequence_parallel=true,zero_stage=1", "tensor=2,zero_stage=1,recompute=selective",
      "tensor=4,sequence_parallel=true,pipeline=2,zero_stage=1", "recompute=full,zero_stage=1",
      "context=2,zero_stage=1",
    ], [Precision.fp8Current, .mxfp8, .nvfp4])
  func allLayersAreAJobInBF16(pattern: String, precision: Precision) throws {
    let wide = try Self.model("llama-3-8b", precision, WideLayers(first: 16, last: 16))
    let stored = try Self.model("llama-3-8b", .bf16)
    let strategy = try Estimate(
      model: stored, pattern: StrategyPattern(text: pattern + ",narrow_weights=false", source: "test"))
    #expect(wide.violation(of: strategy.strategy) == nil)
    let ofWide = try Self.prediction(wide, strategy.strategy.text), ofStored = strategy.prediction
    #expect(agrees(ofWide.iterationSeconds, ofStored.iterationSeconds, relative: 1e-9), "\(pattern)")
    #expect(
      wide.traffic(of: strategy.strategy, split: strategy.split)
        == stored.traffic(of: strategy.strategy, split: strategy.split))
    for (one, other) in zip(ofWide.stageMemory, ofStored.stageMemory) {
      #expect(one.weightBytes == other.weightBytes)
      #expect(
        pattern.contains("full") ? one.peakBytes > other.peakBytes : one.peakBytes == other.peakBytes, "\(pattern)")
    }
  }

  /// So many layers at either end take and keep of a job in bf16 what they are of all layers; a stage has its own.
  @Test(arguments: precisions) func layersAtTheEndsAreLikeThoseOfAJobInBF16(precision: Precision) throws {
    let pattern = "tensor=2,sequence_parallel=true,pipeline=2,zero_stage=1"
    func cost(_ model: CostModel) throws -> StageCost {
      let strategy = try StrategyPattern(text: pattern + ",narrow_weights=false", source: "test")
        .completed(deviceCount: model.deviceCount, flashAttention: true, overlap: true)
      return model.cost(of: strategy)[0]
    }
    let ends = try cost(Self.model("llama-3-8b", precision, WideLayers(first: 2, last: 1)))
    let narrow = try cost(Self.model("llama-3-8b", precision)), stored = try cost(Self.model("llama-3-8b", .bf16))
    #expect(ends.microBatch.layers.dense == narrow.microBatch.layers.dense)
    func added(_ part: (MicroBatchCost) -> MicroBatchCost.Passes, _ seconds: (MicroBatchCost.Passes) -> Double)
      -> Double
    {
      seconds(part(ends.microBatch)) - seconds(part(narrow.microBatch))
    }
    for seconds in [\MicroBatchCost.Passes.forwardSeconds, \.backwardSeconds, \.weightGradientSeconds] {
      let ofLayer = stored.microBatch.layers.dense[keyPath: seconds] - narrow.microBatch.layers.dense[keyPath: seconds]
      #expect(ofLayer > 0)
      #expect(agrees(added({ $0.embedding }, { $0[keyPath: seconds] }), 2 * ofLayer, relative: 1e-9))
      #expect(agrees(added({ $0.head }, { $0[keyPath: seconds] }), ofLayer, relative: 1e-9))
    }
    let ofLayer = stored.memory.layerActivationBytes.dense - narrow.memory.layerActivationBytes.dense
    #expect(ends.memory.embeddingActivationBytes - narrow.memory.embeddingActivationBytes == 2 * ofLayer)
    #expect(ends.memory.headActivationBytes - narrow.memory.headActivationBytes == ofLayer)
    // Their weights have no copies in the narrow format.
    let copies = (0..<2).map {
      narrow.memory.narrowWeightBytes(stage: $0, LayerCounts(dense: 16))
        - ends.memory.narrowWeightBytes(stage: $0, LayerCounts(dense: 16))
    }
    let ofWeights = Double(narrow.memory.products.layers.dense) * narrow.memory.narrowWeightBytes
    #expect(abs(Double(copies[0]) - 2 * ofWeights) <= 1 && abs(Double(copies[1]) - ofWeights) <= 1)
  }

  /// Layers of a mixture are of their own kind: DeepSeek-V3's first are dense, its last have experts.
  @Test func everyEndIsOfItsKind() throws {
    let model = try Self.model("deepseek-v3", .mxfp8, WideLayers(first: 4, last: 2), cluster: "gb200-nvl72-64")
    let ends = try #require(Recipe.WideEnds(of: model.job))
    #expect(ends.first == LayerCounts(dense: 3, experts: 1) && ends.last == LayerCounts(dense: 0, experts: 2))
  }

  /// Under sequence parallelism gathers of a layer are of bf16, wherever the layer lies, and of the others of the format.
  @Test func gathersAreByLayer() throws {
    let pattern = "tensor=2,sequence_parallel=true,pipeline=2,virtual_stages=2,zero_stage=1,narrow_weights=false"
    func bytes(_ precision: Precision, _ layers: WideLayers = .none) throws -> [Int] {
      let model = try Self.model("llama-3-8b", precision, layers)
      let estimate = try Estimate(model: model, pattern: StrategyPattern(text: pattern, source: "test"))
      let count = model.traffic(of: estimate.strategy, split: estimate.split)
      let levels = model.cluster.levels.indices
      return [0, 31].map { rank in levels.reduce(0) { $0 + count.byteCount(.tensor, level: $1, fromRank: rank) } }
    }
    let narrow = try bytes(.fp8Current), stored = try bytes(.bf16)
    // Sixteen layers on each of two stages; three more of the first stage's, and one of the last one's.
    let ends = try bytes(.fp8Current, WideLayers(first: 3, last: 1))
    #expect(16 * (ends[0] - narrow[0]) == 3 * (stored[0] - narrow[0]))
    #expect(16 * (ends[1] - narrow[1]) == stored[1] - narrow[1])
    #expect(stored[0] > narrow[0])
  }

  /// What a rank does is lowered by layer, as it is counted.
  @Test func programsGatherByLayer() throws {
    let model = try Self.model("llama-3-8b", .fp8Current, WideLayers(first: 1, last: 2))
    let estimate = try Estimate(
      model: model,
      pattern: StrategyPattern(text: "tensor=2,sequence_parallel=true,narrow_weights=false", source: "test"))
    let shape = IterationShape(
      job: model.job, strategy: estimate.strategy, split: estimate.split,
      schedule: try PipelineSchedule(estimate.strategy.schedule, stageCount: 1, microBatchCount: 4),
      paddedVocabularySize: 128_256)
    func gathered(_ layer: Int) -> Int {
      shape.steps(of: .layer(layer), .forward).reduce(0) { sum, step in
        guard case .collective(let it) = step, it.kind == .allGather else { return sum }
        return sum + it.byteCount
      }
    }
    for layer in 0..<32 {
      #expect(gathered(layer) == (layer < 1 || layer >= 30 ? 2 : 1) * gathered(15), "\(layer)")
    }
  }

  @Test func whatCannotBeIsRefused() throws {
    let job = try Self.model("llama-3-8b", .mxfp8).job
    let error = #expect(throws: TrainingJob.Contradiction.self) { try job.with(WideLayers(first: 30, last: 3)) }
    #expect(error?.sentence == "30 first and 3 last layers in bf16 are more than the 32 there are")
    let model = try Self.model("llama-3-8b", .mxfp8, WideLayers(first: 5, last: 0))
    let strategy = Strategy(mesh: [.pipeline: 8, .data: 4], usesFlashAttention: true)
    #expect(model.violation(of: strategy) == .wideLayersLeaveStage(layers: 5, ofStage: 4))
    var narrow = Strategy(mesh: [.data: 32], zeroStage: .optimizer, usesFlashAttention: true)
    narrow.holdsNarrowWeights = true
    #expect(model.violation(of: narrow) == nil)
    narrow = Strategy(mesh: [.data: 32], zeroStage: .weights, usesFlashAttention: true)
    narrow.holdsNarrowWeights = true
    let current = try Self.model("llama-3-8b", .fp8Current, WideLayers(first: 5, last: 0))
    #expect(current.violation(of: narrow) == .narrowWeights(.wideLayers))
    // Of products in bf16 there is nothing to say.
    #expect(try Self.model("llama-3-8b", .bf16, WideLayers(first: 5, last: 0)).violation(of: strategy) == nil)
    let delayed = try Self.model("llama-3-8b", .fp8Delayed, WideLayers(first: 1, last: 1)).job
    #expect(Capabilities.megatronLM.refusal(of: model.job) == nil)
    #expect(Capabilities.megatronLM.refusal(of: delayed)?.description.contains("all layers alike") == true)
    #expect(Capabilities.torchtitan.refusal(of: model.job)?.description.contains("a job without bf16_layers") == true)
  }
}
