/// What Hugging Face configurations state beside shapes: keys and defaults of the configuration classes of
/// `transformers` 4 and 5 (`models/*/configuration_*.py`, `modeling_rope_utils.py`).
extension ModelDescription.Details {
  /// Of a GPT-2.
  init(gpt2 fields: inout Fields, hasDropout: Bool) throws(DocumentError) {
    self.init(
      activation: try Self.activation(&fields, key: "activation_function", byDefault: .geluTanh),
      normEpsilon: try fields.optional("layer_norm_epsilon")?.fractionOrZero() ?? 1e-5,
      initialisationDeviation: try fields.optional("initializer_range")?.fractionOrZero(),
      hiddenDropout: hasDropout ? try fields.optional("resid_pdrop")?.fractionOrZero() ?? 0.1 : nil,
      attentionDropout: hasDropout ? try fields.optional("attn_pdrop")?.fractionOrZero() ?? 0.1 : nil)
  }

  /// Of an OPT, whose normalisations have PyTorch's own epsilon.
  init(opt fields: inout Fields, hasDropout: Bool) throws(DocumentError) {
    self.init(
      activation: try Self.activation(&fields, key: "activation_function", byDefault: .relu),
      normEpsilon: 1e-5,
      initialisationDeviation: try fields.optional("init_std")?.fractionOrZero(),
      hiddenDropout: hasDropout ? try fields.optional("dropout")?.fractionOrZero() ?? 0.1 : nil,
      attentionDropout: hasDropout ? try fields.optional("attention_dropout")?.fractionOrZero() ?? 0 : nil)
  }

  /// Of a Llama, Mistral or Qwen.
  init(
    llamaLike fields: inout Fields, type: String, layerCount: Int, hasDropout: Bool
  ) throws(DocumentError) {
    // Since version 5 base and scaling are one object.
    let newer = fields.optional("rope_parameters"), older = fields.optional("rope_scaling")
    var base = try fields.optional("rope_theta")?.positiveNumber()
    var scaling: ModelDescription.RotaryScaling?
    if let field = newer ?? older {
      var rotary = try field.fields()
      base = try rotary.optional("rope_theta")?.positiveNumber() ?? base
      // The key was called "type" at first.
      let kind = rotary.optional("rope_type") ?? rotary.optional("type")
      if let kind, try kind.string() != "default" {
        scaling = try ModelDescription.RotaryScaling(
          kind.choice(of: ModelDescription.RotaryScaling.Kind.self), in: &rotary, keys: .huggingFace)
      }
    }
    self.init(
      activation: try Self.activation(&fields, key: "hidden_act", byDefault: .silu),
      normEpsilon: try fields.optional("rms_norm_eps")?.fractionOrZero() ?? 1e-6,
      rotaryBase: base ?? 10_000, rotaryScaling: scaling,
      maximumPositionCount: try fields.optional("max_position_embeddings")?.integer(in: Bounds.positions),
      attentionWindow: try Self.window(&fields, type: type, layerCount: layerCount),
      initialisationDeviation: try fields.optional("initializer_range")?.fractionOrZero(),
      hiddenDropout: hasDropout ? 0 : nil,
      attentionDropout: hasDropout ? try fields.optional("attention_dropout")?.fractionOrZero() : nil)
  }

  /// Mistral's configurations have a window of 4,096 unless they say null; those of Qwen have one if they use it, in
  /// the layers from `max_window_layers` on.
  private static func window(_ fields: inout Fields, type: String, layerCount: Int) throws(DocumentError) -> Int? {
    switch type {
    case "mistral" where !fields.states("sliding_window"): return 4_096
    case "mistral": break
    case "qwen2", "qwen3":
      guard try fields.optional("use_sliding_window")?.boolean() ?? false else { return nil }
      let first = fields.optional("max_window_layers")
      let unwindowedCount = try first?.integer(in: 0...1_000_000) ?? 28
      if unwindowedCount >= layerCount { return nil }
      guard unwindowedCount == 0 else {
        throw (first ?? fields.whole).conflict("attention windows in some layers only are not supported")
      }
    default: return nil
    }
    return try fields.optional("sliding_window")?.integer(in: Bounds.positions)
  }

  private static func activation(
    _ fields: inout Fields, key: String, byDefault: ModelDescription.Activation
  ) throws(DocumentError) -> ModelDescription.Activation {
    guard let field = fields.optional(key) else { return byDefault }
    switch try field.string() {
    case "gelu", "gelu_python": return .gelu
    case "gelu_new", "gelu_fast", "gelu_pytorch_tanh": return .geluTanh
    case "quick_gelu": return .quickGELU
    case "relu": return .relu
    case "relu2": return .squaredReLU
    case "silu", "swish": return .silu
    default:
      throw field.error(
        expected:
          "an activation function that is known (gelu, gelu_new, gelu_pytorch_tanh, quick_gelu, relu, relu2, silu)")
    }
  }
}
