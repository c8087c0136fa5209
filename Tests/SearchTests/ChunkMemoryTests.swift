import Costing
import Documents
import TestSupport
import Testing
import Training

/// Activations of interleaved chunks that differ in their layers.
@Suite struct ChunkMemoryTests {
  private static func job(layers: Int, dense: Int, predictions: Int, batch: Int) throws -> TrainingJob {
    var experts = ModelDescription.Experts(count: 8, perToken: 2, feedForwardSize: 512)
    experts.denseLayers = Array(0..<dense)
    let shape = try ModelDescription(
      name: "small mixture", family: .llama, layerCount: layers, hiddenSize: 1024, headCount: 8, keyValueHeadCount: 8,
      feedForwardSize: 2048, vocabularySize: 64_000, hasGatedFeedForward: true, hasTiedEmbeddings: false,
      experts: experts, predictionDepth: predictions)
    return try TrainingJob(model: shape, sequenceLength: 1024, globalBatch: batch)
  }

  private static func forEachLayout(
    _ body: (MemoryModel, Split, LayerKinds, PipelineSchedule) throws -> Void
  ) throws {
    let device = try Shipped.catalog.device("h100-sxm5-80gb")
    for (layers, dense, predictions, pipeline, chunks, batch) in [
      (6, 2, 1, 2, 2, 8), (7, 3, 0, 2, 2, 2), (9, 1, 1, 2, 3, 6), (9, 3, 0, 4, 2, 8), (11, 0, 1, 4, 3, 4),
      (9, 4, 0, 2, 4, 6),
    ] {
      let job = try job(layers: layers, dense: dense, predictions: predictions, batch: batch)
      let ways: [(Strategy.Recompute, Strategy.RecomputeModules, Bool)] = [
        (.none, [], false), (.full, [], false), (.none, [], true), (.selective, [.expertActivation, .norms], false),
        (.selective, [.expertActivation, .feedForward], true), (.selective, [.norms, .experts], false),
      ]
      for (recompute, modules, overlaps) in ways {
        var strategy = Strategy(
          mesh: [.pipeline: pipeline, .expert: 1], schedule: .init(chunkCount: chunks), microBatch: 1,
          recompute: recompute, usesFlashAttention: true)
        strategy.recomputeModules = modules
        strategy.overlapsExperts = overlaps
        let memory = MemoryModel(job: job, device: device, framework: device.frameworks[0], strategy: strategy)
        let schedule = try PipelineSchedule(
          strategy.schedule, stageCount: pipeline, microBatchCount: batch, combines: overlaps)
        for counts in BruteForce.layouts(of: layers, into: pipeline * chunks) {
          let most = counts.max() ?? 0
          for recomputed in recompute == .full ? [nil, 0, 1, most] : [nil] {
            let choices = recomputed.map { count in
              (0..<pipeline).map { stage in
                let longest = Split(counts, stageCount: pipeline).longestChunk(ofStage: stage)
                return StageChoice(recomputedLayerCount: min(count, longest))
              }
            }
            try body(
              memory, Split(counts, stageCount: pipeline, choices: choices), LayerKinds(of: job.model), schedule)
          }
        }
      }
    }
  }

  @Test func `What a stage keeps of chunks that differ is what a walk over its passes finds`() throws {
    var looked = 0, unlike = 0
    try Self.forEachLayout { memory, split, kinds, schedule in
      for stage in 0..<split.stageCount {
        let content = split.stage(stage, of: kinds)
        let walked = memory.walkedActivationBytes(stage: stage, split, kinds, schedule)
        looked += 1
        if content.chunks != nil {
          unlike += 1
          #expect(
            memory.stageMemory(stage: stage, content).activationBytes == walked, "\(split) \(schedule.chunkCount)")
        }
      }
    }
    #expect(looked > 1_000 && unlike > looked / 2)
  }

  @Test func `No layout of a stage's layers keeps less than is taken to be the least`() throws {
    var looked = 0, equal = 0
    try Self.forEachLayout { memory, split, kinds, schedule in
      for stage in 0..<split.stageCount {
        let content = split.stage(stage, of: kinds), isLast = stage == split.stageCount - 1
        let walked = memory.walkedActivationBytes(stage: stage, split, kinds, schedule)
        let end = stage == 0 ? split.layerCounts.first : isLast ? split.layerCounts.last : nil
        // Of ends that nobody knows only that all of a stage is recomputed, or none of it.
        let isWhole = content.recomputed.map { [.none, content.layers].contains($0) } ?? true
        for end in isWhole && end != nil ? [nil, end] : [end] {
          let open = Split.Stage(
            layers: content.layers, recomputed: content.recomputed, choice: content.choice,
            chunks: .open(endCount: end))
          let least = memory.stageMemory(stage: stage, open).activationBytes
          #expect(least <= walked, "\(split) of \(schedule.chunkCount), stage \(stage), end \(end ?? -1)")
          looked += 1
          if least == walked { equal += 1 }
        }
      }
    }
    // It says something.
    #expect(looked > 1_000 && equal > looked / 20, "\(equal) of \(looked)")
  }

  @Test func `A last chunk without layers leaves as many passes of full ones in flight`() throws {
    let job = try Self.job(layers: 9, dense: 0, predictions: 0, batch: 8)
    let device = try Shipped.catalog.device("h100-sxm5-80gb")
    let strategy = Strategy(
      mesh: [.pipeline: 2], schedule: .init(chunkCount: 2), microBatch: 1, usesFlashAttention: true)
    let memory = MemoryModel(job: job, device: device, framework: device.frameworks[0], strategy: strategy)
    func activations(_ counts: [Int]) -> Int {
      memory.stageMemory(stage: 1, Split(counts, stageCount: 2).stage(1, of: LayerKinds(of: job.model))).activationBytes
    }
    // Three passes of the first chunk at the worst moment, whose layers keep more than the head.
    #expect(activations([3, 2, 4, 0]) == 2 * activations([4, 1, 4, 0]))
    // As many layers in two chunks: of one of the three passes, the last chunk's own.
    #expect(activations([3, 2, 4, 0]) > activations([4, 1, 3, 1]))
  }
}
