package import JSONText

/// The configuration document, `sextant.configuration/1`: what `import` writes, and `estimate` and `plan --compare`
/// read.
extension RunConfiguration {
  package init(contentsOf path: String) throws(DocumentError) {
    self = try readDocument(at: path) { (field) throws(DocumentError) in try RunConfiguration(field) }
  }

  package init(_ field: Field) throws(DocumentError) {
    var fields = try field.fields()
    try fields.schema(.configuration)
    let frameworkField = try fields.required("framework")
    _ = try frameworkField.place(among: Capabilities.all.map { .string($0.name) })
    framework = try frameworkField.name()
    strategy = try Strategy(fields.required("strategy"))
    model = try fields.optional("model").map { (field) throws(DocumentError) in try ModelDescription(field) }
    layerCounts = try Self.layerCounts(fields.optional("layer_counts"), strategy: strategy, model: model)
    choices = try Self.choices(fields.optional("stage_choices"), strategy: strategy)
    sequenceLength = try fields.optional("sequence_length")?.integer(in: TrainingJob.Bounds.sequenceLength)
    globalBatch = try fields.optional("global_batch")?.integer(in: TrainingJob.Bounds.globalBatch)
    precision = try fields.optional("precision")?.choice(of: Precision.self)
    wideLayers =
      try fields.optional("bf16_layers").map { (field) throws(DocumentError) in try WideLayers(field) } ?? .none
    narrowsHead = try fields.optional("narrow_head")?.boolean() ?? false
    accumulatesGradientsInFP32 = try fields.optional("gradient_accumulation_precision")
      .map { (field) throws(DocumentError) in try field.choice(of: Precision.self) == .fp32 }
    let stated = precision ?? .bf16
    optimizer = try fields.optional("optimizer").map { (field) throws(DocumentError) in
      try Optimizer(field, precision: stated)
    }
    var notes: [String] = []
    for entry in try fields.optional("notes")?.array(count: 0...1_000) ?? [] { notes.append(try entry.string()) }
    self.notes = notes
    try fields.finish()
  }

  private static func layerCounts(
    _ field: Field?, strategy: Strategy, model: ModelDescription?
  ) throws(DocumentError) -> [Int]? {
    guard let field else { return nil }
    var counts: [Int] = []
    for entry in try field.array() {
      counts.append(try entry.integer(in: 0...ModelDescription.Bounds.layers.upperBound))
    }
    let virtualStages = strategy.pipelineDegree * strategy.virtualStageCount
    guard counts.count == virtualStages else {
      throw field.conflict("expected the layers of \(virtualStages) virtual stages, not of \(counts.count)")
    }
    if let sentence = strategy.contradiction(ofChunks: counts) { throw field.conflict(sentence) }
    if let model, counts.reduce(0, +) != model.layerCount {
      throw field.conflict("expected \(model.layerCount) layers in all, not \(counts.reduce(0, +))")
    }
    return counts
  }

  private static func choices(_ field: Field?, strategy: Strategy) throws(DocumentError) -> [StageChoice]? {
    guard let field else { return nil }
    var choices: [StageChoice] = []
    for entry in try field.array(count: 1...16_384) {
      choices.append(try StageChoice(entry, layerCount: ModelDescription.Bounds.layers.upperBound))
    }
    guard choices.count == strategy.pipelineDegree else {
      throw field.conflict("expected a choice for each of \(strategy.pipelineDegree) stages, not \(choices.count)")
    }
    return choices
  }

  package var json: JSON {
    object(
      ("schema", .string(DocumentSchema.configuration.rawValue)), ("framework", .string(framework)),
      ("strategy", strategy.json), ("layer_counts", layerCounts.map { .integers($0) }),
      ("stage_choices", choices.map { .array($0.map(\.json)) }), ("model", model?.json),
      ("sequence_length", sequenceLength.map(JSON.integer)), ("global_batch", globalBatch.map(JSON.integer)),
      ("precision", precision.map { .string($0.rawValue) }),
      ("bf16_layers", wideLayers == .none ? nil : wideLayers.json), ("narrow_head", narrowsHead ? .boolean(true) : nil),
      (
        "gradient_accumulation_precision",
        accumulatesGradientsInFP32.map { .string($0 ? "fp32" : (precision ?? .bf16).storage.rawValue) }
      ),
      ("optimizer", optimizer?.json), ("notes", notes.isEmpty ? nil : .strings(notes)))
  }
}
