import Foundation
import JSONText
import Testing

@testable import Documents

/// Files as they lie in checkpoints: folders, nested models, quantised weights, unknown types.
@Suite struct ConfigurationFileTests {
  private static let shape = #"""
    "hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 2, "num_attention_heads": 8, "vocab_size": 100,
    "rms_norm_eps": 1e-5
    """#

  private func model(_ text: String) throws -> ModelDescription {
    try ModelDescription(Field(try JSON(parsing: Array(text.utf8)), source: "config.json"))
  }

  private func complaint(_ text: String) -> DocumentError? {
    #expect(throws: DocumentError.self) { try model(text) }
  }

  @Test func aFolderWithAConfigurationIsAModel() throws {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("models-\(UUID().uuidString)").path
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let checkpoint = folder + "/my-model"
    try FileManager.default.createDirectory(atPath: checkpoint, withIntermediateDirectories: true)
    let missing = #expect(throws: DocumentError.self) { try ModelDescription(contentsOf: checkpoint) }
    #expect(missing?.source == checkpoint + "/config.json")
    try Data(#"{"model_type": "llama", \#(Self.shape)}"#.utf8).write(
      to: URL(fileURLWithPath: checkpoint + "/config.json"))
    for path in [checkpoint, checkpoint + "/", checkpoint + "/config.json", checkpoint + "/."] {
      #expect(try ModelDescription(contentsOf: path).name == "my-model", "\(path)")
    }
    #expect(try Catalog(root: Checkout.root).model(checkpoint).name == "my-model")
  }

  @Test func theTextModelOfSeveralIsPlannedAndSaysSo() throws {
    let nested = try model(
      #"""
      {"model_type": "gemma3", "vision_config": {}, "text_config": {"model_type": "gemma3_text", "hidden_size": 2560,
       "intermediate_size": 10240, "num_hidden_layers": 34, "sliding_window": 1024}}
      """#)
    // Of Gemma 3 4B, whose heads and vocabulary are its class's.
    #expect(nested.parameterCount == 3_880_263_168)
    #expect(nested.notes.count == 1)
    #expect(nested.notes.first?.contains("text_config") == true)
    let tied = try model(
      #"{"model_type": "llava", "tie_word_embeddings": true, "text_config": {"model_type": "llama", \#(Self.shape)}}"#)
    #expect(tied.hasTiedEmbeddings)
    // A complaint points into the nested object.
    let error = complaint(#"{"model_type": "llava", "text_config": {"model_type": "llama", "hidden_size": "wide"}}"#)
    #expect(error?.location.hasPrefix("/text_config") == true)
    // Of Llama 4 Scout, whose shapes are its class's.
    let mixture = try model(
      #"{"model_type": "llama4", "text_config": {"model_type": "llama4_text", "num_local_experts": 16}}"#)
    #expect(mixture.parameterCount == 107_769_861_120)
  }

  @Test func quantisedWeightsAreNoted() throws {
    let quantised = try model(
      #"{"model_type": "llama", \#(Self.shape), "quantization_config": {"quant_method": "gptq", "bits": 4}}"#)
    #expect(quantised.notes.count == 1)
    #expect(quantised.notes.first?.contains("gptq") == true)
  }

  @Test func anUnknownTypeWithLlamasFieldsIsReadAndSaysSo() throws {
    let unknown = try model(#"{"model_type": "newcomer", \#(Self.shape)}"#)
    let llama = try model(#"{"model_type": "llama", \#(Self.shape)}"#)
    #expect(unknown.parameterCount == llama.parameterCount)
    #expect(unknown.notes.count == 1)
    // Files of older versions state what they have not.
    let old = #""is_encoder_decoder": false, "encoder_no_repeat_ngram_size": 0, "add_cross_attention": false"#
    #expect(try model(#"{"model_type": "newcomer", \#(Self.shape), \#(old)}"#) == unknown)
    #expect(unknown.notes.first?.contains("newcomer") == true)
    #expect(
      try model(#"{"model_type": "newcomer", \#(Self.shape), "sliding_window": 64}"#).details.attentionWindow == 64)
  }

  @Test(arguments: [
    (#""ssm_state_size": 16"#, "state-space"), (#""mamba_d_conv": 4"#, "state-space"),
    (#""linear_num_value_heads": 4"#, "linear attention"), (#""moe_layer_freq": 2"#, "mixture-of-experts"),
    (#""num_experts_per_tok": 2"#, "mixture-of-experts"), (#""q_lora_rank": 64"#, "low rank"),
    (#""type_vocab_size": 2"#, "token types"), (#""use_qk_norm": true"#, "norms of queries"),
    (#""layers_block_type": ["mamba"]"#, "kinds"),
  ])
  func anUnknownTypeThatCostsOtherwiseIsRefused(member: String, word: String) {
    let error = complaint(#"{"model_type": "newcomer", \#(Self.shape), \#(member)}"#)
    #expect(error?.location == "/model_type")
    #expect(error?.description.contains(word) == true, "\(String(describing: error))")
  }

  @Test(arguments: [
    (#""model_type": "newcomer", "num_experts": 8"#, "qwen3_moe"),
    (#""model_type": "llama", "kv_lora_rank": 8"#, "deepseek_v3"),
    (#""model_type": "minimax", "num_local_experts": 32"#, "linear (lightning) attention"),
    (#""model_type": "qwen3_next", "num_experts": 512"#, "gated delta net"),
    (#""model_type": "jamba", "num_experts": 16"#, "state-space"),
  ])
  func expertsOfUnknownTypesAndHybridsAreRefusedByName(members: String, word: String) {
    let error = complaint("{\(members), \(Self.shape)}")
    #expect(error?.location == "/model_type")
    #expect(error?.description.contains(word) == true, "\(String(describing: error))")
  }

  @Test(arguments: [
    (#""num_local_experts": 8, "num_experts_per_tok": 9"#, "/num_experts_per_tok", "from 1 to 8"),
    (#""num_local_experts": 8"#, "", "num_experts_per_tok"),
    (#""num_local_experts": "many""#, "/num_local_experts", "integer"),
  ])
  func expertsThatCannotBeAreRefusedAtTheirPlace(members: String, location: String, word: String) {
    let error = complaint(#"{"model_type": "mixtral", \#(Self.shape), \#(members)}"#)
    #expect(error?.location == location)
    #expect(error?.description.contains(word) == true, "\(String(describing: error))")
  }

  @Test func aSingleExpertIsNone() throws {
    let dense = try model(
      #"{"model_type": "hunyuan_v1_moe", \#(Self.shape), "num_experts": 1, "moe_topk": 1}"#)
    #expect(dense.experts == nil)
    #expect(dense.feedForwardSize == 512)
  }

  @Test func whatIsNotLlamasShapeNamesWhatIsMissingAndWhatIsRead() {
    let error = complaint(#"{"model_type": "newcomer", "d_model": 64}"#)
    #expect(error?.description.contains("hidden_size") == true)
    #expect(error?.description.contains("gpt_neox") == true)
    #expect(error?.description.contains("model document") == true)
    let unlike = complaint(#"{"model_type": "diffllama", \#(Self.shape)}"#)
    #expect(unlike?.description.contains("not Llama's") == true)
  }

  @Test func layersOfOtherKindsAreRefusedAtTheirPlace() {
    let error = complaint(
      #"{"model_type": "olmo3", \#(Self.shape), "layer_types": ["full_attention", "linear_attention"]}"#)
    #expect(error?.location == "/layer_types/1")
    #expect(error?.description.contains("linear_attention") == true)
  }

  @Test func sequencesBeyondTheTrainedLengthAndWindowsInForceAreNoted() throws {
    func notes(_ model: ModelDescription, _ length: Int) throws -> [String] {
      try TrainingJob(model: model, sequenceLength: length, globalBatch: 8).notes
    }
    let old = try model(#"{"model_type": "llama", \#(Self.shape), "max_sequence_length": 2048}"#)
    #expect(try notes(old, 2_048).isEmpty)
    #expect(try notes(old, 32_768).count == 1)
    let mistral = try model(#"{"model_type": "mistral", \#(Self.shape), "sliding_window": 4096}"#)
    #expect(try notes(mistral, 4_096).isEmpty)
    let inForce = try #require(notes(mistral, 32_768).first)
    #expect(inForce.contains("every layer") && inForce.contains("4,096"))
    let off = #""use_sliding_window": false, "sliding_window": 4096, "max_window_layers": 0"#
    #expect(try notes(model(#"{"model_type": "qwen2", \#(Self.shape), \#(off)}"#), 32_768).isEmpty)
  }
}
