package import JSONText

/// The plan document, `sextant.plan/2`; `sextant.plan/1` is read.
///
/// Stages, placement, groups and schedule follow from the strategy; they are written for launchers and people, and on
/// reading they must be what the strategy says. What a framework is launched with is made from a plan on export.
extension Plan {
  package init(contentsOf path: String) throws(DocumentError) {
    self = try readDocument(at: path) { (field) throws(DocumentError) in try Plan(field) }
  }

  package init(_ field: Field) throws(DocumentError) {
    var fields = try field.fields()
    let isFirstMajor = try fields.schema(.plan, orEarlier: DocumentSchema.firstPlan)
    toolVersion = try fields.required("tool_version").name()
    // Everything that a plan's inputs name is inside it, so nothing is looked up.
    let nothing = Catalog(root: nil)
    let cluster = try ClusterDescription(fields.required("cluster"), catalog: nothing, folder: ".")
    let stated = try TrainingJob(fields.required("job"), catalog: nothing, folder: ".")
    question =
      try isFirstMajor
      ? Question(firstMajor: &fields, job: stated, cluster: cluster)
      : Question(fields.required("question"), job: stated, cluster: cluster)
    let fixed = question.fixed, allowance = question.allowance
    let precision = try question.chosenPrecision(&fields)
    do { job = try stated.with(precision: precision) } catch { throw field.conflict(error.sentence) }
    let arrangementField = try fields.required("arrangement")
    arrangement = try NodeArrangement(arrangementField, cluster: cluster)
    guard arrangement.nodeOrder.count == question.nodeCount else {
      throw arrangementField.conflict(
        "\(arrangement.nodeOrder.count) nodes are arranged, but the question is of \(question.nodeCount)")
    }
    let strategyField = try fields.required("strategy")
    strategy = try Strategy(strategyField)
    if let violation = strategy.violation(
      job: job, deviceCount: arrangement.nodeOrder.count * cluster.devicesPerNode,
      hasFlashAttention: cluster.device.hasFlashAttention(in: job.precision),
      interleavesLargerGroups: cluster.device.framework(named: question.coefficientName)?.interleavesLargerGroups
        == true, hasHost: cluster.host != nil)
    {
      throw strategyField.conflict("\(violation)")
    }
    guard fixed.matches(strategy) else {
      throw strategyField.conflict("the strategy does not agree with what is fixed")
    }
    guard allowance.permits(strategy, devicesPerNode: cluster.devicesPerNode) else {
      throw strategyField.conflict("the strategy changes values by more than is allowed")
    }
    split = try Split(
      layerCounts: fields.required("layer_counts"), choices: fields.optional("stage_choices"), strategy: strategy,
      job: job, host: cluster.host)
    // What no framework runs is planned all the same where it is allowed; of workers each runs under it.
    if strategy.update.hasGradients, let framework = question.capabilities,
      let refusal = framework.refusal(of: strategy.ofOneWorker, split: split, job: job)
    {
      throw strategyField.conflict("\(refusal)")
    }
    let predictionField = try fields.required("prediction")
    prediction = try Prediction(predictionField)
    guard prediction.stageMemory.count == strategy.pipelineDegree else {
      throw predictionField.conflict(
        "stage_memory is of \(prediction.stageMemory.count) stages, but the pipeline has \(strategy.pipelineDegree)")
    }
    var prices: [MeasuredPrice] = []
    for entry in try fields.optional("measured_prices")?.array(count: 1...64) ?? [] {
      prices.append(try MeasuredPrice(entry))
    }
    measuredPrices = prices
    shardingOptions = try Self.shardingOptions(
      fields.optional("sharding_options"), strategy: strategy, cluster: cluster)
    certificate = try Certificate(fields.required("certificate"))
    var alternatives: [Alternative] = []
    for entry in try fields.required("alternatives").array(count: 0...1_000) {
      alternatives.append(try Alternative(entry, question: question))
    }
    self.alternatives = alternatives
    var impossible: [String] = []
    for entry in try fields.required("kinds_that_do_not_fit").array(count: 0...64) {
      impossible.append(try entry.name())
    }
    impossibleFamilies = impossible
    if strategy.update.hasGradients, let section = fields.optional("zeroth_order") {
      throw section.conflict("the strategy trains by gradients")
    }
    if strategy.update == .zerothOrder, fields.optional("zeroth_order") == nil {
      throw strategyField.conflict("the strategy is of zeroth order, but zeroth_order is missing")
    }
    if strategy.update != .outer, let section = fields.optional("outer") {
      throw section.conflict("the strategy has no outer steps")
    }
    if strategy.update == .outer, fields.optional("outer") == nil {
      throw strategyField.conflict("the strategy has outer steps, but outer is missing")
    }
    for (key, derived) in derivedSections {
      let stated = try fields.required(key)
      guard stated.value == derived else {
        throw stated.conflict("\(key) is not what the strategy says: the plan was edited after it was written")
      }
    }
    try fields.finish()
  }

  /// The options, of which the first is the strategy's own.
  private static func shardingOptions(
    _ field: Field?, strategy: Strategy, cluster: ClusterDescription
  ) throws(DocumentError) -> [ShardingOption] {
    guard let field else { return [] }
    guard strategy.hasShardLevels else {
      throw field.conflict("sharding_options are of shard levels, which the strategy has not")
    }
    var options: [ShardingOption] = []
    for entry in try field.array(count: 1...16) {
      options.append(try ShardingOption(entry, levelCount: cluster.levels.count))
    }
    guard options[0].sharding == strategy.sharding else {
      throw field.conflict("the first of the sharding_options is not the strategy's")
    }
    return options
  }

  package var json: JSON {
    let head = object(
      ("schema", .string(DocumentSchema.plan.rawValue)), ("tool_version", .string(toolVersion)),
      ("precision", chosenPrecision.map { .string($0.rawValue) }), ("strategy", strategy.json),
      ("layer_counts", .integers(split.layerCounts)),
      ("stage_choices", split.choices.map { .array($0.map(\.json)) }), ("prediction", prediction.json),
      ("measured_prices", measuredPrices.isEmpty ? nil : .array(measuredPrices.map(\.json))),
      ("sharding_options", shardingOptions.isEmpty ? nil : .array(shardingOptions.map(\.json))),
      ("arrangement", arrangement.json(cluster: cluster)), ("certificate", certificate.json),
      ("alternatives", .array(alternatives.map(\.json))),
      ("kinds_that_do_not_fit", .strings(impossibleFamilies)))
    let inputs = object(("question", question.json), ("job", question.job.json), ("cluster", cluster.json))
    guard case .object(let first) = head, case .object(let last) = inputs else { return head }
    return .object(first + derivedSections.map { JSONMember($0.key, $0.value) } + last)
  }

  /// What follows from strategy, job and cluster, section by section.
  private var derivedSections: [(key: String, value: JSON)] {
    [
      ("stages", stagesSection), ("schedule", scheduleSection), ("placement", placementSection),
      ("groups", groupsSection), ("decisions", decisionsSection),
    ] + (zerothOrderSection.map { [("zeroth_order", $0)] } ?? []) + (outerSection.map { [("outer", $0)] } ?? [])
  }

  private var stagesSection: JSON {
    .array(
      split.layerRanges.enumerated().map { virtualStage, layers in
        let place = strategy.schedule.place(ofVirtualStage: virtualStage, stageCount: strategy.pipelineDegree)
        return object(
          ("stage", .integer(place.stage)), ("chunk", .integer(place.chunk)),
          ("first_layer", .integer(layers.lowerBound)), ("layer_count", .integer(layers.count)),
          ("has_embedding", .boolean(virtualStage == 0)),
          ("has_head", .boolean(virtualStage == split.layerCounts.count - 1)))
      })
  }

  private var scheduleSection: JSON {
    object(
      ("kind", .string(strategy.schedule.name)),
      ("stage_count", .integer(strategy.pipelineDegree)),
      ("chunks_per_stage", .integer(strategy.virtualStageCount)),
      ("micro_batch_count", .integer(microBatchCount)))
  }

  private var placementSection: JSON {
    .array(
      zip(arrangement.nodeOrder, ranksByNode).map { node, ranks in
        object(("node", .string(cluster.nodeNames[node])), ("ranks", .integers(ranks)))
      })
  }

  /// The groups of all layers, and where ranks divide experts those of their grid: of ranks that divide the experts, the
  /// width of each, and of those that hold the same.
  private var groupsSection: JSON {
    func groups(_ name: String, of mesh: Mesh, along axis: Mesh.Axis) -> JSONMember {
      JSONMember(name, .array(mesh.groups(along: axis).map { JSON.integers($0.ranks) }))
    }
    let layers = strategy.mesh.listedAxes.map { groups($0.name, of: strategy.mesh, along: $0) }
    guard strategy.expertDivision != .none else { return .object(layers) }
    let grid = strategy.expertMesh
    return .object(
      layers + [
        groups("expert", of: grid, along: .expert), groups("expert_tensor", of: grid, along: .tensor),
        groups("expert_data", of: grid, along: .data),
      ])
  }
}

extension Plan.Alternative {
  init(_ field: Field, question: Plan.Question) throws(DocumentError) {
    var fields = try field.fields()
    family = try fields.optional("kind")?.name()
    reason = try fields.required("reason").string()
    precision = try question.chosenPrecision(&fields)
    strategy = try Strategy(fields.required("strategy"))
    split = try Split(
      layerCounts: fields.required("layer_counts"), choices: fields.optional("stage_choices"), strategy: strategy,
      job: question.job, host: question.cluster.host)
    iterationSeconds = try fields.required("iteration_seconds").positiveResult()
    tokensPerSecondPerDevice = try fields.required("tokens_per_second_per_device").positiveResult()
    modelFLOPUtilization = try fields.required("model_flop_utilization").nonNegativeResult()
    peakBytes = try fields.required("peak_bytes").integer(in: 0...Int.max)
    verdict = try fields.required("verdict").choice(of: Prediction.Verdict.self)
    try fields.finish()
  }

  var json: JSON {
    object(
      ("kind", family.map(JSON.string)), ("reason", .string(reason)), ("iteration_seconds", .number(iterationSeconds)),
      ("tokens_per_second_per_device", .number(tokensPerSecondPerDevice)),
      ("model_flop_utilization", .number(modelFLOPUtilization)), ("peak_bytes", .integer(peakBytes)),
      ("verdict", .string(verdict.rawValue)), ("layer_counts", .integers(split.layerCounts)),
      ("stage_choices", split.choices.map { .array($0.map(\.json)) }),
      ("precision", precision.map { .string($0.rawValue) }), ("strategy", strategy.json))
  }
}
