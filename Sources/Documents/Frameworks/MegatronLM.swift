extension Capabilities {
  /// Megatron-LM without Megatron-FSDP: megatron-core 0.20.0 (main, d98e8a64, 2026-08-22), `training/arguments.py`,
  /// `core/transformer/transformer_config.py` and `core/transformer/pipeline_parallel_layer_layout.py`.
  ///
  /// Moments of other formats than fp32 are those of the precision-aware optimizer, which updates shards, and under bf16
  /// keeps remainders of the master weights (`core/optimizer/optimizer_config.py`); its 8-bit numbers are FP8, with a
  /// scale a tensor. Of optimizers that are not elementwise whole layers' matrices are divided among replicas.
  package static let megatronLM = Capabilities(
    name: "megatron-lm", title: "Megatron-LM", version: "core 0.20", coefficientNames: ["megatron-lm", "nemo"],
    axes: [.tensor, .context, .data, .pipeline], interleaving: .largerGroups, layerSplit: .any,
    recomputations: megatronRecomputations, recomputesSomeLayers: true, offloadsOptimizerStates: false,
    hosting: HostingOffer(
      words: "optimizer-cpu-offload; cpu-offloading-num-layers", updates: .parts, updatesPlainAdamOnly: true,
      activations: .keptWithoutPipeline),
    shardings: [
      ShardingOffer(form: .replicated, words: "data parallelism"),
      ShardingOffer(form: .optimizer, words: "distributed optimizer"),
      ShardingOffer(form: .optimizerInParts, words: "distributed optimizer in several instances"),
    ],
    sequenceParallelism: .optional, tensorOverlap: megatronTensorOverlap, precisions: megatronPrecisions,
    gradientAccumulation: .either,
    optimizers: [
      OptimizerOffer(words: "adam", rules: [.adam]),
      OptimizerOffer(
        words: "adam, use-precision-aware-optimizer in bf16", rules: [.adam], moments: [.fp32, .bf16, .int8],
        masterWeights: [.remainders], needsShards: true),
      OptimizerOffer(words: "sgd", rules: [.sgd, .momentum]), OptimizerOffer(words: "muon", rules: [.muon]),
    ],
    models: megatronModels, contextExchanges: megatronContextExchanges,
    experts: ExpertOffer(
      words: "expert-model-parallel-size, expert-tensor-parallel-size",
      dispatchers: [.allToAll, .allGather, .deepEP, .hybridEP], widths: .any, overlaps: true),
    narrowWeights: NarrowWeightsOffer(
      words: "fp8-param-gather, fp4-param-gather", precisions: [.fp8Delayed, .fp8Current, .mxfp8, .nvfp4],
      withHostUpdate: [.fp8Delayed]),
    // Transformer Engine's delayed scaling reduces its largest numbers over all layers alike (`transformer_config.py`).
    wideLayerPrecisions: [.fp8Current, .fp8Blockwise, .mxfp8, .nvfp4], narrowHeadPrecisions: [.mxfp8],
    limits: Limits(interleavesUnevenChunks: true))

  /// Megatron-LM with Megatron-FSDP, version 1: the same sources, and `core/distributed/fsdp/mcore_fsdp_adapter.py`.
  ///
  /// Its mesh is of all ranks and has a data and a tensor axis only, so that a pipeline fails where it is made. Version 2
  /// has no tensor parallelism either. Where gradients are divided they are reduced in every backward pass, under it.
  package static let megatronFSDP = Capabilities(
    name: "megatron-fsdp", title: "Megatron-FSDP", version: "core 0.20",
    coefficientNames: ["megatron-fsdp", "megatron-lm", "nemo"],
    axes: [.tensor, .context, .data], interleaving: .none, layerSplit: .any,
    recomputations: megatronRecomputations, recomputesSomeLayers: true, offloadsOptimizerStates: false,
    hosting: HostingOffer(words: "cpu-offloading-num-layers", updates: .never, activations: .keptWithoutPipeline),
    shardings: [
      ShardingOffer(form: .replicated, words: "no_shard", withPipeline: false),
      ShardingOffer(form: .optimizer, words: "optim", withPipeline: false),
      ShardingOffer(form: .gradients, words: "optim_grads", withPipeline: false),
      ShardingOffer(form: .weights, words: "optim_grads_params", withPipeline: false),
      ShardingOffer(form: .hybrid, words: "optim_grads_params in several instances", withPipeline: false),
      ShardingOffer(
        form: .hybridWithOuterOptimizer, words: "optim_grads_params in several instances, outer optim",
        withPipeline: false),
    ],
    sequenceParallelism: .optional, precisions: [.bf16, .fp16, .fp32, .tf32], gradientAccumulation: .either,
    optimizers: [
      OptimizerOffer(words: "adam", rules: [.adam]), OptimizerOffer(words: "sgd", rules: [.sgd, .momentum]),
    ],
    models: megatronModels, contextExchanges: megatronContextExchanges,
    limits: Limits(overlapsShardedGradientsAlways: true))

  /// Transformer Engine's buffers of bf16, or of the bytes of FP8 (`initialize_ub` and `fill_userbuffers_buffer_for_all_gather` of
  /// `pytorch/module/base.py` at d0067d0): tensors of a scale, and of MXFP8's blocks 128 rows at a time; others have none.
  /// `core/extensions/transformer_engine.py` switches the overlap off at the first product that is no layer's usual four, which
  /// latent attention and further predictions have. Experts' own products are never overlapped, but exchange nothing with tensor
  /// groups by these buffers either. Megatron-FSDP takes the flag too, but asks not to be used beside tensor groups, whose
  /// exchanges want their kernels in order (`CUDA_DEVICE_MAX_CONNECTIONS`), and no run tells what it then hides.
  ///
  /// Transformer Engine makes a buffer for each of the products that exchange anything, twelve in all (`initialize_ub`,
  /// `pytorch/module/base.py`).
  private static let megatronTensorOverlap = TensorOverlapOffer(
    words: "tp-comm-overlap", precisions: [.bf16, .fp8Delayed, .fp8Current, .mxfp8], rowsOfBlocks: 128,
    bufferCount: 12, ofUsualProductsOnly: true)

  private static let megatronContextExchanges = [
    ContextOffer(exchange: .ring, words: "cp-comm-type p2p"),
    ContextOffer(exchange: .allGather, words: "allgather"), ContextOffer(exchange: .allToAll, words: "a2a"),
    ContextOffer(exchange: .allToAllRing, words: "a2a+p2p"),
  ]

  /// Transformer Engine's recipes come with flags of their own, which Megatron-FSDP takes with restrictions.
  private static let megatronPrecisions: [Precision] = [
    .bf16, .fp16, .fp32, .tf32, .fp8Delayed, .fp8Current, .fp8Blockwise, .mxfp8, .nvfp4,
  ]

  private static let megatronRecomputations = [
    Recomputation(words: "none", recompute: Strategy.Recompute.none),
    Recomputation(words: "selective, recompute-modules", recompute: .selective, modules: .all),
    Recomputation(words: "full, uniform or block", recompute: .full),
  ]

  /// `core_transformer_config_from_args` makes SwiGLU, squared ReLU, a gated quick GELU, or else GELU, whose fused kernel
  /// approximates it by tanh and wants biases. The scaling factor of Llama 3.1's rotary positions is 8 whatever the flag
  /// says, since the model's configuration does not get it (`gpt_config_from_args`).
  private static let megatronModels = Models(
    families: [.gpt, .llama],
    words: "the GPT and Llama families with GELU, squared ReLU, quick GeGLU or SwiGLU",
    lacking: [
      .relu, .plainSiLU, .plainQuickGELU, .otherGate, .tanhGELUWithoutBiases, .attentionOutputBiasOfItsOwn,
      .feedForwardBiasesAlone, .otherRotaryScaling, .fractionalRotaryBase, .unusualNorm, .anotherBlock,
      .anotherQueryKeyNorm, .learnedAndRotaryPositions, .embeddingNorm, .headBias, .attentionChunks, .otherRouter,
      .sharedExpertsBesideBiases, .latentAttentionBiases, .otherLatentPositions, .otherScoreScale,
      .predictionsBesideOtherPositions, .attentionOutputGate, .latentExperts,
    ],
    particulars: [.rotaryFraction, .unrotatedInterval, .scoreScale, .gateOffset, .gateLimit])
}
