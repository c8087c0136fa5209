extension ModelDescription {
  /// What a model of a family may have that another has not.
  package enum Part: String, Sendable, CaseIterable {
    case queryKeyValueBias = "biases of query, key and value"
    case attentionOutputBias = "a bias of the attention's output"
    case feedForwardBias = "biases of the feed-forward part"
    case queryKeyNorm = "norms of queries and keys"
    case dropout
    case plainFeedForward = "a feed-forward part without a gate"
    case ownHeadSize = "heads whose width is not hidden size / heads"
    case relu = "the activation ReLU"
    case plainSiLU = "SiLU without a gate"
    case plainQuickGELU = "quick GELU without a gate"
    case otherGate = "a gate of another activation than SiLU and quick GELU"
    case tanhGELUWithoutBiases = "a GELU by tanh without biases of the feed-forward part"
    case attentionOutputBiasOfItsOwn =
      "biases of some of the attention's output, the feed-forward part, the router and the experts and not of all"
    case feedForwardBiasesAlone = "biases of the feed-forward part and none of query, key and value"
    case otherRotaryScaling = "rotary scaling other than Llama 3.1's by 8, linear by a whole factor, and YaRN"
    case fractionalRotaryBase = "a rotary base that is no whole number"
    case anotherActivation = "an activation other than SiLU"
    case rotaryScaling = "scaled rotary positions"
    case rotaryScalingButLlama3 = "rotary scaling other than Llama 3.1's"
    case anotherNorm = "norms other than RMSNorm"
    case unusualNorm = "a LayerNorm without bias"
    case anotherBlock = "blocks other than a norm before attention and one before the feed-forward part"
    case anotherQueryKeyNorm = "norms of queries and keys other than one of a head's width"
    case noRotaryPositions = "positions that are not rotary"
    case learnedAndRotaryPositions = "learned and rotary positions together"
    case embeddingNorm = "a norm of the embeddings"
    case headBias = "a bias of the output head"
    case rotaryScalingWithQueryKeyNorm = "scaled rotary positions and norms of queries and keys"
    case experts
    case otherRouter = "a router other than softmax and sigmoid with weights that add up to 1"
    case sharedExpertsBesideBiases = "shared experts beside biases"
    case latentAttention = "latent attention"
    case latentAttentionBiases = "latent attention with biases, or norms of whole queries and keys"
    case otherLatentPositions =
      "latent attention whose positions are rotated neither plainly nor by YaRN from 4096 positions on between 32 and 1 rotations"
    case otherScoreScale = "a scale of attention scores that is not YaRN's of latent attention"
    case furtherPredictions = "layers that predict further tokens"
    case predictionsBesideOtherPositions =
      "layers that predict further tokens beside learned positions, or YaRN without latent attention"
    case sinks = "sinks of attention"
    case attentionChunks = "attention to runs of tokens"
    case attentionOutputGate = "a gate of the attention's output"
    case latentExperts = "experts that read narrow vectors"
    case expertBiases = "biases of experts or of their router"
    case sharedExpertGate = "a gate of shared experts"
    case rotaryScalingButOfLatentAttention =
      "rotary scaling other than Llama 3.1's, and of latent attention other than YaRN's with rotations of length 1"
    case rotaryScalingWithExperts = "scaled rotary positions and experts without latent attention"
    case predictionsWithoutLatentAttention = "layers that predict further tokens without latent attention"
  }

  /// Whether the model has a part.
  package func has(_ part: Part) -> Bool {
    switch part {
    case .queryKeyValueBias: hasQueryKeyValueBias
    case .attentionOutputBias: hasAttentionOutputBias
    case .feedForwardBias: hasFeedForwardBias
    case .queryKeyNorm: hasQueryKeyNorm
    case .dropout: hasDropout
    case .plainFeedForward: !hasGatedFeedForward
    case .ownHeadSize: querySize != hiddenSize
    case .relu: activation == .relu && !hasGatedFeedForward
    case .plainSiLU: activation == .silu && !hasGatedFeedForward
    case .plainQuickGELU: activation == .quickGELU && !hasGatedFeedForward
    case .otherGate: hasGatedFeedForward && !hasCommonGate
    case .tanhGELUWithoutBiases: activation == .geluTanh && !hasGatedFeedForward && !hasFeedForwardBias
    case .attentionOutputBiasOfItsOwn: hasSomeOfTheCommonBiases
    case .feedForwardBiasesAlone: (hasFeedForwardBias || experts?.hasBias == true) && !hasQueryKeyValueBias
    case .otherRotaryScaling: !hasCommonRotaryScaling
    case .anotherActivation: activation != .silu
    case .rotaryScaling: details.rotaryScaling != nil
    case .rotaryScalingButLlama3: details.rotaryScaling.map { $0.kind != .llama3 } ?? false
    case .rotaryScalingWithQueryKeyNorm: details.rotaryScaling != nil && hasQueryKeyNorm
    case .experts: experts != nil
    case .otherRouter: experts.map { !$0.hasCommonRouter } ?? false
    case .sharedExpertsBesideBiases: hasAttentionOutputBias && (experts?.sharedFeedForwardSize ?? 0) > 0
    case .latentAttention: latent != nil
    case .latentAttentionBiases:
      latent != nil && (hasQueryKeyValueBias || hasAttentionOutputBias || form.queryKeyNorm != nil)
    case .otherLatentPositions: latent != nil && !hasCommonLatentPositions
    case .otherScoreScale:
      details.particulars[.scoreScale].map { scale in
        latent == nil || details.rotaryScaling?.kind != .yarn || scale * Double(headSize).squareRoot() < 1
      } ?? false
    case .furtherPredictions: predictionDepth > 0
    case .predictionsBesideOtherPositions:
      predictionDepth > 0 && (positionCount > 0 || latent == nil && details.rotaryScaling?.kind == .yarn)
    case .sinks: form.hasSinks
    case .attentionChunks: details.attentionChunk != nil
    case .attentionOutputGate: form.hasOutputGate
    case .latentExperts: experts?.latentSize != nil
    case .expertBiases: experts.map { $0.hasBias || $0.hasRouterBias } ?? false
    case .sharedExpertGate: experts?.hasSharedGate == true
    case .rotaryScalingButOfLatentAttention: !hasRotationsOfLlama3OrLatentYaRN
    case .rotaryScalingWithExperts: details.rotaryScaling != nil && experts != nil && latent == nil
    case .predictionsWithoutLatentAttention: predictionDepth > 0 && latent == nil
    case .anotherNorm: form.norm != .rms
    case .unusualNorm: form.norm == .layerNormWithoutBias || form.norm == .layerNormWithoutWeights
    case .anotherBlock: form.block != .sequential
    case .anotherQueryKeyNorm: form.queryKeyNorm.map { $0 != .head } ?? false
    case .noRotaryPositions: !form.hasRotaryPositions
    case .learnedAndRotaryPositions: form.hasRotaryPositions && positionCount > 0
    case .embeddingNorm: form.hasEmbeddingNorm
    case .headBias: form.hasHeadBias
    case .fractionalRotaryBase: details.rotaryBase.map { $0 != $0.rounded() || abs($0) > 1e15 } ?? false
    }
  }

  /// Whether of the biases that a framework has together or not at all, those of queries, keys and values apart, the model
  /// has some and not all. A model whose layers all have experts has no other feed-forward part.
  private var hasSomeOfTheCommonBiases: Bool {
    var biases = [hasAttentionOutputBias]
    if experts?.denseLayers.isEmpty != true { biases.append(hasFeedForwardBias) }
    if let experts { biases += [experts.hasRouterBias, experts.hasBias] }
    return Set(biases).count > 1
  }

  /// Whether a gate is by SiLU or quick GELU, with an offset beside the latter only, and a limit beside the former where
  /// experts are.
  private var hasCommonGate: Bool {
    let particulars = details.particulars
    switch activation {
    case .quickGELU: return true
    case .silu: return particulars[.gateOffset] == nil && (particulars[.gateLimit] == nil || experts != nil)
    default: return false
    }
  }

  /// Whether latent attention rotates plainly, or by YaRN as DeepSeek has it.
  private var hasCommonLatentPositions: Bool {
    guard form.hasRotaryPositions, positionCount == 0, details.particulars[.rotaryFraction] == nil,
      details.particulars[.unrotatedInterval] == nil
    else { return false }
    guard let scaling = details.rotaryScaling else { return true }
    return scaling.kind == .yarn && (scaling.originalPositionCount ?? details.maximumPositionCount) == 4_096
      && (scaling.fastBeta ?? 32) == 32 && (scaling.slowBeta ?? 1) == 1
  }

  /// Whether rotary positions are scaled as Llama 3.1 does or, under latent attention, by YaRN that leaves rotations their
  /// length, if at all.
  private var hasRotationsOfLlama3OrLatentYaRN: Bool {
    guard let scaling = details.rotaryScaling else { return true }
    guard latent != nil else { return scaling.kind == .llama3 }
    return scaling.kind == .yarn && scaling.factor != nil && abs((scaling.attentionFactor ?? 0) - 1) < 1e-9
      && (scaling.originalPositionCount ?? details.maximumPositionCount) != nil
  }

  /// Whether rotary positions are scaled in a way that several frameworks know, if at all.
  private var hasCommonRotaryScaling: Bool {
    guard let scaling = details.rotaryScaling else { return true }
    switch scaling.kind {
    case .llama3:
      return scaling
        == RotaryScaling(
          .llama3, factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalPositionCount: 8_192)
    case .linear: return scaling.factor.map { $0 == $0.rounded() && $0 <= 1e9 } ?? false
    case .yarn: return scaling.originalPositionCount ?? details.maximumPositionCount != nil
    case .dynamic, .longrope: return false
    }
  }
}

extension ModelDescription.Experts {
  /// Whether weights are a softmax, whose choice nothing corrects, or sigmoids that are made to add up to 1, and groups are
  /// chosen by the scores of at least one expert each. One expert's weight alone is never made to add up to 1.
  fileprivate var hasCommonRouter: Bool {
    let isCommon = score == .softmax ? !hasCorrectionBias : perToken == 1 || normalisesWeights
    return isCommon && !(perToken == 1 && normalisesWeights) && (groups.map { $0.kept <= perToken } ?? true)
  }
}

extension ModelDescription.Part {
  /// The nearest that a framework without the part trains, in the words of a model document; empty where nothing is.
  var nearest: String {
    switch self {
    case .relu: "activation squared_relu or gelu"
    case .plainSiLU, .plainQuickGELU: "activation gelu"
    case .otherGate: "activation silu"
    case .tanhGELUWithoutBiases: "activation gelu"
    case .attentionOutputBiasOfItsOwn, .feedForwardBiasesAlone:
      "qkv_bias, attention_output_bias and ffn_bias alike, or qkv_bias alone"
    case .otherRotaryScaling: "rotary_scaling of the kind yarn"
    case .otherLatentPositions: "no rotary_scaling"
    case .fractionalRotaryBase: "a whole rotary_base"
    case .anotherActivation: "activation silu"
    case .rotaryScaling, .rotaryScalingWithQueryKeyNorm, .rotaryScalingWithExperts, .rotaryScalingButOfLatentAttention:
      "no rotary_scaling"
    case .predictionsWithoutLatentAttention: "mtp_layers 0"
    case .rotaryScalingButLlama3: "rotary_scaling of the kind llama3"
    default: ""
    }
  }
}
