extension Capabilities {
  /// nanotron (main, 2411b022, 2026-04-07): `config/config.py`, `models/llama.py`, `parallel/context.py`.
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
    sequenceParallelism: .optional, precisions: [.bf16, .fp16, .fp32], gradientAccumulation: .either,
    models: Models(families: [.llama], words: "the Llama and Qwen 2 families"))
}
