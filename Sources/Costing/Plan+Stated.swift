package import Documents

extension Plan {
  /// A plan that nobody searched for: a strategy and a split as stated, nodes in the model's order, and a certificate
  /// that says no more than that this one was priced.
  package init(stating strategy: Strategy, split: Split, on model: CostModel, toolVersion: String = "stated") {
    let prediction = model.prediction(of: model.cost(of: strategy), split: split)
    let seconds = prediction.iterationSeconds
    self.init(
      toolVersion: toolVersion,
      question: Question(
        cluster: model.cluster, job: model.job, nodeCount: model.nodeOrder.count,
        coefficientName: model.framework.name),
      strategy: strategy, split: split,
      arrangement: NodeArrangement(
        nodeOrder: model.nodeOrder, reason: .notMeasured, givenOrderSeconds: seconds, moments: []),
      prediction: prediction, measuredPrices: model.measuredPrices(of: strategy),
      certificate: Certificate(
        ending: .exhausted, lowerBoundSeconds: seconds, scoreSeconds: seconds, enumeratedCount: 1, rejections: [],
        memoryRejectedCount: 0, closedByBoundCount: 0, completedCount: 1, unprovenCount: 0),
      alternatives: [], impossibleFamilies: [])
  }
}
