extension Capabilities {
  /// Megatron-LM without Megatron-FSDP: megatron-core 0.20.0 (main, d98e8a64, 2026-08-22), `arguments.py` and the
  /// configuration classes.
  package static let megatronLM = Capabilities(
    name: "megatron-lm", title: "Megatron-LM", version: "core 0.20", coefficientNames: ["megatron-lm", "nemo"],
    axes: [.tensor, .data, .pipeline], interleaving: .largerGroups, layerSplit: .any,
    recomputations: megatronRecomputations, recomputesSomeLayers: true, offloadsOptimizerStates: false,
    shardings: [
      ShardingOffer(form: .replicated, words: "data parallelism"),
      ShardingOffer(form: .optimizer, words: "distributed optimizer"),
      ShardingOffer(form: .optimizerInParts, words: "distributed optimizer in several instances"),
    ],
    sequenceParallelism: .optional, precisions: [.bf16, .fp16, .fp32], gradientAccumulation: .either,
    models: megatronModels)

  /// Megatron-LM with Megatron-FSDP, version 1: the same sources.
  package static let megatronFSDP = Capabilities(
    name: "megatron-fsdp", title: "Megatron-FSDP", version: "core 0.20",
    coefficientNames: ["megatron-fsdp", "megatron-lm", "nemo"],
    axes: [.tensor, .data], interleaving: .none, layerSplit: .any,
    recomputations: megatronRecomputations, recomputesSomeLayers: true, offloadsOptimizerStates: false,
    shardings: [
      ShardingOffer(form: .gradients, words: "optim_grads"),
      ShardingOffer(form: .weights, words: "optim_grads_params"),
      ShardingOffer(form: .hybrid, words: "optim_grads_params in several instances"),
      ShardingOffer(form: .hybridWithOuterOptimizer, words: "optim_grads_params, outer optim"),
    ],
    sequenceParallelism: .optional, precisions: [.bf16, .fp16, .fp32], gradientAccumulation: .either,
    models: megatronModels)

  private static let megatronRecomputations = [
    Recomputation(words: "none", recompute: Strategy.Recompute.none),
    Recomputation(words: "selective, core_attn", recompute: .selective),
    Recomputation(words: "selective, other modules", recompute: nil),
    Recomputation(words: "full, uniform or block", recompute: .full),
  ]

  private static let megatronModels = Models(
    families: [.gpt, .llama], words: "GPT and Llama families, activations GELU, squared ReLU and SwiGLU")
}
