package import Documents

/// Megatron-LM, with Megatron-FSDP or without: one reader and one order of ranks.
protocol MegatronTarget: LaunchTarget {}

extension MegatronTarget {
  package static func configuration(
    in files: [LaunchFile], deviceCount: Int?
  ) throws(DocumentError) -> RunConfiguration {
    try MegatronReader(files, deviceCount: deviceCount).configuration()
  }

  package static func groups(of configuration: RunConfiguration) -> [String: [[Int]]] {
    MegatronRankOrder.groups(of: configuration.strategy)
  }

  package static func unwritten(of model: ModelDescription) -> String? { nil }
}

/// Megatron-LM without Megatron-FSDP: `pretrain_gpt.py` with an argument file.
package enum MegatronLMTarget: MegatronTarget {
  package static let name = "megatron-lm"
  package static let capabilities = Capabilities.megatronLM

  package static func command(for plan: Plan) -> RankCommand {
    // Megatron-LM's own check on devices before Blackwell, which need it to start the exchanges of tensor groups and of divided
    // sequences in time. Where tokens are on their way under another micro-batch it asks for many instead.
    let strategy = plan.strategy
    let connections = strategy.overlapsExperts ? "32" : strategy.tensorDegree * strategy.contextDegree > 1 ? "1" : nil
    let environment = connections.map { [(name: "CUDA_DEVICE_MAX_CONNECTIONS", value: $0)] } ?? []
    return MegatronProgram.command(
      MegatronArguments(plan: plan, isFullySharded: false), environment: environment + plan.job.precision.environment)
  }
}

/// Megatron-LM with Megatron-FSDP, version 1.
package enum MegatronFSDPTarget: MegatronTarget {
  package static let name = "megatron-fsdp"
  package static let capabilities = Capabilities.megatronFSDP

  package static func command(for plan: Plan) -> RankCommand {
    MegatronProgram.command(
      MegatronArguments(plan: plan, isFullySharded: true),
      // Megatron-LM refuses 1 here, which a container may have set; 8 is the driver's default.
      environment: [(name: "CUDA_DEVICE_MAX_CONNECTIONS", value: "8")] + plan.job.precision.environment)
  }
}

/// What a rank starts: `pretrain_gpt.py`, the argument file, and what the user fills in.
enum MegatronProgram {
  static let argumentFile = "megatron-arguments.txt"

  static func command(
    _ arguments: MegatronArguments, environment: [(name: String, value: String)]
  ) -> RankCommand {
    let text = arguments.words.map { $0 + "\n" }.joined()
    let settings = settings + router(of: arguments.plan.job.model)
    return RankCommand(
      files: [LaunchFile(name: argumentFile, text: text)], settings: settings.map(\.setting), environment: environment,
      command: [.literal("python"), .setting(script.name), .words(inFile: argumentFile)] + settings.flatMap(\.words),
      stageArguments: arguments.stageWords,
      notes: [
        "The arguments are those of Megatron-LM's main at d98e8a64 (2026-08-22, megatron-core 0.20.0).",
        "Data, tokenizer, learning rate and lengths of the run are not the plan's: they are in settings.sh.",
      ] + arguments.notes)
  }

  private typealias Setting = RankCommand.Setting

  private static let script = Setting(
    "PRETRAIN_GPT", value: "", comment: "Path of pretrain_gpt.py in a checkout of Megatron-LM.")

  /// Settings, each with the words that it is given by.
  private static let settings: [(setting: Setting, words: [RankCommand.Word])] =
    [(script, [])]
    + [
      // An option and not a path, so that made-up tokens can be asked for.
      (
        Setting(
          "DATA", value: "--mock-data",
          comment: "--data-path=PREFIX of an indexed dataset, or --mock-data for made-up tokens."),
        [.setting("DATA")]
      ),
      flag(
        "tokenizer-type",
        Setting(
          "TOKENIZER_TYPE", value: "NullTokenizer",
          comment:
            "HuggingFaceTokenizer or another of Megatron-LM's; NullTokenizer for tokens that are numbers already.")),
      flag(
        "tokenizer-model",
        Setting(
          "TOKENIZER_MODEL", value: "", comment: "File, folder or name of the tokenizer; the NullTokenizer has none.",
          isOptional: true)),
      flag("train-iters", Setting("TRAIN_ITERATIONS", value: "100", comment: "Iterations in all.")),
      flag("lr", Setting("LEARNING_RATE", value: "1.5e-4", comment: "Largest learning rate.")),
      flag("min-lr", Setting("MINIMUM_LEARNING_RATE", value: "1.5e-5", comment: "Learning rate at the end.")),
      flag(
        "lr-warmup-iters",
        Setting("WARMUP_ITERATIONS", value: "0", comment: "Iterations in which the learning rate rises to its largest.")
      ),
      flag(
        "lr-decay-style", Setting("DECAY_STYLE", value: "cosine", comment: "How the learning rate falls after that.")),
      flag(
        "eval-interval", Setting("EVALUATION_INTERVAL", value: "1000", comment: "Iterations between two evaluations.")),
      flag("eval-iters", Setting("EVALUATION_ITERATIONS", value: "10", comment: "Batches of an evaluation.")),
      flag("save-interval", Setting("SAVE_INTERVAL", value: "1000", comment: "Iterations between two checkpoints.")),
      (
        Setting(
          "CHECKPOINTS", value: "checkpoints",
          comment: "Folder that checkpoints are saved to, and loaded from if it has any."),
        [.prefixed("--save=", setting: "CHECKPOINTS"), .prefixed("--load=", setting: "CHECKPOINTS")]
      ),
    ]

  /// What keeps experts' loads alike, which bears on what is learned: a router that is corrected by its own numbers needs
  /// little else.
  private static func router(of model: ModelDescription) -> [(setting: Setting, words: [RankCommand.Word])] {
    guard let experts = model.experts else { return [] }
    return [
      flag(
        "moe-router-load-balancing-type",
        Setting(
          "ROUTER_LOSS", value: experts.hasCorrectionBias ? "seq_aux_loss" : "aux_loss",
          comment: "The loss that keeps experts' loads alike: aux_loss, seq_aux_loss, global_aux_loss or none.")),
      flag(
        "moe-aux-loss-coeff",
        Setting(
          "ROUTER_LOSS_COEFFICIENT", value: experts.hasCorrectionBias ? "1e-4" : "1e-2",
          comment: "What that loss is multiplied by.")),
    ]
  }

  private static func flag(_ name: String, _ setting: Setting) -> (setting: Setting, words: [RankCommand.Word]) {
    (setting, [.prefixed("--\(name)=", setting: setting.name)])
  }
}
