/// The model types with experts that are read.
///
/// As ``all``; of types that the library has not, the files that models come with (`kimi_k2`).
extension Architecture {
  private static let attentionBias = Fact.stated("attention_bias")

  static let mixtures = [
    Architecture(
      types: ["mixtral"], defaults: ["num_key_value_heads": 8], window: .inEveryLayer(byDefault: nil), epsilon: 1e-5,
      experts: ExpertRule(count: ["num_local_experts"], feedForward: ["intermediate_size"])),
    Architecture(
      types: ["phimoe"], defaults: ["num_key_value_heads": 8], norm: .layerNorm, queryKeyValueBias: attentionBias,
      attentionOutputBias: attentionBias, headBias: .stated("lm_head_bias"), window: .inEveryLayer(byDefault: nil),
      epsilon: 1e-5,
      experts: ExpertRule(count: ["num_local_experts"], feedForward: ["intermediate_size"], normalisesWeights: .never)),
    granite(types: ["granitemoe"], shared: .none),
    granite(types: ["granitemoeshared"], shared: .width("shared_intermediate_size")),
    Architecture(
      types: ["qwen2_moe"], queryKeyValueBias: .stated("qkv_bias", byDefault: true), window: .fromLayer,
      experts: ExpertRule(
        shared: .width("shared_expert_intermediate_size"), hasSharedGate: true, dense: .listed,
        normalisesWeights: .stated("norm_topk_prob"))),
    Architecture(
      types: ["qwen3_moe"], queryKeyNorm: .always, queryKeyValueBias: attentionBias,
      attentionOutputBias: attentionBias, window: .fromLayer,
      experts: ExpertRule(dense: .listed, normalisesWeights: .stated("norm_topk_prob"))),
    deepSeek(types: ["deepseek_v2"], score: .softmax, correctionBias: .never, normalises: .stated("norm_topk_prob")),
    deepSeek(
      types: ["deepseek_v3", "kimi_k2"], score: .sigmoid, correctionBias: .always,
      normalises: .stated("norm_topk_prob", byDefault: true)),
    Architecture(
      types: ["glm4_moe"], defaults: ["num_key_value_heads": 8, "head_dim": 128, "first_k_dense_replace": 1],
      queryKeyNorm: .stated("use_qk_norm"), queryKeyValueBias: attentionBias, epsilon: 1e-5, rotaryFraction: 0.5,
      experts: ExpertRule(
        count: ["n_routed_experts"], shared: .experts("n_shared_experts"), dense: .first, correctionBias: .always,
        score: .sigmoid, normalisesWeights: .stated("norm_topk_prob", byDefault: true),
        groups: ("n_group", "topk_group"))),
    Architecture(
      // The class has an activation of its own, whatever `hidden_act` says.
      types: ["gpt_oss"], keys: Keys(activation: []),
      defaults: ["num_key_value_heads": 8, "head_dim": 64, "num_local_experts": 128],
      queryKeyValueBias: .stated("attention_bias", byDefault: true),
      attentionOutputBias: .stated("attention_bias", byDefault: true), window: .exceptEvery(2, key: "", byDefault: 128),
      activation: .quickGELU, epsilon: 1e-5, hasSinks: true,
      numbers: [
        Number(particular: .gateLimit, key: "swiglu_limit", byDefault: 7),
        Number(particular: .gateOffset, key: "", byDefault: 1),
      ],
      experts: ExpertRule(
        count: ["num_local_experts"], feedForward: ["intermediate_size"], routerBias: .always, hasBias: true)),
    Architecture(
      types: ["olmoe"], queryKeyNorm: .always, queryKeyNormOver: .allHeads, queryKeyValueBias: attentionBias,
      attentionOutputBias: attentionBias, epsilon: 1e-5,
      numbers: [Number(particular: .queryKeyValueClip, key: "clip_qkv")],
      experts: ExpertRule(feedForward: ["intermediate_size"], normalisesWeights: .stated("norm_topk_prob"))),
    Architecture(
      types: ["dbrx"],
      keys: Keys(
        layers: ["n_layers"], hidden: ["d_model"], heads: ["n_heads"], keyValueHeads: ["attn_config/kv_n_heads"],
        headSize: [], feedForward: ["ffn_config/ffn_hidden_size"], longest: ["max_seq_len"], activation: [],
        epsilon: [], rotaryBase: ["attn_config/rope_theta"]), norm: .layerNormWithoutBias, epsilon: 1e-5,
      dropout: Dropout(keys: ["resid_pdrop", "emb_pdrop"], hidden: ("resid_pdrop", 0)),
      numbers: [Number(particular: .queryKeyValueClip, key: "attn_config/clip_qkv")],
      experts: ExpertRule(
        count: ["ffn_config/moe_num_experts"], perToken: ["ffn_config/moe_top_k"],
        feedForward: ["ffn_config/ffn_hidden_size"])),
    Architecture(
      types: ["ernie4_5_moe"], defaults: ["num_key_value_heads": 4], queryKeyValueBias: .stated("use_bias"),
      attentionOutputBias: .stated("use_bias"), feedForwardBias: .stated("use_bias"), tiesEmbeddings: true,
      epsilon: 1e-5,
      experts: ExpertRule(
        count: ["moe_num_experts"], perToken: ["moe_k"], shared: .experts("moe_num_shared_experts"), dense: .outside,
        correctionBias: .always)),
    Architecture(
      types: ["hunyuan_v1_moe"], queryKeyNorm: .always, queryKeyValueBias: attentionBias,
      attentionOutputBias: attentionBias, epsilon: 1e-5,
      experts: ExpertRule(
        perToken: ["moe_topk"], feedForward: ["moe_intermediate_size", "intermediate_size"],
        shared: .experts("num_shared_expert"))),
    Architecture(
      types: ["minimax_m2"], defaults: ["num_key_value_heads": 8, "head_dim": 128], queryKeyNorm: .always,
      queryKeyNormOver: .allHeads,
      experts: ExpertRule(
        count: ["num_local_experts"], feedForward: ["intermediate_size"], correctionBias: .always, score: .sigmoid)),
    Architecture(
      types: ["llama4_text"],
      defaults: [
        "num_key_value_heads": 8, "head_dim": 128, "num_local_experts": 16, "num_attention_heads": 40,
        "hidden_size": 5_120, "intermediate_size": 8_192, "num_hidden_layers": 48, "vocab_size": 202_048,
        "num_experts_per_tok": 1, "intermediate_size_mlp": 16_384,
      ], queryKeyValueBias: attentionBias, attentionOutputBias: attentionBias,
      window: .chunksInRotatedLayers(byDefault: 8_192), unrotated: .stated(byDefault: 4), epsilon: 1e-5,
      experts: ExpertRule(
        count: ["num_local_experts"], feedForward: ["intermediate_size"], shared: .one, dense: .unlisted,
        denseFeedForward: "intermediate_size_mlp", score: .sigmoid, normalisesWeights: .never)),
  ]

  private static func granite(types: [String], shared: ExpertRule.Shared) -> Architecture {
    Architecture(
      types: types, queryKeyValueBias: attentionBias, attentionOutputBias: attentionBias,
      numbers: graniteNumbers,
      experts: ExpertRule(count: ["num_local_experts"], feedForward: ["intermediate_size"], shared: shared))
  }

  private static func deepSeek(
    types: [String], score: ModelDescription.Experts.Score, correctionBias: Fact, normalises: Fact
  ) -> Architecture {
    Architecture(
      types: types, queryKeyValueBias: .never, attentionOutputBias: .never, hasLatentAttention: true,
      experts: ExpertRule(
        count: ["n_routed_experts"], shared: .experts("n_shared_experts"), dense: .first,
        correctionBias: correctionBias, score: score, scoreKey: "scoring_func", normalisesWeights: normalises,
        groups: ("n_group", "topk_group")))
  }
}
