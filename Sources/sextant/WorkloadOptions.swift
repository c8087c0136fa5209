import ArgumentParser
import Costing
import Documents

/// Cluster, model and batch: what `plan` and `estimate` are asked about.
struct WorkloadOptions: ParsableArguments {
  @Option(help: ArgumentHelp("A shipped cluster's name, or a cluster file.", valueName: "name|file"))
  var cluster: String?

  @Option(
    help: ArgumentHelp("A shipped model's name, a Hugging Face config.json, or a model file.", valueName: "name|file"))
  var model: String?

  @Option(help: ArgumentHelp("A job file in place of --model and the options below.", valueName: "file"))
  var job: String?

  @Option(help: "Sequences of one iteration (one optimizer step).")
  var globalBatch: Int?

  @Option(help: "Tokens of a sequence; 4096 where not given, fewer where the model has fewer learned positions.")
  var sequence: Int?

  @Option(help: "bf16, fp16 or fp32; bf16 where the devices have it, else fp16.")
  var precision: String?

  @Option(help: ArgumentHelp("Precision of gradient accumulation; fp32 except under fp16.", valueName: "precision"))
  var gradientPrecision: String?

  @Option(help: ArgumentHelp("Framework whose coefficients are used; the device profile's first.", valueName: "name"))
  var framework: String?

  /// Whether any of it was given.
  var isStated: Bool {
    globalBatch != nil || sequence != nil
      || [cluster, model, job, precision, gradientPrecision, framework].contains { $0 != nil }
  }

  /// The cost model of what was asked for.
  func costModel(catalog: Catalog) throws -> CostModel {
    guard let cluster else { throw ValidationError("--cluster is needed") }
    let description = try catalog.cluster(cluster)
    return try CostModel(
      cluster: description, job: trainingJob(on: description, catalog: catalog), frameworkName: framework)
  }

  private func trainingJob(on cluster: ClusterDescription, catalog: Catalog) throws -> TrainingJob {
    if let job {
      guard model == nil, globalBatch == nil, sequence == nil, precision == nil, gradientPrecision == nil else {
        throw ValidationError("--job states what --model, --global-batch, --sequence and the precisions would")
      }
      return try TrainingJob(contentsOf: job, catalog: catalog)
    }
    guard let model else { throw ValidationError("--model or --job is needed") }
    guard let globalBatch else { throw ValidationError("--global-batch is needed") }
    let description = try catalog.model(model)
    let sequence = sequence ?? (description.positionCount > 0 ? min(description.positionCount, 4096) : 4096)
    try check(globalBatch, in: TrainingJob.Bounds.globalBatch, flag: "--global-batch")
    try check(sequence, in: TrainingJob.Bounds.sequenceLength, flag: "--sequence")
    let fallback: Precision = cluster.devices.allSatisfy { $0.peakFLOPPerSecond(.bf16) > 0 } ? .bf16 : .fp16
    let precision = try parsed(precision, flag: "--precision") ?? fallback
    let gradients = try parsed(gradientPrecision, flag: "--gradient-precision") ?? (precision == .fp16 ? .fp16 : .fp32)
    guard gradients == .fp32 || gradients == precision else {
      throw ValidationError("--gradient-precision is fp32 or the precision \(precision.rawValue)")
    }
    do {
      return try TrainingJob(
        model: description, sequenceLength: sequence, globalBatch: globalBatch, precision: precision,
        accumulatesGradientsInFP32: gradients == .fp32)
    } catch {
      throw complaint(error.sentence, .badInput)
    }
  }

  private func parsed(_ word: String?, flag: String) throws -> Precision? {
    guard let word else { return nil }
    guard let precision = Precision(rawValue: word) else {
      throw ValidationError("\(flag) is one of \(Precision.allCases.map(\.rawValue).joined(separator: ", "))")
    }
    return precision
  }

  private func check(_ value: Int, in range: ClosedRange<Int>, flag: String) throws {
    guard range.contains(value) else {
      throw complaint(
        "\(flag): expected an integer from \(range.lowerBound) to \(range.upperBound), found \(value)", .badInput)
    }
  }
}
