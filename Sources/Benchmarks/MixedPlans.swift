import Costing
import Documents
import Search

/// Nodes with eight H100, A100, V100 and H200 each, so many of every kind.
func mixedCluster(_ nodeCounts: [Int], catalog: Catalog) throws -> ClusterDescription {
  let kinds = ["h100-sxm5-80gb", "a100-sxm4-80gb", "v100-sxm2-32gb", "h200-sxm5-141gb"]
  let nodeCount = nodeCounts.reduce(0, +)
  return try ClusterDescription(
    name: "four kinds", devices: kinds.map { try catalog.device($0) },
    deviceOfNode: nodeCounts.indices.flatMap { [Int](repeating: $0, count: nodeCounts[$0]) },
    nodeNames: (0..<nodeCount).map { "n\($0)" }, devicesPerNode: 8,
    levels: [
      .init(name: "nvlink", span: 8, bytesPerSecond: 300e9),
      .init(name: "ib", span: 8 * nodeCount, bytesPerSecond: 25e9, sharedBytesPerSecond: 200e9),
    ])
}

/// Plans whose bounds are the loosest, and those with most ways to split layers.
extension Benchmarks {
  /// Nodes with four models of device: 24 orders of them.
  static func reportMixedPlans(catalog: Catalog) throws {
    for (counts, name, batch) in [
      ([4, 4, 4, 4], "gpt3-175b", 2_048), ([7, 4, 2, 3], "llama-3-70b", 512), ([32, 32, 32, 32], "gpt3-175b", 2_048),
      ([56, 32, 16, 24], "llama-3-70b", 1_024),
    ] {
      let job = try TrainingJob(
        model: catalog.model(name), sequenceLength: 2_048, globalBatch: batch, precision: .fp16)
      try reportPlan(
        "\(name) on \(counts.map(String.init).joined(separator: " + ")) nodes of four kinds",
        model: CostModel(cluster: mixedCluster(counts, catalog: catalog), job: job), runCount: 1)
    }
  }

  /// 16,384 layers on 1,024 devices: some that fit, and some that do not.
  static func reportDeepPlans(catalog: Catalog) throws {
    for hidden in [1_024, 8_192] {
      let deep = try ModelDescription(
        name: "deep", family: .gpt, layerCount: 16_384, hiddenSize: hidden, headCount: hidden / 64,
        keyValueHeadCount: hidden / 64, feedForwardSize: 4 * hidden, vocabularySize: 51_200,
        hasGatedFeedForward: false, hasTiedEmbeddings: true)
      let job = try TrainingJob(model: deep, sequenceLength: 2_048, globalBatch: 1_024)
      try reportPlan(
        "16,384 layers of \(hidden) on dgx-a100-128",
        model: CostModel(cluster: catalog.cluster("dgx-a100-128"), job: job), runCount: 1)
    }
  }
}
