package import Documents

extension Estimate {
  /// Why stages cannot do as is stated of them, as a sentence.
  package struct Contradiction: Error, Sendable, Equatable, CustomStringConvertible {
    package let description: String
  }

  /// The prediction for a strategy with layers and choices of its own.
  ///
  /// - Parameter split: nil for the split that frameworks use by default.
  /// - Throws: the rule that the strategy breaks, or why its stages cannot be so.
  package init(model: CostModel, strategy: Strategy, split: Split?) throws(Contradiction) {
    if let violation = model.violation(of: strategy) { throw Contradiction(description: "\(violation)") }
    let split = split ?? model.framework.layerSplit.split(of: model.job.model, among: strategy)
    if split.layerCount != model.job.model.layerCount {
      throw Contradiction(
        description: "the stages have \(split.layerCount) layers, but the model has \(model.job.model.layerCount)")
    }
    if let sentence = strategy.contradiction(of: split, optimizer: model.job.optimizer, host: model.cluster.host) {
      throw Contradiction(description: sentence)
    }
    self.model = model
    self.strategy = strategy
    self.split = split
    prediction = model.prediction(of: model.cost(of: strategy), split: split)
  }
}
