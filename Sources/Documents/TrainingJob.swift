package import JSONText

/// What is to be trained: the model, the tokens of one iteration, and in which number formats.
@usableFromInline package struct TrainingJob: Sendable, Equatable {
  package let model: ModelDescription
  /// Tokens of one sequence.
  package let sequenceLength: Int
  /// Sequences of one iteration (one optimizer step), all data-parallel ranks together.
  package let globalBatch: Int
  package let precision: Precision
  /// Whether gradients are accumulated and reduced in fp32, as Megatron-LM does under bf16.
  package let accumulatesGradientsInFP32: Bool
  package let optimizer: Optimizer
  /// How weights move where a strategy's update is of zeroth order.
  package var zerothOrder = ZerothOrder.usual
  /// What outer steps do where a strategy has them.
  package var outer = OuterOptimizer.usual
  /// Tokens that the fullest rank of an expert group is sent, over the mean; 1 where routing is balanced.
  package var expertLoad = 1.0
  /// How many tokens experts take, and how many rows their products have.
  package var expertCapacity = ExpertCapacity.none
  /// What is launched as recorded graphs.
  package var graphs = LaunchGraphs.none
  /// Whether products of the output head, and of further predictions', are in the narrower format that ``precision`` has blocks'
  /// products in: Megatron-LM's `--fp8-output-proj`.
  package var narrowsHead = false
  /// Whether fused attention multiplies in FP8 where ``precision`` has blocks' products narrower: Transformer Engine's
  /// `fp8_dot_product_attention`.
  package var narrowsAttention = false
  /// Layers whose products stay in what is stored where ``precision`` has the others' narrower.
  package private(set) var wideLayers = WideLayers.none

  /// - Throws: a sentence when sizes contradict each other or their products cannot be counted.
  package init(
    model: ModelDescription, sequenceLength: Int, globalBatch: Int, precision: Precision = .bf16,
    accumulatesGradientsInFP32: Bool = true, optimizer: Optimizer = .adam
  ) throws(Contradiction) {
    if model.family != .llama, model.positionCount > 0, sequenceLength > model.positionCount {
      throw Contradiction(
        "sequence length \(sequenceLength) is longer than the \(model.positionCount) positions of model \(model.name)")
    }
    self.model = model
    self.sequenceLength = sequenceLength
    self.globalBatch = globalBatch
    self.precision = precision
    self.accumulatesGradientsInFP32 = accumulatesGradientsInFP32
    self.optimizer = optimizer
    if let reason = optimizer.contradiction(precision) { throw Contradiction(reason) }
    if let reason = reasonNotCountable { throw Contradiction(reason) }
  }

  /// The same job with another optimizer.
  package func with(_ optimizer: Optimizer) throws(Contradiction) -> TrainingJob {
    try TrainingJob(
      model: model, sequenceLength: sequenceLength, globalBatch: globalBatch, precision: precision,
      accumulatesGradientsInFP32: accumulatesGradientsInFP32, optimizer: optimizer
    ).withRest(of: self)
  }

  /// The same job of another model, with other sequences, in another precision, or with gradients accumulated otherwise.
  package func with(
    model other: ModelDescription? = nil, sequenceLength length: Int? = nil, globalBatch batch: Int? = nil,
    precision another: Precision? = nil, accumulatesGradientsInFP32 inFP32: Bool? = nil
  ) throws(Contradiction) -> TrainingJob {
    try TrainingJob(
      model: other ?? model, sequenceLength: length ?? sequenceLength, globalBatch: batch ?? globalBatch,
      precision: another ?? precision, accumulatesGradientsInFP32: inFP32 ?? accumulatesGradientsInFP32,
      optimizer: optimizer
    ).withRest(of: self)
  }

  /// The same job with other layers that multiply as they are stored.
  package func with(_ layers: WideLayers) throws(Contradiction) -> TrainingJob {
    if let reason = layers.contradiction(model.layerCount) { throw Contradiction(reason) }
    var job = self
    job.wideLayers = layers
    return job
  }

  /// The same job with what another has beside what it is made of.
  private func withRest(of other: TrainingJob) throws(Contradiction) -> TrainingJob {
    var job = try with(other.wideLayers)
    job.zerothOrder = other.zerothOrder
    job.outer = other.outer
    job.expertLoad = other.expertLoad
    job.expertCapacity = other.expertCapacity
    job.graphs = other.graphs
    job.narrowsHead = other.narrowsHead
    job.narrowsAttention = other.narrowsAttention
    return job
  }

  /// What the output head multiplies in where that is narrower than what is stored; nil where it is not.
  package var headProducts: ProductFormat? { narrowsHead ? precision.products : nil }

  /// Sizes that cannot be together, as a sentence.
  package struct Contradiction: Error, Sendable, Equatable {
    package let sentence: String
    init(_ sentence: String) { self.sentence = sentence }
  }

  /// The bounds of what a document or a flag may state.
  package enum Bounds {
    package static let sequenceLength = 1...4_194_304
    package static let globalBatch = 1...16_777_216
    package static let expertLoad = 1...1e6
    package static let expertLoadWords = "a number from 1 to 1e6"
  }

  /// Bytes of one accumulated gradient.
  @usableFromInline package var gradientByteCount: Int { accumulatesGradientsInFP32 ? 4 : precision.byteCount }
}

/// The job document, `sextant.job/1`.
extension TrainingJob {
  /// - Parameter catalog: where a model's name is looked up; paths are relative to the document's own folder.
  package init(contentsOf path: String, catalog: Catalog) throws(DocumentError) {
    self = try readDocument(at: path) { (field) throws(DocumentError) in
      try TrainingJob(field, catalog: catalog, folder: folder(of: path))
    }
  }

  package init(_ field: Field, catalog: Catalog, folder: String) throws(DocumentError) {
    var fields = try field.fields()
    try fields.schema(.job)
    let modelField = try fields.required("model")
    let model =
      modelField.isString
      ? try catalog.model(modelField.string(), relativeTo: folder, mentionedAt: modelField)
      : try ModelDescription(modelField)
    let sequenceLength = try fields.required("sequence_length").integer(in: Bounds.sequenceLength)
    let globalBatch = try fields.required("global_batch").integer(in: Bounds.globalBatch)
    let precision = try fields.required("precision").choice(of: Precision.self)
    let gradients = try fields.required("gradient_accumulation_precision")
    let gradientPrecision = try gradients.choice(of: Precision.self)
    guard gradientPrecision == .fp32 || gradientPrecision == precision.storage && precision.is16Bit else {
      throw gradients.error(
        expected: precision.is16Bit ? "\"fp32\" or the weights' \"\(precision.storage.rawValue)\"" : "\"fp32\"")
    }
    let optimizer = try Optimizer(fields.required("optimizer"), precision: precision)
    let zerothOrder = try fields.optional("zeroth_order").map { (field) throws(DocumentError) in try ZerothOrder(field)
    }
    let outer = try fields.optional("outer").map { (field) throws(DocumentError) in try OuterOptimizer(field) }
    let load = try fields.optional("expert_load")?.number(in: Bounds.expertLoad, expected: Bounds.expertLoadWords)
    let graphs = try fields.optional("graphs")?.choice(of: LaunchGraphs.self)
    let capacity = try fields.optional("expert_capacity").map { (field) throws(DocumentError) in
      try ExpertCapacity(field)
    }
    let wide = try fields.optional("bf16_layers").map { (field) throws(DocumentError) in try WideLayers(field) }
    let narrowsHead = try fields.optional("narrow_head")?.boolean()
    let narrowsAttention = try fields.optional("narrow_attention")?.boolean()
    try fields.finish()
    do {
      self = try TrainingJob(
        model: model, sequenceLength: sequenceLength, globalBatch: globalBatch, precision: precision,
        accumulatesGradientsInFP32: gradientPrecision == .fp32, optimizer: optimizer
      ).with(wide ?? .none)
    } catch {
      throw field.conflict(error.sentence)
    }
    if let zerothOrder { self.zerothOrder = zerothOrder }
    if let outer { self.outer = outer }
    if let load { expertLoad = load }
    if let capacity { expertCapacity = capacity }
    if let graphs { self.graphs = graphs }
    if let narrowsHead { self.narrowsHead = narrowsHead }
    if let narrowsAttention { self.narrowsAttention = narrowsAttention }
  }

  /// The document of this job, self-contained: the model is inside it.
  package var json: JSON {
    object(
      ("schema", .string(DocumentSchema.job.rawValue)), ("model", model.json),
      ("sequence_length", .integer(sequenceLength)), ("global_batch", .integer(globalBatch)),
      ("precision", .string(precision.rawValue)),
      ("gradient_accumulation_precision", .string(accumulatesGradientsInFP32 ? "fp32" : precision.storage.rawValue)),
      ("optimizer", optimizer.json), ("zeroth_order", zerothOrder == .usual ? nil : zerothOrder.json),
      ("outer", outer == .usual ? nil : outer.json), ("expert_load", expertLoad == 1 ? nil : .number(expertLoad)),
      ("expert_capacity", expertCapacity == .none ? nil : expertCapacity.json),
      ("graphs", graphs == .none ? nil : .string(graphs.rawValue)),
      ("bf16_layers", wideLayers == .none ? nil : wideLayers.json), ("narrow_head", narrowsHead ? .boolean(true) : nil),
      ("narrow_attention", narrowsAttention ? .boolean(true) : nil))
  }
}
