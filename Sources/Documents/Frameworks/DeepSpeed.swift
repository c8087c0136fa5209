extension Capabilities {
  /// DeepSpeed 0.19.6 (main, edaa7221, 2026-08-22): `runtime/config.py`, `runtime/zero/config.py`,
  /// `module_inject/auto_ep_config.py`.
  ///
  /// Pipelines (`PipelineModule`) and recomputation are model code. Tensor parallelism is that of models with a plan of
  /// their own (`tensor_parallel.autotp_size`), with every ZeRO stage (`runtime/engine.py`,
  /// `_configure_tensor_parallel_states`) and without sequence parallelism; it leaves embeddings whole. The shard
  /// groups of MiCS and hpZ are consecutive ranks of the world (`runtime/zero/mics_utils.py`, `utils/groups.py`), which
  /// tensor groups would cut across.
  package static let deepSpeed = Capabilities(
    name: "deepspeed", title: "DeepSpeed", version: "0.19",
    coefficientNames: ["deepspeed", "megatron-deepspeed", "composer + pytorch fsdp"],
    axes: [.tensor, .context, .data], interleaving: .none, layerSplit: .any,
    recomputations: [
      Recomputation(words: "none", recompute: Strategy.Recompute.none),
      Recomputation(words: "the model code's, every block", recompute: .full),
    ],
    recomputesSomeLayers: false, offloadsOptimizerStates: false,
    hosting: HostingOffer(
      words: "offload_optimizer, offload_param; cpu_checkpointing", updates: .wholeOrPartsOfZeRO3, holdsWeights: true,
      activations: .blockInputs),
    shardings: [
      ShardingOffer(form: .replicated, words: "stage 0"),
      ShardingOffer(form: .optimizer, words: "stage 1"),
      ShardingOffer(form: .gradients, words: "stage 2"),
      ShardingOffer(
        form: .weights, words: "stage 3 with ZeRO++", withTensorParallelism: false, withSecondaryCopy: true,
        withQuantisation: true),
      ShardingOffer(form: .weights, words: "stage 3"),
      ShardingOffer(form: .hybrid, words: "stage 3 with mics_shard_size", withTensorParallelism: false),
    ],
    sequenceParallelism: .never, precisions: [.bf16, .fp16, .fp32, .tf32], gradientAccumulation: .either,
    optimizers: [
      OptimizerOffer(
        words: "any of the training script's", rules: Optimizer.Rule.allCases, moments: Optimizer.Moments.allCases,
        isPaged: true),
      // Moments of fp32 beside bf16 weights alone are CPU Adam's (`runtime/base_optimizer.py`).
      OptimizerOffer(
        words: "bf16_master_weights_and_grads with bf16_optimizer_states", rules: Optimizer.Rule.allCases,
        moments: [.bf16], masterWeights: [.none], needsShards: true, keepsGradientsInWeightFormat: true),
    ],
    models: Models(
      families: [.gpt, .llama, .bert], words: "any model code", particulars: Set(ModelDescription.Particular.allCases)),
    // Ulysses, which wraps attention in the model code (`sequence/layer.py`).
    contextExchanges: [ContextOffer(exchange: .allToAll, words: "sequence_parallel_size")],
    // AutoEP, in models whose layers DeepSpeed replaces: consecutive ranks divide experts (`module_inject/auto_ep_folding.py`;
    // `utils/groups.py`, `_create_expert_and_data_parallel`). Tensor groups beside it have every token on each of their
    // ranks, which is not priced; its ZeRO 3 is `runtime/engine.py`'s (`_validate_zero3_moe_compatibility`).
    experts: ExpertOffer(
      words: "expert_parallel.autoep_size", dispatchers: [.allToAll], withoutTensorGroups: true,
      dividesWeightsAmongAll: true, hasOtherExperts: false),
    // `_do_optimizer_sanity_check`: without ZeRO gradients have the weights' type.
    limits: Limits(accumulatesWholeGradientsInFP32: false, dividesSequencesWithoutTensorGroups: true))
}
