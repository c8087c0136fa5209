public import ArgumentParser
public import Sextant

/// Cluster, model and batch: what `plan` and `estimate` are asked about.
struct WorkloadOptions: ParsableArguments {
  @OptionGroup var cluster: ClusterOptions

  @Option(
    help: ArgumentHelp(
      "Use so many of the cluster's nodes. plan: the best to leave out where links were measured, else the last. estimate: the first. Several (2,4,8) are a table of plans.",
      valueName: "count,…"))
  var nodes: CountList?

  @Option(
    help: ArgumentHelp(
      "A shipped model's name, a Hugging Face config.json or a folder with one, or a model file.",
      valueName: "name|path"))
  var model: String?

  @Option(help: ArgumentHelp("A job file in place of --model and the options below.", valueName: "file"))
  var job: String?

  @Option(
    help: ArgumentHelp(
      "Sequences of one iteration (one optimizer step). Several (256,512) are a table of plans.", valueName: "count,…"))
  var globalBatch: CountList?

  @Option(help: "Tokens of a sequence; 4096 where not given, fewer where the model has fewer learned positions.")
  var sequence: Int?

  @Option(
    help: ArgumentHelp(
      """
      bf16, fp16, fp32 or tf32; or bf16 whose products are in fp8-delayed, fp8-current-scaling, fp8-blockwise, mxfp8 or nvfp4. \
      bf16 where the devices have it, else fp16.
      """, valueName: "format"))
  var precision: Precision?

  @Option(
    help: ArgumentHelp(
      "Layers at the model's beginning and end whose products stay in bf16 where the precision has others narrower, as 1,1; none where not given.",
      valueName: "first,last"))
  var bf16Layers: EndLayers?

  @Flag(
    help:
      "The output head's products are in the format of blocks' as well, where the precision has one narrower than bf16."
  )
  var narrowHead = false

  @Option(help: ArgumentHelp("Precision of gradient accumulation; fp32 except under fp16.", valueName: "precision"))
  var gradientPrecision: Precision?

  @Option(
    help: ArgumentHelp(
      "Tokens that the fullest rank of an expert group is sent, over the mean; 1, balanced routing, where not given.",
      valueName: "ratio"))
  var expertLoad: Double?

  @OptionGroup(title: "Optimizer") var states: OptimizerOptions

  @OptionGroup(title: "Zeroth-order training") var zerothOrder: ZerothOrderOptions

  @OptionGroup(title: "Outer steps of workers") var outer: OuterOptions

  @Option(
    help: ArgumentHelp(
      "What is to run it: \(Planner.frameworkNames.joined(separator: ", ")); any is all that can be priced. The device profile's first where not given.",
      valueName: "name"))
  var framework: String?

  /// Whether any of it was given.
  var isStated: Bool {
    cluster.isStated || [nodes, globalBatch].contains { $0 != nil } || sequence != nil || precision != nil
      || gradientPrecision != nil || expertLoad != nil || bf16Layers != nil || narrowHead || states.isStated
      || zerothOrder.isStated
      || outer.isStated || [model, job, framework].contains { $0 != nil }
  }

  /// Whether several plans are asked for.
  var asksForSeveral: Bool { (nodes?.values.count ?? 1) > 1 || (globalBatch?.values.count ?? 1) > 1 }

  /// A planner of every number of nodes with every batch that was asked for, in this order.
  func planners() throws -> [Planner] {
    let cluster = try cluster.stated(), jobs = try trainingJobs()
    let counts: [Int?] = nodes?.values ?? [nil]
    return try counts.flatMap { count in
      try jobs.map { try Planner(cluster: cluster, job: $0, framework: framework, nodes: count) }
    }
  }

  /// The planner of what was asked for, which is one.
  func planner() throws -> Planner {
    let batch = try globalBatch?.single(of: "--global-batch")
    return try Planner(
      cluster: cluster.stated(), job: trainingJob(globalBatch: batch), framework: framework, nodes: singleNodeCount())
  }

  /// Prices what a configuration runs; what it does not state comes from these options.
  func planner(for configuration: Configuration) throws -> Planner {
    guard job == nil else { return try planner() }
    if zerothOrder.isStated {
      throw ValidationError("--zo-… is not for configurations: no framework trains by losses alone")
    }
    if outer.isStated {
      throw ValidationError("--outer-… is not for configurations: no framework takes outer steps between workers")
    }
    if expertLoad != nil { throw ValidationError("--expert-load is not for configurations: give a --job") }
    if narrowHead { throw ValidationError("--narrow-head is not for configurations, which state it: give a --job") }
    if bf16Layers != nil {
      throw ValidationError("--bf16-layers is not for configurations, which state them: give a --job")
    }
    return try Planner(
      cluster: cluster.stated(), configuration: configuration,
      model: model.map { (name) throws(SextantError) in try Model.named(name) },
      globalBatch: globalBatch?.single(of: "--global-batch"), sequence: sequence, precision: precision,
      gradientPrecision: gradientPrecision, optimizer: states.optimizer, framework: framework, nodes: singleNodeCount())
  }

  private func singleNodeCount() throws -> Int? { try nodes?.single(of: "--nodes") }

  private func trainingJobs() throws -> [Job] {
    guard let batches = globalBatch?.values else { return [try trainingJob(globalBatch: nil)] }
    return try batches.map { try trainingJob(globalBatch: $0) }
  }

  private func trainingJob(globalBatch: Int?) throws -> Job {
    if let job {
      guard model == nil, globalBatch == nil, sequence == nil, precision == nil, gradientPrecision == nil,
        expertLoad == nil, bf16Layers == nil, !narrowHead, !states.isStated, !zerothOrder.isStated, !outer.isStated
      else {
        throw ValidationError(
          "--job states what --model, --global-batch, --sequence, the precisions, --expert-load, --bf16-layers, --narrow-head, the optimizer's options, --zo-… and --outer-… would"
        )
      }
      return try .file(job)
    }
    guard let model else { throw ValidationError("--model or --job is needed") }
    guard let globalBatch else { throw ValidationError("--global-batch is needed") }
    return try Job(
      model: .named(model), globalBatch: globalBatch, sequence: sequence, precision: precision,
      gradientPrecision: gradientPrecision, optimizer: states.optimizer ?? Optimizer(),
      zerothOrder: zerothOrder.stated() ?? .usual, outer: outer.stated() ?? .usual,
      expertLoad: expertLoad ?? 1, bf16Layers: bf16Layers.map { ($0.first, $0.last) } ?? (0, 0), narrowHead: narrowHead)
  }
}

/// Layers at a model's two ends: `1,1`.
struct EndLayers: ExpressibleByArgument {
  let first, last: Int

  init?(argument: String) {
    let values = argument.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) }
    guard values.count == 2, let first = values[0], let last = values[1], first >= 0, last >= 0 else { return nil }
    (self.first, self.last) = (first, last)
  }
}

extension Precision: ExpressibleByArgument {}
