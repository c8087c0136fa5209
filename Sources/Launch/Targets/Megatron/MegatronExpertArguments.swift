import Documents

/// The experts of a model in the words of Megatron-LM's command line (`core/transformer/transformer_config.py` and
/// `core/transformer/moe`, d98e8a64).
extension MegatronModelArguments {
  /// Which layers have experts, how many, and how a token's are chosen and weighed; empty for a model without.
  ///
  /// The router computes in fp32, which the frameworks of DeepEP and HybridEP demand, and products of experts are one
  /// kernel for all of a rank, as they are priced.
  var experts: [String] {
    guard let experts = model.experts else { return [] }
    var words = [
      "--num-experts", "\(experts.count)", "--moe-router-topk", "\(experts.perToken)",
      "--moe-ffn-hidden-size", "\(experts.feedForwardSize)",
    ]
    if !experts.denseLayers.isEmpty {
      let digits = (0..<model.layerCount).map { model.kind(ofLayer: $0).feedForward == .experts ? 1 : 0 }
      words += ["--moe-layer-freq", DigitList(digits).text]
    }
    if experts.sharedFeedForwardSize > 0 {
      words += ["--moe-shared-expert-intermediate-size", "\(experts.sharedFeedForwardSize)"]
      if experts.hasSharedGate { words.append("--moe-shared-expert-gate") }
    }
    return words + router(experts) + ["--moe-router-dtype", "fp32", "--moe-grouped-gemm", "--moe-permute-fusion"]
  }

  /// Softmax over the chosen experts alone makes weights that add up to 1; over all of them, before the choice, it does
  /// not. Sigmoids are always made to add up to 1, where a token has several experts.
  private func router(_ experts: ModelDescription.Experts) -> [String] {
    var words = ["--moe-router-score-function", experts.score.rawValue]
    if experts.score == .softmax, !experts.normalisesWeights { words.append("--moe-router-pre-softmax") }
    if let groups = experts.groups {
      words += ["--moe-router-num-groups", "\(groups.count)", "--moe-router-group-topk", "\(groups.kept)"]
    }
    if experts.routedScale != 1 { words += ["--moe-router-topk-scaling-factor", "\(experts.routedScale)"] }
    if experts.hasCorrectionBias { words.append("--moe-router-enable-expert-bias") }
    return words
  }
}

extension Strategy.ExpertDivision {
  /// Every part is stated: Megatron-LM's own width of experts is the tensor groups', and its own dispatcher gathers.
  var megatronWords: [String] {
    let kinds = MegatronDispatcher(dispatcher)
    return [
      "--expert-model-parallel-size", "\(expertDegree)", "--expert-tensor-parallel-size", "\(tensorDegree)",
      "--moe-token-dispatcher-type", kinds.type,
    ] + (kinds.backend.map { ["--moe-flex-dispatcher-backend", $0] } ?? [])
      + (overlaps ? ["--overlap-moe-expert-parallel-comm", "--delay-wgrad-compute"] : [])
  }
}

/// A way of tokens as `--moe-token-dispatcher-type` and `--moe-flex-dispatcher-backend` say it.
struct MegatronDispatcher {
  let type: String
  /// Of the type `flex` alone.
  let backend: String?

  static let flex = "flex"

  init(_ dispatcher: Strategy.Dispatcher) {
    (type, backend) =
      switch dispatcher {
      case .allGather: ("allgather", nil)
      case .allToAll: ("alltoall", nil)
      case .deepEP: (Self.flex, "deepep")
      case .hybridEP: (Self.flex, "hybridep")
      }
  }
}
