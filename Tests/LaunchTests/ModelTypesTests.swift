import Documents
import JSONText
import Testing

@testable import Launch

/// What Hugging Face's model types are told to frameworks as, or refused for.
@Suite struct ModelTypesTests {
  private static let shape = #"""
    "hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 4, "num_attention_heads": 8,
    "num_key_value_heads": 4, "vocab_size": 1000
    """#

  private func job(_ members: String, sequenceLength: Int = 256) throws -> TrainingJob {
    let text = "{\(members), \(Self.shape)}"
    return try TrainingJob(
      model: ModelDescription(Field(try JSON(parsing: Array(text.utf8)), source: "config.json")),
      sequenceLength: sequenceLength, globalBatch: 8)
  }

  private func refusals(_ job: TrainingJob) -> [String] {
    Capabilities.all.filter { $0.refusal(of: job) != nil }.map(\.name)
  }

  /// Every framework with a model of its own refuses what it would train otherwise; DeepSpeed trains the user's code.
  @Test(arguments: [
    #""model_type": "gemma2""#, #""model_type": "olmo2""#, #""model_type": "glm4""#, #""model_type": "granite""#,
    #""model_type": "cohere""#, #""model_type": "cohere2""#, #""model_type": "gpt_neox""#,
    #""model_type": "olmo", "clip_qkv": 8"#, #""model_type": "falcon""#, #""model_type": "phi""#,
    #""model_type": "stablelm", "use_parallel_residual": true"#, #""model_type": "gemma""#,
    #""model_type": "baichuan""#, #""model_type": "falcon", "alibi": true, "parallel_attn": false"#,
  ])
  func noFrameworkSilentlyTrainsAnotherModel(members: String) throws {
    #expect(refusals(try job(members)) == Capabilities.all.map(\.name).filter { $0 != "deepspeed" })
  }

  @Test func modelsOfLlamasShapeAreTrainedEverywhere() throws {
    for type in ["phi3", "internlm2", "newcomer"] {
      let members = #""model_type": "\#(type)", "rms_norm_eps": 1e-5"#
      #expect(refusals(try job(members)).isEmpty, "\(type)")
    }
    // Which layers are rotated Megatron-LM alone is told.
    #expect(refusals(try job(#""model_type": "smollm3""#)) == ["torchtitan", "torchtitan-0.2", "nanotron"])
  }

  @Test func windowsOfSomeLayersAreRefusedWhereAllHaveThem() throws {
    let members = #"""
      "model_type": "qwen3", "use_sliding_window": true, "sliding_window": 64, "max_window_layers": 2, "head_dim": 32
      """#
    let refused = refusals(try job(members))
    #expect(refused.contains("nanotron") && refused.contains("torchtitan") && !refused.contains("megatron-lm"))
    #expect(
      try Capabilities.nanotron.refusal(of: job(#""model_type": "mistral", "sliding_window": 64"#)) == nil)
    let some = #"""
      "model_type": "newcomer", "rms_norm_eps": 1e-5, "sliding_window": 64,
      "layer_types": ["sliding_attention", "full_attention", "sliding_attention", "full_attention"]
      """#
    let refusal = try #require(Capabilities.nanotron.refusal(of: job(some)))
    #expect(refusal.description.contains("every layer"))
    // Not in force, they are nothing to be told.
    #expect(try Capabilities.nanotron.refusal(of: job(some, sequenceLength: 64)) == nil)
  }

  /// Written for Megatron-LM and read again.
  @Test(arguments: [
    (#""model_type": "glm", "attention_bias": false, "head_dim": 32"#, "--rotary-percent 0.5"),
    (#""model_type": "smollm3""#, "--no-rope-freq 4"),
    (#""model_type": "smollm3", "no_rope_layer_interval": 3"#, "--no-rope-freq [0,0,1,0]"),
    (#""model_type": "stablelm""#, "--normalization LayerNorm"),
    (
      #"""
      "model_type": "newcomer", "rms_norm_eps": 1e-5, "sliding_window": 64,
      "layer_types": ["sliding_attention", "full_attention", "sliding_attention", "full_attention"]
      """#, "--window-size 63,0 --window-attn-skip-freq 2"
    ),
    (
      #""model_type": "qwen2", "use_sliding_window": true, "sliding_window": 64, "max_window_layers": 1"#,
      "--window-size 63,0 --window-attn-skip-freq [0,1,1,1]"
    ),
  ])
  func megatronIsToldAndReadBack(members: String, words: String) throws {
    let job = try job(members)
    #expect(Capabilities.megatronLM.refusal(of: job) == nil)
    let arguments = MegatronModelArguments(model: job.model, sequenceLength: job.sequenceLength).words
    #expect(" \(arguments.joined(separator: " ")) ".contains(" \(words) "), "\(arguments)")
    let file = LaunchFile(
      name: "arguments.txt",
      text: (arguments + ["--micro-batch-size", "1", "--vocab-size", "1000"]).joined(separator: " "))
    let read = try #require(try MegatronLMTarget.configuration(in: [file], deviceCount: 1).model)
    #expect(read.hasShapes(of: job.model))
    #expect(read.details.particulars == job.model.details.particulars)
  }

  @Test func aListOfAnotherLengthIsRefused() throws {
    let text = """
      --num-layers 8 --hidden-size 256 --num-attention-heads 4 --seq-length 512 --max-position-embeddings 512
      --vocab-size 1000 --micro-batch-size 1 --window-size 63,0 --window-attn-skip-freq [1,0]
      """
    let error = #expect(throws: DocumentError.self) {
      try MegatronLMTarget.configuration(in: [LaunchFile(name: "a.txt", text: text)], deviceCount: 1)
    }
    #expect(error?.location == "--window-attn-skip-freq")
  }
}
