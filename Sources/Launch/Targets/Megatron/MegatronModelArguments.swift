import Documents

/// A model in the words of Megatron-LM's command line: shapes, and all that bears on its values.
///
/// What nobody stated is left to Megatron-LM's defaults.
struct MegatronModelArguments {
  let model: ModelDescription
  let sequenceLength: Int

  var words: [String] { shapes + latentAttention + positions + norms + feedForward + biases + experts + rest }

  private var shapes: [String] {
    var words = [
      "--num-layers", "\(model.layerCount)", "--hidden-size", "\(model.hiddenSize)",
      "--ffn-hidden-size", "\(model.feedForwardSize)", "--num-attention-heads", "\(model.headCount)",
      "--kv-channels", "\(model.valueHeadSize)",
    ]
    if model.keyValueHeadCount != model.headCount {
      words += ["--group-query-attention", "--num-query-groups", "\(model.keyValueHeadCount)"]
    }
    return words + ["--seq-length", "\(sequenceLength)"]
  }

  private var positions: [String] {
    let details = model.details
    if model.positionCount > 0 {
      return [
        "--position-embedding-type", "learned_absolute",
        "--max-position-embeddings", "\(max(model.positionCount, sequenceLength))",
      ]
    }
    let longest = ["--max-position-embeddings", "\(max(details.maximumPositionCount ?? 0, sequenceLength))"]
    guard model.form.hasRotaryPositions else {
      return ["--position-embedding-type", "none"] + longest
    }
    let base = details.rotaryBase.map { ["--rotary-base", "\(Int($0))"] } ?? []
    if model.latent != nil { return ["--position-embedding-type", "rope"] + longest + base + latentRotations }
    let isYaRN = details.rotaryScaling?.kind == .yarn
    return ["--position-embedding-type", isYaRN ? "yarn" : "rope"] + longest + base + rotatedParts + rotaryScaling
  }

  private var rotatedParts: [String] {
    let particulars = model.details.particulars
    var words: [String] = []
    if let fraction = particulars[.rotaryFraction] { words += ["--rotary-percent", "\(fraction)"] }
    if let interval = particulars[.unrotatedInterval].map({ Int($0) }) {
      let pattern = (1...model.layerCount).map { $0.isMultiple(of: interval) ? "1" : "0" }.joined(separator: ",")
      words += ["--no-rope-freq", model.layerCount.isMultiple(of: interval) ? "\(interval)" : "[\(pattern)]"]
    }
    return words
  }

  private var rotaryScaling: [String] {
    guard let scaling = model.details.rotaryScaling, let factor = scaling.factor else { return [] }
    switch scaling.kind {
    // The factor is stated for readers: models of this version have 8 in any case.
    case .llama3: return ["--use-rope-scaling", "--rope-scaling-factor", "\(factor)"]
    case .linear: return ["--rotary-seq-len-interpolation-factor", "\(Int(factor))"]
    case .yarn:
      let original = scaling.originalPositionCount ?? model.details.maximumPositionCount ?? sequenceLength
      var words = [
        "--rotary-scaling-factor", "\(factor)", "--yarn-original-max-position-embeddings", "\(original)",
      ]
      if let beta = scaling.fastBeta { words += ["--yarn-beta-fast", "\(beta)"] }
      if let beta = scaling.slowBeta { words += ["--yarn-beta-slow", "\(beta)"] }
      return words
        + MegatronYaRN(
          factor: factor, attentionFactor: scaling.attentionFactor, scoreScale: nil, headSize: model.headSize
        ).words
    case .dynamic, .longrope: return []
    }
  }

  private var norms: [String] {
    ["--normalization", model.form.norm == .rms ? "RMSNorm" : "LayerNorm"]
      + (model.details.normEpsilon.map { ["--norm-epsilon", "\($0)"] } ?? [])
      + (model.hasQueryKeyNorm ? ["--qk-layernorm"] : [])
  }

  /// Megatron-LM's GELU is exact, but for its kernel that is fused with the bias: that one is by tanh. The same kernel's
  /// switch must be off beside squared ReLU.
  private var feedForward: [String] {
    let unfused = model.hasFeedForwardBias ? ["--no-bias-gelu-fusion"] : []
    switch model.activation {
    case .silu: return ["--swiglu"] + gate
    case .quickGELU: return ["--quick-geglu"] + gate
    case .squaredReLU: return ["--squared-relu"] + unfused
    case .gelu where model.details.activation != nil: return unfused
    case .gelu, .geluTanh, .relu: return []
    }
  }

  /// What is added to the gated half, and where both are cut off.
  private var gate: [String] {
    let particulars = model.details.particulars
    return (particulars[.gateOffset].map { ["--glu-linear-offset", "\($0)"] } ?? [])
      + (particulars[.gateLimit].map { ["--activation-func-clamp-value", "\($0)"] } ?? [])
  }

  /// Every n-th layer, where that says it, else a 1 for each layer with a window.
  private var fullAttentionLayers: [String] {
    let full = model.details.fullAttentionLayers
    guard let first = full.first else { return [] }
    let isRegular = full == Array(stride(from: first, to: model.layerCount, by: first + 1))
    let pattern = (0..<model.layerCount).map { full.contains($0) ? "0" : "1" }.joined(separator: ",")
    return ["--window-attn-skip-freq", isRegular ? "\(first + 1)" : "[\(pattern)]"]
  }

  /// Megatron-LM has all biases but those of queries, keys and values, or none.
  private var biases: [String] {
    if model.hasAttentionOutputBias { return [] }
    return ["--disable-bias-linear"] + (model.hasQueryKeyValueBias ? ["--add-qkv-bias"] : [])
  }

  private var rest: [String] {
    let details = model.details
    let hidden = model.hasDropout ? details.hiddenDropout ?? 0.1 : 0
    let attention = model.hasDropout ? details.attentionDropout ?? 0.1 : 0
    var words = ["--attention-dropout", "\(attention)", "--hidden-dropout", "\(hidden)"]
    if !model.hasTiedEmbeddings { words.append("--untie-embeddings-and-output-weights") }
    if model.predictionDepth > 0 { words += ["--mtp-num-layers", "\(model.predictionDepth)"] }
    if model.form.hasSinks { words += ["--softmax-type", "learnable"] }
    // Megatron-LM counts the tokens before the current one.
    if let window = details.attentionWindow { words += ["--window-size", "\(window - 1),0"] + fullAttentionLayers }
    if let deviation = details.initialisationDeviation { words += ["--init-method-std", "\(deviation)"] }
    return words
  }
}
