import Documents

/// A plan in the words of Megatron-LM's command line: main at d98e8a64 (2026-08-22, megatron-core 0.20).
///
/// Of a plan that ``Capabilities`` of Megatron-LM or Megatron-FSDP admit.
struct MegatronArguments {
  let plan: Plan
  /// Whether states are divided by Megatron-FSDP.
  let isFullySharded: Bool

  private var strategy: Strategy { plan.strategy }

  /// What all ranks are told, a flag or a value each.
  var words: [String] {
    MegatronModelArguments(model: plan.job.model, sequenceLength: plan.job.sequenceLength).words
      + vocabulary + batch + degrees + layers + sharding + optimizer + overlap + memory + rest
  }

  /// What the ranks of each stage are told beside that; empty where stages do not differ.
  ///
  /// Every rank parses its own command line, and recomputation bears on nothing but its own layers.
  var stageWords: [[String]] {
    guard let choices = plan.split.choices, Set(choices).count > 1 else { return [] }
    return choices.map(recomputation)
  }

  /// What is not as the plan has it, or is for the user to know.
  var notes: [String] { [predictionNote, tensorOverlapNote].compactMap(\.self) }

  private var predictionNote: String? {
    let model = plan.job.model
    guard model.predictionDepth > 0, words.contains("block") || stageWords.joined().contains("block") else {
      return nil
    }
    return
      "Megatron-LM recomputes no layer that predicts further tokens where single layers of a stage are recomputed: the last "
      + "stage keeps more than the plan says."
  }

  private var tensorOverlapNote: String? {
    guard strategy.overlapsTensorExchange else { return nil }
    return
      "--tp-comm-overlap wants CUDA's multicast between a node's devices: without it, set UB_SKIPMC=1."
  }

  // MARK: Batch and degrees

  /// The padded size is stated too, so that the model keeps its shape whatever tokenizer the user chooses.
  private var vocabulary: [String] {
    let model = plan.job.model
    let padded = model.paddedVocabularySize(multiple: Self.vocabularyMultiple, tensorDegree: strategy.tensorDegree)
    return ["--vocab-size", "\(model.vocabularySize)", "--padded-vocab-size", "\(padded)"]
  }

  /// The default of `--make-vocab-size-divisible-by`.
  private static let vocabularyMultiple = 128

  private var batch: [String] {
    let job = plan.job
    var words = ["--micro-batch-size", "\(strategy.microBatch)", "--global-batch-size", "\(job.globalBatch)"]
    guard job.precision.is16Bit else { return words }
    words.append("--\(job.precision.storage.rawValue)")
    words += job.precision.megatronRecipe + (strategy.holdsNarrowWeights ? job.precision.megatronNarrowWeights : [])
    if job.precision.products != nil { words += job.wideLayers.megatronArguments }
    if job.headProducts != nil { words.append(Precision.megatronHeadFlag) }
    if job.accumulatesGradientsInFP32 {
      words.append("--accumulate-allreduce-grads-in-fp32")
      // Megatron-FSDP's own gradients have the weights' format unless it is told.
      if isFullySharded { words += ["--megatron-fsdp-main-grads-dtype", "fp32"] }
    } else if job.precision.storage == .bf16 {
      words.append("--grad-reduce-in-bf16")
    }
    return words
  }

  private var degrees: [String] {
    [
      "--tensor-model-parallel-size", "\(strategy.tensorDegree)",
      "--pipeline-model-parallel-size", "\(strategy.pipelineDegree)",
    ] + (strategy.usesSequenceParallelism ? ["--sequence-parallel"] : [])
      + (strategy.overlapsTensorExchange ? ["--tp-comm-overlap"] : []) + context
      + (plan.job.model.experts == nil ? [] : strategy.expertDivision.megatronWords)
  }

  /// How sequences are divided among ranks.
  private var context: [String] {
    guard strategy.contextDegree > 1 else { return [] }
    return [
      "--context-parallel-size", "\(strategy.contextDegree)", "--cp-comm-type", strategy.contextExchange.megatronWord,
    ]
      + (strategy.contextExchange == .allToAllRing
        ? [
          "--hierarchical-context-parallel-sizes", "\(strategy.contextInnerDegree)",
          "\(strategy.contextDegree / strategy.contextInnerDegree)",
        ] : [])
  }

  /// Layers of every virtual stage; those that predict further tokens are on the last.
  private var layout: MegatronLayout {
    var layout = MegatronLayout(layerCounts: plan.split.layerCounts)
    layout.predictionLayerCount = plan.job.model.predictionDepth
    return layout
  }

  private var layers: [String] {
    let isEven = Set(plan.split.layerCounts).count == 1
    var words: [String] = []
    if !isEven {
      words += ["--pipeline-model-parallel-layout", layout.text]
    } else if strategy.schedule.isInterleaved {
      words += ["--num-virtual-stages-per-pipeline-rank", "\(strategy.virtualStageCount)"]
    }
    if strategy.schedule.isInterleaved,
      let size = Strategy.Schedule.groupSize(
        stageCount: strategy.pipelineDegree, microBatchCount: plan.microBatchCount),
      size != strategy.pipelineDegree
    {
      words += ["--microbatch-group-size-per-virtual-pipeline-stage", "\(size)"]
    }
    return words
  }

  // MARK: States

  /// How replicas divide weights, gradients and optimizer states, and the format of checkpoints that follows.
  private var sharding: [String] {
    let sharding = strategy.sharding, replicas = strategy.replicaCount
    guard isFullySharded else {
      guard strategy.zeroStage >= .optimizer || isPrecisionAware || strategy.holdsNarrowWeights else {
        return ["--ckpt-format", "torch_dist"]
      }
      let instances = replicas / sharding.optimizerDegree
      return ["--use-distributed-optimizer"]
        + (instances > 1 ? ["--num-distributed-optimizer-instances", "\(instances)"] : [])
        + ["--ckpt-format", "torch_dist"]
    }
    let parts = sharding.weightDegree > 1 ? replicas / sharding.weightDegree : 1
    let kinds =
      switch strategy.zeroStage {
      case .none: "no_shard"
      case .optimizer: "optim"
      case .gradients: "optim_grads"
      case .weights: "optim_grads_params"
      }
    var words = [
      "--use-megatron-fsdp", "--megatron-fsdp-version", "1", "--use-distributed-optimizer",
      "--data-parallel-sharding-strategy", kinds,
    ]
    if parts > 1 {
      words += [
        "--num-distributed-optimizer-instances", "\(parts)", "--outer-dp-sharding-strategy",
        sharding.optimizerDegree == replicas ? "optim" : "no_shard",
      ]
    }
    // The fused kernel wants a recent Transformer Engine; the plain one does the same sums.
    return words + ["--no-gradient-accumulation-fusion", "--ckpt-format", "fsdp_dtensor"]
  }

  /// What updates the weights, where it is not Adam with states of fp32.
  private var optimizer: [String] {
    let optimizer = plan.job.optimizer
    let rule =
      switch optimizer.rule {
      case .adam, .adafactor: [String]()
      case .sgd: ["--optimizer", "sgd", "--sgd-momentum", "0"]
      case .momentum: ["--optimizer", "sgd"]
      case .muon: ["--optimizer", "muon"]
      }
    guard isPrecisionAware else { return rule }
    let format = optimizer.moments == .int8 ? "fp8" : optimizer.moments.rawValue
    return rule + ["--use-precision-aware-optimizer", "--exp-avg-dtype", format, "--exp-avg-sq-dtype", format]
      + (plan.job.accumulatesGradientsInFP32 ? [] : ["--main-grads-dtype", "bf16"]) + host
  }

  /// What the host holds and does.
  private var host: [String] {
    let percent = strategy.hosting.updatePercent
    guard percent > 0 else { return [] }
    return [
      "--optimizer-cpu-offload", "--optimizer-offload-fraction", "\(Double(percent) / 100)",
      "--overlap-cpu-optimizer-d2h-h2d",
    ]
  }

  /// Whether Megatron-LM's precision-aware optimizer, which updates shards of the distributed optimizer, keeps the states.
  private var isPrecisionAware: Bool {
    let optimizer = plan.job.optimizer
    return optimizer.moments != .fp32 || optimizer.masterWeights == .remainders || strategy.hosting.updatePercent > 0
  }

  private var overlap: [String] {
    guard strategy.overlapsGradientReduce else { return [] }
    return ["--overlap-grad-reduce"]
      + (strategy.zeroStage >= .optimizer || isFullySharded ? ["--overlap-param-gather"] : [])
  }

  /// Layers whose activations lie on the host; nil where there are none.
  private var offloadedLayerCount: Int? {
    switch strategy.hosting.activations {
    case .onDevice: nil
    case .layers(let count): Int(count)
    case .allButLast: plan.job.model.layerCount - 1
    }
  }

  private var memory: [String] {
    let model = plan.job.model
    // FlashAttention's kernels know neither sinks nor values of another width than keys; cuDNN's do.
    let fused = model.form.hasSinks || model.latent != nil ? "fused" : "flash"
    let attention =
      ["--attention-backend", strategy.usesFlashAttention ? fused : "unfused"]
      + (offloadedLayerCount.map { ["--cpu-offloading-num-layers", "\($0)"] } ?? [])
    if let choices = plan.split.choices, strategy.recompute != .selective {
      return attention + (stageWords.isEmpty ? choices.first.map(recomputation) ?? [] : [])
    }
    switch strategy.recompute {
    case .none: return attention
    case .selective:
      let modules = strategy.recomputeModules.isEmpty ? .attentionCore : strategy.recomputeModules
      return attention + ["--recompute-granularity", "selective", "--recompute-modules"] + modules.names
    case .full:
      return attention
        + ["--recompute-granularity", "full", "--recompute-method", "uniform", "--recompute-num-layers", "1"]
    }
  }

  /// The first layers of each of a stage's chunks.
  private func recomputation(_ choice: StageChoice) -> [String] {
    guard choice.recomputedLayerCount > 0 else { return [] }
    return [
      "--recompute-granularity", "full", "--recompute-method", "block", "--recompute-num-layers",
      "\(choice.recomputedLayerCount)",
    ]
  }

  /// What no plan decides, and what Megatron-LM does not start or end without.
  private var rest: [String] { ["--split", "99,1,0", "--log-interval", "1", "--log-throughput"] }
}
