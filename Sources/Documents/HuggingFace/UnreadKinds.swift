import JSONText

/// Kinds of models that are refused by name, since they cost otherwise than what is described.
enum UnreadKinds {
  /// Refuses experts and latent attention of types that are not known, linear attention, state spaces and encoders.
  static func refuse(_ fields: inout Fields, type: Field) throws(DocumentError) {
    let name = try type.name()
    if let (_, what) = hybrids.first(where: { $0.0 == name }) {
      throw type.conflict("models with \(what) are not supported: \(name) is one")
    }
    let architecture = Architecture.of(name)
    if architecture?.experts == nil {
      for key in expertKeys {
        if let experts = fields.optional(key), case .integer(let count) = experts.value, count > 1 {
          throw type.conflict(
            "mixture-of-experts models of the type \(name) are not known (\(count) experts): read are \(mixtures) types, mixtral, "
              + "qwen3_moe and deepseek_v3 among them")
        }
      }
    }
    if architecture?.hasLatentAttention != true, fields.optional("kv_lora_rank") != nil {
      throw type.conflict(
        "multi-head latent attention is read of the types \(latent), and \(name), which has a kv_lora_rank, is none")
    }
    if try fields.optional("is_encoder_decoder")?.boolean() ?? false {
      throw type.conflict("models of an encoder and a decoder are not supported: \(name) is one")
    }
    if let field = fields.optional("layer_types") {
      for kind in try field.array(count: 0...ModelDescription.Bounds.layers.upperBound) {
        let word = try kind.string()
        guard Configuration.layerKinds.contains(word) else {
          throw kind.conflict(
            "layers of the kind \(word.oneLine.prefix(60)) are not supported: attention is full, has a sliding window or sees runs of tokens"
          )
        }
      }
    }
    guard Architecture.of(name) == nil else { return }
    guard !unlike.contains(where: { name == $0 || name.hasPrefix($0 + "_") }) else {
      throw type.conflict(
        "models of the type \(name) are not supported: their blocks are not Llama's, though their fields are")
    }
    // Files of older versions state what they have not: no encoder, no cross attention.
    for key in fields.statedKeys where !isNothing(fields.optional(key)?.value) {
      for (part, what) in marks where key.contains(part) {
        throw type.conflict("\(what) are not supported: \(name) has \(JSON.string(key).briefDescription)")
      }
    }
  }

  private static func isNothing(_ value: JSON?) -> Bool {
    [.boolean(false), .integer(0), .number(0), .array([]), .object([]), nil].contains(value)
  }

  /// Refuses a file of an unknown type that is not Llama's shape.
  static func requireLlamaFields(_ fields: inout Fields, type: Field) throws(DocumentError) {
    let missing = llamaFields.filter { fields.optional($0) == nil }
    guard missing.isEmpty else {
      throw DocumentError(
        source: type.source, location: type.pointer,
        expected: """
          expected a model type that is read (\(known)) or Llama's fields, of which there is no \
          \(missing.joined(separator: ", ")) (a model document of ours, of the family llama or gpt, states such a shape)
          """,
        found: type.value.briefDescription)
    }
  }

  private static var mixtures: Int { Architecture.all.filter { $0.experts != nil }.flatMap(\.types).count }

  private static var latent: String {
    Architecture.all.filter(\.hasLatentAttention).flatMap(\.types).joined(separator: ", ")
  }

  private static var known: String {
    // Text models of those that see as well are not named one by one.
    let types: [String] = Architecture.all.filter { $0.experts == nil }.flatMap(\.types)
    let plain = types.filter { !$0.contains("_vl") }
    return plain.joined(separator: ", ") + ", mixtures"
  }

  /// Types of transformers 5.24.0 with Llama's fields and without a key that says what else they have: their modelling
  /// classes were compared with Llama's tensor by tensor.
  private static let unlike = [
    "apertus", "apertus1p5", "bitnet", "blt", "csm", "diffllama", "glm4v", "glm_image", "glm_ocr", "granite_swa", "hrm",
    "hyperclovax", "nanochat",
  ]

  /// Types some of whose layers have no attention of the usual kind, and what those have.
  private static let hybrids = [
    ("minimax", "linear (lightning) attention"), ("qwen3_next", "linear attention (gated delta net)"),
    ("kimi_linear", "linear attention"), ("bailing_moe_linear", "linear attention"),
    ("granitemoehybrid", "state-space layers"), ("nemotron_h", "state-space layers"), ("jamba", "state-space layers"),
    ("bamba", "state-space layers"), ("zamba", "state-space layers"), ("zamba2", "state-space layers"),
    ("falcon_h1", "state-space layers"), ("mamba", "state-space layers"), ("mamba2", "state-space layers"),
    ("lfm2", "convolutions"), ("lfm2_moe", "convolutions"), ("recurrent_gemma", "recurrent layers"),
    ("deepseek_v32", "sparse attention by an index"), ("longcat_flash", "experts without products"),
  ]

  /// What a Llama's cost follows from.
  private static let llamaFields = [
    "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size", "rms_norm_eps",
  ]

  /// The spellings of "number of experts" in Mixtral, Qwen, DeepSeek, DBRX and ERNIE configurations.
  private static let expertKeys = ["num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts"]

  /// Parts of keys by which files of unknown types say what Llama has not.
  private static let marks = [
    ("ssm", "state-space models"), ("mamba", "state-space models"), ("state_size", "state-space models"),
    ("linear_attn", "layers with linear attention"), ("linear_attention", "layers with linear attention"),
    ("linear_conv", "layers with linear attention"), ("linear_num", "layers with linear attention"),
    ("lru_width", "recurrent layers"), ("rwkv", "recurrent layers"), ("block_types", "layers of several kinds"),
    ("layers_block_type", "layers of several kinds"), ("hybrid", "layers of several kinds"),
    ("conv_", "convolutions"), ("moe", "mixture-of-experts models"), ("expert", "mixture-of-experts models"),
    ("lora_rank", "projections of low rank"), ("encoder", "models with an encoder"),
    ("type_vocab_size", "models with token types"), ("cross_attention", "models with cross attention"),
    ("num_nextn_predict", "models that predict several tokens"), ("mtp_", "models that predict several tokens"),
    ("qk_norm", "norms of queries and keys of an unknown kind"),
    ("qk_layernorm", "norms of queries and keys of an unknown kind"), ("per_layer_input", "embeddings in every layer"),
    ("altup", "several residual streams"), ("hyper_connection", "several residual streams"),
    ("num_kv_shared", "keys and values that layers share"), ("cross_layer", "keys and values that layers share"),
    ("parallel_attn", "blocks of an unknown form"), ("parallel_residual", "blocks of an unknown form"),
  ]
}
