extension Capabilities {
  /// torchtitan 0.3.0 and main (b5bcd76c, 2026-08-21): `config/configs.py`, `distributed/fsdp.py`,
  /// `distributed/pipeline_parallel.py`, the Llama 3, Qwen 3 and DeepSeek V3 models' `parallelize.py` and
  /// `models/common`.
  ///
  /// Further predictions are DeepSeek V3's, without a pipeline and on whole sequences (`models/deepseek_v3/mtp.py`).
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
    sequenceParallelism: .optional, precisions: torchtitanPrecisions, plainFP8: .fp8Current,
    gradientAccumulation: .fp32,
    optimizers: [
      torchtitanAdam,
      OptimizerOffer(words: "implementation fused_opt_states_bf16", rules: [.adam], moments: [.bf16]),
      torchtitanWholeBF16,
    ],
    models: Models(
      families: [.llama], words: "the Llama 3, Qwen 3 and DeepSeek V3 families",
      lacking: [
        .otherRouter, .expertBiases, .sharedExpertGate, .latentExperts, .latentAttentionBiases, .otherScoreScale,
        .predictionsWithoutLatentAttention, .sinks, .attentionChunks, .attentionOutputGate, .queryKeyValueBias,
        .attentionOutputBias, .feedForwardBias, .dropout, .plainFeedForward, .anotherActivation,
        .rotaryScalingButOfLatentAttention, .rotaryScalingWithQueryKeyNorm, .rotaryScalingWithExperts, .anotherNorm,
        .anotherBlock, .anotherQueryKeyNorm, .noRotaryPositions, .embeddingNorm, .headBias,
      ], particulars: [.scoreScale]),
    contextExchanges: torchtitanContextExchanges,
    experts: torchtitanExperts,
    // PyTorch's interleaved schedules keep three chunks of a stage gathered (`max_active_stages`).
    limits: Limits(
      hasUnfusedAttention: false, attentionWindows: .never, tiesEmbeddingsInPipeline: false,
      compilesNarrowProducts: true, predictsFurtherBesideOtherAxes: false, dividesStatesAlongSequences: true,
      shardedChunkCount: 3))

  /// The mesh [pp, dp_replicate, efsdp, ep] lies over [pp, dp_replicate, dp_shard, cp, tp]
  /// (`distributed/parallel_dims.py`): experts are divided within replicas of the shards, tensor groups among them, and
  /// their states over efsdp = dp_shard · cp · tp / ep. Without `expert_parallel_degree` tensor groups divide the width of
  /// experts, whose tokens they gather before the router (`models/common/moe_sharding.py`). Tokens go by
  /// `moe_comm_backend` standard, deepep or hybridep (`models/common/config_utils.py`), of which DeepEP's leaves no room for
  /// the rows that FP8 wants (`components/quantization/utils.py`, `swap_token_dispatcher`).
  private static let torchtitanExperts = ExpertOffer(
    words: "expert_parallel_degree", dispatchers: [.allToAll, .deepEP, .hybridEP], widths: .asTensorGroupsOrWhole,
    liesWithinShards: true, unpadded: [.deepEP])

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
    sequenceParallelism: .always, precisions: torchtitanPrecisions, plainFP8: .fp8Current,
    gradientAccumulation: .fp32,
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
    // Of one scale a tensor: each row's own is cast after the gather.
    narrowWeights: NarrowWeightsOffer(
      words: "enable_fsdp_float8_all_gather", precisions: [.fp8Current], withoutGathers: false),
    limits: Limits(
      hasUnfusedAttention: false, attentionWindows: .never, tiesEmbeddingsInPipeline: false,
      compilesNarrowProducts: true, dividesStatesAlongSequences: true, shardedChunkCount: 3))

  /// FP8 is that of converters (`components/quantization`), which scale by what a tensor's numbers are now: each row's largest,
  /// or in 0.2.2 also the tensor's, and MXFP8's blocks. NVFP4 is a prototype for other layers than experts, and not asked
  /// for here.
  private static let torchtitanPrecisions: [Precision] = [.bf16, .fp32, .tf32, .fp8Current, .mxfp8]

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
