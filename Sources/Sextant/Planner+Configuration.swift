import Costing
import Documents

extension Planner {
  /// A planner for the job of a running configuration.
  ///
  /// - Parameters:
  ///   - model: what the configuration does not state of the job, or states alike.
  ///   - framework: whose coefficients are used; nil for the configuration's own, or its nearest kin's.
  ///   - nodes: how many of the cluster's nodes to use, the first; nil for all.
  /// - Throws: ``SextantError`` for what nobody states; what contradicts the configuration is refused where it is priced.
  public init(
    cluster: Cluster, configuration: Configuration, model: Model? = nil, globalBatch: Int? = nil, sequence: Int? = nil,
    precision: Precision? = nil, gradientPrecision: Precision? = nil, optimizer: Optimizer? = nil,
    framework: String? = nil, nodes: Int? = nil
  ) throws(SextantError) {
    let run = configuration.document
    guard let model = model ?? run.model.map({ Model(description: $0) }) else {
      throw SextantError(
        .argument, location: "model", expected: "expected the model, which \(configuration.source) does not state")
    }
    guard let globalBatch = globalBatch ?? run.globalBatch else {
      throw SextantError(
        .argument, location: "globalBatch", expected: "expected the batch, which \(configuration.source) does not state"
      )
    }
    let chosen = precision ?? run.precision.flatMap { Precision(rawValue: $0.rawValue) }
    let accumulated: Precision? = run.accumulatesGradientsInFP32.flatMap { $0 ? .fp32 : chosen?.storage }
    try self.init(
      cluster: cluster,
      job: Job(
        model: model, globalBatch: globalBatch, sequence: sequence ?? run.sequenceLength, precision: chosen,
        gradientPrecision: gradientPrecision ?? accumulated,
        optimizer: optimizer ?? run.optimizer.map { Optimizer($0) } ?? Optimizer(),
        bf16Layers: (run.wideLayers.first, run.wideLayers.last), narrowHead: run.narrowsHead),
      framework: framework ?? configuration.coefficientName(on: cluster), nodes: nodes)
  }

  /// What a running configuration would take on the cluster, by its own layers.
  ///
  /// - Throws: ``SextantError`` with the rule that the strategy breaks.
  public func estimate(_ configuration: Configuration) throws(SextantError) -> Estimate {
    try check(configuration)
    do {
      return Estimate(
        document: try Costing.Estimate(
          model: model, strategy: configuration.document.strategy, split: configuration.document.split))
    } catch {
      throw SextantError(.input, source: configuration.source, expected: "\(error)")
    }
  }

  /// Compares a running configuration with a plan of this planner.
  public func comparison(of configuration: Configuration, with plan: Plan) throws(SextantError) -> Comparison {
    let running = try estimate(configuration).document
    let steps = ComparisonSteps(
      running: running, plan: plan.document, capabilities: Capabilities.named(configuration.framework))
    return Comparison(
      running: running, planSeconds: plan.document.prediction.iterationSeconds, changes: steps.changes)
  }

  /// Refuses a configuration of another job than the planner's.
  private func check(_ configuration: Configuration) throws(SextantError) {
    let job = model.job, run = configuration.document
    func conflict(_ what: String, _ stated: String, _ asked: String) -> SextantError {
      SextantError(
        .input, source: configuration.source,
        expected: "the configuration has \(what) \(stated), but \(asked) is asked for")
    }
    if let model = run.model, !model.hasShapes(of: job.model) {
      throw conflict("the model", model.name, job.model.name)
    }
    if let length = run.sequenceLength, length != job.sequenceLength {
      throw conflict("sequences of", "\(length)", "\(job.sequenceLength)")
    }
    if let batch = run.globalBatch, batch != job.globalBatch {
      throw conflict("the batch", "\(batch)", "\(job.globalBatch)")
    }
    // Configurations do not say whether fp32 numbers are multiplied as TF32.
    if let precision = run.precision, precision != job.precision, precision.is16Bit || job.precision.is16Bit {
      throw conflict("the precision", precision.rawValue, job.precision.rawValue)
    }
    if run.precision?.products != nil, run.wideLayers != job.wideLayers {
      throw conflict("layers in bf16 at the ends,", run.wideLayers.words, job.wideLayers.words)
    }
    if run.precision?.products != nil, run.narrowsHead != job.narrowsHead {
      throw conflict(
        "an output head", run.narrowsHead ? "in FP8" : "as it is stored",
        job.narrowsHead ? "one in FP8" : "one as it is stored")
    }
    if let optimizer = run.optimizer, optimizer != job.optimizer {
      throw conflict("the optimizer", optimizer.words, job.optimizer.words)
    }
    if let inFP32 = run.accumulatesGradientsInFP32, job.precision.is16Bit, inFP32 != job.accumulatesGradientsInFP32 {
      throw conflict(
        "gradients accumulated in", inFP32 ? "fp32" : job.precision.storage.rawValue,
        job.accumulatesGradientsInFP32 ? "fp32" : job.precision.storage.rawValue)
    }
  }
}

extension RunConfiguration {
  /// The layers and choices of the stages; nil where nobody states the layers.
  fileprivate var split: Split? {
    layerCounts.map { Split($0, stageCount: strategy.pipelineDegree, choices: choices).laid(by: strategy) }
  }
}

extension Configuration {
  /// The framework of a cluster's device profile whose coefficients are nearest to the configuration's; nil for the
  /// first.
  fileprivate func coefficientName(on cluster: Cluster) -> String? {
    let known = cluster.description.device.frameworks.map(\.name)
    return Capabilities.named(document.framework)?.coefficientNames.first { known.contains($0) }
  }
}
