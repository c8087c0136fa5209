package import Documents
package import JSONText

/// The prediction for one strategy with the split of layers that frameworks use by default.
package struct Estimate: Sendable {
  /// What it was asked of.
  package let model: CostModel
  /// The strategy with its open parts filled.
  package let strategy: Strategy
  /// Its layers, split as the framework does by default.
  package let split: Split
  /// Seconds and bytes.
  package let prediction: Prediction

  /// - Parameter pattern: what is stated of the strategy; the rest is at its plainest, see
  ///   ``StrategyPattern/completed(deviceCount:flashAttention:overlap:)``, or where there is such a thing as the framework does
  ///   by default.
  /// - Throws: the rule that the strategy breaks.
  package init(model: CostModel, pattern: StrategyPattern) throws(StrategyViolation) {
    (strategy, split) = try Self.completed(pattern, model: model)
    self.model = model
    prediction = model.prediction(of: model.cost(of: strategy), split: split)
  }

  /// The strategy of a pattern, and the split of the layers that frameworks use by default.
  /// - Throws: the rule that the strategy breaks.
  static func completed(
    _ pattern: StrategyPattern, model: CostModel
  ) throws(StrategyViolation) -> (strategy: Strategy, split: Split) {
    var strategy = pattern.completed(
      deviceCount: model.deviceCount, flashAttention: model.hasFlashAttention,
      overlap: model.framework.overlapsGradientReduce)
    if pattern.holdsNarrowWeights == nil, model.framework.memory.holdsNarrowWeights {
      strategy = strategy.withNarrowWeights(model.job)
    }
    if let violation = model.violation(of: strategy) { throw violation }
    return (strategy, model.framework.layerSplit.split(of: model.job.model, among: strategy))
  }

  /// The peak that the framework would report, bytes.
  package var reportedPeakBytes: Int {
    model.framework.reportedPeakBytes(of: prediction.stageMemory)
  }

  /// Strategy, split and prediction.
  package var json: JSON {
    .object([
      JSONMember("strategy", strategy.json), JSONMember("layer_counts", .array(split.layerCounts.map(JSON.integer))),
      JSONMember("prediction", prediction.json),
    ])
  }
}

extension DeviceProfile.Framework {
  /// The peak that a run reports: of the stage, and of the kind of memory, that its framework looks at.
  func reportedPeakBytes(of stageMemory: [Prediction.StageMemory]) -> Int {
    func reported(_ stage: Prediction.StageMemory) -> Int {
      memory.reportedMemory == .allocated ? stage.allocatedBytes : stage.peakBytes
    }
    return switch memory.reportedStage {
    case .first: stageMemory.first.map(reported) ?? 0
    case .last: stageMemory.last.map(reported) ?? 0
    case .largest: stageMemory.map(reported).max() ?? 0
    }
  }
}
