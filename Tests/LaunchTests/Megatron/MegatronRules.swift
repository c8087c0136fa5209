/// What Megatron-LM's validator and configuration classes ask of flags together: `validate_args` of
/// `megatron/training/arguments.py`, `core/transformer/transformer_config.py`, `pipeline_parallel_layer_layout.py` and
/// `core/distributed/fsdp/mcore_fsdp_adapter.py`, main at d98e8a64. An oracle: it shares nothing with the writer.
extension MegatronCommandLine {
  /// The first rule that is broken, as a sentence; nil if none is.
  ///
  /// - Parameters:
  ///   - worldSize: ranks in all.
  ///   - environment: variables as they are set.
  func complaint(worldSize: Int, environment: [String: String]) -> String? {
    let checks = [
      requiredComplaint, degreeComplaint(worldSize), connectionsComplaint(environment), pipelineComplaint(worldSize),
      stateComplaint(worldSize), optimizerComplaint, recomputationComplaint, modelComplaint, vocabularyComplaint,
      trainingComplaint, expertComplaint(worldSize), attentionComplaint, overlapComplaint,
    ]
    return checks.compactMap(\.self).first
  }

  var tensor: Int { integer("--tensor-model-parallel-size") ?? 1 }
  var pipeline: Int { integer("--pipeline-model-parallel-size") ?? 1 }
  var context: Int { integer("--context-parallel-size") ?? 1 }
  private var isFullySharded: Bool { has("--use-megatron-fsdp") }
  private func data(_ worldSize: Int) -> Int { worldSize / (tensor * pipeline * context) }

  private var requiredComplaint: String? {
    for flag in [
      "--num-layers", "--hidden-size", "--num-attention-heads", "--max-position-embeddings", "--micro-batch-size",
      "--seq-length", "--tokenizer-type", "--lr", "--train-iters", "--split", "--eval-interval",
    ] where !has(flag) { return "\(flag) is required" }
    return nil
  }

  private func degreeComplaint(_ worldSize: Int) -> String? {
    if worldSize % (tensor * pipeline * context) != 0 { return "world size does not divide" }
    let step = (integer("--micro-batch-size") ?? 0) * data(worldSize)
    guard let batch = integer("--global-batch-size"), step > 0, batch % step == 0 else {
      return "global batch does not divide"
    }
    if has("--sequence-parallel") {
      if tensor == 1 { return "sequence parallelism is switched off" }
      if (integer("--seq-length") ?? 0) % tensor != 0 { return "the sequence does not divide" }
    }
    for (flag, what) in [("--num-attention-heads", "heads"), ("--ffn-hidden-size", "feed-forward width")] {
      if (integer(flag) ?? 0) % tensor != 0 { return "\(what) do not divide" }
    }
    return nil
  }

  private func connectionsComplaint(_ environment: [String: String]) -> String? {
    let connections = environment["CUDA_DEVICE_MAX_CONNECTIONS"]
    if isFullySharded { return connections == "1" ? "FSDP needs more than one connection" : nil }
    if has("--overlap-moe-expert-parallel-comm") {
      return connections == "1" ? "two streams need more than one connection" : nil
    }
    return tensor * context > 1 && connections != "1" ? "tensor parallelism needs one connection" : nil
  }

  /// Besides the validator, what Transformer Engine refuses when it makes and fills its buffers (`pytorch/module/base.py`).
  private var overlapComplaint: String? {
    guard has("--tp-comm-overlap") else { return nil }
    if !has("--sequence-parallel") { return "tensor exchanges overlap with sequence parallelism only" }
    if isFullySharded { return "Megatron-FSDP asks for no tensor groups in order" }
    if !has("--bf16") || has("--fp4-format") || text("--fp8-recipe") == "blockwise" {
      return "buffers hold bf16, or FP8 of a scale a tensor or of MXFP8"
    }
    let rows = (integer("--seq-length") ?? 0) * (integer("--micro-batch-size") ?? 0) / (context * tensor)
    if text("--fp8-recipe") == "mxfp8", rows % 128 != 0 { return "blocks of 128 rows" }
    return has("--multi-latent-attention") ? "latent attention switches it off" : nil
  }

  /// The stages of a layout, unrolled by the two substitutions that the parser makes.
  static func stages(ofLayout layout: String) -> [String] {
    let groups = layout.replacing(/\(([^)]+)\)\*(\d+)/) { String(repeating: String($0.1), count: Int($0.2) ?? 0) }
    let letters = groups.replacing(/(.)\*(\d+)/) { String(repeating: String($0.1), count: Int($0.2) ?? 0) }
    return letters.split(separator: "|", omittingEmptySubsequences: false).map(String.init)
  }

  private func pipelineComplaint(_ worldSize: Int) -> String? {
    let layers = integer("--num-layers") ?? 0
    let chunkFlags = [
      "--num-layers-per-virtual-pipeline-stage", "--num-virtual-stages-per-pipeline-rank",
      "--pipeline-model-parallel-layout",
    ].filter(has)
    if chunkFlags.count > 1 { return "\(chunkFlags) exclude each other" }
    var chunks = 1
    if let layout = text("--pipeline-model-parallel-layout") {
      let stages = Self.stages(ofLayout: layout)
      let all = stages.joined()
      if stages.count % pipeline != 0 { return "the layout's stages do not divide" }
      if !all.hasPrefix("E") || !all.hasSuffix("L") { return "the layout lacks embedding or loss" }
      let inner = all.dropFirst().dropLast(), predictions = inner.count { $0 == "m" }
      if inner.contains(where: { $0 != "t" && $0 != "m" }) { return "the layout has other letters" }
      if inner.count - predictions != layers { return "the layout has other layers" }
      if predictions != integer("--mtp-num-layers") ?? 0 { return "the layout has other further predictions" }
      if inner.prefix(layers).contains("m") { return "further predictions come after all layers" }
      if stages.dropLast().contains(where: { $0.contains("m") }) { return "further predictions are with the loss" }
      chunks = stages.count / pipeline
    } else {
      if layers % pipeline != 0 { return "layers do not divide" }
      chunks = integer("--num-virtual-stages-per-pipeline-rank") ?? 1
      if layers / pipeline % chunks != 0 { return "layers of a stage do not divide" }
    }
    guard chunks > 1 else {
      return has("--microbatch-group-size-per-virtual-pipeline-stage") ? "groups without chunks" : nil
    }
    if pipeline < 2 { return "chunks without a pipeline" }
    let count = (integer("--global-batch-size") ?? 0) / ((integer("--micro-batch-size") ?? 1) * data(worldSize))
    let group = integer("--microbatch-group-size-per-virtual-pipeline-stage") ?? pipeline
    if group < pipeline { return "groups are smaller than the stages" }
    let rest = count % group
    return rest > 0 && rest < pipeline ? "micro-batches leave too few beside their groups" : nil
  }

  private func stateComplaint(_ worldSize: Int) -> String? {
    let isDistributed = has("--use-distributed-optimizer")
    if has("--overlap-param-gather"), !has("--overlap-grad-reduce") || !isDistributed && !isFullySharded {
      return "gathers overlap beside overlapped reductions of divided states only"
    }
    let instances = integer("--num-distributed-optimizer-instances") ?? 1
    if data(worldSize) * context % instances != 0 { return "replicas do not divide into instances" }
    if instances > 1, !isDistributed { return "instances need the distributed optimizer" }
    let isFSDPFormat = text("--ckpt-format") == "fsdp_dtensor"
    if isFSDPFormat != isFullySharded { return "checkpoints of Megatron-FSDP have a format of their own" }
    guard isFullySharded else {
      let own = [
        "--data-parallel-sharding-strategy", "--outer-dp-sharding-strategy", "--megatron-fsdp-main-grads-dtype",
      ]
      return own.first(where: has).map { "\($0) is Megatron-FSDP's" }
    }
    if pipeline > 1 { return "Megatron-FSDP's mesh has no pipeline" }
    if text("--megatron-fsdp-version") == "2" { return "version 2 has no distributed optimizer" }
    let kind = text("--data-parallel-sharding-strategy") ?? "optim_grads_params"
    if text("--outer-dp-sharding-strategy") == "optim", kind != "optim_grads_params" || instances < 2 {
      return "outer states are divided beside fully sharded instances only"
    }
    return kind.hasPrefix("optim_grads") && !has("--overlap-grad-reduce") ? "reductions always overlap" : nil
  }

  /// `core/optimizer/optimizer_config.py` and `__init__.py`.
  private var optimizerComplaint: String? {
    let rule = text("--optimizer") ?? "adam", isAware = has("--use-precision-aware-optimizer")
    let formats = ["--exp-avg-dtype", "--exp-avg-sq-dtype"].map { text($0) ?? "fp32" }
    if !isAware, formats != ["fp32", "fp32"] { return "moments of other formats need the precision-aware optimizer" }
    if isAware, rule != "adam" { return "the precision-aware optimizer is of adam only" }
    if isAware, !has("--use-distributed-optimizer") { return "the precision-aware optimizer is a distributed one" }
    if has("--optimizer-cpu-offload"), !isAware { return "the host updates for the precision-aware optimizer only" }
    if has("--sgd-momentum"), rule != "sgd" { return "momentum is of sgd" }
    if !["adam", "sgd"].contains(rule), isFullySharded { return "Megatron-FSDP has adam and sgd only" }
    if let layers = integer("--cpu-offloading-num-layers"), layers > 0 {
      if pipeline > 1 || has("--recompute-granularity") {
        return "activations leave without pipeline and recomputation"
      }
      if layers >= integer("--num-layers") ?? 0 { return "activations of the last layer stay" }
    }
    return nil
  }

  private var recomputationComplaint: String? {
    let extra = ["--recompute-method", "--recompute-num-layers"].filter(has)
    switch text("--recompute-granularity") {
    case "full": return extra.count < 2 ? "full recomputation needs a method and a number of layers" : nil
    case "selective": return extra.isEmpty ? nil : "selective recomputation excludes \(extra)"
    default: return extra.isEmpty && !has("--recompute-modules") ? nil : "recomputation without a granularity"
    }
  }

  private var modelComplaint: String? {
    let hasBias = !has("--disable-bias-linear")
    if has("--bf16"), has("--fp16") { return "two precisions" }
    if has("--fp8-format"), has("--fp4-format") || !has("--bf16") { return "FP8 beside FP4, or without bf16" }
    if has("--fp8-recipe"), !has("--fp8-format") { return "a recipe of FP8 without its format" }
    if has("--fp8-param-gather") {
      if !has("--fp8-format") || !has("--use-distributed-optimizer") {
        return "weights in FP8 without products in it, or without the distributed optimizer"
      }
      if has("--optimizer-cpu-offload"), text("--fp8-recipe") != "delayed" {
        return "hosts update weights in FP8 under delayed scaling only"
      }
      if (text("--fp8-recipe") == "mxfp8") != has("--reuse-grad-buf-for-mxfp8-param-ag") {
        return "weights in MXFP8 are gathered through the buffer of gradients, and no others"
      }
    } else if has("--reuse-grad-buf-for-mxfp8-param-ag") {
      return "the buffer of gradients is reused for weights in MXFP8 alone"
    }
    if has("--fp4-param-gather"), !has("--fp4-format") { return "weights in FP4 without products in it" }
    if has("--fp8-output-proj"), text("--fp8-recipe") != "mxfp8" { return "an output head in FP8 of another recipe" }
    // One at either end unless said otherwise; of no more than a stage has, and not under delayed scaling.
    if has("--first-last-layers-bf16") {
      if has("--fp8-format"), text("--fp8-recipe") ?? "delayed" == "delayed" {
        return "layers in bf16 beside delayed scaling"
      }
      let ofStage = (integer("--num-layers") ?? 0) / (integer("--pipeline-model-parallel-size") ?? 1)
      if ["--num-layers-at-start-in-bf16", "--num-layers-at-end-in-bf16"].contains(where: { integer($0) ?? 1 > ofStage }
      ) {
        return "more layers in bf16 at an end than a stage has"
      }
    } else if has("--num-layers-at-start-in-bf16") || has("--num-layers-at-end-in-bf16") {
      return "layers in bf16 without their switch"
    }
    // Blocks' scales cover E4M3; Transformer Engine has these recipes for that format alone.
    if ["mxfp8", "blockwise"].contains(text("--fp8-recipe") ?? ""), text("--fp8-format") != "e4m3" {
      return "scales of blocks are of E4M3"
    }
    if has("--grad-reduce-in-bf16"), has("--accumulate-allreduce-grads-in-fp32") || !has("--bf16") {
      return "gradients of two formats"
    }
    if (integer("--max-position-embeddings") ?? 0) < (integer("--seq-length") ?? 0) { return "too few positions" }
    let heads = integer("--num-attention-heads") ?? 0
    if has("--num-query-groups") != has("--group-query-attention") { return "query groups need their switch" }
    let groups = integer("--num-query-groups") ?? heads
    if heads % groups != 0 || groups % tensor != 0 && tensor % groups != 0 { return "query groups do not divide" }
    let activations = ["--swiglu", "--squared-relu", "--quick-geglu"].filter(has)
    if activations.count > 1 { return "two activations" }
    if has("--squared-relu"), hasBias, !has("--no-bias-gelu-fusion") {
      return "no kernel fuses a bias and squared ReLU"
    }
    if hasBias, has("--add-qkv-bias") { return "biases of query, key and value are among all biases" }
    let positions = text("--position-embedding-type") ?? "learned_absolute"
    if has("--use-rope-scaling"), positions != "rope" { return "scaling without rotary positions" }
    if let factor = number("--rope-scaling-factor"), factor != 8 { return "models of this version scale by 8" }
    if has("--rotary-scaling-factor") != (positions == "yarn" || text("--rope-type") == "yarn") {
      return "YaRN's factor and kind go together"
    }
    if has("--rotary-base"), positions != "rope", positions != "yarn" { return "a base without rotary positions" }
    return nil
  }

  private var vocabularyComplaint: String? {
    guard let size = integer("--vocab-size"), let padded = integer("--padded-vocab-size") else {
      return "the model cannot be built without a vocabulary"
    }
    let multiple = 128 * tensor
    return padded == (size + multiple - 1) / multiple * multiple ? nil : "the vocabulary is padded otherwise"
  }

  private var trainingComplaint: String? {
    if (number("--min-lr") ?? 0) > (number("--lr") ?? 0) { return "the least rate is the largest" }
    if has("--save"), !has("--save-interval") { return "checkpoints need an interval" }
    return has("--mock-data") == has("--data-path") ? "data of one source" : nil
  }
}
