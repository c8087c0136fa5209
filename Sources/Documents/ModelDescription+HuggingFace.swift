import JSONText

/// Hugging Face `config.json` files, read as they are.
///
/// Keys and defaults are those of each model type's configuration class in the `transformers` library; keys that
/// bear neither on cost nor on the values that a model computes are left unread.
extension ModelDescription {
  init(huggingFace field: Field, fileName: String) throws(DocumentError) {
    var fields = try field.fields()
    let type = try fields.required("model_type")
    let name = try Self.name(in: &fields, fileName: fileName)
    try Self.refuseUnsupported(&fields, type: type)
    do {
      switch try type.string() {
      case "gpt2": try self.init(gpt2: &fields, name: name)
      case "opt": try self.init(opt: &fields, name: name)
      case "llama", "mistral", "qwen2", "qwen3":
        try self.init(llamaLike: &fields, name: name, type: type.string())
      default:
        throw type.error(expected: "a model type that is supported (gpt2, opt, llama, mistral, qwen2, qwen3)")
      }
    } catch let contradiction as Contradiction {
      throw field.conflict(contradiction.sentence)
    } catch let error as DocumentError {
      throw error
    } catch {
      preconditionFailure("a model is refused by a contradiction or a document error only")
    }
  }

  private init(gpt2 fields: inout Fields, name: String) throws {
    let hidden = try fields.required("n_embd").integer(in: Bounds.hidden)
    let drops = try Self.drops(&fields, keys: ["attn_pdrop", "embd_pdrop", "resid_pdrop"], byDefault: true)
    try self.init(
      name: name, family: .gpt,
      layerCount: fields.required("n_layer").integer(in: Bounds.layers),
      hiddenSize: hidden,
      headCount: fields.required("n_head").integer(in: Bounds.heads),
      feedForwardSize: fields.optional("n_inner")?.integer(in: Bounds.feedForward) ?? 4 * hidden,
      vocabularySize: fields.required("vocab_size").integer(in: Bounds.vocabulary),
      hasGatedFeedForward: false,
      hasTiedEmbeddings: fields.optional("tie_word_embeddings")?.boolean() ?? true,
      positionCount: fields.optional("n_positions")?.integer(in: Bounds.positions) ?? 1024,
      hasDropout: drops, details: Details(gpt2: &fields, hasDropout: drops))
  }

  private init(opt fields: inout Fields, name: String) throws {
    let hidden = try fields.required("hidden_size").integer(in: Bounds.hidden)
    if let projected = fields.optional("word_embed_proj_dim"), try projected.integer(in: Bounds.hidden) != hidden {
      throw projected.error(expected: "the hidden size \(hidden) (projected embeddings are not supported)")
    }
    let drops = try Self.drops(
      &fields, keys: ["dropout", "attention_dropout", "activation_dropout"], byDefault: true)
    let hasBias = try fields.optional("enable_bias")?.boolean() ?? true
    // OPT's position table has two rows more than positions: its embedding is offset by two.
    let positions =
      try fields.optional("max_position_embeddings")?.integer(in: 0...Bounds.positions.upperBound - 2) ?? 2048
    try self.init(
      name: name, family: .gpt,
      layerCount: fields.required("num_hidden_layers").integer(in: Bounds.layers),
      hiddenSize: hidden,
      headCount: fields.required("num_attention_heads").integer(in: Bounds.heads),
      feedForwardSize: fields.required("ffn_dim").integer(in: Bounds.feedForward),
      vocabularySize: fields.required("vocab_size").integer(in: Bounds.vocabulary),
      hasGatedFeedForward: false,
      hasTiedEmbeddings: fields.optional("tie_word_embeddings")?.boolean() ?? true,
      positionCount: positions + 2,
      hasQueryKeyValueBias: hasBias,
      hasAttentionOutputBias: hasBias,
      hasFeedForwardBias: hasBias,
      hasDropout: drops, details: Details(opt: &fields, hasDropout: drops))
  }

  private init(llamaLike fields: inout Fields, name: String, type: String) throws {
    let drops = try Self.drops(&fields, keys: ["attention_dropout"], byDefault: false)
    let layers = try fields.required("num_hidden_layers").integer(in: Bounds.layers)
    let attentionBias = try fields.optional("attention_bias")?.boolean() ?? false
    // Qwen2 has biases on query, key and value whatever its configuration says.
    try self.init(
      name: name, family: .llama,
      layerCount: layers,
      hiddenSize: fields.required("hidden_size").integer(in: Bounds.hidden),
      headCount: fields.required("num_attention_heads").integer(in: Bounds.heads),
      keyValueHeadCount: fields.optional("num_key_value_heads")?.integer(in: Bounds.heads)
        ?? (type == "mistral" ? 8 : nil),
      headSize: fields.optional("head_dim")?.integer(in: Bounds.headSize) ?? (type == "qwen3" ? 128 : nil),
      feedForwardSize: fields.required("intermediate_size").integer(in: Bounds.feedForward),
      vocabularySize: fields.required("vocab_size").integer(in: Bounds.vocabulary),
      hasGatedFeedForward: true,
      hasTiedEmbeddings: fields.optional("tie_word_embeddings")?.boolean() ?? false,
      hasQueryKeyValueBias: attentionBias || type == "qwen2",
      hasAttentionOutputBias: attentionBias && type != "qwen2",
      hasFeedForwardBias: fields.optional("mlp_bias")?.boolean() ?? false,
      hasQueryKeyNorm: type == "qwen3",
      hasDropout: drops, details: Details(llamaLike: &fields, type: type, layerCount: layers, hasDropout: drops))
  }

  /// `_name_or_path` where the file has it, else the file's own name, or its folder's.
  private static func name(in fields: inout Fields, fileName: String) throws(DocumentError) -> String {
    if let own = try fields.optional("_name_or_path")?.string(), !own.isEmpty, own.count <= 200 { return own.oneLine }
    // Downloaded configurations are all called config.json; their folder tells them apart.
    let parts = fileName.split(separator: "/").map(String.init)
    let isPlain = parts.last == "config.json" && parts.count > 1
    let last = isPlain ? parts[parts.count - 2] : parts.last ?? fileName
    return String((last.hasSuffix(".json") ? String(last.dropLast(5)) : last).oneLine.prefix(200))
  }

  /// Refuses, by name, what the cost model does not describe yet.
  private static func refuseUnsupported(_ fields: inout Fields, type: Field) throws(DocumentError) {
    let name = try type.name()
    // The spellings of "number of experts" in Mixtral, Qwen and DeepSeek configurations.
    for key in ["num_local_experts", "num_experts", "n_routed_experts"] {
      if let experts = fields.optional(key), try experts.integer(in: 0...1_000_000) > 1 {
        throw type.conflict(
          "mixture-of-experts models are not supported yet: \(name) has \(try experts.integer(in: 0...1_000_000)) experts"
        )
      }
    }
    if fields.optional("kv_lora_rank") != nil {
      throw type.conflict("multi-head latent attention is not supported yet: \(name) has a kv_lora_rank")
    }
    if let nested = fields.optional("text_config") {
      throw nested.conflict("\(name) nests its text model under text_config: give that object as a file of its own")
    }
  }

  private static func drops(
    _ fields: inout Fields, keys: [String], byDefault: Bool
  ) throws(DocumentError) -> Bool {
    var stated: [Double] = []
    for key in keys {
      if let rate = try fields.optional(key)?.fractionOrZero() { stated.append(rate) }
    }
    return stated.isEmpty ? byDefault : stated.contains { $0 > 0 }
  }
}
