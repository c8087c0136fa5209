/// Invented records of measured runs.
enum MeasuredRecords {
  /// A line that states everything, but for what is asked to be otherwise.
  static func record(
    _ id: String, device: String = "a100-sxm4-80gb", layerCount: Int = 8, experts: Int? = nil,
    strategy: String = #"{"tensor": 2, "pipeline": 1, "data": 2, "micro_batch": 2}"#, seconds: Double = 0.5,
    measured: String? = nil
  ) -> String {
    let moe = experts.map { ", \"moe\": {\"experts\": \($0), \"topk\": 2, \"expertFfn\": 512}" } ?? ""
    return """
      {"schema": "sextant.run/1", "id": "\(id)", "family": "invented", "model": {"name": "small", "family": "llama", \
      "layers": \(layerCount), "hidden": 1024, "heads": 8, "kv_heads": 8, "head_dim": 128, "ffn_hidden": 4096, \
      "vocab": 32000, "gated_mlp": true, "tied_embeddings": false\(moe)}, "sequence_length": 1024, "global_batch": 16, \
      "precision": "bf16", "cluster": {"device": "\(device)", "nodes": 1, "devices_per_node": 4}, \
      "strategy": \(strategy), "measured": \(measured ?? "{\"iteration_seconds\": \(seconds)}")}
      """
  }

  /// Runs of models of different depths, the deeper the slower.
  static func text(runCount: Int) -> String {
    (1...runCount).map { index in
      record("run-\(index)", layerCount: 4 * index, seconds: 0.05 + 0.02 * Double(index)) + "\n"
    }.joined()
  }
}
