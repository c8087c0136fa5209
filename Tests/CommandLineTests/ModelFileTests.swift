import Documents
import Foundation
import JSONText
import Testing

/// Models as people have them: checkpoints' folders and files of many types.
@Suite struct ModelFileTests {
  private static let gemma3 = #"""
    {"model_type": "gemma3", "text_config": {"model_type": "gemma3_text", "hidden_size": 1152,
     "intermediate_size": 6912, "num_hidden_layers": 26, "num_attention_heads": 4, "num_key_value_heads": 1,
     "sliding_window": 512, "max_position_embeddings": 8192}, "quantization_config": {"quant_method": "awq"}}
    """#

  private func folder(_ configuration: String) async throws -> Workspace {
    let folder = try Workspace()
    try FileManager.default.createDirectory(atPath: folder.file("checkpoint"), withIntermediateDirectories: true)
    try folder.write(configuration, to: "checkpoint/config.json")
    return folder
  }

  /// Without a framework asked for, a model that the default does not train is priced for none, and says so.
  @Test func aCheckpointsFolderIsPlannedAndEveryNoteIsSaid() async throws {
    let folder = try await folder(Self.gemma3)
    let request = ["--cluster", "dgx-h100-1", "--model", "checkpoint", "--global-batch", "64", "--sequence", "16384"]
    let plan = try await folder.sextant(
      ["plan"] + request + ["--fix", "tensor=1,pipeline=1,micro_batch=1", "--output", "plan.json"]
    ).succeeded()
    #expect(plan.hasPrefix("checkpoint (999,959,680 parameters) on dgx-h100-1"))
    let notes = ["text_config", "awq", "22 of 26 layers sees 512", "longer than the 8,192"]
    for note in notes + ["For no framework in particular", "megatron-lm (core 0.20) trains no models with a gate"] {
      #expect(plan.contains(note), "\(note)")
    }
    // The plan keeps what was read.
    #expect(try Plan(contentsOf: folder.file("plan.json")).job.model.notes.count == 2)
    let explained = try await folder.sextant("explain", "plan.json").succeeded()
    for note in notes { #expect(explained.contains(note), "\(note)") }

    let strategy = ["--strategy", "tensor=1,data=8,micro_batch=1,zero_stage=3,flash_attention=true"]
    let estimate = try await folder.sextant(["estimate"] + request + strategy).succeeded()
    for note in notes + ["no framework in particular"] { #expect(estimate.contains(note), "\(note)") }
    // Where one is asked for, it is held to what it can be told.
    try await folder.sextant(["estimate"] + request + strategy + ["--framework", "megatron-fsdp"])
      .failed(65, "trains no models with a gate", "deepspeed can be told all of it")
  }

  @Test func aWindowInForceMakesAttentionCheaper() async throws {
    func seconds(_ window: String) async throws -> Double {
      let folder = try await folder(
        #"""
        {"model_type": "mistral", "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
         "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 32000, "sliding_window": \#(window)}
        """#)
      let text = try await folder.sextant(
        "estimate", "--cluster", "dgx-h100-4", "--model", "./checkpoint", "--global-batch", "32", "--sequence", "32768",
        "--strategy", "tensor=8,data=4,micro_batch=1,zero_stage=1,recompute=full,sequence_parallel=true", "--json"
      ).succeeded()
      var fields = try Field(JSON(parsing: Array(text.utf8)), source: "estimate").fields()
      var prediction = try fields.required("prediction").fields()
      return try prediction.required("iteration_seconds").positiveNumber()
    }
    let full = try await seconds("null"), windowed = try await seconds("4096")
    #expect(try await seconds("32768") == full)
    #expect(windowed < full)
  }

  @Test func aFolderWithoutAConfigurationIsRefusedInALine() async throws {
    let folder = try Workspace()
    try FileManager.default.createDirectory(atPath: folder.file("empty"), withIntermediateDirectories: true)
    try await folder.sextant(
      "estimate", "--cluster", "dgx-h100-1", "--model", "./empty", "--global-batch", "8", "--strategy", "data=8"
    ).failed(65, "./empty/config.json")
  }
}
