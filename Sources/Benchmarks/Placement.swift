import Costing
import Documents
import Search

/// Placement alone, and plans of clusters whose links were measured.
extension Benchmarks {
  /// Evaluations of orders of 16 nodes in 8 stages and 2 replicas, and the bound beside what was found.
  static func reportPlacement(catalog: Catalog) throws {
    guard let links = try catalog.cluster("a100-hdr-16").measured else { return }
    let n = links.nodeNames.count
    var secondsPerByte = [Double](repeating: 0, count: n * n)
    for from in 0..<n {
      for to in 0..<n {
        secondsPerByte[from * n + to] = links.medianBytesPerSecond(from: from, to: to).map { 1 / $0 } ?? 0
      }
    }
    let problem = PlacementProblem(
      nodeCount: n, rowCount: 2, columnCount: 8, hopSecondsPerByte: secondsPerByte, ringSecondsPerByte: secondsPerByte,
      hopByteCount: 50_331_648, microBatchCount: 1, stageSeconds: [Double](repeating: 0, count: 8),
      tails: (0..<8).map { PlacementProblem.Tail(baseSeconds: 0, byteCount: $0 == 0 ? 681_172_992 : 0) })
    var search = PlacementSearch(problem, order: Array(0..<n), seed: 1)
    let count = 2_000_000
    let start = ContinuousClock.now
    let found = search.walk(evaluationCount: count)
    let seconds = (ContinuousClock.now - start).seconds
    let bound = PlacementBound(problem).seconds
    print(
      "  16 nodes, 8 stages: \(Int(Double(count) / seconds)) evaluations/s, \(found.seconds * 1e3) ms found, "
        + "\(bound * 1e3) ms bound")
  }

  /// A plan for nodes of 8 A100 in racks of 16, in no order: 24 GB/s in the rack, 16
  /// across, 5 % of the pairs half of it.
  static func reportMeasuredPlan(nodes: Int, model name: String, globalBatch: Int, catalog: Catalog) throws {
    let base = try catalog.cluster("a100-hdr-16")
    var random = SplitMix64(seed: 1)
    let rack = (0..<nodes).map { $0 / 16 }.shuffled(using: &random)
    let rates = (0..<nodes).map { from in
      (0..<nodes).map { to -> Double? in
        from == to
          ? nil : (rack[from] == rack[to] ? 24e9 : 16e9) * (Int.random(in: 0..<20, using: &random) == 0 ? 0.5 : 1)
      }
    }
    let names = (0..<nodes).map { "node-\($0)" }
    let links = MeasuredLinks(
      name: "racks", engine: "synthetic", source: "", nodeNames: names,
      snapshots: [.init(name: "once", bytesPerSecond: rates)])
    let cluster = try ClusterDescription(
      name: "racks-\(nodes)", device: base.device, nodeNames: names, devicesPerNode: 8,
      levels: [
        base.levels[0],
        .init(name: "hdr", span: 8 * nodes, bytesPerSecond: 25e9, sharedBytesPerSecond: 100e9),
      ], measured: links)
    let model = try CostModel(
      cluster: cluster, job: TrainingJob(model: catalog.model(name), sequenceLength: 2048, globalBatch: globalBatch))
    let start = ContinuousClock.now
    let plan = PlanSearch(model: model, options: .init(threadCount: 2))
      .plan(toolVersion: "benchmark")
    let seconds = (ContinuousClock.now - start).seconds
    guard let plan else { return }
    let gain = 1 - plan.prediction.iterationSeconds / plan.arrangement.givenOrderSeconds
    print(
      "  \(name) on \(8 * nodes) devices: \(seconds) s, gap \(plan.certificate.gap), \(gain) below the given order, "
        + "\(plan.certificate.completedCount) completed, peak \(peakMegabytes) MB so far")
  }
}
