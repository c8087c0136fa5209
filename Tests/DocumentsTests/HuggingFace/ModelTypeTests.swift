import JSONText
import Testing

@testable import Documents

/// Every model type that is read, with an exact count.
@Suite struct ModelTypeTests {
  /// A published model: its type, its fields as on disk without those that no reader needs, and its parameters.
  struct Published: CustomTestStringConvertible, Sendable {
    let name: String
    let type: String
    let fields: String
    let parameterCount: Int

    init(_ name: String, _ type: String, _ fields: String, _ parameterCount: Int) {
      self.name = name
      self.type = type
      self.fields = fields
      self.parameterCount = parameterCount
    }

    var testDescription: String { name }

    func model() throws -> ModelDescription {
      let text = #"{"model_type": "\#(type)", \#(fields)}"#
      return try ModelDescription(Field(try JSON(parsing: Array(text.utf8)), source: "config.json"))
    }
  }

  /// Llama's names of shapes.
  private static func llama(
    _ hidden: Int, _ width: Int, _ layers: Int, _ heads: Int, _ vocabulary: Int, keyValueHeads: Int? = nil,
    _ more: String = ""
  ) -> String {
    """
    "hidden_size": \(hidden), "intermediate_size": \(width), "num_hidden_layers": \(layers),
    "num_attention_heads": \(heads), "vocab_size": \(vocabulary)
    \(keyValueHeads.map { ", \"num_key_value_heads\": \($0)" } ?? "")\(more.isEmpty ? "" : ", " + more)
    """
  }

  /// The counts are of the tensors that the modelling classes of transformers 5.24.0 make of these fields; InternLM 2,
  /// Baichuan 2 and Yi, which it has no classes for, are Llama's tensors. Published totals agree: of the safetensors of
  /// Phi-3, Phi-4, SmolLM 3, InternLM 2.5, Aya Expanse (Cohere), OLMo 3 and Gemma 2, of BLOOM's and GPT-NeoX-20B's model
  /// cards, and of Pythia. Falcon and MPT publish files with the output matrix beside the embedding that it is tied to.
  static let published = [
    Published("phi-3-mini", "phi3", llama(3_072, 8_192, 32, 32, 32_064), 3_821_079_552),
    Published("phi-4", "phi3", llama(5_120, 17_920, 40, 40, 100_352, keyValueHeads: 10), 14_659_507_200),
    Published("phi-2", "phi", llama(2_560, 10_240, 32, 32, 51_200), 2_779_683_840),
    Published("olmo-7b", "olmo", llama(4_096, 11_008, 32, 32, 50_304), 6_888_095_744),
    Published("olmo2-7b", "olmo2", llama(4_096, 11_008, 32, 32, 100_352), 7_298_617_344),
    Published("olmo2-32b", "olmo2", llama(5_120, 27_648, 64, 40, 100_352, keyValueHeads: 8), 32_234_279_936),
    Published("olmo3-7b", "olmo3", llama(4_096, 11_008, 32, 32, 100_278), 7_298_011_136),
    Published("smollm3", "smollm3", llama(2_048, 11_008, 36, 16, 128_256), 3_075_098_624),
    Published("glm-4-9b-0414", "glm4", llama(4_096, 13_696, 40, 32, 151_552), 9_400_279_040),
    Published("glm-4-9b", "glm", llama(4_096, 13_696, 40, 32, 151_552), 9_399_951_360),
    Published(
      "granite-8b", "granite", llama(4_096, 12_800, 40, 32, 49_155, keyValueHeads: 8, #""tie_word_embeddings": true"#),
      8_170_848_256),
    Published(
      "granite-3.3-8b", "granite",
      llama(4_096, 12_800, 40, 32, 49_159, keyValueHeads: 8, #""tie_word_embeddings": true"#), 8_170_864_640),
    Published("stablelm-3b-4e1t", "stablelm", llama(2_560, 6_912, 32, 32, 50_304), 2_795_443_200),
    Published(
      "stablelm-2-1.6b", "stablelm", llama(2_048, 5_632, 24, 32, 100_352, #""use_qkv_bias": true"#), 1_644_515_328),
    Published(
      "stablelm-2-12b", "stablelm",
      llama(
        5_120, 13_824, 40, 32, 100_352, keyValueHeads: 8,
        #""use_parallel_residual": true, "qk_layernorm": true"#), 12_143_185_920),
    Published("gemma-7b", "gemma", llama(3_072, 24_576, 28, 16, 256_000), 8_537_680_896),
    Published("gemma2-9b", "gemma2", llama(3_584, 14_336, 42, 16, 256_000, keyValueHeads: 8), 9_241_705_984),
    Published(
      "gemma3-27b", "gemma3_text",
      llama(5_376, 21_504, 62, 32, 262_208, keyValueHeads: 16, #""head_dim": 128"#), 27_009_346_304),
    Published("command-r", "cohere", llama(8_192, 22_528, 40, 64, 256_000), 34_980_831_232),
    Published(
      "command-r-plus", "cohere", llama(12_288, 33_792, 64, 96, 256_000, keyValueHeads: 8, #""use_qk_norm": true"#),
      103_810_674_688),
    Published("aya-expanse-8b", "cohere", llama(4_096, 14_336, 32, 32, 256_000, keyValueHeads: 8), 8_028_033_024),
    Published("command-r7b", "cohere2", llama(4_096, 14_336, 32, 32, 256_000, keyValueHeads: 8), 8_028_033_024),
    Published(
      "falcon-7b", "falcon",
      #""hidden_size": 4544, "num_hidden_layers": 32, "num_attention_heads": 71, "vocab_size": 65024"#, 6_921_720_704),
    Published(
      "falcon-40b", "falcon",
      #"""
      "hidden_size": 8192, "num_hidden_layers": 60, "num_attention_heads": 128, "vocab_size": 65024,
      "num_kv_heads": 8, "new_decoder_architecture": true
      """#, 41_303_293_952),
    Published(
      "falcon-rw-1b", "falcon",
      #"""
      "hidden_size": 2048, "num_hidden_layers": 24, "num_attention_heads": 32, "vocab_size": 50304,
      "multi_query": false, "parallel_attn": false, "alibi": true, "bias": true
      """#, 1_311_625_216),
    Published("gpt-neox-20b", "gpt_neox", llama(6_144, 24_576, 44, 64, 50_432), 20_554_567_680),
    Published("pythia-6.9b", "gpt_neox", llama(4_096, 16_384, 32, 32, 50_432), 6_857_302_016),
    Published(
      "bloom", "bloom", #""n_embed": 14336, "n_layer": 70, "num_attention_heads": 112, "vocab_size": 250880"#,
      176_247_271_424),
    Published(
      "mpt-7b", "mpt", #""d_model": 4096, "n_heads": 32, "n_layers": 32, "vocab_size": 50432, "max_seq_len": 2048"#,
      6_649_286_656),
    Published("starcoder2-3b", "starcoder2", llama(3_072, 12_288, 30, 24, 49_152), 3_030_371_328),
    Published(
      "exaone4-32b", "exaone4",
      llama(5_120, 27_392, 64, 40, 102_400, keyValueHeads: 8, #""head_dim": 128, "sliding_window_pattern": "LLLG""#),
      32_003_216_384),
    Published("hunyuan-8b", "hunyuan_v1_dense", llama(4_096, 14_336, 32, 32, 128_167, keyValueHeads: 8), 8_029_540_352),
    Published("seed-oss-36b", "seed_oss", llama(5_120, 27_648, 64, 80, 155_136, keyValueHeads: 8), 36_151_104_512),
    Published("arcee-4.5b", "arcee", llama(2_560, 18_432, 36, 20, 128_256, keyValueHeads: 4), 4_620_474_880),
    Published(
      "qwen2.5-vl-7b's text", "qwen2_5_vl_text", llama(3_584, 18_944, 28, 28, 152_064, keyValueHeads: 4), 7_615_616_512),
    Published("internlm2.5-7b", "internlm2", llama(4_096, 14_336, 32, 32, 92_544, keyValueHeads: 8), 7_737_708_544),
    Published("baichuan2-13b", "baichuan", llama(5_120, 13_696, 40, 40, 125_696), 13_896_668_160),
    Published("yi-6b", "Yi", llama(4_096, 11_008, 32, 32, 64_000, keyValueHeads: 4), 6_061_035_520),
  ]

  @Test(arguments: published)
  func aModelTypeHasItsExactParameters(published: Published) throws {
    let model = try published.model()
    #expect(model.parameterCount == published.parameterCount)
    #expect(model.notes.isEmpty)
    // What was read can be written and read again, without losing anything.
    #expect(try ModelDescription(Field(model.json, source: "round trip")) == model)
  }

  @Test func everyTypeThatIsReadIsCountedHereOrShipped() {
    let counted = Set(Self.published.map(\.type))
      .union([
        "qwen2_vl", "qwen2_vl_text", "qwen2_5_vl", "qwen3_vl_text", "llama", "mistral", "qwen2", "qwen3", "gpt2", "opt",
        "gemma3",
      ])
      .union(MixtureTests.known.compactMap { try? MixtureTests.type(of: $0) }).union(["granitemoeshared"])
    #expect(Set(Architecture.all.flatMap(\.types)) == counted)
  }

  private func model(_ name: String) throws -> ModelDescription {
    try #require(Self.published.first { $0.name == name }).model()
  }

  @Test func blocksAndNormsAreThoseOfTheModellingClasses() throws {
    func form(_ name: String) throws -> ModelDescription.Form { try model(name).form }
    #expect(try form("olmo2-7b").block == .normsAfter)
    #expect(try form("olmo2-7b").queryKeyNorm == .allHeads)
    #expect(try form("gemma2-9b").block == .normsAround)
    #expect(try form("gemma3-27b").queryKeyNorm == .head)
    #expect(try form("glm-4-9b").block == .sequential)
    #expect(try form("falcon-7b").block == .parallelOneNorm)
    #expect(try form("falcon-40b").block == .parallel)
    #expect(try form("gpt-neox-20b").block == .parallel)
    #expect(try form("command-r-plus").queryKeyNorm == .eachHead)
    #expect(try form("bloom").hasEmbeddingNorm)
    #expect(try form("phi-2").hasHeadBias)
    for name in ["bloom", "mpt-7b", "falcon-rw-1b", "baichuan2-13b"] {
      #expect(try !form(name).hasRotaryPositions, "\(name)")
      #expect(try model(name).details.particulars[.linearBias] == 8, "\(name)")
    }
    #expect(try form("falcon-7b").hasRotaryPositions)
  }

  /// What bears on values alone is carried, so that no framework is silently told of another model.
  @Test func numbersOfSingleModelsAreCarried() throws {
    let gemma2 = try model("gemma2-9b")
    #expect(gemma2.details.activation == .geluTanh)
    #expect(
      gemma2.details.particulars == [
        .scoreSoftCap: 50, .logitSoftCap: 30, .embeddingScale: 3_584.0.squareRoot(), .normOffset: 1,
      ])
    // 1/√256 where heads are of 128.
    #expect(try model("gemma3-27b").details.particulars[.scoreScale] == 1 / 16)
    #expect(try model("gemma3-27b").details.rotaryBase == 1_000_000)
    #expect(try model("gemma3-27b").details.particulars[.windowRotaryBase] == 10_000)
    #expect(try model("glm-4-9b-0414").details.particulars == [.rotaryFraction: 0.5])
    #expect(try model("smollm3").details.particulars == [.unrotatedInterval: 4])
    #expect(try model("command-r7b").details.particulars == [.unrotatedInterval: 4, .logitScale: 0.0625])
    let granite = try Published(
      "", "granite",
      Self.llama(
        4_096, 12_800, 40, 32, 49_159, keyValueHeads: 8,
        #"""
        "attention_multiplier": 0.0078125, "embedding_multiplier": 12.0, "residual_multiplier": 0.22,
        "logits_scaling": 16.0
        """#), 0
    ).model()
    #expect(
      granite.details.particulars == [
        .scoreScale: 0.0078125, .embeddingScale: 12, .residualScale: 0.22, .logitScale: 1 / 16,
      ])
  }

  @Test func windowsAreThoseOfTheirLayers() throws {
    #expect(try model("gemma2-9b").details.attentionWindow == 4_096)
    #expect(try model("gemma2-9b").details.fullAttentionLayers == Array(stride(from: 1, to: 42, by: 2)))
    #expect(try model("gemma3-27b").details.fullAttentionLayers == Array(stride(from: 5, to: 62, by: 6)))
    #expect(try model("command-r7b").details.fullAttentionLayers == Array(stride(from: 3, to: 32, by: 4)))
    #expect(try model("phi-3-mini").details.attentionWindow == nil)
    let stated = try Published(
      "", "olmo3",
      Self.llama(
        64, 128, 3, 4, 100,
        #""layer_types": ["full_attention", "sliding_attention", "full_attention"], "sliding_window": 16"#), 0
    ).model()
    #expect(stated.details.attentionWindow == 16)
    #expect(stated.details.fullAttentionLayers == [0, 2])
  }

  /// Pairs counted one by one.
  @Test func windowsLeaveTheirShareOfAttention() throws {
    for (window, length) in [(4, 16), (1, 16), (15, 16), (16, 16), (32, 16)] {
      let model = try ModelDescription(
        name: "windowed", family: .llama, layerCount: 4, hiddenSize: 64, headCount: 4, feedForwardSize: 128,
        vocabularySize: 100, hasGatedFeedForward: true, hasTiedEmbeddings: false,
        details: .init(attentionWindow: window, fullAttentionLayers: [3]))
      let all = (1...length).reduce(0, +), seen = (1...length).reduce(0) { $0 + min($1, window) }
      let expected = Double(3 * seen + all) / Double(4 * all)
      #expect(abs(model.visibleFraction(sequenceLength: length) / expected - 1) < 1e-12)
    }
  }
}
