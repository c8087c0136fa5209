import Documents
import TestSupport
import Testing

@testable import Costing
@testable import Search

@Suite("Bounds for every order of measured nodes")
struct RingBoundTests {
  /// Nodes of two devices in racks of three, in random order: fast inside a rack,
  /// slower across, some pairs not measured.
  private func model(seed: UInt64) throws -> CostModel {
    var random = SeededGenerator(seed: seed)
    let nodes = 6
    let rack = (0..<nodes).map { $0 / 3 }.shuffled(using: &random)
    let rates = (0..<nodes).map { from in
      (0..<nodes).map { to -> Double? in
        if from == to || Int.random(in: 0..<12, using: &random) == 0 { return nil }
        return (rack[from] == rack[to] ? 24e9 : 8e9) * Double.random(in: 0.8...1, using: &random)
      }
    }
    let names = (0..<nodes).map { "node-\($0)" }
    let base = try Shipped.catalog.cluster("dgx-a100-4")
    let cluster = try ClusterDescription(
      name: "racks", device: base.device, nodeNames: names, devicesPerNode: 2,
      levels: [
        .init(name: "node", span: 2, bytesPerSecond: 3e11), .init(name: "network", span: 12, bytesPerSecond: 12e9),
      ],
      measured: MeasuredLinks(
        name: "racks", engine: "synthetic", source: "", nodeNames: names,
        snapshots: [.init(name: "once", bytesPerSecond: rates)]))
    return try CostModel(
      cluster: cluster,
      job: TrainingJob(model: Shipped.catalog.model("gpt2"), sequenceLength: 256, globalBatch: 24))
  }

  @Test("No order of the nodes is faster than the bound, and rings across racks are known to be slow")
  func boundsHoldForEveryOrder() throws {
    var scratch = EvaluationScratch()
    var compared = 0, sharper = 0
    for seed in UInt64(1)...3 {
      let model = try model(seed: seed)
      var random = SeededGenerator(seed: seed)
      let orders = (0..<10).map { _ in Array(0..<6).shuffled(using: &random) }
      let bounding = model.assumingBestLinks()
      for sample in PlanSearch(model: bounding).pricingSamples() where sample.freedom == .none {
        let strategy = sample.strategy
        guard strategy.recompute == .none, strategy.microBatch == 1 else { continue }
        let split = Split.even(
          layerCount: model.job.model.layerCount, stageCount: strategy.pipelineDegree,
          chunkCount: strategy.virtualStageCount)
        let bound = bounding.cost(of: strategy, layout: sample.layout).iterationSeconds(
          of: split, scratch: &scratch)
        for order in orders {
          let seconds = model.arranged(order).cost(of: strategy).iterationSeconds(
            of: split, scratch: &scratch)
          #expect(bound <= seconds * (1 + 1e-12), "seed \(seed): \(strategy.text) \(order)")
          compared += 1
        }
        // The same without what is known of rings.
        let mesh = strategy.mesh
        let unaware = model.layoutCost(
          mesh, links: [LayoutLinks(mesh, on: Fabric(model.cluster).assumingBestLinks())])
        let loose = bounding.cost(of: strategy, layout: unaware).iterationSeconds(
          of: split, scratch: &scratch)
        if bound > loose * 1.001 { sharper += 1 }
      }
    }
    #expect(compared >= 500)
    #expect(sharper >= 10)
  }

  @Test("What a completed strategy is said to be proven of holds against all orders")
  func proofsHoldForEveryOrder() throws {
    var proven = 0, byPrograms = 0
    for seed in UInt64(1)...4 {
      let model = try model(seed: seed)
      // Tensor groups inside of nodes, so that orders are searched.
      var pattern = StrategyPattern()
      (pattern.tensorDegree, pattern.pipelineDegree) = (2, 1)
      let found = PlanSearch(model: model, pattern: pattern, options: .init(resultCount: 12)).run()
      #expect(found.certificate.proofs.count == found.certificate.completedCount)
      #expect(
        found.certificate.proofs.count { $0.order == .unproven || $0.split == .unproven }
          >= found.certificate.unprovenCount)
      for proof in found.certificate.proofs {
        if let score = proof.scoreSeconds { #expect(proof.lowerBoundSeconds <= score * (1 + 1e-12)) }
      }
      let orders = PlacementTests.permutations(of: Array(0..<6)).filter { $0[0] == 0 }
      var scratch = EvaluationScratch()
      for completion in found.best where completion.split.choices == nil {
        guard
          let proof = found.certificate.proofs.first(where: {
            $0.strategy == completion.strategy.text && !$0.stagesChoose
          })
        else { continue }
        guard proof.order == .bound || proof.order == .integerPrograms else { continue }
        proven += 1
        if proof.order == .integerPrograms { byPrograms += 1 }
        for order in orders {
          let seconds = model.arranged(order).cost(of: completion.strategy).iterationSeconds(
            of: completion.split, scratch: &scratch)
          #expect(seconds >= completion.iterationSeconds * (1 - 1e-12), "seed \(seed): \(proof.strategy) \(order)")
        }
      }
    }
    #expect(proven >= 4)
    #expect(byPrograms >= 1)
  }
}
