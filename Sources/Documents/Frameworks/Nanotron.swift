extension Capabilities {
  /// nanotron 0.4 (main, 2411b022, 2026-04-07): `config/config.py`, `models/llama.py`, `models/qwen.py`,
  /// `parallel/context.py` and `parallel/pipeline_parallel/engine.py`.
  ///
  /// Layers are split by its own cost (`models/base.py`, `build_model`). Attention is flash-attn's, which takes no
  /// fp32; no loss is scaled, which fp16 needs; and without `accumulate_grad_in_fp32` there are no fp32 weights to
  /// update.
  package static let nanotron = Capabilities(
    name: "nanotron", title: "nanotron", version: "0.4", coefficientNames: ["nanotron"],
    axes: [.tensor, .data, .pipeline], interleaving: .none, layerSplit: .rule(.cumulativeCost),
    recomputations: [
      Recomputation(words: "recompute_layer: false", recompute: Strategy.Recompute.none),
      Recomputation(words: "recompute_layer: true", recompute: .full),
    ],
    recomputesSomeLayers: false, offloadsOptimizerStates: false,
    shardings: [
      ShardingOffer(form: .replicated, words: "zero_stage: 0"),
      ShardingOffer(form: .optimizer, words: "zero_stage: 1"),
    ],
    sequenceParallelism: .optional,
    tensorOverlap: TensorOverlapOffer(words: "tp_linear_async_communication", isAlways: true), precisions: [.bf16],
    gradientAccumulation: .fp32,
    optimizers: [OptimizerOffer(words: "adamW", rules: [.adam]), OptimizerOffer(words: "sgd", rules: [.sgd])],
    models: Models(
      families: [.llama], words: "the Llama and Qwen 2 families",
      lacking: [
        .experts, .latentAttention, .furtherPredictions, .sinks, .attentionChunks, .attentionOutputGate,
        .attentionOutputBias, .feedForwardBias, .queryKeyNorm, .dropout, .plainFeedForward, .ownHeadSize,
        .rotaryScaling, .anotherNorm, .anotherBlock, .noRotaryPositions, .embeddingNorm, .headBias,
      ]),
    limits: Limits(hasUnfusedAttention: false, attentionWindows: .inEveryLayer, microBatchesFewerThanStages: 1))
}
