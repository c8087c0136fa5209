import Foundation
import JSONText
import Testing

@testable import Documents

/// Models with experts and latent attention: parameters as their cards and checkpoints state them.
@Suite struct MixtureTests {
  /// A model's configuration, reduced to what its shapes follow from, and what is known of it.
  struct Known: Sendable, CustomTestStringConvertible {
    let name: String
    let fields: String
    /// Of the main model, to the last digit.
    let total: Int
    /// Billions of a token's way, with the embedding table and without.
    let active: (with: Double, without: Double)
    var testDescription: String { name }
  }

  /// Shapes from the configurations of the checkpoints; totals of Mixtral 8x7B, Qwen 3, DeepSeek-V3, gpt-oss-120b, OLMoE and
  /// MiniMax-M2 are those of the checkpoints' own indices.
  static let known: [Known] = [
    Known(
      name: "Mixtral 8x7B",
      fields: #"""
        "model_type": "mixtral", "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 8, "num_local_experts": 8, "num_experts_per_tok": 2,
        "vocab_size": 32000, "tie_word_embeddings": false
        """#, total: 46_702_792_704, active: (12.88, 12.75)),
    Known(
      name: "Mixtral 8x22B",
      fields: #"""
        "model_type": "mixtral", "hidden_size": 6144, "intermediate_size": 16384, "num_hidden_layers": 56,
        "num_attention_heads": 48, "num_key_value_heads": 8, "num_local_experts": 8, "num_experts_per_tok": 2,
        "vocab_size": 32768, "tie_word_embeddings": false
        """#, total: 140_630_071_296, active: (39.16, 38.96)),
    Known(
      name: "Qwen1.5-MoE-A2.7B",
      fields: #"""
        "model_type": "qwen2_moe", "hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 24,
        "num_attention_heads": 16, "num_key_value_heads": 16, "num_experts": 60, "num_experts_per_tok": 4,
        "moe_intermediate_size": 1408, "shared_expert_intermediate_size": 5632, "vocab_size": 151936,
        "decoder_sparse_step": 1, "use_sliding_window": false, "tie_word_embeddings": false
        """#, total: 14_315_784_192, active: (2.69, 2.38)),
    Known(
      name: "Qwen2-57B-A14B",
      fields: #"""
        "model_type": "qwen2_moe", "hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28,
        "num_attention_heads": 28, "num_key_value_heads": 4, "num_experts": 64, "num_experts_per_tok": 8,
        "moe_intermediate_size": 2560, "shared_expert_intermediate_size": 20480, "vocab_size": 151936,
        "use_sliding_window": false, "tie_word_embeddings": false
        """#, total: 57_408_658_944, active: (14.25, 13.70)),
    Known(
      name: "Qwen3-30B-A3B",
      fields: #"""
        "model_type": "qwen3_moe", "hidden_size": 2048, "intermediate_size": 6144, "num_hidden_layers": 48,
        "num_attention_heads": 32, "num_key_value_heads": 4, "head_dim": 128, "num_experts": 128,
        "num_experts_per_tok": 8, "moe_intermediate_size": 768, "mlp_only_layers": [], "decoder_sparse_step": 1,
        "vocab_size": 151936, "tie_word_embeddings": false
        """#, total: 30_532_122_624, active: (3.353032704, 3.04)),
    Known(
      name: "Qwen3-235B-A22B",
      fields: #"""
        "model_type": "qwen3_moe", "hidden_size": 4096, "intermediate_size": 12288, "num_hidden_layers": 94,
        "num_attention_heads": 64, "num_key_value_heads": 4, "head_dim": 128, "num_experts": 128,
        "num_experts_per_tok": 8, "moe_intermediate_size": 1536, "vocab_size": 151936, "tie_word_embeddings": false
        """#, total: 235_093_634_560, active: (22.19, 21.57)),
    Known(
      name: "DeepSeek-V2-Lite",
      fields: #"""
        "model_type": "deepseek_v2", "hidden_size": 2048, "intermediate_size": 10944, "num_hidden_layers": 27,
        "num_attention_heads": 16, "num_key_value_heads": 16, "q_lora_rank": null, "kv_lora_rank": 512,
        "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128, "n_routed_experts": 64,
        "num_experts_per_tok": 6, "moe_intermediate_size": 1408, "n_shared_experts": 2, "first_k_dense_replace": 1,
        "moe_layer_freq": 1, "n_group": 1, "topk_group": 1, "vocab_size": 102400, "tie_word_embeddings": false
        """#, total: 15_706_484_224, active: (2.66, 2.45)),
    Known(
      name: "DeepSeek-V2",
      fields: #"""
        "model_type": "deepseek_v2", "hidden_size": 5120, "intermediate_size": 12288, "num_hidden_layers": 60,
        "num_attention_heads": 128, "num_key_value_heads": 128, "q_lora_rank": 1536, "kv_lora_rank": 512,
        "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128, "n_routed_experts": 160,
        "num_experts_per_tok": 6, "moe_intermediate_size": 1536, "n_shared_experts": 2, "first_k_dense_replace": 1,
        "n_group": 8, "topk_group": 3, "vocab_size": 102400, "tie_word_embeddings": false
        """#, total: 235_741_434_880, active: (21.38, 20.85)),
    Known(
      name: "DeepSeek-V3",
      fields: #"""
        "model_type": "deepseek_v3", "hidden_size": 7168, "intermediate_size": 18432, "num_hidden_layers": 61,
        "num_attention_heads": 128, "num_key_value_heads": 128, "q_lora_rank": 1536, "kv_lora_rank": 512,
        "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128, "n_routed_experts": 256,
        "num_experts_per_tok": 8, "moe_intermediate_size": 2048, "n_shared_experts": 1, "first_k_dense_replace": 3,
        "moe_layer_freq": 1, "n_group": 8, "topk_group": 4, "num_nextn_predict_layers": 1, "vocab_size": 129280,
        "tie_word_embeddings": false
        """#, total: 671_026_419_200, active: (37.55, 36.63)),
    Known(
      name: "Kimi K2",
      fields: #"""
        "model_type": "kimi_k2", "hidden_size": 7168, "intermediate_size": 18432, "num_hidden_layers": 61,
        "num_attention_heads": 64, "num_key_value_heads": 64, "q_lora_rank": 1536, "kv_lora_rank": 512,
        "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128, "n_routed_experts": 384,
        "num_experts_per_tok": 8, "moe_intermediate_size": 2048, "n_shared_experts": 1, "first_k_dense_replace": 1,
        "n_group": 1, "topk_group": 1, "num_nextn_predict_layers": 0, "vocab_size": 163840,
        "tie_word_embeddings": false
        """#, total: 1_026_408_232_448, active: (32.86, 31.69)),
    Known(
      name: "GLM-4.5",
      fields: #"""
        "model_type": "glm4_moe", "hidden_size": 5120, "intermediate_size": 12288, "num_hidden_layers": 92,
        "num_attention_heads": 96, "num_key_value_heads": 8, "head_dim": 128, "attention_bias": true,
        "use_qk_norm": true, "n_routed_experts": 160, "num_experts_per_tok": 8, "moe_intermediate_size": 1536,
        "n_shared_experts": 1, "first_k_dense_replace": 3, "n_group": 1, "topk_group": 1,
        "num_nextn_predict_layers": 1, "vocab_size": 151552, "tie_word_embeddings": false
        """#, total: 352_797_829_024, active: (33.63, 32.86)),
    Known(
      name: "GLM-4.5-Air",
      fields: #"""
        "model_type": "glm4_moe", "hidden_size": 4096, "intermediate_size": 10944, "num_hidden_layers": 46,
        "num_attention_heads": 96, "num_key_value_heads": 8, "head_dim": 128, "attention_bias": true,
        "use_qk_norm": false, "n_routed_experts": 128, "num_experts_per_tok": 8, "moe_intermediate_size": 1408,
        "n_shared_experts": 1, "first_k_dense_replace": 1, "n_group": 1, "topk_group": 1,
        "num_nextn_predict_layers": 1, "vocab_size": 151552, "tie_word_embeddings": false
        """#, total: 106_852_251_264, active: (13.42, 12.80)),
    Known(
      name: "gpt-oss-120b",
      fields: #"""
        "model_type": "gpt_oss", "hidden_size": 2880, "intermediate_size": 2880, "num_hidden_layers": 36,
        "num_attention_heads": 64, "num_key_value_heads": 8, "head_dim": 64, "attention_bias": true,
        "num_local_experts": 128, "num_experts_per_tok": 4, "sliding_window": 128, "vocab_size": 201088,
        "tie_word_embeddings": false
        """#, total: 116_829_156_672, active: (5.71, 5.13)),
    Known(
      name: "gpt-oss-20b",
      fields: #"""
        "model_type": "gpt_oss", "hidden_size": 2880, "intermediate_size": 2880, "num_hidden_layers": 24,
        "num_attention_heads": 64, "num_key_value_heads": 8, "head_dim": 64, "attention_bias": true,
        "num_local_experts": 32, "num_experts_per_tok": 4, "sliding_window": 128, "vocab_size": 201088,
        "tie_word_embeddings": false
        """#, total: 20_914_757_184, active: (4.19, 3.61)),
    Known(
      name: "OLMoE-1B-7B",
      fields: #"""
        "model_type": "olmoe", "hidden_size": 2048, "intermediate_size": 1024, "num_hidden_layers": 16,
        "num_attention_heads": 16, "num_key_value_heads": 16, "num_experts": 64, "num_experts_per_tok": 8,
        "vocab_size": 50304, "tie_word_embeddings": false, "clip_qkv": null
        """#, total: 6_919_161_856, active: (1.28, 1.18)),
    Known(
      name: "Phi-3.5-MoE",
      fields: #"""
        "model_type": "phimoe", "hidden_size": 4096, "intermediate_size": 6400, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 8, "attention_bias": true, "lm_head_bias": true,
        "num_local_experts": 16, "num_experts_per_tok": 2, "sliding_window": 131072, "vocab_size": 32064,
        "tie_word_embeddings": false
        """#, total: 41_873_153_344, active: (6.64, 6.51)),
    Known(
      name: "DBRX",
      fields: #"""
        "model_type": "dbrx", "d_model": 6144, "n_layers": 40, "n_heads": 48, "max_seq_len": 32768,
        "vocab_size": 100352, "attn_config": {"clip_qkv": 8, "kv_n_heads": 8, "rope_theta": 500000},
        "ffn_config": {"ffn_hidden_size": 10752, "moe_num_experts": 16, "moe_top_k": 4}, "tie_word_embeddings": false
        """#, total: 131_596_523_520, active: (36.47, 35.85)),
    Known(
      name: "MiniMax-M2",
      fields: #"""
        "model_type": "minimax_m2", "hidden_size": 3072, "intermediate_size": 1536, "num_hidden_layers": 62,
        "num_attention_heads": 48, "num_key_value_heads": 8, "head_dim": 128, "num_local_experts": 256,
        "num_experts_per_tok": 8, "vocab_size": 200064, "tie_word_embeddings": false
        """#, total: 228_689_764_864, active: (11.03, 10.42)),
    Known(
      name: "ERNIE-4.5-21B-A3B",
      fields: #"""
        "model_type": "ernie4_5_moe", "hidden_size": 2560, "intermediate_size": 12288, "num_hidden_layers": 28,
        "num_attention_heads": 20, "num_key_value_heads": 4, "head_dim": 128, "moe_num_experts": 64, "moe_k": 6,
        "moe_intermediate_size": 1536, "moe_num_shared_experts": 2, "moe_layer_start_index": 1,
        "moe_layer_end_index": 27, "moe_layer_interval": 1, "vocab_size": 103424, "tie_word_embeddings": true
        """#, total: 21_825_437_888, active: (3.35, 3.09)),
    Known(
      name: "Hunyuan-A13B",
      fields: #"""
        "model_type": "hunyuan_v1_moe", "hidden_size": 4096, "intermediate_size": 3072, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128, "num_experts": 64,
        "moe_topk": [8, 8, 8], "moe_intermediate_size": [3072, 3072, 3072], "num_shared_expert": [1, 1, 1],
        "vocab_size": 128167, "tie_word_embeddings": true
        """#, total: 80_393_183_232, active: (12.75, 12.22)),
    Known(
      name: "Granite-3.0-1B-A400M",
      fields: #"""
        "model_type": "granitemoe", "hidden_size": 1024, "intermediate_size": 512, "num_hidden_layers": 24,
        "num_attention_heads": 16, "num_key_value_heads": 8, "num_local_experts": 32, "num_experts_per_tok": 8,
        "vocab_size": 49155, "tie_word_embeddings": true
        """#, total: 1_334_628_352, active: (0.43, 0.38)),
    Known(
      name: "Llama 4 Scout",
      fields: #"""
        "model_type": "llama4_text", "hidden_size": 5120, "intermediate_size": 8192, "intermediate_size_mlp": 16384,
        "num_hidden_layers": 48, "num_attention_heads": 40, "num_key_value_heads": 8, "head_dim": 128,
        "num_local_experts": 16, "num_experts_per_tok": 1, "interleave_moe_layer_step": 1,
        "attention_chunk_size": 8192, "no_rope_layers": [], "vocab_size": 202048, "tie_word_embeddings": false
        """#, total: 107_769_861_120, active: (17.17, 16.14)),
    Known(
      name: "Llama 4 Maverick",
      fields: #"""
        "model_type": "llama4_text", "hidden_size": 5120, "intermediate_size": 8192, "intermediate_size_mlp": 16384,
        "num_hidden_layers": 48, "num_attention_heads": 40, "num_key_value_heads": 8, "head_dim": 128,
        "num_local_experts": 128, "num_experts_per_tok": 1, "interleave_moe_layer_step": 2,
        "attention_chunk_size": 8192, "vocab_size": 202048, "tie_word_embeddings": false
        """#, total: 400_711_848_960, active: (17.18, 16.15)),
  ]

  static func read(_ fields: String) throws -> ModelDescription {
    try ModelDescription(Field(try JSON(parsing: Array("{\(fields)}".utf8)), source: "config.json"))
  }

  static func type(of known: Known) throws -> String {
    var fields = try Field(try JSON(parsing: Array("{\(known.fields)}".utf8)), source: "config.json").fields()
    return try fields.required("model_type").string()
  }

  static func named(_ name: String) throws -> ModelDescription {
    try read(try #require(known.first { $0.name == name }).fields)
  }

  @Test(arguments: known) func parametersAreThoseOfTheModel(_ known: Known) throws {
    let model = try Self.read(known.fields)
    #expect(model.parameterCount == known.total)
    for (isWith, billions) in [(true, known.active.with), (false, known.active.without)] {
      let active = Double(model.activeParameterCount(withEmbedding: isWith)) / 1e9
      #expect(abs(active - billions) <= 0.0051, "\(active) of \(billions)")
    }
    // Our own document says all of it again.
    #expect(try ModelDescription(Field(model.json, source: "model.json")) == model)
  }

  @Test func sharedExpertsOfGraniteAreAPartOfTheirOwn() throws {
    let plain = try #require(Self.known.first { $0.name.hasPrefix("Granite") })
    let shared = try Self.read(
      plain.fields.replacingOccurrences(of: "granitemoe", with: "granitemoeshared")
        + #", "shared_intermediate_size": 256"#)
    #expect(shared.parameterCount == plain.total + 24 * 3 * 1_024 * 256)
  }

  @Test func activeParametersOfQwen3AreExact() throws {
    #expect(try Self.named("Qwen3-30B-A3B").activeParameterCount(withEmbedding: true) == 3_353_032_704)
  }

  @Test func layersThatPredictFurtherTokensAreBlocksOfTheirOwn() throws {
    let deepSeek = try Self.named("DeepSeek-V3")
    #expect(deepSeek.predictionParameterCount == 11_610_068_224)
    // A checkpoint has copies of embedding and head in it.
    let copies = 2 * deepSeek.vocabularySize * deepSeek.hiddenSize
    #expect(deepSeek.predictionParameterCount + copies == 13_463_426_304)
    for (name, checkpoint) in [("GLM-4.5", 358_337_791_296), ("GLM-4.5-Air", 110_468_824_832)] {
      let model = try Self.named(name)
      let copies = 2 * model.vocabularySize * model.hiddenSize
      #expect(model.parameterCount + model.predictionParameterCount + copies == checkpoint)
    }
    #expect(try Self.named("Kimi K2").predictionParameterCount == 0)
  }

  @Test func layersAreOfTheirKinds() throws {
    func dense(_ name: String) throws -> [Int] { try #require(try Self.named(name).experts).denseLayers }
    #expect(try dense("DeepSeek-V3") == [0, 1, 2])
    #expect(try dense("ERNIE-4.5-21B-A3B") == [0])
    #expect(try dense("Llama 4 Maverick") == Array(stride(from: 0, to: 48, by: 2)))
    #expect(try dense("Llama 4 Scout").isEmpty)
    #expect(try dense("Mixtral 8x7B").isEmpty)
    let oss = try Self.named("gpt-oss-120b")
    #expect(oss.kind(ofLayer: 0) == .init(feedForward: .experts, reach: .window(128)))
    #expect(oss.kind(ofLayer: 1) == .init(feedForward: .experts, reach: .full))
    let scout = try Self.named("Llama 4 Scout")
    #expect((0..<4).map { scout.kind(ofLayer: $0).reach } == [.chunk(8_192), .chunk(8_192), .chunk(8_192), .full])
    let deepSeek = try Self.named("DeepSeek-V3")
    #expect(deepSeek.kind(ofLayer: 2).feedForward == .dense)
    #expect(deepSeek.kind(ofLayer: 3).feedForward == .experts)
    #expect(deepSeek.expertLayerCount(in: 1..<5) == 2)
    #expect(deepSeek.experts?.groups == .init(count: 8, kept: 4))
  }

  /// What bears on values alone: DeepSeek's two numbers of YaRN, and the gate of gpt-oss, whatever `hidden_act` says.
  @Test func numbersOfSingleMixturesAreCarried() throws {
    let catalog = Catalog(root: Checkout.root)
    let deepSeek = try catalog.model("deepseek-v3").details
    // (0.1 · ln 40 + 1)² / √192.
    let scale = try #require(deepSeek.particulars[.scoreScale])
    #expect(abs(scale - 1.368_887_945_4 * 1.368_887_945_4 / 13.856_406_460_6) < 1e-9)
    #expect(deepSeek.rotaryScaling?.attentionFactor == 1)
    let oss = try catalog.model("gpt-oss-120b").details
    #expect(oss.activation == .quickGELU && oss.particulars == [.gateLimit: 7, .gateOffset: 1])
    // Without the two numbers YaRN has its own factor, and scores their usual scale.
    #expect(try Self.named("DeepSeek-V3").details.particulars.isEmpty)
  }

  /// GFLOP a token of forward and backward, from published rates and tokens a second of 227 runs.
  @Test(arguments: [
    ("DeepSeek-V3", 259.992), ("Kimi K2", 204.477), ("gpt-oss-120b", 32.63), ("Qwen3-30B-A3B", 23.006),
    ("Qwen3-235B-A22B", 148.035),
  ]) func floatingPointOperationsAreThoseOfPublishedRates(_ name: String, _ gigaFLOP: Double) throws {
    let model = try Self.named(name)
    let flop = model.modelFLOP(sequenceLength: 4_096, sequenceCount: 1, counting: .visible) / 4_096
    #expect(abs(flop / 1e9 / gigaFLOP - 1) < 2e-4, "\(flop / 1e9)")
  }

  /// The same of dense models, whose sequences have 8,192 tokens.
  @Test(arguments: [("llama-3-8b", 51.470), ("llama-3-70b", 449.223)])
  func floatingPointOperationsOfDenseModels(_ name: String, _ gigaFLOP: Double) throws {
    let model = try Catalog(root: Checkout.root).model(name)
    let flop = model.modelFLOP(sequenceLength: 8_192, sequenceCount: 1, counting: .visible) / 8_192
    #expect(abs(flop / 1e9 / gigaFLOP - 1) < 2e-4, "\(flop / 1e9)")
  }
}
