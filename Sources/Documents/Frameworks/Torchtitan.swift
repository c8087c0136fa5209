extension Capabilities {
  /// torchtitan 0.3.0 and main (b5bcd76c, 2026-08-21): `config/configs.py`, `distributed/fsdp.py`,
  /// `distributed/pipeline_parallel.py`, the Llama 3 and Qwen 3 models' `parallelize.py` and
  /// `models/common/decoder.py`.
  ///
  /// Every model is wrapped by FSDP2, with a shard degree of 1 too, so that replicas may be whole beside tensor groups
  /// and a pipeline. Attention is FlexAttention or variable-length attention, both fused.
  package static let torchtitan = Capabilities(
    name: "torchtitan", title: "torchtitan", version: "0.3",
    coefficientNames: ["torchtitan", "composer + pytorch fsdp"],
    axes: [.tensor, .context, .data, .pipeline], interleaving: .largerGroups, splitBackward: torchtitanSplitBackward,
    layerSplit: .any,
    recomputations: torchtitanRecomputations,
    recomputesSomeLayers: false, offloadsOptimizerStates: false,
    hosting: HostingOffer(words: "enable_cpu_offload", updates: .withWeights, holdsWeights: true),
    shardings: [ShardingOffer(form: .replicated, words: "replicate")] + torchtitanShardings,
    sequenceParallelism: .optional, precisions: [.bf16, .fp32, .tf32], gradientAccumulation: .fp32,
    optimizers: [
      torchtitanAdam,
      OptimizerOffer(words: "implementation fused_opt_states_bf16", rules: [.adam], moments: [.bf16]),
      torchtitanWholeBF16,
    ],
    models: Models(
      families: [.llama], words: "the Llama 3 and Qwen 3 families",
      lacking: [
        .experts, .latentAttention, .furtherPredictions, .sinks, .attentionChunks, .attentionOutputGate,
        .queryKeyValueBias, .attentionOutputBias, .feedForwardBias, .dropout, .plainFeedForward, .anotherActivation,
        .rotaryScalingButLlama3, .rotaryScalingWithQueryKeyNorm, .anotherNorm, .anotherBlock, .anotherQueryKeyNorm,
        .noRotaryPositions, .embeddingNorm, .headBias,
      ]),
    contextExchanges: torchtitanContextExchanges,
    // PyTorch's interleaved schedules keep three chunks of a stage gathered (`max_active_stages`).
    limits: Limits(
      hasUnfusedAttention: false, attentionWindows: .never, tiesEmbeddingsInPipeline: false,
      dividesStatesAlongSequences: true, shardedChunkCount: 3))

  /// torchtitan 0.2.2 (2026-02-20): `config/job_config.py` and the Llama 3 model's `infra/parallelize.py`.
  ///
  /// Replicas that are all whole are DDP's, which has no other axis beside it; tensor parallelism is always sequence
  /// parallelism too. Qwen 3 has no pipeline there.
  package static let torchtitan02 = Capabilities(
    name: "torchtitan-0.2", title: "torchtitan", version: "0.2.2",
    coefficientNames: ["torchtitan", "composer + pytorch fsdp"],
    axes: [.tensor, .context, .data, .pipeline], interleaving: .largerGroups, splitBackward: torchtitanSplitBackward,
    layerSplit: .any,
    recomputations: torchtitanRecomputations,
    recomputesSomeLayers: false, offloadsOptimizerStates: false,
    hosting: HostingOffer(words: "enable_cpu_offload", updates: .withWeights, holdsWeights: true),
    shardings: [
      ShardingOffer(form: .replicated, words: "replicate", withTensorParallelism: false, withPipeline: false)
    ] + torchtitanShardings,
    sequenceParallelism: .always, precisions: [.bf16, .fp32, .tf32], gradientAccumulation: .fp32,
    optimizers: [torchtitanAdam, torchtitanWholeBF16],
    models: Models(
      families: [.llama], words: "the Llama 3 family",
      lacking: [
        .experts, .latentAttention, .furtherPredictions, .sinks, .attentionChunks, .attentionOutputGate,
        .queryKeyValueBias, .attentionOutputBias, .feedForwardBias, .queryKeyNorm, .dropout, .plainFeedForward,
        .ownHeadSize, .anotherActivation, .rotaryScalingButLlama3, .anotherNorm, .anotherBlock, .noRotaryPositions,
        .embeddingNorm, .headBias,
      ]),
    contextExchanges: torchtitanContextExchanges,
    limits: Limits(
      hasUnfusedAttention: false, attentionWindows: .never, tiesEmbeddingsInPipeline: false,
      dividesStatesAlongSequences: true, shardedChunkCount: 3))

  /// Keys and values are gathered for FlexAttention (`models/common/decoder_sharding.py`), and in 0.2.2 for both kinds of
  /// attention (`distributed/context_parallel.py`): its `context_parallel_rotate_method` bears on validation alone. FSDP's
  /// shards lie across ranks that divide a sequence, too (`distributed/fsdp.py`).
  private static let torchtitanContextExchanges = [
    ContextOffer(exchange: .allGather, words: "context_parallel_degree")
  ]

  /// PyTorch's `ScheduleInterleavedZeroBubble`, `ScheduleZBVZeroBubble` and `ScheduleDualPipeV`: of several chunks a stage, and
  /// without torch.compile, which does not split backward passes (`_check_torch_compile_compatibility`).
  private static let torchtitanSplitBackward = [
    SplitBackward(words: "InterleavedZeroBubble", name: "zero-bubble", leastChunkCount: 2),
    SplitBackward(words: "ZBVZeroBubble", name: "zero-bubble-v"),
    SplitBackward(words: "DualPipeV", name: "dualpipe-v"),
  ]

  private static let torchtitanAdam = OptimizerOffer(words: "Adam, AdamW", rules: [.adam])

  private static let torchtitanWholeBF16 = OptimizerOffer(
    words: "Adam, AdamW with training.dtype bfloat16", rules: [.adam], moments: [.bf16], masterWeights: [.none],
    keepsGradientsInWeightFormat: true)

  private static let torchtitanRecomputations = [
    Recomputation(words: "none", recompute: Strategy.Recompute.none),
    Recomputation(words: "selective, by operation", recompute: .selective),
    Recomputation(words: "selective, every n-th layer", recompute: nil),
    Recomputation(words: "memory budget", recompute: nil),
    Recomputation(words: "full", recompute: .full),
  ]

  private static let torchtitanShardings = [
    ShardingOffer(form: .gradients, words: "shard, never resharded after forward", withPipeline: false),
    ShardingOffer(form: .weights, words: "shard", withPipeline: false),
    ShardingOffer(form: .hybrid, words: "replicate and shard", withPipeline: false),
    // Under a pipeline weights are not resharded after forward by default, and gradients are accumulated whole and
    // reduced with the last micro-batch (PyTorch's `pipelining/stage.py`, `backward_maybe_with_nosync`).
    ShardingOffer(form: .optimizer, words: "shard, in a pipeline", withoutPipeline: false),
    ShardingOffer(form: .optimizerInParts, words: "replicate and shard, in a pipeline", withoutPipeline: false),
  ]
}
