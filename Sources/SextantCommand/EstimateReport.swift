import Costing
import Documents
import JSONText

/// What a person sees of an estimate.
struct EstimateReport {
  let estimate: Estimate
  /// What is to run it.
  let framework: FrameworkChoice
  /// What was asked.
  let question: QuestionReport

  /// Strategy, split and prediction, behind what was asked.
  var json: JSON {
    guard case .object(let members) = estimate.json else { return estimate.json }
    return .object([JSONMember("question", question.json)] + members)
  }

  /// Why no framework in particular is to run it, where nobody asked for one.
  private var refusal: String {
    let model = estimate.model
    guard framework.capabilities == nil,
      let refusal = FrameworkChoice.refusalByDefault(of: model.job, on: model.cluster.device)
    else { return "" }
    return "Note: this is priced for no framework in particular, since \(refusal.rule).\n"
  }

  /// What to know of a job and of where it runs, a line each.
  ///
  /// - Parameter framework: whose coefficients are used.
  static func notes(
    of job: TrainingJob, on cluster: ClusterDescription, framework: DeviceProfile.Framework?
  ) -> String {
    let products = framework.flatMap { job.productNote(on: cluster.device, framework: $0) }
    return (job.notes + [products].compactMap { $0 }).map { "Note: \($0.oneLine).\n" }.joined()
      + cluster.doubts.map { "Note: \($0.oneLine)\n" }.joined()
  }

  var text: String {
    let prediction = estimate.prediction, cluster = estimate.model.cluster, job = estimate.model.job
    return """
      \(question.text)
      \(estimate.strategy.words(of: estimate.split)), \
      \(Format.count(estimate.strategy.microBatchCount(globalBatch: job.globalBatch), of: "micro-batch"))
      \(Format.seconds(prediction.iterationSeconds)) an iteration, \
      \(Format.rate(prediction.tokensPerSecondPerDevice)) tokens/s per device, \
      MFU \(Format.percent(prediction.modelFLOPUtilization)), peak \(Format.gigabytes(prediction.peakBytes)) of \
      \(Format.gigabytes(cluster.device.datasheet.memoryBytes)) (\(PlanReport.words(prediction.verdict)))
      \(PredictionReport(prediction: prediction).range(by: estimate.model.accuracy))
      \(PredictionReport(prediction: prediction).text)
      """ + OuterReport.round(of: prediction, estimate.strategy)
        + HostMemoryReport(prediction: prediction, strategy: estimate.strategy, cluster: cluster).text
        + CollectivesReport(model: estimate.model, strategy: estimate.strategy).text
        + Self.notes(of: job, on: cluster, framework: estimate.model.framework)
        + refusal
  }
}
