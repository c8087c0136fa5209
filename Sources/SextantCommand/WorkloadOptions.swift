public import ArgumentParser
public import Sextant

/// Cluster, model and batch: what `plan` and `estimate` are asked about.
struct WorkloadOptions: ParsableArguments {
  @Option(help: ArgumentHelp("A shipped cluster's name, or a cluster file.", valueName: "name|file"))
  var cluster: String?

  @Option(
    help: ArgumentHelp(
      "A shipped model's name, a Hugging Face config.json or a folder with one, or a model file.",
      valueName: "name|path"))
  var model: String?

  @Option(help: ArgumentHelp("A job file in place of --model and the options below.", valueName: "file"))
  var job: String?

  @Option(help: "Sequences of one iteration (one optimizer step).")
  var globalBatch: Int?

  @Option(help: "Tokens of a sequence; 4096 where not given, fewer where the model has fewer learned positions.")
  var sequence: Int?

  @Option(help: "bf16, fp16, fp32 or tf32; bf16 where the devices have it, else fp16.")
  var precision: Precision?

  @Option(help: ArgumentHelp("Precision of gradient accumulation; fp32 except under fp16.", valueName: "precision"))
  var gradientPrecision: Precision?

  @Option(
    help: ArgumentHelp(
      "What is to run it: \(Planner.frameworkNames.joined(separator: ", ")); any is all that can be priced. The device profile's first where not given.",
      valueName: "name"))
  var framework: String?

  /// Whether any of it was given.
  var isStated: Bool {
    globalBatch != nil || sequence != nil || precision != nil || gradientPrecision != nil
      || [cluster, model, job, framework].contains { $0 != nil }
  }

  /// Plans what was asked for.
  ///
  /// - Parameter nodes: of the cluster that are used; nil for all.
  func planner(nodes: Int? = nil) throws -> Planner {
    guard let cluster else { throw ValidationError("--cluster is needed") }
    return try Planner(cluster: .named(cluster), job: trainingJob(), framework: framework, nodes: nodes)
  }

  /// Prices what a configuration runs; what it does not state comes from these options.
  func planner(for configuration: Configuration) throws -> Planner {
    guard let cluster else { throw ValidationError("--cluster is needed") }
    guard job == nil else { return try planner() }
    return try Planner(
      cluster: .named(cluster), configuration: configuration,
      model: model.map { (name) throws(SextantError) in try Model.named(name) }, globalBatch: globalBatch,
      sequence: sequence, precision: precision, gradientPrecision: gradientPrecision, framework: framework)
  }

  private func trainingJob() throws -> Job {
    if let job {
      guard model == nil, globalBatch == nil, sequence == nil, precision == nil, gradientPrecision == nil else {
        throw ValidationError("--job states what --model, --global-batch, --sequence and the precisions would")
      }
      return try .file(job)
    }
    guard let model else { throw ValidationError("--model or --job is needed") }
    guard let globalBatch else { throw ValidationError("--global-batch is needed") }
    return Job(
      model: try .named(model), globalBatch: globalBatch, sequence: sequence, precision: precision,
      gradientPrecision: gradientPrecision)
  }
}

extension Precision: ExpressibleByArgument {}
