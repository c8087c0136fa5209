import JSONText
import Testing

@testable import Documents

/// What bears on a model's values and not on its cost.
@Suite struct ModelDetailsTests {
  private static let catalog = Catalog(root: Checkout.root)

  private func model(_ text: String) throws -> ModelDescription {
    try ModelDescription(Field(try JSON(parsing: Array(text.utf8)), source: "config.json"))
  }

  private func llama(_ members: String = "", type: String = "llama") throws -> ModelDescription.Details {
    try model(
      """
      {"model_type": "\(type)", "num_hidden_layers": 2, "hidden_size": 256, "num_attention_heads": 8,
       "intermediate_size": 512, "vocab_size": 100\(members.isEmpty ? "" : ", ")\(members)}
      """
    ).details
  }

  /// As the public `config.json` of each model states them.
  @Test func shippedModelsHaveTheirPublishedDetails() throws {
    func details(_ name: String) throws -> ModelDescription.Details { try Self.catalog.model(name).details }
    let llama3 = try details("llama-3-70b")
    #expect(llama3.activation == .silu)
    #expect(llama3.rotaryBase == 500_000)
    #expect(llama3.rotaryScaling == nil)
    #expect(llama3.normEpsilon == 1e-5)
    #expect(llama3.maximumPositionCount == 8_192)
    #expect(try details("llama-2-7b").rotaryBase == 10_000)
    #expect(try details("mistral-7b").attentionWindow == 4_096)
    let qwen2 = try details("qwen2-7b")
    #expect(qwen2.rotaryBase == 1e6)
    #expect(qwen2.normEpsilon == 1e-6)
    #expect(qwen2.attentionWindow == nil)
    let gpt2 = try details("gpt2")
    #expect(gpt2.activation == .geluTanh)
    #expect(gpt2.rotaryBase == nil)
    #expect(gpt2.hiddenDropout == 0.1)
    #expect(try details("opt-175b").activation == .relu)
    #expect(try details("megatron-1t") == ModelDescription.Details())
  }

  @Test func aPublishedConfigurationsScalingIsRead() throws {
    let path = "\(Checkout.inputs)/hf-config/meta-llama--Meta-Llama-3.1-8B_config.json"
    let details = try ModelDescription(contentsOf: path).details
    #expect(
      details.rotaryScaling
        == ModelDescription.RotaryScaling(
          .llama3, factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalPositionCount: 8_192))
    #expect(details.rotaryBase == 500_000)
  }

  /// Those of the configuration classes in `transformers`.
  @Test func whatAConfigurationLeavesOutIsItsClassesDefault() throws {
    let plain = try llama()
    #expect(plain == ModelDescription.Details(activation: .silu, normEpsilon: 1e-6, rotaryBase: 10_000))
    #expect(try llama(type: "mistral").attentionWindow == 4_096)
    #expect(try llama(#""sliding_window": null"#, type: "mistral").attentionWindow == nil)
    #expect(try llama(#""sliding_window": 512"#, type: "qwen2").attentionWindow == nil)
    let window = #""use_sliding_window": true, "sliding_window": 512"#
    // Windows begin at layer 28 unless the configuration says otherwise.
    #expect(try llama(window, type: "qwen3").attentionWindow == nil)
    #expect(try llama(window + #", "max_window_layers": 0"#, type: "qwen3").attentionWindow == 512)
    #expect(try llama(window + #", "max_window_layers": 1"#, type: "qwen3").fullAttentionLayers == [0])
    let opt = try model(
      """
      {"model_type": "opt", "num_hidden_layers": 2, "hidden_size": 256, "num_attention_heads": 2, "ffn_dim": 512,
       "vocab_size": 100}
      """
    ).details
    #expect(
      opt
        == ModelDescription.Details(activation: .relu, normEpsilon: 1e-5, hiddenDropout: 0.1, attentionDropout: 0))
  }

  @Test func baseAndScalingAreReadInTheOlderAndTheNewerForm() throws {
    for text in [
      #""rope_theta": 5000, "rope_scaling": {"type": "linear", "factor": 4}"#,
      #""rope_theta": 5000, "rope_scaling": {"rope_type": "linear", "type": "linear", "factor": 4.0}"#,
      #""rope_parameters": {"rope_theta": 5000, "rope_type": "linear", "factor": 4}"#,
    ] {
      let details = try llama(text)
      #expect(details.rotaryBase == 5_000)
      #expect(details.rotaryScaling == ModelDescription.RotaryScaling(.linear, factor: 4))
    }
    #expect(try llama(#""rope_parameters": {"rope_theta": 5000, "rope_type": "default"}"#).rotaryScaling == nil)
  }

  @Test(arguments: [
    (#""rope_scaling": {"rope_type": "llama3", "factor": 8}"#, "/rope_scaling"),
    (#""rope_scaling": {"rope_type": "linear"}"#, "/rope_scaling"),
    (#""rope_scaling": {"rope_type": "spiral", "factor": 8}"#, "/rope_scaling/rope_type"),
    (#""rope_theta": "large""#, "/rope_theta"), (#""hidden_act": "tanhshrink""#, "/hidden_act"),
    (#""rms_norm_eps": -1"#, "/rms_norm_eps"),
  ])
  func whatCannotBeComputedWithIsRefusedWithItsPlace(members: String, place: String) throws {
    let error = #expect(throws: DocumentError.self) { try llama(members) }
    #expect(error?.location == place)
  }

  @Test func detailsSurviveARoundTrip() throws {
    for name in ["model", "model-llama3", "model-yarn", "model-form"] {
      let path = "\(Checkout.inputs)/examples/\(name).json"
      let model = try ModelDescription(contentsOf: path)
      #expect(model.details != ModelDescription.Details())
      #expect(try ModelDescription(Field(model.json, source: "round trip")) == model)
    }
  }
}
