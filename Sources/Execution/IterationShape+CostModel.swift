import Costing
import Documents
import Training

extension IterationShape {
  /// What a strategy's programs are lowered from.
  ///
  /// - Parameter gatheredFormat: the format in which weights of products are gathered; nil for the strategy's own.
  /// - Precondition: the strategy breaks no rule for the model's job and cluster.
  init(
    _ model: CostModel, strategy: Strategy, split: Split, routes: CollectiveRoutes = CollectiveRoutes(),
    gatheredFormat: ProductFormat? = nil
  ) {
    let schedule: PipelineSchedule
    do {
      schedule = try PipelineSchedule(
        strategy.schedule, stageCount: strategy.pipelineDegree,
        microBatchCount: strategy.microBatchCount(globalBatch: model.job.globalBatch),
        combines: strategy.overlapsExperts)
    } catch {
      preconditionFailure("the strategy breaks no rule: \(error)")
    }
    self.init(
      job: model.job, strategy: strategy, split: split, schedule: schedule,
      paddedVocabularySize: model.job.model.paddedVocabularySize(
        multiple: model.framework.vocabularyMultiple, tensorDegree: strategy.tensorDegree),
      devicesPerNode: model.cluster.devicesPerNode, domainSize: model.cluster.domainSize, routes: routes,
      gatheredFormat: gatheredFormat)
  }
}
