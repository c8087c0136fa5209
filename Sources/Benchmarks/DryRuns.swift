import Costing
import Documents
import Execution
import Foundation

/// How long miniatures take, and how that grows with ranks and layers.
extension Benchmarks {
  /// A plan as stated, without a search.
  private static func plan(
    _ pattern: String, nodes: Int, layers: Int, catalog: Catalog
  ) throws -> Plan? {
    let model = try catalog.model("gpt3-175b").with(layerCount: layers)
    let job = try TrainingJob(model: model, sequenceLength: 2048, globalBatch: 512)
    guard let cluster = try catalog.cluster("dgx-a100-16").resized(nodeCount: nodes) else { return nil }
    let costs = try CostModel(cluster: cluster, job: job)
    let estimate = try Estimate(model: costs, pattern: StrategyPattern(text: pattern, source: "benchmark"))
    return Plan(stating: estimate.strategy, split: estimate.split, on: costs)
  }

  static func reportDryRun(
    _ pattern: String, nodes: Int, layers: Int, usesThreads: Bool = false, catalog: Catalog
  ) throws {
    guard let plan = try plan(pattern, nodes: nodes, layers: layers, catalog: catalog) else { return }
    let miniature = try Miniature(of: plan, rankLimit: 1024)
    let start = ContinuousClock.now, processorStart = processorSecondsOfAll
    let run = try DryRun(miniature, options: DryRun.Options(stepCount: 3, usesThreads: usesThreads))
    let wall = (ContinuousClock.now - start).seconds, processor = processorSecondsOfAll - processorStart
    print(
      "  \(layers) layers of GPT-3, \(pattern)\(usesThreads ? ", threads" : ""): "
        + "\(miniature.strategy.worldSize) ranks, 3 steps, \(hundredths(wall)) s wall, \(hundredths(processor)) s of processor, "
        + "\(run.programStepCount) program steps an iteration, peak \(peakMegabytes) MB so far, "
        + (run.disagreements.isEmpty ? "holds" : "DOES NOT HOLD: \(run.disagreements[0])"))
  }

  static func hundredths(_ seconds: Double) -> Double { (seconds * 100).rounded() / 100 }

  /// User and system time of the process.
  static var processorSecondsOfAll: Double {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) * 1e-6 }
    return seconds(usage.ru_utime) + seconds(usage.ru_stime)
  }

  /// The most memory that the process ever had.
  static var peakMegabytes: Int {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    // Linux counts in 1,024 bytes.
    return usage.ru_maxrss * 1024 / 1_000_000
  }
}

extension ModelDescription {
  /// The same with another number of layers.
  fileprivate func with(layerCount: Int) throws -> ModelDescription {
    try ModelDescription(
      name: name, family: family, layerCount: layerCount, hiddenSize: hiddenSize, headCount: headCount,
      keyValueHeadCount: keyValueHeadCount, headSize: headSize, feedForwardSize: feedForwardSize,
      vocabularySize: vocabularySize, hasGatedFeedForward: hasGatedFeedForward, hasTiedEmbeddings: hasTiedEmbeddings,
      positionCount: positionCount, hasQueryKeyValueBias: hasQueryKeyValueBias,
      hasAttentionOutputBias: hasAttentionOutputBias, hasFeedForwardBias: hasFeedForwardBias,
      hasQueryKeyNorm: hasQueryKeyNorm, hasDropout: hasDropout)
  }
}
