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

  /// A record of three nodes with V100 and one with T4, whose cluster has other words.
  private func mixture(_ device: String, links: String = "", devices: Int = 16) throws -> (ClusterDescription, [String])
  {
    let text = """
      {"schema": "sextant.run/1", "id": "mix", "family": "invented",
       "model": {"name": "gpt", "family": "gpt", "layers": 24, "hidden": 1024, "heads": 16, "kv_heads": 16,
         "ffn_hidden": 4096, "vocab": 52256, "gated_mlp": false, "tied_embeddings": true},
       "sequence_length": 1024, "global_batch": 32, "precision": "fp16",
       "cluster": {"device": "\(device)", "nodes": 4, "devices_per_node": 4, "devices": \(devices)\(links)},
       "strategy": {"tensor": 1, "pipeline": 16, "data": 1, "micro_batch": 1}, "measured": {"failed": true}}
      """
    return try MeasuredRun(parse(Array(text.utf8), source: "run")).cluster(catalog: Shipped.catalog)
  }

  @Test("A word that counts nodes of several devices is a mixed cluster")
  func mixtures() throws {
    let word = "mixed-3-nodes-v100-sxm2-16gb-p3-8xlarge-1-node-t4-g4dn-12xlarge"
    let (cluster, assumptions) = try mixture(word, links: #", "inter": "10 Gb/s (p3.8xlarge) / 50 Gb/s (g4dn)""#)
    #expect(cluster.devices.map(\.name) == ["v100-sxm2-16gb", "t4-16gb"])
    #expect(cluster.deviceOfNode == [0, 0, 0, 1])
    // The slowest kind's network, which a node's devices share.
    #expect(
      cluster.levels.map(\.bytesPerSecond) == [150e9, 1.25e9] && cluster.levels[1].sharedBytesPerSecond == 1.25e9)
    #expect(assumptions.count == 2 && assumptions[0].contains("3 with v100-sxm2-16gb, 1 with t4-16gb"))
    // Within a node each device reaches what it has itself.
    let rates = cluster.devices.map { Fabric(cluster, device: $0).levels[0].bytesPerSecond }
    #expect(agrees(rates[0], 150e9 * cluster.devices[0].fabric.scaleUpEfficiency))
    #expect(agrees(rates[1], 15.75e9 * cluster.devices[1].fabric.scaleUpEfficiency))
    // One rate in words is of one kind, and one in a key of all.
    let stated = try mixture(word, links: #", "inter": "10 Gb/s", "inter_bytes_per_second_per_node": 2e9"#).0
    #expect(stated.levels[1].bytesPerSecond == 2e9)
  }

  @Test(
    "Other words for mixtures name no device",
    arguments: [
      ("mixed-v100-sxm2-16gb-t4", 16), ("mixed-3-nodes-v100-sxm2-16gb-2-nodes-t4", 16),
      ("mixed-3-nodes-v100-sxm2-16gb-1-node-abacus", 16), ("mixed-4-nodes-t4", 16), ("mixed", 16),
      ("mixed-3-nodes-v100-sxm2-16gb-1-node-t4", 12), ("mixed-0-nodes-t4-4-nodes-v100-sxm2-16gb", 16),
    ])
  func otherWords(word: String, devices: Int) throws {
    let error = try #require(throws: DocumentError.self) { try mixture(word, devices: devices) }
    #expect("\(error)".contains("no device is called"), "\(error)")
  }
}
