import Costing
import Documents
import TestSupport

/// A plan that nobody searched for: a strategy as stated, layers as the framework splits them, nodes in the cluster's order.
func statedPlan(
  _ pattern: String, cluster: ClusterDescription, model: ModelDescription, globalBatch: Int, sequenceLength: Int = 2048,
  precision: Precision = .bf16, layerCounts: [Int]? = nil, stageChoices: [StageChoice]? = nil,
  nodeOrder: [Int]? = nil
) throws -> Plan {
  let job = try TrainingJob(
    model: model, sequenceLength: sequenceLength, globalBatch: globalBatch, precision: precision)
  var costs = try CostModel(cluster: cluster, job: job)
  if let nodeOrder { costs = costs.arranged(nodeOrder) }
  let estimate = try Estimate(model: costs, pattern: StrategyPattern(text: pattern, source: "test"))
  let split = Split(
    layerCounts ?? estimate.split.layerCounts, stageCount: estimate.split.stageCount, choices: stageChoices)
  let prediction = costs.prediction(of: costs.cost(of: estimate.strategy), split: split)
  let seconds = prediction.iterationSeconds
  return Plan(
    toolVersion: "test", cluster: cluster, job: job, frameworkName: costs.framework.name, fixed: StrategyPattern(),
    strategy: estimate.strategy, split: split,
    arrangement: NodeArrangement(
      nodeOrder: costs.nodeOrder, reason: .notMeasured, givenOrderSeconds: seconds, moments: []),
    prediction: prediction,
    certificate: Certificate(
      ending: .exhausted, lowerBoundSeconds: seconds, scoreSeconds: seconds, enumeratedCount: 1, rejections: [],
      memoryRejectedCount: 0, closedByBoundCount: 0, completedCount: 1, unprovenCount: 0),
    alternatives: [], impossibleFamilies: [])
}

/// The same of shipped inputs.
func statedPlan(
  _ pattern: String, cluster: String, model: String, globalBatch: Int, sequenceLength: Int = 2048
) throws -> Plan {
  try statedPlan(
    pattern, cluster: Shipped.catalog.cluster(cluster), model: Shipped.catalog.model(model), globalBatch: globalBatch,
    sequenceLength: sequenceLength)
}
