import TestSupport
import Testing

@testable import Costing
@testable import Documents

@Suite("The links of a run record's cluster")
struct MeasuredClusterTests {
  /// The rate inside a node of a record whose cluster states `links`, and what had to be assumed.
  private func node(_ links: String) throws -> (bytesPerSecond: Double, assumptions: [String]) {
    let text = """
      {"schema": "sextant.run/1", "id": "one", "family": "invented",
       "model": {"name": "gpt", "family": "gpt", "layers": 12, "hidden": 1024, "heads": 16, "kv_heads": 16,
         "ffn_hidden": 4096, "vocab": 51200, "gated_mlp": false, "tied_embeddings": true},
       "sequence_length": 1024, "global_batch": 256, "precision": "bf16",
       "cluster": {"device": "a100-sxm4-80gb", "nodes": 1, "devices_per_node": 8\(links)},
       "strategy": {"tensor": 1, "pipeline": 1, "data": 8, "micro_batch": 1}, "measured": {"failed": true}}
      """
    let run = try MeasuredRun(parse(Array(text.utf8), source: "run"))
    let (cluster, assumptions) = try run.cluster(catalog: Shipped.catalog)
    return (cluster.levels[0].bytesPerSecond, assumptions)
  }

  @Test("A number of links in words counts before the datasheet, a rate before both")
  func linksInWords() throws {
    let words = #", "intra": "NVLink3 (4 inter-GPU connects), 8 GPUs per node""#
    let few = try node(words)
    #expect(few.bytesPerSecond == 100e9)
    #expect(few.assumptions == ["links inside a node carry 100000000000.0 bytes/s per device, 4 links"])
    #expect(try node(words + #", "intra_bytes_per_second_per_device": 2e11"#).bytesPerSecond == 200e9)
    // Never more than the chip has.
    #expect(try node(#", "intra": "NVLink3, 64 inter-GPU connects""#).bytesPerSecond == 300e9)
    for silent in ["", #", "intra": "NVLink3 + NVSwitch""#, #", "intra": "4 inter-GPU connects""#] {
      #expect(try node(silent).bytesPerSecond == 300e9)
    }
  }
}
