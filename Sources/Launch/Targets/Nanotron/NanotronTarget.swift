package import Documents
import JSONText

/// nanotron 0.4: a YAML configuration for its own `run_train.py`.
///
/// Keys are those of `config/config.py`, `config/parallelism_config.py` and `config/models_config.py` (main, 2411b022,
/// 2026-04-07), which refuse any other.
package enum NanotronTarget: LaunchTarget {
  package static let name = "nanotron"
  package static let capabilities = Capabilities.nanotron

  static let configurationName = "nanotron.yaml"

  package static func command(for plan: Plan) -> RankCommand {
    let configuration = NanotronConfiguration(plan)
    return RankCommand(
      files: [LaunchFile(name: configurationName, text: configuration.text)],
      settings: [
        .init("PYTHON", value: "python3", comment: "The interpreter of the environment that nanotron is installed in."),
        .init("RUN_TRAIN", value: "", comment: "The path of nanotron's run_train.py, in a checkout of its repository."),
      ],
      // Its tensor groups order kernels by it (`run_train.py`).
      environment: [("CUDA_DEVICE_MAX_CONNECTIONS", "1")],
      command: [
        .setting("PYTHON"), .setting("RUN_TRAIN"), .literal("--config-file"), .file(configurationName),
      ],
      notes: configuration.notes + [
        "Data, tokenizer, checkpoints and training steps stand at the top of \(configurationName)."
      ])
  }

  /// Ranks as `np.arange(world).reshape((ep, pp, dp, cp, tp))` (`parallel/context.py`).
  package static func groups(of configuration: RunConfiguration) -> [String: [[Int]]] {
    let strategy = configuration.strategy
    let ranks = RankArray(axes: [
      ("expert", 1), ("pipeline", strategy.pipelineDegree), ("data", strategy.dataDegree), ("context", 1),
      ("tensor", strategy.tensorDegree),
    ])
    return Dictionary(
      uniqueKeysWithValues: ["tensor", "pipeline", "data"].map { ($0, ranks.groups(along: [$0])) })
  }
}

/// The text of a configuration, and what was assumed in it.
struct NanotronConfiguration {
  private let plan: Plan
  private let model: ModelDescription
  let notes: [String]

  init(_ plan: Plan) {
    self.plan = plan
    model = plan.job.model
    var notes: [String] = []
    if model.details.rotaryBase == nil { notes.append("The model states no rotary base: 10000 was written.") }
    if model.details.normEpsilon == nil { notes.append("The model states no norm epsilon: 1e-05 was written.") }
    self.notes = notes
  }

  var text: String {
    Self.head + section("model", modelLines) + section("parallelism", parallelismLines)
      + section("tokens", tokensLines) + section("optimizer", optimizerLines) + Self.tail
  }

  /// What the user fills in. Without a dataset nanotron trains on random tokens.
  private static let head = """
    # Fill in: data, tokenizer, where checkpoints go. With "dataset: null" the run trains on random tokens.
    data_stages:
    - name: training
      start_training_step: 1
      data:
        dataset: null
        num_loading_workers: 1
        seed: 42
    tokenizer:
      tokenizer_name_or_path: null
    checkpoints:
      checkpoints_path: checkpoints
      checkpoint_interval: 1000
    general:
      project: sextant
      run: planned
      seed: 42

    # From here on the plan's.

    """

  private static let tail = """
    logging:
      iteration_step_info_interval: 1
      log_level: info
      log_level_replica: info

    """

  private func section(_ name: String, _ lines: [(String, String)]) -> String {
    "\(name):\n" + lines.map { "  \($0):\($1.hasPrefix("\n") ? "" : " ")\($1)\n" }.joined()
  }

  private var modelLines: [(String, String)] {
    [
      ("dtype", "bfloat16"), ("ddp_bucket_cap_mb", "25"), ("make_vocab_size_divisible_by", "1"),
      ("init_method", "{std: \(Self.number(model.details.initialisationDeviation ?? 0.02))}"),
      ("model_config", "\n" + modelConfigurationLines.map { "    \($0): \($1)" }.joined(separator: "\n")),
    ]
  }

  /// Biases of queries, keys and values, and a window of attention, are the Qwen 2 model's; without them it is Llama's.
  private var modelConfigurationLines: [(String, String)] {
    let details = model.details
    // Windows in some layers are offered only where the sequence is shorter than they are.
    let window = details.fullAttentionLayers.isEmpty ? details.attentionWindow : nil
    let isQwen = model.hasQueryKeyValueBias || window != nil
    let positions = max(details.maximumPositionCount ?? 0, plan.job.sequenceLength)
    var lines = [
      (isQwen ? "is_qwen2_config" : "is_llama_config", "true"), ("hidden_act", Self.word(of: model.activation)),
      ("hidden_size", "\(model.hiddenSize)"), ("intermediate_size", "\(model.feedForwardSize)"),
      ("num_hidden_layers", "\(model.layerCount)"), ("num_attention_heads", "\(model.headCount)"),
      ("num_key_value_heads", "\(model.keyValueHeadCount)"), ("vocab_size", "\(model.vocabularySize)"),
      ("max_position_embeddings", "\(positions)"), ("rms_norm_eps", Self.number(details.normEpsilon ?? 1e-5)),
      ("rope_theta", Self.number(details.rotaryBase ?? 10_000)), ("rope_interleaved", "false"),
      ("rope_scaling", "null"), ("attention_bias", "\(model.hasQueryKeyValueBias)"),
      ("tie_word_embeddings", "\(model.hasTiedEmbeddings)"),
      ("initializer_range", Self.number(details.initialisationDeviation ?? 0.02)),
    ]
    if let window { lines.append(("sliding_window_size", "\(window)")) }
    return lines
  }

  private var parallelismLines: [(String, String)] {
    let strategy = plan.strategy
    return [
      ("dp", "\(strategy.dataDegree)"), ("pp", "\(strategy.pipelineDegree)"), ("tp", "\(strategy.tensorDegree)"),
      ("context_parallel_size", "1"), ("expert_parallel_size", "1"), ("pp_engine", "1f1b"),
      ("tp_mode", strategy.usesSequenceParallelism ? "REDUCE_SCATTER" : "ALL_REDUCE"),
      ("tp_linear_async_communication", "\(strategy.usesSequenceParallelism)"),
      ("recompute_layer", "\(strategy.recompute == .full)"),
    ]
  }

  private var tokensLines: [(String, String)] {
    [
      ("sequence_length", "\(plan.job.sequenceLength)"), ("micro_batch_size", "\(plan.strategy.microBatch)"),
      ("batch_accumulation_per_replica", "\(plan.microBatchCount)"), ("train_steps", "1000"),
      ("val_check_interval", "-1"),
    ]
  }

  private var optimizerLines: [(String, String)] {
    [
      ("zero_stage", "\(plan.strategy.zeroStage.rawValue)"), ("accumulate_grad_in_fp32", "true"),
      ("weight_decay", "0.1"), ("clip_grad", "1.0"),
      (
        "optimizer_factory",
        plan.job.optimizer.rule == .sgd
          ? "{name: sgd}"
          : "{name: adamW, adam_beta1: 0.9, adam_beta2: 0.95, adam_eps: 1.0e-08, torch_adam_is_fused: true}"
      ),
      (
        "learning_rate_scheduler",
        "{learning_rate: 0.0003, lr_warmup_steps: 100, lr_warmup_style: linear, lr_decay_style: cosine, min_decay_lr: 3.0e-05}"
      ),
    ]
  }

  /// A number that YAML 1.1, which PyYAML reads, takes for one: with a point before an exponent.
  private static func number(_ value: Double) -> String {
    let text = "\(value)"
    guard let exponent = text.firstIndex(of: "e"), !text[..<exponent].contains(".") else { return text }
    return "\(text[..<exponent]).0\(text[exponent...])"
  }

  /// Hugging Face's word for an activation function.
  private static func word(of activation: ModelDescription.Activation) -> String {
    switch activation {
    case .gelu: "gelu"
    case .geluTanh: "gelu_pytorch_tanh"
    case .quickGELU: "quick_gelu"
    case .relu: "relu"
    case .squaredReLU: "relu2"
    case .silu: "silu"
    }
  }
}
