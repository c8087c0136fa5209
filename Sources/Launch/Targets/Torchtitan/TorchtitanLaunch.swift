import Documents
import JSONText
import Training

/// The files and the command of a plan in one of torchtitan's dialects.
struct TorchtitanLaunch {
  static let argumentsName = "arguments.txt"
  static let tablesName = "torchtitan.toml"
  static let startName = "start.py"
  static let moduleName = "planned_model"
  static let scheduleName = "schedule.csv"

  private let plan: Plan
  private let dialect: TorchtitanDialect
  private let model: TorchtitanModel
  private let sharding: TorchtitanSharding

  /// - Precondition: the dialect's table offers the plan.
  init(_ plan: Plan, dialect: TorchtitanDialect) {
    self.plan = plan
    self.dialect = dialect
    var model = TorchtitanModel(plan.job, dispatcher: plan.strategy.dispatcher)
    if plan.strategy.pipelineDegree > 1 { model.modelParts = dialect.modelParts(of: plan.split) }
    self.model = model
    sharding = TorchtitanSharding(plan.strategy)
  }

  var command: RankCommand {
    var files = [
      LaunchFile(name: Self.startName, text: TorchtitanPython.start(dialect)),
      LaunchFile(name: "\(Self.moduleName).py", text: TorchtitanPython.model(dialect)),
      LaunchFile(name: TorchtitanModel.fileName, text: model.json.text(style: .pretty)),
      dialect == .tables
        ? LaunchFile(name: Self.tablesName, text: tables)
        : LaunchFile(name: Self.argumentsName, text: arguments.map { $0 + "\n" }.joined()),
    ]
    if let schedule { files.append(LaunchFile(name: Self.scheduleName, text: schedule)) }
    return RankCommand(
      files: files, settings: settings, environment: plan.job.precision.environment, command: words,
      notes: model.notes + [
        "Checked against torchtitan \(dialect.version).",
        "\(Self.moduleName).py builds the model that \(TorchtitanModel.fileName) describes.",
      ]
        + (dialect == .flagsInTokens
          ? ["Data are those of torchtitan's own configuration; other data are set in \(Self.moduleName).py."] : [])
        + (schedule == nil
          ? []
          : [
            "\(Self.scheduleName) has every stage's passes in order; SCHEDULE_CSV runs them instead of the schedule's name."
          ])
        + productNotes
        + (plan.strategy.schedule.splitsBackward
          ? ["\(scheduleName) splits backward passes, which PyTorch does not do with torch.compile."] : []))
  }

  /// How FP8 is asked for, and what of it is not as it is priced.
  private var productNotes: [String] {
    guard let products = model.products else { return [] }
    let converters =
      dialect == .tables
      ? "\(Self.tablesName) asks for products in \(plan.job.precision.rawValue)"
      : "\(Self.moduleName).py converts products to \(plan.job.precision.rawValue), those of the router and of the head excepted"
    let scales =
      products == .float8 && dialect != .tables
      ? ["torchtitan \(dialect.version) scales every row by its largest, which is priced as one scale for each tensor."]
      : []
    return ["\(converters); torchao has to be installed, and torch.compile is on, which FP8 is slow without."] + scales
  }

  // MARK: Settings and words

  private var settings: [RankCommand.Setting] {
    var settings: [RankCommand.Setting] = [
      .init("PYTHON", value: "python3", comment: "The interpreter of the environment that torchtitan is installed in."),
      .init(
        "TOKENIZER_PATH", value: "", comment: "A folder with the model's tokenizer, as downloaded from Hugging Face."),
      .init("OUTPUT_PATH", value: "./outputs", comment: "Where logs and checkpoints go."),
      .init("TRAINING_STEPS", value: "1000", comment: "Iterations to train."),
    ]
    if dialect != .flagsInTokens {
      settings.append(.init("DATASET", value: "c4", comment: "One of torchtitan's data sets."))
    }
    if schedule != nil {
      settings.append(
        .init(
          "SCHEDULE_CSV", value: "",
          comment: "The path of \(Self.scheduleName), to run the passes in exactly its order.",
          isOptional: true))
    }
    return settings
  }

  private var words: [RankCommand.Word] {
    var words: [RankCommand.Word] = [.setting("PYTHON"), .file(Self.startName)]
    switch dialect {
    case .tables:
      words += [
        .literal("--job.config_file"), .file(Self.tablesName), .literal("--job.dump_folder"), .setting("OUTPUT_PATH"),
        .literal("--model.hf_assets_path"), .setting("TOKENIZER_PATH"), .literal("--training.dataset"),
        .setting("DATASET"), .literal("--training.steps"), .setting("TRAINING_STEPS"),
      ]
    case .flags, .flagsInTokens:
      words += [
        .literal("--module"), .literal(Self.moduleName), .literal("--config"), .literal("planned"),
        .literal("--dump_folder"), .setting("OUTPUT_PATH"), .literal("--hf_assets_path"), .setting("TOKENIZER_PATH"),
        .literal("--training.steps"), .setting("TRAINING_STEPS"),
      ]
      if dialect == .flags { words += [.literal("--dataloader.dataset"), .setting("DATASET")] }
    }
    if schedule != nil {
      words += [.literal("--parallelism.pipeline_parallel_schedule_csv"), .setting("SCHEDULE_CSV")]
    }
    // What follows ends with the subcommand for recomputation, after which no flag may stand.
    return dialect == .tables ? words : words + [.words(inFile: Self.argumentsName)]
  }

  /// The passes of every stage, see ``Training/PipelineSchedule/csv``.
  private var schedule: String? {
    guard plan.strategy.pipelineDegree > 1 else { return nil }
    return
      (try? PipelineSchedule(
        plan.strategy.schedule, stageCount: plan.strategy.pipelineDegree, microBatchCount: plan.microBatchCount))?.csv
  }

  // MARK: Flags

  private var arguments: [String] {
    let strategy = plan.strategy, job = plan.job
    let hasPipeline = strategy.pipelineDegree > 1
    var flags: [(String, String)]
    if dialect == .flags {
      flags = [
        ("training.local_batch_size", "\(strategy.microBatch * (hasPipeline ? plan.microBatchCount : 1))"),
        ("training.global_batch_size", "\(job.globalBatch)"), ("training.seq_len", "\(job.sequenceLength)"),
      ]
    } else {
      flags = [
        ("training.num_tokens_per_microbatch_per_dp_rank", "\(strategy.microBatch * job.sequenceLength)"),
        ("training.num_tokens_per_train_step", "\(job.globalBatch * job.sequenceLength)"),
        ("training.max_context_length", "\(job.sequenceLength)"),
      ]
    }
    if !job.precision.is16Bit { flags.append(("training.mixed_precision_param", "float32")) }
    if keepsAllInBF16 {
      flags.append(("training.dtype", "bfloat16"))
    } else if job.optimizer.moments == .bf16 {
      flags.append(("optimizer.implementation", "fused_opt_states_bf16"))
    }
    flags += degrees.map { ("parallelism." + $0.0, $0.1) }
    if hasPipeline {
      flags.append(("parallelism.pipeline_parallel_schedule", scheduleName))
      flags.append(
        dialect == .flags
          ? ("parallelism.pipeline_parallel_microbatch_size", "\(strategy.microBatch)")
          : ("parallelism.num_pp_microbatches", "\(plan.microBatchCount)"))
    }
    var words = flags.flatMap { ["--\($0.0)", $0.1] }
    if strategy.tensorDegree > 1, !strategy.usesSequenceParallelism {
      words.append("--parallelism.no-enable_sequence_parallel")
    }
    if strategy.hosting != .none { words.append("--training.enable_cpu_offload") }
    // CUDA graphs know no pipeline, and no experts whose tokens the host counts (`trainer.py`, `_validate_cuda_graphs`).
    if hasPipeline || strategy.expertDegree > 1 { words.append("--training.disable_cuda_graphs") }
    return words + ["activation-checkpoint:\(strategy.recompute.rawValue)"]
  }

  /// Whether parameters, gradients and optimizer states are of bf16.
  private var keepsAllInBF16: Bool { plan.job.precision.storage == .bf16 && plan.job.optimizer.masterWeights == .none }

  private var degrees: [(String, String)] {
    [
      ("data_parallel_replicate_degree", "\(sharding.replicate)"),
      ("data_parallel_shard_degree", "\(sharding.shard / plan.strategy.contextDegree)"),
      ("fsdp_reshard_after_forward", sharding.reshard.rawValue),
      ("tensor_parallel_degree", "\(plan.strategy.tensorDegree)"),
      ("pipeline_parallel_degree", "\(plan.strategy.pipelineDegree)"),
      ("context_parallel_degree", "\(plan.strategy.contextDegree)"),
    ] + (model.experts == nil ? [] : [("expert_parallel_degree", "\(plan.strategy.expertDegree)")])
  }

  private var scheduleName: String { TorchtitanDialect.name(of: plan.strategy.schedule) }

  // MARK: Tables

  private var tables: String {
    let strategy = plan.strategy, job = plan.job
    let hasPipeline = strategy.pipelineDegree > 1
    var parallelism = degrees.map { $0.0 == "fsdp_reshard_after_forward" ? ($0.0, "\"\($0.1)\"") : $0 }
    if hasPipeline {
      let parts = model.modelParts.map { "[\($0.map { "\"\($0)\"" }.joined(separator: ", "))]" }
      parallelism += [
        ("pipeline_parallel_schedule", "\"\(scheduleName)\""),
        ("pipeline_parallel_microbatch_size", "\(strategy.microBatch)"),
        ("module_fqns_per_model_part", "[\n" + parts.map { "  \($0),\n" }.joined() + "]"),
      ]
    }
    let sections: [(String, [(String, String)])] =
      [
        (
          "model",
          [("name", "\"\(model.family.rawValue)\""), ("flavor", "\"planned\"")]
            + (converter.map { [("converters", "[\"\($0.name)\"]")] } ?? [])
        ),
        ("experimental", [("custom_import", "\"\(Self.moduleName)\"")]),
        (
          "training",
          [
            ("local_batch_size", "\(strategy.microBatch * (hasPipeline ? plan.microBatchCount : 1))"),
            ("global_batch_size", "\(job.globalBatch)"), ("seq_len", "\(job.sequenceLength)"),
            ("mixed_precision_param", !job.precision.is16Bit ? "\"float32\"" : "\"bfloat16\""),
            ("mixed_precision_reduce", "\"float32\""),
          ] + (keepsAllInBF16 ? [("dtype", "\"bfloat16\"")] : [])
            + (strategy.hosting == .none ? [] : [("enable_cpu_offload", "true")])
        ),
        ("parallelism", parallelism),
        (
          "activation_checkpoint",
          [("mode", "\"\(strategy.recompute.rawValue)\"")]
            + (strategy.recompute == .selective ? [("selective_ac_option", "\"op\"")] : [])
        ),
      ] + (converter.map { [($0.name, $0.keys), ("compile", [("enable", "true")])] } ?? [])
    return sections.map { name, keys in
      "[\(name)]\n" + keys.map { "\($0.0) = \($0.1)\n" }.joined()
    }.joined(separator: "\n")
  }

  /// 0.2.2's converter of what blocks multiply in, and its table. Shards that are cast before they are gathered are of no named
  /// recipe, and want the largest numbers of all tensors in one all-reduce.
  private var converter: (name: String, keys: [(String, String)])? {
    model.products.map {
      switch $0 {
      case .float8:
        (
          "quantize.linear.float8",
          (plan.strategy.holdsNarrowWeights
            ? [("enable_fsdp_float8_all_gather", "true"), ("precompute_float8_dynamic_scale_for_fsdp", "true")]
            : [("recipe_name", "\"tensorwise\"")]) + [("filter_fqns", "[\"output\"]")]
        )
      case .mxfp8: ("quantize.linear.mx", [("recipe_name", "\"mxfp8_cublas\""), ("filter_fqns", "[\"output\"]")])
      }
    }
  }
}
