/// The plan in the words of Megatron-LM's command line (flags of megatron-core 0.20).
extension Plan {
  /// Arguments that make `pretrain_gpt.py` train this job by this plan. Data, tokenizer, optimizer schedule and what does
  /// not bear on cost (rotary base and scaling, norm epsilon) are the user's.
  public var megatronArguments: [String] {
    modelArguments + batchArguments + parallelArguments + memoryArguments
  }

  private var modelArguments: [String] {
    let model = job.model
    var arguments = [
      "--num-layers", "\(model.layerCount)", "--hidden-size", "\(model.hiddenSize)",
      "--ffn-hidden-size", "\(model.feedForwardSize)", "--num-attention-heads", "\(model.headCount)",
      "--kv-channels", "\(model.headSize)", "--seq-length", "\(job.sequenceLength)",
      "--max-position-embeddings", "\(max(model.positionCount, job.sequenceLength))",
    ]
    if model.keyValueHeadCount != model.headCount {
      arguments += ["--group-query-attention", "--num-query-groups", "\(model.keyValueHeadCount)"]
    }
    if model.hasGatedFeedForward { arguments.append("--swiglu") }
    if !model.hasTiedEmbeddings { arguments.append("--untie-embeddings-and-output-weights") }
    if model.family == .llama { arguments += ["--normalization", "RMSNorm", "--position-embedding-type", "rope"] }
    if !model.hasFeedForwardBias { arguments.append("--disable-bias-linear") }
    if model.hasQueryKeyValueBias, !model.hasFeedForwardBias { arguments.append("--add-qkv-bias") }
    if model.hasQueryKeyNorm { arguments.append("--qk-layernorm") }
    if !model.hasDropout { arguments += ["--attention-dropout", "0", "--hidden-dropout", "0"] }
    return arguments
  }

  private var batchArguments: [String] {
    var arguments = ["--micro-batch-size", "\(strategy.microBatch)", "--global-batch-size", "\(job.globalBatch)"]
    if job.precision != .fp32 { arguments.append("--\(job.precision.rawValue)") }
    if job.precision != .fp32, job.accumulatesGradientsInFP32 {
      arguments.append("--accumulate-allreduce-grads-in-fp32")
    } else if job.precision == .bf16 {
      arguments.append("--grad-reduce-in-bf16")
    }
    return arguments
  }

  private var parallelArguments: [String] {
    var arguments = [
      "--tensor-model-parallel-size", "\(strategy.tensorDegree)",
      "--pipeline-model-parallel-size", "\(strategy.pipelineDegree)",
    ]
    if strategy.usesSequenceParallelism { arguments.append("--sequence-parallel") }
    if strategy.virtualStageCount > 1 {
      arguments += ["--num-virtual-stages-per-pipeline-rank", "\(strategy.virtualStageCount)"]
    } else if Set(layerCounts).count > 1 {
      arguments += ["--pipeline-model-parallel-layout", pipelineLayout]
    }
    switch strategy.zeroStage {
    case .none: break
    case .optimizer: arguments.append("--use-distributed-optimizer")
    case .gradients:
      arguments += [
        "--use-megatron-fsdp", "--use-distributed-optimizer", "--data-parallel-sharding-strategy", "optim_grads",
        "--no-gradient-accumulation-fusion", "--ckpt-format", "fsdp_dtensor",
      ]
    case .weights:
      arguments += [
        "--use-megatron-fsdp", "--use-distributed-optimizer", "--data-parallel-sharding-strategy",
        "optim_grads_params", "--no-gradient-accumulation-fusion", "--ckpt-format", "fsdp_dtensor",
      ]
    }
    if strategy.overlapsGradientReduce {
      arguments.append("--overlap-grad-reduce")
      if strategy.zeroStage >= .optimizer { arguments.append("--overlap-param-gather") }
    }
    return arguments
  }

  private var memoryArguments: [String] {
    let attention = ["--attention-backend", strategy.usesFlashAttention ? "flash" : "unfused"]
    switch strategy.recompute {
    case .none: return attention
    case .selective: return attention + ["--recompute-granularity", "selective"]
    case .full:
      return attention + [
        "--recompute-granularity", "full", "--recompute-method", "uniform", "--recompute-num-layers", "1",
      ]
    }
  }

  /// Uneven stages: `E` is the embedding, `t` a layer, `L` head and loss, `|` ends a stage.
  private var pipelineLayout: String {
    "E" + layerCounts.map { String(repeating: "t", count: $0) }.joined(separator: "|") + "L"
  }
}
