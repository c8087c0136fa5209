/// The plan in the words of Megatron-LM's command line (flags of megatron-core 0.20).
extension Plan {
  /// Arguments that make `pretrain_gpt.py` train this job by this plan. Data, tokenizer, optimizer schedule and what
  /// does not bear on cost (rotary base and scaling, norm epsilon) are the user's. Nil where Megatron-LM has no words
  /// for how replicas divide their states.
  ///
  /// Where stages differ, ``megatronStageArguments`` come after these.
  package var megatronArguments: [String]? {
    guard let shardArguments else { return nil }
    return modelArguments + batchArguments + parallelArguments + shardArguments + overlapArguments + memoryArguments
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
    if strategy.schedule.isInterleaved {
      arguments += ["--num-virtual-stages-per-pipeline-rank", "\(strategy.virtualStageCount)"]
      if let size = Strategy.Schedule.groupSize(
        stageCount: strategy.pipelineDegree, microBatchCount: microBatchCount), size != strategy.pipelineDegree
      {
        arguments += ["--microbatch-group-size-per-virtual-pipeline-stage", "\(size)"]
      }
    } else if Set(split.layerCounts).count > 1 {
      arguments += ["--pipeline-model-parallel-layout", pipelineLayout]
    }
    return arguments
  }

  /// How replicas divide weights, gradients and optimizer states: the distributed optimizer, whole or in several
  /// instances, and Megatron-FSDP, whole, hybrid or with optimizer states divided further among the instances.
  private var shardArguments: [String]? {
    let sharding = strategy.sharding, n = strategy.dataDegree
    let optimizer = sharding.optimizerDegree
    guard sharding.secondaryDegree == nil, !sharding.isQuantised else { return nil }
    func fullySharded(_ what: String, instances: Int = 1, outer: String = "no_shard") -> [String] {
      ["--use-megatron-fsdp", "--use-distributed-optimizer", "--data-parallel-sharding-strategy", what]
        + (instances > 1
          ? ["--num-distributed-optimizer-instances", "\(instances)", "--outer-dp-sharding-strategy", outer] : [])
        + ["--no-gradient-accumulation-fusion", "--ckpt-format", "fsdp_dtensor"]
    }
    switch (sharding.weightDegree, sharding.gradientDegree) {
    case (1, 1):
      guard strategy.zeroStage == .optimizer else {
        // A single replica's optimizer offloads as the distributed one does.
        return split.choices?.contains(where: \.offloadsOptimizer) == true ? ["--use-distributed-optimizer"] : []
      }
      return ["--use-distributed-optimizer"]
        + (optimizer < n ? ["--num-distributed-optimizer-instances", "\(n / optimizer)"] : [])
    case (1, n) where optimizer == n: return fullySharded("optim_grads")
    case (let weights, let gradients) where weights == gradients && weights > 1:
      if optimizer == weights { return fullySharded("optim_grads_params", instances: n / weights) }
      return optimizer == n
        ? fullySharded("optim_grads_params", instances: n / weights, outer: "optim") : nil
    default: return nil
    }
  }

  private var overlapArguments: [String] {
    guard strategy.overlapsGradientReduce else { return [] }
    return ["--overlap-grad-reduce"] + (strategy.zeroStage >= .optimizer ? ["--overlap-param-gather"] : [])
  }

  private var memoryArguments: [String] {
    let attention = ["--attention-backend", strategy.usesFlashAttention ? "flash" : "unfused"]
    let selective = strategy.recompute == .selective ? ["--recompute-granularity", "selective"] : []
    if let choices = split.choices {
      // What all stages agree on.
      let first = choices.first.map(Self.arguments) ?? []
      return attention + selective + (megatronStageArguments == nil ? first : [])
    }
    guard strategy.recompute == .full else { return attention + selective }
    return attention + [
      "--recompute-granularity", "full", "--recompute-method", "uniform", "--recompute-num-layers", "1",
    ]
  }

  /// What the ranks of each stage get beside the common arguments; nil when stages do not differ.
  ///
  /// Every rank parses its own command line, and these arguments bear on nothing but its own layers and its own
  /// optimizer states: a launcher appends the entry of the rank's stage, `rank / (tensor · data)`.
  package var megatronStageArguments: [[String]]? {
    guard let choices = split.choices, Set(choices).count > 1 else { return nil }
    return choices.map(Self.arguments)
  }

  private static func arguments(_ choice: StageChoice) -> [String] {
    var arguments: [String] = []
    if choice.recomputedLayerCount > 0 {
      arguments += [
        "--recompute-granularity", "full", "--recompute-method", "block", "--recompute-num-layers",
        "\(choice.recomputedLayerCount)",
      ]
    }
    if choice.offloadsOptimizer { arguments.append("--offload-optimizer-states") }
    return arguments
  }

  /// Uneven stages: `E` is the embedding, `t` a layer, `L` head and loss, `|` ends a stage.
  private var pipelineLayout: String {
    "E" + split.layerCounts.map { String(repeating: "t", count: $0) }.joined(separator: "|") + "L"
  }
}
