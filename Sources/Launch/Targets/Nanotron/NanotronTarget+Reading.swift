package import Documents
import JSONText

/// nanotron's YAML, ours or a user's, as a run.
extension NanotronTarget {
  package static func configuration(
    in files: [LaunchFile], deviceCount: Int?
  ) throws(DocumentError) -> RunConfiguration {
    let file = try StatedDegrees.only(files, "YAML configuration of nanotron") {
      $0.name.hasSuffix(".yaml") || $0.name.hasSuffix(".yml")
    }
    return try configuration(parseYAML(file.text, source: file.name), deviceCount: deviceCount)
  }

  private static func configuration(_ field: Field, deviceCount: Int?) throws(DocumentError) -> RunConfiguration {
    var fields = try field.fields()
    var notes: [String] = []
    let parallelism = try Parallelism(fields.required("parallelism"), deviceCount: deviceCount, notes: &notes)
    let tokens = try Tokens(fields.required("tokens"))
    let optimizer = try OptimizerSection(fields.optional("optimizer"), notes: &notes)
    var modelSection = try fields.required("model").fields()
    let precision = try precision(modelSection.optional("dtype"), notes: &notes)
    let model = try model(modelSection.required("model_config"))
    let data = parallelism.mesh.degree(of: .data)
    return RunConfiguration(
      framework: name,
      strategy: Strategy(
        mesh: parallelism.mesh, microBatch: tokens.microBatch, zeroStage: optimizer.stage,
        recompute: parallelism.recomputes ? .full : .none,
        usesSequenceParallelism: parallelism.dividesSequence && parallelism.mesh.degree(of: .tensor) > 1,
        usesFlashAttention: true, overlapsGradientReduce: true),
      model: model, sequenceLength: tokens.sequenceLength,
      globalBatch: try StatedDegrees.globalBatch(
        [tokens.microBatch, tokens.accumulationCount, data], at: tokens.field),
      precision: precision, accumulatesGradientsInFP32: optimizer.accumulatesInFP32,
      optimizer: optimizer.optimizer, notes: notes)
  }

  private static func precision(_ field: Field?, notes: inout [String]) throws(DocumentError) -> Precision {
    guard let field else { return .bf16 }
    switch try field.string() {
    case "bfloat16": return .bf16
    case "float16":
      notes.append("float16 trains without loss scaling")
      return .fp16
    case "float32": return .fp32
    default: throw field.error(expected: "\"bfloat16\", \"float16\" or \"float32\"")
    }
  }

  private static func model(_ field: Field) throws(DocumentError) -> ModelDescription {
    var fields = try field.fields()
    if fields.optional("is_starcoder2_config") != nil {
      throw field.conflict("Starcoder 2 models are not supported: they have neither of the families' blocks")
    }
    if let experts = fields.optional("moe_config") {
      throw experts.conflict("mixtures of experts are not supported yet")
    }
    let isQwen = fields.optional("is_qwen2_config") != nil
    let defaults = ModelDescription.NanotronDefaults()
    func count(_ key: String, _ standard: Int) throws(DocumentError) -> Int {
      try fields.optional(key)?.integer(in: 1...16_777_216) ?? standard
    }
    let heads = try count("num_attention_heads", defaults.heads)
    do {
      return try ModelDescription(
        name: isQwen ? "qwen2" : "llama", family: .llama, layerCount: count("num_hidden_layers", defaults.layers),
        hiddenSize: count("hidden_size", defaults.hidden), headCount: heads,
        keyValueHeadCount: count("num_key_value_heads", heads),
        feedForwardSize: count("intermediate_size", defaults.feedForward),
        vocabularySize: count("vocab_size", defaults.vocabulary), hasGatedFeedForward: true,
        hasTiedEmbeddings: fields.optional("tie_word_embeddings")?.boolean() ?? false,
        hasQueryKeyValueBias: isQwen ? fields.optional("attention_bias")?.boolean() ?? false : false,
        details: ModelDescription.Details(
          activation: activation(fields.optional("hidden_act")),
          normEpsilon: fields.optional("rms_norm_eps")?.fractionOrZero() ?? 1e-6,
          rotaryBase: fields.optional("rope_theta")?.positiveNumber() ?? 10_000,
          maximumPositionCount: fields.optional("max_position_embeddings")?.integer(in: 1...1_000_000_000_000),
          attentionWindow: fields.optional("sliding_window_size")?.integer(in: 1...1_000_000_000_000),
          initialisationDeviation: fields.optional("initializer_range")?.fractionOrZero()))
    } catch let contradiction as ModelDescription.Contradiction {
      throw field.conflict(contradiction.sentence)
    } catch let error as DocumentError {
      throw error
    } catch {
      preconditionFailure("a model is refused by a contradiction or a document error only")
    }
  }

  private static func activation(_ field: Field?) throws(DocumentError) -> ModelDescription.Activation? {
    guard let field else { return .silu }
    switch try field.string() {
    case "silu", "swish": return .silu
    case "gelu": return .gelu
    case "gelu_new", "gelu_pytorch_tanh", "gelu_fast": return .geluTanh
    case "quick_gelu": return .quickGELU
    case "relu": return .relu
    case "relu2": return .squaredReLU
    default: throw field.error(expected: "an activation function that is known")
    }
  }
}

extension ModelDescription {
  /// What a model of nanotron has that states nothing (`config/models_config.py`).
  fileprivate struct NanotronDefaults {
    let layers = 32, hidden = 4_096, heads = 32, feedForward = 11_008, vocabulary = 32_000
  }
}

/// The section `parallelism`.
private struct Parallelism {
  let mesh: Mesh
  let recomputes: Bool
  let dividesSequence: Bool

  init(_ field: Field, deviceCount: Int?, notes: inout [String]) throws(DocumentError) {
    var fields = try field.fields()
    func degree(_ key: String) throws(DocumentError) -> Int {
      try fields.required(key).integer(in: StatedDegrees.bounds)
    }
    mesh = try StatedDegrees.mesh(
      tensor: degree("tp"), pipeline: degree("pp"), data: degree("dp"), deviceCount: deviceCount, at: field)
    for key in ["expert_parallel_size", "context_parallel_size"] {
      if let size = fields.optional(key), try size.integer(in: StatedDegrees.bounds) > 1 {
        throw size.conflict("\(key) above 1 is not supported yet")
      }
    }
    // All forward passes before the first backward pass is the default.
    let engine = fields.optional("pp_engine")
    let isAllForward = try engine.map { (field) throws(DocumentError) in
      try field.place(among: [.string("1f1b"), .string("afab")]) == 1
    }
    if isAllForward ?? true, mesh.degree(of: .pipeline) > 1 {
      notes.append("pp_engine afab keeps every micro-batch's activations, which is not modelled: 1f1b is priced")
    }
    dividesSequence =
      try fields.optional("tp_mode").map { (field) throws(DocumentError) in
        switch try field.string().uppercased() {
        case "REDUCE_SCATTER": return true
        case "ALL_REDUCE": return false
        default: throw field.error(expected: "\"REDUCE_SCATTER\" or \"ALL_REDUCE\"")
        }
      } ?? false
    recomputes = try fields.optional("recompute_layer")?.boolean() ?? false
    _ = fields.optional("tp_linear_async_communication")
    _ = fields.optional("tp_recompute_allgather")
    try fields.finish()
  }
}

/// The section `tokens`.
private struct Tokens {
  let field: Field
  let sequenceLength, microBatch, accumulationCount: Int

  init(_ field: Field) throws(DocumentError) {
    self.field = field
    var fields = try field.fields()
    sequenceLength = try fields.required("sequence_length").integer(in: TrainingJob.Bounds.sequenceLength)
    microBatch = try fields.required("micro_batch_size").integer(in: TrainingJob.Bounds.globalBatch)
    accumulationCount = try fields.required("batch_accumulation_per_replica").integer(
      in: TrainingJob.Bounds.globalBatch)
    for key in ["train_steps", "val_check_interval", "limit_val_batches", "limit_test_batches"] {
      _ = fields.optional(key)
    }
    try fields.finish()
  }
}

/// The section `optimizer`.
private struct OptimizerSection {
  let stage: Strategy.ZeroStage
  let accumulatesInFP32: Bool
  var optimizer = Optimizer.adam

  init(_ field: Field?, notes: inout [String]) throws(DocumentError) {
    guard let field else {
      stage = .none
      accumulatesInFP32 = false
      notes.append("there is no section optimizer: nothing is divided among replicas")
      return
    }
    var fields = try field.fields()
    // Whatever is above 0 divides optimizer states (`helpers.py`).
    stage = try fields.required("zero_stage").integer(in: 0...3) > 0 ? .optimizer : .none
    accumulatesInFP32 = try fields.required("accumulate_grad_in_fp32").boolean()
    if let factory = fields.optional("optimizer_factory") {
      var settings = try factory.fields()
      let names: [JSON] = [.string("adamW"), .string("sgd")]
      if try settings.optional("name")?.place(among: names) == 1 { optimizer = Optimizer(.sgd) }
    }
  }
}
