import Costing
import Documents
import Search

/// Measures the figures of docs/measurements.md: `swift run -c release Benchmarks`, `Benchmarks links`, and `Benchmarks
/// plans` for pricing and plans alone, `Benchmarks timed` for iterations on the clock, `Benchmarks exports` for what first
/// answers can be launched, `Benchmarks mixed`, `Benchmarks deep`, `Benchmarks outer` and `Benchmarks experts` for the
/// slowest of the plans, `Benchmarks stops` for how soon a search ends that is asked to.
///
/// Pricing is measured on one core; a plan's wall time with as many threads as `plan`
/// uses; matrix products in CPU time.
@main
struct Benchmarks {
  static func main() throws {
    if CommandLine.arguments.dropFirst().first == "plans" {
      return try reportPlans(catalog: Catalog.ofInstallation())
    }
    if CommandLine.arguments.dropFirst().first == "links" {
      print("loopback")
      return try LinkThroughput.report()
    }
    let catalog = Catalog.ofInstallation()
    if CommandLine.arguments.dropFirst().first == "mixed" { return try reportMixedPlans(catalog: catalog) }
    if CommandLine.arguments.dropFirst().first == "deep" { return try reportDeepPlans(catalog: catalog) }
    if CommandLine.arguments.dropFirst().first == "zeroth-order" { return try reportZerothOrderPlans(catalog: catalog) }
    if CommandLine.arguments.dropFirst().first == "outer" { return try reportOuterPlans(catalog: catalog) }
    if CommandLine.arguments.dropFirst().first == "experts" { return try reportExpertPlans(catalog: catalog) }
    if CommandLine.arguments.dropFirst().first == "exports" { return try reportExports(catalog: catalog) }
    if CommandLine.arguments.dropFirst().first == "stops" { return try reportStops(catalog: catalog) }
    if CommandLine.arguments.dropFirst().first == "timed" { return try reportTimedRuns(catalog: catalog) }
    try reportPlans(catalog: catalog)
    print("matrix products of the executor, one core")
    reportMatrixProducts()
    print("dry-runs")
    try reportDryRuns(catalog: catalog)
    print("iterations on the clock, one core")
    try reportTimedRuns(catalog: catalog)
    print("placement, one core")
    try reportPlacement(catalog: catalog)
    print("plan on measured links, wall time, one run")
    try reportMeasuredPlan(nodes: 16, model: "gpt3-175b", globalBatch: 512, catalog: catalog)
    try reportMeasuredPlan(nodes: 128, model: "gpt3-175b", globalBatch: 2048, catalog: catalog)
    try reportMeasuredPlan(nodes: 2048, model: "megatron-1t", globalBatch: 8192, catalog: catalog)
  }

  /// How fast strategies are priced, and whole plans made.
  private static func reportPlans(catalog: Catalog) throws {
    print("pricing, one core")
    try reportPricing(cluster: "dgx-a100-16", model: "gpt3-175b", globalBatch: 512, catalog: catalog)
    try reportPricing(cluster: "dgx-h100-128", model: "gpt3-175b", globalBatch: 2048, catalog: catalog)
    try reportPricing(cluster: "frontier-128", model: "megatron-145b", globalBatch: 2048, catalog: catalog)
    print("plan, wall time")
    try reportPlan(cluster: "dgx-a100-16", model: "gpt3-175b", globalBatch: 512, catalog: catalog)
    try reportPlan(cluster: "dgx-h100-16", model: "gpt3-175b", globalBatch: 512, catalog: catalog)
    try reportPlan(cluster: "dgx-h100-128", model: "gpt3-175b", globalBatch: 2048, catalog: catalog)
    try reportPlan(cluster: "dgx-h100-128", model: "llama-3-70b", globalBatch: 1024, catalog: catalog)
    try reportPlan(cluster: "dgx-h100-128", model: "megatron-1t", globalBatch: 3072, catalog: catalog)
    try reportPlan(cluster: "frontier-16", model: "megatron-22b", globalBatch: 512, catalog: catalog)
    try reportPlan(cluster: "frontier-128", model: "megatron-145b", globalBatch: 2048, catalog: catalog)
    try reportMixedPlans(catalog: catalog)
    try reportDeepPlans(catalog: catalog)
    try reportZerothOrderPlans(catalog: catalog)
    try reportOuterPlans(catalog: catalog)
    try reportExpertPlans(catalog: catalog)
  }

  /// Mixtures of experts at 4,096 tokens: a second grid, and layers of two kinds.
  private static func reportExpertPlans(catalog: Catalog) throws {
    print("plan of a mixture of experts, wall time")
    for (cluster, name, batch) in [
      ("dgx-h100-16", "qwen3-30b-a3b", 256), ("dgx-h100-128", "qwen3-235b-a22b", 2_048),
      ("dgx-h100-128", "deepseek-v3", 8_192), ("dgx-h100-2048", "deepseek-v3", 16_384),
    ] {
      let job = try TrainingJob(model: catalog.model(name), sequenceLength: 4_096, globalBatch: batch)
      try reportPlan(
        "\(name) on \(cluster)", model: CostModel(cluster: catalog.cluster(cluster), job: job), runCount: 3)
    }
  }

  /// With zeroth-order training allowed: what fits no other way, and what it adds to a large lattice.
  private static func reportZerothOrderPlans(catalog: Catalog) throws {
    print("plan with zeroth-order training allowed, wall time")
    let allowance = Allowance(quantisationTolerance: nil, zerothOrder: true)
    for (cluster, name, batch) in [
      ("dgx-a100-1", "opt-175b", 8), ("rtx-4090-4", "opt-175b", 32), ("dgx-h100-128", "llama-3-70b", 1024),
    ] {
      try reportPlan(
        "\(name) on \(cluster)", model: model(cluster, name, batch, catalog), allowing: allowance)
    }
  }

  /// From small to large: the memory is that of the process so far.
  private static func reportDryRuns(catalog: Catalog) throws {
    let degrees = [(2, 2, 2), (4, 2, 2), (4, 4, 2), (4, 4, 4), (4, 4, 8)]
    for (tensor, pipeline, data) in degrees {
      try reportDryRun(
        "tensor=\(tensor),pipeline=\(pipeline),data=\(data)", nodes: tensor * pipeline * data / 8, layers: 32,
        catalog: catalog)
    }
    for layers in [16, 64, 96] {
      try reportDryRun("tensor=4,pipeline=4,data=4", nodes: 8, layers: layers, catalog: catalog)
    }
    try reportDryRun("tensor=4,pipeline=4,data=4", nodes: 8, layers: 96, usesThreads: true, catalog: catalog)
  }

  static func model(_ cluster: String, _ model: String, _ globalBatch: Int, _ catalog: Catalog) throws -> CostModel {
    let description = try catalog.model(model)
    let job = try TrainingJob(
      model: description, sequenceLength: description.positionCount > 0 ? description.positionCount : 4096,
      globalBatch: globalBatch)
    return try CostModel(cluster: catalog.cluster(cluster), job: job)
  }

  static func reportPricing(cluster: String, model name: String, globalBatch: Int, catalog: Catalog) throws {
    let model = try model(cluster, name, globalBatch, catalog)
    for (kind, hasShardLevels) in [("all", nil), ("no levels", false), ("levels", true)] as [(String, Bool?)] {
      let pricing = Pricing(model: model, hasShardLevels: hasShardLevels)
      let bounds = pricing.boundRate()
      let exact = pricing.exactRate()
      print(
        "  \(name) on \(cluster), \(kind): \(bounds.perSecond) bounds/s (\(bounds.count) strategies), "
          + "\(exact.perSecond) exact/s (\(exact.meanEvents) stage × micro-batch steps each)")
    }
  }

  static func reportPlan(cluster: String, model name: String, globalBatch: Int, catalog: Catalog) throws {
    try reportPlan("\(name) on \(cluster)", model: model(cluster, name, globalBatch, catalog))
  }

  /// - Parameters:
  ///   - runCount: of which the median is told.
  ///   - allowance: what may change values.
  static func reportPlan(
    _ title: String, model: CostModel, runCount: Int = 5, allowing allowance: Allowance = .exact
  ) throws {
    // The fastest of the whole lattice, and the plainest that the first framework runs: what users ask for.
    for (words, capabilities, margin) in [
      ("any, fastest", nil, 0), (model.framework.name, Capabilities.named(model.framework.name), 0.01),
    ] as [(String, Capabilities?, Double)] {
      let search = PlanSearch(
        model: model, allowance: allowance, capabilities: capabilities, options: .init(margin: margin, threadCount: 2))
      var times: [Double] = []
      var certificate: Certificate?
      for _ in 0..<runCount {
        let start = ContinuousClock.now
        certificate = search.plan(toolVersion: "benchmark")?.certificate
        times.append((ContinuousClock.now - start).seconds)
      }
      times.sort()
      guard let certificate else {
        print("  \(title), \(words): no plan, \(milliseconds(times[runCount / 2])) ms")
        continue
      }
      print(
        "  \(title), \(words): median \(milliseconds(times[runCount / 2])) ms "
          + "(\(milliseconds(times[0]))…\(milliseconds(times[runCount - 1]))), \(certificate.enumeratedCount) enumerated, "
          + "\(certificate.completedCount) completed, \(certificate.plainerCount) for plainness, gap \(certificate.gap)"
      )
    }
  }

  private static func milliseconds(_ seconds: Double) -> Int { Int((seconds * 1000).rounded()) }
}

extension Duration {
  var seconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}
