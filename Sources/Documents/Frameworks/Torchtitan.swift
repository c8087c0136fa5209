extension Capabilities {
  /// torchtitan 0.3.0: `config` and the Llama 3 and Qwen 3 models' `parallelize.py`.
  package static let torchtitan = Capabilities(
    name: "torchtitan", title: "torchtitan", version: "0.3",
    coefficientNames: ["torchtitan", "composer + pytorch fsdp"],
    axes: [.tensor, .data, .pipeline], interleaving: .largerGroups, layerSplit: .any,
    recomputations: [
      Recomputation(words: "none", recompute: Strategy.Recompute.none),
      Recomputation(words: "selective, by operation", recompute: nil),
      Recomputation(words: "selective, every n-th layer", recompute: nil),
      Recomputation(words: "memory budget", recompute: nil),
      Recomputation(words: "full", recompute: .full),
    ],
    recomputesSomeLayers: false, offloadsOptimizerStates: false,
    shardings: [
      ShardingOffer(form: .replicated, words: "replicate"),
      ShardingOffer(form: .gradients, words: "shard, never resharded after forward", withPipeline: false),
      ShardingOffer(form: .weights, words: "shard", withPipeline: false),
      ShardingOffer(form: .hybrid, words: "replicate and shard", withPipeline: false),
      // Under a pipeline weights stay whole from the first micro-batch to the last, and gradients until then.
      ShardingOffer(form: .optimizer, words: "shard, in a pipeline"),
      ShardingOffer(form: .optimizerInParts, words: "replicate and shard, in a pipeline"),
    ],
    sequenceParallelism: .optional, precisions: [.bf16, .fp32], gradientAccumulation: .fp32,
    models: Models(families: [.llama], words: "the Llama 3 and Qwen 3 families"))
}
