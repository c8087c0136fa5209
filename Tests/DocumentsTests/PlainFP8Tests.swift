import Testing

@testable import Documents

/// What a run record's precision "fp8" means: the recipe of its framework's users.
@Suite struct PlainFP8Tests {
  private func precision(of framework: String?) throws -> Precision {
    let named = framework.map { "\"framework\": \"\($0)\"," } ?? ""
    let text = """
      {"schema": "sextant.run/1", "id": "run", "family": "invented", \(named)
       "model": {"name": "gpt", "family": "gpt", "layers": 12, "hidden": 1024, "heads": 16, "kv_heads": 16,
         "ffn_hidden": 4096, "vocab": 51200, "gated_mlp": false, "tied_embeddings": true},
       "sequence_length": 1024, "global_batch": 256, "precision": "fp8",
       "cluster": {"device": "h100-sxm5-80gb", "nodes": 1, "devices_per_node": 8},
       "strategy": {"tensor": 1, "pipeline": 1, "data": 8, "micro_batch": 1, "zero_stage": 1,
         "recompute": "none", "flash_attention": true}, "measured": {"iteration_seconds": 1}}
      """
    return try MeasuredRun(parse(Array(text.utf8), source: "run")).job.get().precision
  }

  @Test(
    arguments: [
      ("torchtitan", Precision.fp8Current), ("torchtitan-0.2", .fp8Current), ("megatron-lm", .fp8Delayed),
      ("NeMo 2.0 / Megatron-Core", .fp8Delayed), (nil, .fp8Delayed),
    ] as [(String?, Precision)])
  func itIsARowOfTheFrameworksTable(framework: String?, precision: Precision) throws {
    #expect(try self.precision(of: framework) == precision)
  }
}
