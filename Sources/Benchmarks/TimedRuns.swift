import Costing
import Documents
import Execution
import Search

/// How long iterations take to simulate, and how far they are from what is predicted.
extension Benchmarks {
  static func reportTimedRuns(catalog: Catalog) throws {
    let whole = try catalog.cluster("dgx-a100-128")
    if let cluster = whole.resized(nodeCount: 384) {
      for pattern in ["tensor=8,pipeline=64,data=6,recompute=full", "tensor=8,pipeline=32,data=12,virtual_stages=4"] {
        try reportTimedRun(pattern, on: cluster, model: "megatron-1t", globalBatch: 3072, catalog: catalog)
      }
    }
    let measured = try catalog.cluster("a100-hdr-16")
    for pattern in ["tensor=8,pipeline=4,data=4", "tensor=2,pipeline=8,data=8", "tensor=1,pipeline=1,data=128"] {
      try reportTimedRun(pattern, on: measured, model: "megatron-22b", globalBatch: 512, catalog: catalog)
    }
    try reportDistribution(catalog: catalog)
  }

  private static func reportTimedRun(
    _ pattern: String, on cluster: ClusterDescription, model name: String, globalBatch: Int, catalog: Catalog
  ) throws {
    let job = try TrainingJob(model: catalog.model(name), sequenceLength: 2048, globalBatch: globalBatch)
    let costs = try CostModel(cluster: cluster, job: job)
    let estimate = try Estimate(model: costs, pattern: StrategyPattern(text: pattern, source: "benchmark"))
    let start = processorSecondsOfAll
    let run = try TimedRun(costs, strategy: estimate.strategy, split: estimate.split, contends: true)
    print(
      "  \(name) on \(costs.deviceCount) devices, \(pattern): \(run.simulatedRankCount) ranks simulated, "
        + "\(run.stepCount) program steps, \(hundredths(processorSecondsOfAll - start)) s of processor, "
        + "peak \(peakMegabytes) MB so far; \(hundredths(run.iterationSeconds)) s, "
        + "predicted \(hundredths(estimate.prediction.iterationSeconds)) s")
  }

  /// Simulated over predicted seconds of random strategies, 50 of each workload.
  private static func reportDistribution(catalog: Catalog) throws {
    var random = SplitMix64(seed: 16)
    var everything: [Double] = []
    for (cluster, name, batch) in [
      ("dgx-a100-16", "gpt3-175b", 512), ("dgx-h100-16", "llama-3-70b", 512), ("a100-hdr-16", "megatron-22b", 512),
      ("frontier-16", "llama-2-7b", 512),
    ] {
      let model = try model(cluster, name, batch, catalog)
      let samples = PlanSearch(model: model).pricingSamples().filter { $0.freedom == .none }
      var ratios: [Double] = []
      while ratios.count < 50 {
        let strategy = samples[Int.random(in: samples.indices, using: &random)].strategy
        let virtualStages = strategy.pipelineDegree * strategy.virtualStageCount
        guard model.job.model.layerCount >= virtualStages else { continue }
        let split = Split.even(
          layerCount: model.job.model.layerCount, stageCount: strategy.pipelineDegree,
          chunkCount: strategy.virtualStageCount)
        let predicted = model.prediction(of: model.cost(of: strategy), split: split).iterationSeconds
        ratios.append(
          try TimedRun(model, strategy: strategy, split: split, contends: true).iterationSeconds / predicted)
      }
      everything += ratios
      print("  \(name) on \(cluster): \(quantiles(ratios))")
    }
    print("  all \(everything.count): \(quantiles(everything))")
  }

  private static func quantiles(_ ratios: [Double]) -> String {
    let values = [0, 0.1, 0.5, 0.9, 1].map { quantile in
      "\(((ratios.quantile(quantile) ?? .nan) * 10_000).rounded() / 10_000)"
    }
    return "simulated over predicted seconds: least, tenth, median, nine tenths, most " + values.joined(separator: ", ")
  }
}
