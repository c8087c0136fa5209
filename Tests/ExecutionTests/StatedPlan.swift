import Costing
import Documents
import TestSupport

/// A plan that nobody searched for: a strategy as stated, and where nothing else is stated layers as the framework
/// splits them, nodes in the cluster's order.
func statedPlan(
  _ pattern: String, cluster: ClusterDescription, model: ModelDescription, globalBatch: Int, sequenceLength: Int = 2048,
  precision: Precision = .bf16, layerCounts: [Int]? = nil, stageChoices: [StageChoice]? = nil,
  nodeOrder: [Int]? = nil, expertCapacity: ExpertCapacity = .none, wideLayers: WideLayers = .none
) throws -> Plan {
  var job = try TrainingJob(
    model: model, sequenceLength: sequenceLength, globalBatch: globalBatch, precision: precision
  ).with(wideLayers)
  job.expertCapacity = expertCapacity
  var costs = try CostModel(cluster: cluster, job: job)
  if let nodeOrder { costs = costs.arranged(nodeOrder) }
  let estimate = try Estimate(model: costs, pattern: StrategyPattern(text: pattern, source: "test"))
  let split = Split(
    layerCounts ?? estimate.split.layerCounts, stageCount: estimate.split.stageCount, choices: stageChoices
  ).laid(by: estimate.strategy)
  return Plan(stating: estimate.strategy, split: split, on: costs)
}

/// A plan that nobody searched for, of shipped inputs.
func statedPlan(
  _ pattern: String, cluster: String, model: String, globalBatch: Int, sequenceLength: Int = 2048
) throws -> Plan {
  try statedPlan(
    pattern, cluster: Shipped.catalog.cluster(cluster), model: Shipped.catalog.model(model), globalBatch: globalBatch,
    sequenceLength: sequenceLength)
}
