/// What `validate_args`, the configuration class, the router, the dispatchers and `parallel_state.py` ask of the flags of
/// experts, main at d98e8a64: a part of the oracle, which shares nothing with the writer.
extension MegatronCommandLine {
  func expertComplaint(_ worldSize: Int) -> String? {
    let own = values.keys.filter { $0.hasPrefix("--moe-") || $0.hasPrefix("--expert-") }
    guard let count = integer("--num-experts") else {
      return own.isEmpty ? nil : "\(own.sorted()) are of experts"
    }
    let checks = [
      expertGridComplaint(worldSize, count: count), routerComplaint(count: count), dispatcherComplaint,
      overlapComplaint, expertLayersComplaint,
    ]
    return checks.compactMap(\.self).first
  }

  private var isSentOnce: Bool { text("--moe-token-dispatcher-type") == "flex" }

  private func expertGridComplaint(_ worldSize: Int, count: Int) -> String? {
    guard let expert = integer("--expert-model-parallel-size"), let width = integer("--expert-tensor-parallel-size")
    else {
      return "the width of experts is the tensor degree unless it is stated"
    }
    let stage = worldSize / pipeline
    if count % expert != 0 { return "experts do not divide" }
    if stage % (expert * width) != 0 { return "the second grid does not fill a stage" }
    let replicas = stage / (expert * width)
    if replicas % (integer("--num-distributed-optimizer-instances") ?? 1) != 0 {
      return "instances cut experts' replicas"
    }
    if (integer("--moe-ffn-hidden-size") ?? 0) % width != 0 { return "the width of experts does not divide" }
    if let shared = integer("--moe-shared-expert-intermediate-size"), shared % tensor != 0 || shared == 0 {
      return "shared experts do not divide"
    }
    if !has("--disable-bias-linear"), width > 1 { return "experts with biases have undivided width" }
    if !has("--disable-bias-linear"), has("--moe-shared-expert-intermediate-size") {
      return "shared experts have no biases"
    }
    if has("--moe-shared-expert-gate"), !has("--moe-shared-expert-intermediate-size") { return "a gate of nothing" }
    return tensor > 1 && !has("--sequence-parallel") ? "tensor groups need sequence parallelism" : nil
  }

  private func routerComplaint(count: Int) -> String? {
    guard let chosen = integer("--moe-router-topk"), (1...count).contains(chosen) else {
      return "too many experts a token"
    }
    let score = text("--moe-router-score-function") ?? "softmax", isEarly = has("--moe-router-pre-softmax")
    if score == "sigmoid", isEarly { return "nothing is normalised before the choice but softmax" }
    if score == "softmax", chosen == 1, !isEarly { return "one expert's softmax has no gradient" }
    if has("--moe-router-enable-expert-bias"), score == "softmax" { return "scores of softmax are not corrected" }
    guard let kept = integer("--moe-router-group-topk") else {
      return has("--moe-router-num-groups") ? "groups of which none are kept" : nil
    }
    guard let groups = integer("--moe-router-num-groups"), count % groups == 0, kept <= groups, kept <= chosen,
      kept * count / groups >= chosen
    else { return "groups do not fit" }
    return nil
  }

  private var dispatcherComplaint: String? {
    if !has("--moe-token-dispatcher-type") { return "tokens are gathered unless it is stated" }
    if has("--moe-flex-dispatcher-backend") != isSentOnce { return "backends are of flex" }
    guard isSentOnce else { return nil }
    if text("--moe-router-dtype") != "fp32" { return "weights of tokens that are sent once are fp32" }
    if (integer("--expert-model-parallel-size") ?? 1) * (integer("--expert-tensor-parallel-size") ?? 1) == 1 {
      return "tokens are sent to nobody"
    }
    return has("--bf16") ? nil : "tokens that are sent once are bf16"
  }

  private var overlapComplaint: String? {
    guard has("--overlap-moe-expert-parallel-comm") else {
      return has("--delay-wgrad-compute") ? "gradients are delayed for nothing" : nil
    }
    let stages = text("--pipeline-model-parallel-layout").map { Self.stages(ofLayout: $0).count } ?? 0
    if pipeline > 1, !has("--num-virtual-stages-per-pipeline-rank"), stages <= pipeline {
      return "overlap needs chunks"
    }
    if integer("--expert-model-parallel-size") == 1 { return "overlap needs ranks that divide experts" }
    if text("--moe-token-dispatcher-type") == "allgather" { return "overlap needs tokens that are sent" }
    if text("--recompute-granularity") == "full" { return "overlap excludes full recomputation" }
    if integer("--mtp-num-layers") ?? 0 > 1 { return "overlap has one further prediction at most" }
    return has("--bf16") || has("--fp16") ? nil : "overlap is of 16-bit training"
  }

  private var expertLayersComplaint: String? {
    guard let list = text("--moe-layer-freq") else { return nil }
    // As Python evaluates it, by repeating and joining text.
    let terms = list.dropFirst().dropLast().split(separator: "+").map { term in
      let halves = term.split(separator: "*")
      return String(repeating: "\(halves[0].dropFirst().dropLast())", count: halves.count > 1 ? Int(halves[1]) ?? 0 : 1)
    }
    return terms.joined().count == integer("--num-layers") ? nil : "the list has other layers"
  }
}

/// What `validate_args`, `MLATransformerConfig`, the layers of further predictions and Transformer Engine's choice of a
/// kernel (`get_attention_backend`) ask of the flags of attention.
extension MegatronCommandLine {
  var attentionComplaint: String? { latentComplaint ?? kernelComplaint ?? predictionComplaint }

  private var latentComplaint: String? {
    let own = [
      "--q-lora-rank", "--kv-lora-rank", "--qk-head-dim", "--qk-pos-emb-head-dim", "--v-head-dim", "--rope-type",
    ]
    guard has("--multi-latent-attention") else {
      return own.first(where: has).map { "\($0) is of latent attention" }
    }
    if let missing = own.dropFirst().first(where: { !has($0) }) { return "\(missing) has another default" }
    if has("--group-query-attention") { return "latent attention has no groups" }
    if !has("--qk-layernorm") { return "narrow vectors are normed" }
    if has("--add-qkv-bias") || !has("--disable-bias-linear") { return "latent attention is described without biases" }
    if text("--position-embedding-type") != "rope" { return "latent attention rotates by itself" }
    if has("--yarn-beta-fast") || has("--yarn-beta-slow") || has("--yarn-original-max-position-embeddings") {
      return "latent attention does not read it"
    }
    return text("--rope-type") == "rope" && !has("--no-rope-fusion") ? "the fused kernel rotates by YaRN" : nil
  }

  private var kernelComplaint: String? {
    let hasSinks = has("--softmax-type") && text("--softmax-type") != "vanilla"
    if hasSinks || has("--multi-latent-attention"), text("--attention-backend") == "flash" {
      return "FlashAttention has no such kernel"
    }
    return hasSinks && context > 1 && text("--cp-comm-type") != "a2a" ? "sinks are divided by heads" : nil
  }

  private var predictionComplaint: String? {
    guard (integer("--mtp-num-layers") ?? 0) > 0 else { return nil }
    let positions = text("--position-embedding-type") ?? "learned_absolute"
    return ["rope", "none"].contains(positions) ? nil : "further predictions need rotary positions"
  }
}
