/// The model types that are read.
///
/// Keys, defaults and parts are those of the configuration and modelling classes of `transformers` 5.24.0
/// (`models/*/configuration_*.py`, `modeling_*.py`); of InternLM 2 and Baichuan, which it has not, those of vLLM's
/// models of these names.
extension Architecture {
  static let all: [Architecture] = llamas + gemmas + parallel + older + mixtures

  private static let attentionBias = Fact.stated("attention_bias")

  /// Llama's blocks, with differences that change few parameters or none.
  private static let llamas = [
    // Yi's first files have a type of their own.
    llama,
    Architecture(types: ["mistral"], defaults: ["num_key_value_heads": 8], window: .inEveryLayer(byDefault: 4_096)),
    // With the text models of Qwen 2 and 2.5 VL, whose files may be flat.
    Architecture(
      types: ["qwen2", "qwen2_vl", "qwen2_vl_text", "qwen2_5_vl", "qwen2_5_vl_text"], queryKeyValueBias: .always,
      window: .fromLayer),
    Architecture(
      types: ["qwen3", "qwen3_vl_text"], defaults: ["head_dim": 128], queryKeyNorm: .always,
      queryKeyValueBias: attentionBias,
      attentionOutputBias: attentionBias, window: .fromLayer),
    // Phi-4 is of this type too.
    Architecture(
      types: ["phi3"], window: .inEveryLayer(byDefault: nil), epsilon: 1e-5,
      dropout: Dropout(keys: ["attention_dropout", "embd_pdrop", "resid_pdrop"], hidden: ("resid_pdrop", 0))),
    Architecture(
      types: ["smollm3"], defaults: ["num_key_value_heads": 4], queryKeyValueBias: attentionBias,
      attentionOutputBias: attentionBias, feedForwardBias: .stated("mlp_bias"), tiesEmbeddings: true,
      window: .inUnrotatedLayers, unrotated: .stated(byDefault: 4)),
    Architecture(
      types: ["granite"], queryKeyValueBias: attentionBias, attentionOutputBias: attentionBias,
      feedForwardBias: .stated("mlp_bias"),
      numbers: graniteNumbers),
    Architecture(
      types: ["olmo"], norm: .layerNormWithoutWeights, queryKeyValueBias: attentionBias,
      attentionOutputBias: attentionBias, epsilon: 1e-5,
      numbers: [Number(particular: .queryKeyValueClip, key: "clip_qkv")]),
    olmo2(types: ["olmo2"], .never), olmo2(types: ["olmo3"], .exceptEvery(4, key: "", byDefault: 4_096)),
    Architecture(
      types: ["glm4"], defaults: ["num_key_value_heads": 2, "head_dim": 128], block: .always(.normsAround),
      queryKeyValueBias: .stated("attention_bias", byDefault: true), epsilon: 1.5625e-7, rotaryFraction: 0.5),
    Architecture(
      types: ["glm"], defaults: ["num_key_value_heads": 2, "head_dim": 128],
      queryKeyValueBias: .stated("attention_bias", byDefault: true), epsilon: 1.5625e-7, rotaryFraction: 0.5),
    Architecture(
      types: ["hunyuan_v1_dense"], queryKeyNorm: .always, queryKeyValueBias: attentionBias,
      attentionOutputBias: attentionBias, epsilon: 1e-5),
    Architecture(
      types: ["exaone4"], block: .always(.normsAfter), queryKeyNorm: .always,
      window: .exceptEvery(4, key: "sliding_window_pattern", byDefault: 4_096), unrotated: .withoutWindow, epsilon: 1e-5
    ),
    Architecture(
      types: ["seed_oss"], defaults: ["num_key_value_heads": 8, "head_dim": 128],
      queryKeyValueBias: .stated("attention_bias", byDefault: true), attentionOutputBias: .stated("attention_out_bias"),
      feedForwardBias: .stated("mlp_bias"),
      dropout: Dropout(
        keys: ["attention_dropout", "residual_dropout"], byDefault: true, hidden: ("residual_dropout", 0.1),
        attention: ("attention_dropout", 0.1))),
    Architecture(
      types: ["internlm2"], queryKeyValueBias: .stated("bias"), attentionOutputBias: .stated("bias")),
    Architecture(
      types: ["baichuan"], keys: Keys(longest: ["max_position_embeddings", "model_max_length"]),
      positions: .baichuan),
  ]

  static let graniteNumbers = [
    Number(particular: .embeddingScale, key: "embedding_multiplier"),
    Number(particular: .residualScale, key: "residual_multiplier"),
    Number(particular: .scoreScale, key: "attention_multiplier", byDefault: 1),
    Number(particular: .logitScale, key: "logits_scaling", form: .inverse),
  ]

  /// By which a type is read that has no declaration.
  static let unknown: Architecture = {
    var architecture = llama
    architecture.window = .inEveryLayer(byDefault: nil)
    return architecture
  }()

  private static let llama = Architecture(
    types: ["llama", "Yi"], keys: Keys(longest: ["max_position_embeddings", "max_sequence_length"]),
    queryKeyValueBias: attentionBias, attentionOutputBias: attentionBias, feedForwardBias: .stated("mlp_bias"))

  private static func olmo2(types: [String], _ window: Windows) -> Architecture {
    Architecture(
      types: types, block: .always(.normsAfter), queryKeyNorm: .always, queryKeyNormOver: .allHeads,
      queryKeyValueBias: attentionBias, attentionOutputBias: attentionBias, window: window, epsilon: 1e-5)
  }

  private static let gemmas = [
    gemma(types: ["gemma"], ["head_dim": 256], .always(.sequential), .never),
    gemma(
      types: ["gemma2"], ["head_dim": 256, "num_key_value_heads": 4], .always(.normsAround),
      .exceptEvery(2, key: "", byDefault: 4_096),
      numbers: [
        Number(particular: .scoreSoftCap, key: "attn_logit_softcapping", byDefault: 50),
        Number(particular: .logitSoftCap, key: "final_logit_softcapping", byDefault: 30), scoreScale,
      ]),
    gemma(
      types: ["gemma3_text", "gemma3"],
      [
        "head_dim": 256, "num_key_value_heads": 4, "num_attention_heads": 8, "hidden_size": 2_304,
        "intermediate_size": 9_216, "num_hidden_layers": 26, "vocab_size": 262_208,
      ], .always(.normsAround), .exceptEvery(6, key: "sliding_window_pattern", byDefault: 4_096), normsHeads: .always,
      numbers: [
        Number(particular: .scoreSoftCap, key: "attn_logit_softcapping"),
        Number(particular: .logitSoftCap, key: "final_logit_softcapping"), scoreScale,
        Number(particular: .windowRotaryBase, key: "rope_local_base_freq", byDefault: 10_000),
      ]),
  ]

  private static let scoreScale = Number(
    particular: .scoreScale, key: "query_pre_attn_scalar", byDefault: 256, form: .inverseSquareRoot)

  /// Embeddings are multiplied by √h, and norms by one and their weights.
  private static func gemma(
    types: [String], _ defaults: [String: Int], _ block: BlockRule, _ window: Windows, normsHeads: Fact = .never,
    numbers: [Number] = []
  ) -> Architecture {
    Architecture(
      types: types, keys: Keys(activation: ["hidden_activation", "hidden_act"]), defaults: defaults, block: block,
      queryKeyNorm: normsHeads, queryKeyValueBias: attentionBias, attentionOutputBias: attentionBias,
      tiesEmbeddings: true, window: window, activation: .geluTanh, approximatesGELU: true,
      numbers: numbers + [
        Number(particular: .embeddingScale, key: "hidden_size", form: .squareRoot),
        Number(particular: .normOffset, key: "", byDefault: 1),
      ])
  }

  /// Attention and feed-forward part side by side, always or where the file says so.
  private static let parallel = [
    cohere(types: ["cohere"], .stated("use_qk_norm"), .never, .none),
    cohere(
      types: ["cohere2"], .never, .exceptEvery(4, key: "sliding_window_pattern", byDefault: 4_096), .withoutWindow),
    Architecture(
      types: ["stablelm"], family: .gpt,
      keys: Keys(
        epsilon: ["layer_norm_eps"],
        rotaryFraction: [
          "partial_rotary_factor", "rope_pct",
        ]), defaults: ["num_key_value_heads": 32], norm: .layerNorm,
      block: .stated("use_parallel_residual", byDefault: false, then: .parallelOneNorm, otherwise: .sequential),
      queryKeyNorm: .stated("qk_layernorm"), queryKeyNormOver: .eachHead, queryKeyValueBias: .stated("use_qkv_bias"),
      epsilon: 1e-5, rotaryFraction: 0.25,
      dropout: Dropout(keys: ["attention_dropout", "hidden_dropout"], hidden: ("hidden_dropout", 0))),
    Architecture(
      types: ["falcon"], family: .gpt,
      keys: Keys(
        keyValueHeads: ["num_kv_heads"], feedForward: ["ffn_hidden_size"], activation: ["activation"],
        epsilon: ["layer_norm_epsilon"]), norm: .layerNorm, block: .falcon, queryKeyValueBias: .stated("bias"),
      attentionOutputBias: .stated("bias"), feedForwardBias: .stated("bias"), isGated: false, tiesEmbeddings: true,
      keyValueHeads: .falcon, feedForwardFactor: (nil, 4), positions: .falcon, activation: .gelu, epsilon: 1e-5,
      dropout: Dropout(keys: ["attention_dropout", "hidden_dropout"], hidden: ("hidden_dropout", 0))),
    Architecture(
      types: ["gpt_neox"], family: .gpt,
      keys: Keys(
        epsilon: ["layer_norm_eps"], rotaryBase: ["rope_theta", "rotary_emb_base"],
        rotaryFraction: ["partial_rotary_factor", "rotary_pct"]), norm: .layerNorm,
      block: .stated("use_parallel_residual", byDefault: true, then: .parallel, otherwise: .sequential),
      queryKeyValueBias: .stated("attention_bias", byDefault: true),
      attentionOutputBias: .stated("attention_bias", byDefault: true), feedForwardBias: .always, isGated: false,
      activation: .gelu, epsilon: 1e-5, rotaryFraction: 0.25,
      dropout: Dropout(keys: ["attention_dropout", "hidden_dropout"], hidden: ("hidden_dropout", 0))),
    // Phi 1, 1.5 and 2.
    Architecture(
      types: ["phi"], family: .gpt, keys: Keys(epsilon: ["layer_norm_eps"]), norm: .layerNorm,
      block: .always(.parallelOneNorm), queryKeyValueBias: .always, attentionOutputBias: .always,
      feedForwardBias: .always, headBias: .always, isGated: false, activation: .geluTanh, epsilon: 1e-5,
      rotaryFraction: 0.5,
      dropout: Dropout(keys: ["attention_dropout", "embd_pdrop", "resid_pdrop"], hidden: ("resid_pdrop", 0))),
  ]

  private static func cohere(
    types: [String], _ normsHeads: Fact, _ window: Windows, _ unrotated: UnrotatedLayers
  ) -> Architecture {
    Architecture(
      types: types, family: .gpt, keys: Keys(epsilon: ["layer_norm_eps"]), norm: .layerNormWithoutBias,
      block: .always(.parallelOneNorm), queryKeyNorm: normsHeads, queryKeyNormOver: .eachHead,
      queryKeyValueBias: attentionBias, attentionOutputBias: attentionBias, tiesEmbeddings: true, window: window,
      unrotated: unrotated, epsilon: 1e-5,
      numbers: [Number(particular: .logitScale, key: "logit_scale", byDefault: 0.0625)])
  }

  /// Plain feed-forward parts and blocks one after the other.
  private static let older = [
    Architecture(
      types: ["arcee"], queryKeyValueBias: attentionBias, attentionOutputBias: attentionBias,
      feedForwardBias: .stated("mlp_bias"), isGated: false, activation: .squaredReLU, epsilon: 1e-5),
    Architecture(
      types: ["gpt2"], family: .gpt,
      keys: Keys(
        layers: ["n_layer"], hidden: ["n_embd"], heads: ["n_head"], keyValueHeads: [], headSize: [],
        feedForward: ["n_inner"], longest: [], activation: ["activation_function"], epsilon: ["layer_norm_epsilon"]),
      norm: .layerNorm, queryKeyValueBias: .always, attentionOutputBias: .always, feedForwardBias: .always,
      isGated: false, tiesEmbeddings: true, feedForwardFactor: (nil, 4),
      positions: .learned(key: "n_positions", byDefault: 1_024, offset: 0), activation: .geluTanh, epsilon: 1e-5,
      dropout: Dropout(
        keys: ["attn_pdrop", "embd_pdrop", "resid_pdrop"], byDefault: true, hidden: ("resid_pdrop", 0.1),
        attention: ("attn_pdrop", 0.1))),
    // Its position table has two rows more than positions: the embedding is offset by two.
    Architecture(
      types: ["opt"], family: .gpt,
      keys: Keys(
        keyValueHeads: [], headSize: [], feedForward: ["ffn_dim"], longest: [], activation: ["activation_function"],
        epsilon: [], initialisation: ["init_std"]), norm: .layerNorm,
      queryKeyValueBias: .stated("enable_bias", byDefault: true),
      attentionOutputBias: .stated("enable_bias", byDefault: true),
      feedForwardBias: .stated("enable_bias", byDefault: true), isGated: false, tiesEmbeddings: true,
      positions: .learned(key: "max_position_embeddings", byDefault: 2_048, offset: 2), activation: .relu,
      epsilon: 1e-5,
      dropout: Dropout(
        keys: ["dropout", "attention_dropout", "activation_dropout"], byDefault: true, hidden: ("dropout", 0.1),
        attention: ("attention_dropout", 0))),
    Architecture(
      types: ["bloom"], family: .gpt,
      keys: Keys(
        layers: ["n_layer", "num_hidden_layers"], hidden: ["n_embed", "hidden_size"],
        heads: ["n_head", "num_attention_heads"], keyValueHeads: [], headSize: [], feedForward: [], longest: [],
        activation: [], epsilon: ["layer_norm_epsilon"]), norm: .layerNorm, queryKeyValueBias: .always,
      attentionOutputBias: .always, feedForwardBias: .always, hasEmbeddingNorm: true, isGated: false,
      tiesEmbeddings: true, feedForwardFactor: (nil, 4), positions: .linearBiases, activation: .geluTanh,
      epsilon: 1e-5, dropout: Dropout(keys: ["attention_dropout", "hidden_dropout"], hidden: ("hidden_dropout", 0))),
    Architecture(
      types: ["mpt"], family: .gpt,
      keys: Keys(
        layers: ["n_layers"], hidden: ["d_model"], heads: ["n_heads"], keyValueHeads: [], headSize: [],
        feedForward: [], longest: ["max_seq_len"], activation: [], epsilon: ["layer_norm_epsilon"]),
      norm: .layerNormWithoutBias, isGated: false, tiesEmbeddings: true,
      feedForwardFactor: ("expansion_ratio", 4), positions: .mpt, activation: .gelu, epsilon: 1e-5,
      dropout: Dropout(keys: ["emb_pdrop", "resid_pdrop"], hidden: ("resid_pdrop", 0), attention: ("attn_pdrop", nil)),
      numbers: [Number(particular: .logitScale, key: "logit_scale")]),
    Architecture(
      types: ["starcoder2"], family: .gpt, keys: Keys(epsilon: ["norm_epsilon"]),
      defaults: ["num_key_value_heads": 2], norm: .layerNorm,
      queryKeyValueBias: .stated("use_bias", byDefault: true),
      attentionOutputBias: .stated("use_bias", byDefault: true),
      feedForwardBias: .stated("use_bias", byDefault: true), isGated: false, tiesEmbeddings: true,
      window: .inEveryLayer(byDefault: nil), activation: .geluTanh, epsilon: 1e-5,
      dropout: Dropout(
        keys: ["attention_dropout", "residual_dropout", "embedding_dropout"], hidden: ("residual_dropout", 0))),
  ]
}
