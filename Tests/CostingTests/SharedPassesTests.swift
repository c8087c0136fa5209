import Documents
import TestSupport
import Testing

@testable import Costing

/// Micro-batches that are priced together, and share what does not depend on how they differ.
@Suite struct SharedPassesTests {
  @Test(arguments: ["deepseek-v3", "mixtral-8x7b", "llama-3-8b"]) func areAsEachByItself(_ name: String) throws {
    let job = try TrainingJob(model: Shipped.catalog.model(name), sequenceLength: 4_096, globalBatch: 256)
    let model = try CostModel(cluster: Shipped.catalog.cluster("dgx-h100-16"), job: job, frameworkName: "megatron-lm")
    let layout = model.layoutCost([.tensor: 2, .data: 16, .pipeline: 4])
    let recomputed: [(Strategy.Recompute, Strategy.RecomputeModules)] = [
      (.none, []), (.full, []), (.selective, [.norms, .expertActivation]), (.selective, [.feedForward, .norms]),
    ]
    let divisions: [Strategy.ExpertDivision] =
      job.model.experts == nil
      ? [.none]
      : [
        .none, Strategy.ExpertDivision(expertDegree: 8, tensorDegree: 1, dispatcher: .deepEP, overlaps: true),
        Strategy.ExpertDivision(expertDegree: 4, tensorDegree: 2, dispatcher: .allToAll, overlaps: false),
      ]
    let keys = recomputed.flatMap { recompute, modules in
      divisions.flatMap { division in
        [1, 2].map {
          MicroBatchKey(
            microBatch: $0, recompute: recompute, sequenceParallel: true, flashAttention: true, experts: division,
            modules: modules)
        }
      }
    }
    let together = model.microBatchCosts(layout: layout, keys)
    for (key, cost) in zip(keys, together) {
      let alone = model.microBatchCosts(layout: layout, [key])[0][0]
      #expect(parts(cost[0]) == parts(alone), "\(key)")
      #expect(bytes(cost[0].kept) == bytes(alone.kept), "\(key)")
      #expect(cost[0].launchedAgainShare[.dense] == alone.launchedAgainShare[.dense])
      #expect(cost[0].launchedAgainShare[.experts] == alone.launchedAgainShare[.experts])
    }
    // What is shared would not tell keys apart that differ in more.
    #expect(Set(together.map { $0[0].layers.experts.backwardSeconds }).count > keys.count / 3)
  }

  private func parts(_ cost: MicroBatchCost) -> [MicroBatchCost.Passes] {
    let combined = cost.combined(unpairedShare: 0.25)
    return [
      cost.layers.dense, cost.layers.experts, cost.keptLayers.dense, cost.keptLayers.experts, cost.embedding, cost.head,
      combined.layers.experts, combined.keptLayers.experts,
    ]
  }

  private func bytes(_ kept: KeptActivations) -> [Int] {
    [kept.blocks.dense, kept.blocks.experts].flatMap { [$0.bytes, $0.recomputedBytes, $0.wholeBytes] }
      + [kept.embeddingBytes, kept.headBytes, kept.lossBytes, kept.contextWorkspaceBytes]
  }
}
