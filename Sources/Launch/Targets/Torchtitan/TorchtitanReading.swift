import Documents
import JSONText

/// A run of torchtitan's, read from tables or flags of any dialect.
struct TorchtitanReading {
  let settings: TorchtitanSettings
  let standard: TorchtitanFlavour
  let model: ModelDescription?
  /// What a launch's own `model.json` says; nil without one.
  let planned: TorchtitanModelFile?
  var notes: [String] = []

  init(_ files: [LaunchFile]) throws(DocumentError) {
    settings = try TorchtitanSettings(files)
    var standard = TorchtitanFlavour.standard
    var model: ModelDescription?
    planned = try files.first { $0.lastComponent == TorchtitanModel.fileName }.map { (file) throws(DocumentError) in
      try TorchtitanModelFile(file)
    }
    if let planned {
      model = planned.model
    } else if let function = settings.function {
      if let known = TorchtitanFlavour.function(function) {
        standard = known
        model = known.model
      } else {
        notes.append(
          "the configuration function \(function.oneLine) is not known: torchtitan's own defaults stand for what no flag states"
        )
      }
    } else if settings.hasTables {
      let family = try settings.field("model.name")?.string() ?? "llama3"
      let flavour = try settings.field("model.flavor")?.string() ?? "debugmodel"
      model = TorchtitanFlavour.named(flavour, of: family)
      if model == nil { notes.append("the model \(family.oneLine) \(flavour.oneLine) is not known") }
    }
    self.standard = standard
    self.model = model
  }

  mutating func configuration(deviceCount: Int?) throws(DocumentError) -> RunConfiguration {
    let pipeline = try degree("pipeline_parallel_degree") ?? 1
    let tensor = try degree("tensor_parallel_degree") ?? standard.tensorDegree
    let context = try contextDegree()
    let degrees = try shardDegrees(block: pipeline * tensor, context: context, deviceCount: deviceCount)
    let data = degrees.replicate * degrees.shard / context
    let mesh = try StatedDegrees.mesh(
      tensor: tensor, pipeline: pipeline, data: data, context: context, deviceCount: deviceCount, at: settings.whole)
    let batch = try Batch(settings, standard: standard, data: data, hasPipeline: pipeline > 1, notes: &notes)
    let stages = try Stages(
      settings, standard: standard, layerCount: model?.layerCount, plannedParts: planned?.parts ?? [],
      pipeline: pipeline,
      notes: &notes)
    let dividesSequence = try settings.field("parallelism.enable_sequence_parallel")?.boolean() ?? true
    var strategy = Strategy(
      mesh: mesh, schedule: stages.schedule, microBatch: batch.microBatch,
      sharding: degrees.sharding(hasPipeline: pipeline > 1, notes: &notes), recompute: try recompute(),
      usesSequenceParallelism: dividesSequence && tensor > 1, usesFlashAttention: true, overlapsGradientReduce: true)
    if context > 1 { strategy.contextExchange = .allGather }
    strategy = strategy.with(try experts(of: strategy))
    if try settings.field("training.enable_cpu_offload")?.boolean() == true {
      strategy.hosting = Hosting(updatePercent: 100, holdsWeights: true)
    }
    let precision = try precision()
    strategy.holdsNarrowWeights = try holdsNarrowWeights(strategy, precision)
    return RunConfiguration(
      framework: settings.hasTables ? Capabilities.torchtitan02.name : Capabilities.torchtitan.name,
      strategy: strategy,
      layerCounts: stages.layerCounts, choices: try choices(stages.layerCounts, stageCount: pipeline), model: model,
      sequenceLength: batch.sequenceLength,
      globalBatch: batch.globalBatch, precision: precision, accumulatesGradientsInFP32: try !keepsAllInBF16(),
      optimizer: try optimizer(), notes: notes)
  }

  func degree(_ key: String) throws(DocumentError) -> Int? {
    try settings.field("parallelism.\(key)")?.integer(in: StatedDegrees.bounds)
  }

  /// Ranks that divide a sequence, in chunks from both its ends.
  private mutating func contextDegree() throws(DocumentError) -> Int {
    guard let degree = try degree("context_parallel_degree"), degree > 1 else { return 1 }
    if let balancer = settings.field("parallelism.context_parallel_load_balancer"),
      try balancer.string() != "headtail"
    {
      notes.append("context_parallel_load_balancer \(try balancer.string().oneLine) is taken as headtail")
    }
    return degree
  }

  /// FSDP's degrees, whose shards lie across ranks that divide a sequence as well.
  private func shardDegrees(
    block: Int, context: Int, deviceCount: Int?
  ) throws(DocumentError) -> TorchtitanSharding {
    let replicate = try degree("data_parallel_replicate_degree") ?? 1
    let policy = settings.field("parallelism.fsdp_reshard_after_forward")
    let reshard = try policy?.choice(of: TorchtitanSharding.Reshard.self) ?? .standard
    let field = settings.field("parallelism.data_parallel_shard_degree")
    let stated = try field?.integer(in: -1...StatedDegrees.bounds.upperBound) ?? -1
    func sharding(_ shard: Int) throws(DocumentError) -> TorchtitanSharding {
      let (all, overflows) = shard.multipliedReportingOverflow(by: context)
      guard !overflows, StatedDegrees.bounds.contains(all) else {
        throw settings.whole.conflict("degrees multiply to more ranks than can be counted")
      }
      return TorchtitanSharding(replicate: replicate, shard: all, reshard: reshard)
    }
    if stated > 0 { return try sharding(stated) }
    guard let deviceCount else {
      throw (field ?? settings.whole).conflict(
        "data_parallel_shard_degree is what is left of the devices, and nobody says how many there are: give --devices")
    }
    let (outer, outerOverflows) = block.multipliedReportingOverflow(by: replicate)
    let (fixed, overflows) = outer.multipliedReportingOverflow(by: context)
    guard !outerOverflows, !overflows else {
      throw settings.whole.conflict("degrees multiply to more ranks than can be counted")
    }
    return try sharding(StatedDegrees.dataDegree(deviceCount: deviceCount, block: fixed, at: settings.whole))
  }

  private mutating func recompute() throws(DocumentError) -> Strategy.Recompute {
    let field = settings.field("activation_checkpoint.mode")
    switch try field?.string() ?? standard.recompute {
    case "none": return .none
    case "full": return .full
    // By operation, or in the tables' default of every second layer: then of some layers, in full.
    case "selective": return try recomputedLayerInterval() == nil ? .selective : .full
    case "memory_budget":
      notes.append("recomputation by a memory budget is not modelled: it is taken as none")
      return .none
    default: throw (field ?? settings.whole).error(expected: "none, full, selective or memory_budget")
    }
  }

  /// n where every n-th layer is recomputed in full; nil where selective recomputation is by operation, or there is none.
  private func recomputedLayerInterval() throws(DocumentError) -> Int? {
    guard try settings.field("activation_checkpoint.mode")?.string() == "selective" else { return nil }
    guard let field = settings.field("activation_checkpoint.selective_ac_option") else {
      return settings.hasTables ? 2 : nil
    }
    let option = field.isString ? try field.string() : "\(try field.integer(in: 1...1_024))"
    if option == "op" { return nil }
    guard let interval = Int(option), (1...1_024).contains(interval) else {
      throw field.error(expected: "\"op\", or every how many layers one is recomputed")
    }
    return interval
  }

  /// What stages recompute where it is every n-th of their layers.
  private mutating func choices(_ layerCounts: [Int]?, stageCount: Int) throws(DocumentError) -> [StageChoice]? {
    guard let interval = try recomputedLayerInterval(), interval > 1 else { return nil }
    guard let layerCounts else {
      notes.append("every layer is taken as recomputed, since nobody says how many the stages have")
      return nil
    }
    return layerCounts.prefix(stageCount).map { StageChoice(recomputedLayerCount: $0 / interval) }
  }

  func keepsAllInBF16() throws(DocumentError) -> Bool {
    guard let field = settings.field("training.dtype") else { return false }
    return try field.place(among: [.string("float32"), .string("bfloat16")]) == 1
  }

  /// Adam unless another is named; moments have the format of the parameters, or their own.
  private mutating func optimizer() throws(DocumentError) -> Optimizer {
    if let field = settings.field("optimizer.name"), try !["Adam", "AdamW"].contains(field.string()) {
      notes.append("the optimizer \(try field.string().oneLine) is taken as AdamW")
    }
    if try keepsAllInBF16() { return Optimizer(moments: .bf16, masterWeights: .none) }
    let hasShortMoments = try settings.field("optimizer.implementation")?.string() == "fused_opt_states_bf16"
    return hasShortMoments ? Optimizer(moments: .bf16) : .adam
  }
}

/// Micro-batches and steps: in sequences, or in main's tokens.
private struct Batch {
  let microBatch, sequenceLength, globalBatch: Int

  init(
    _ settings: TorchtitanSettings, standard: TorchtitanFlavour, data: Int, hasPipeline: Bool, notes: inout [String]
  ) throws(DocumentError) {
    func number(_ key: String) throws(DocumentError) -> Int? {
      guard let field = settings.field(key) else { return nil }
      let number = try field.integer(in: -1...1_000_000_000_000)
      guard number != 0 else { throw field.error(expected: "a positive number, or -1") }
      return number > 0 ? number : nil
    }
    let inSequences = try number("training.seq_len"), inTokens = try number("training.max_context_length")
    let length = inSequences ?? inTokens ?? standard.sequenceLength
    guard TrainingJob.Bounds.sequenceLength.contains(length) else {
      throw settings.whole.conflict(
        "sequences of \(length) tokens are longer than \(TrainingJob.Bounds.sequenceLength.upperBound)")
    }
    sequenceLength = length
    func sequences(_ key: String) throws(DocumentError) -> Int? {
      guard let tokens = try number(key), let field = settings.field(key) else { return nil }
      guard tokens % length == 0 else {
        throw field.conflict("\(tokens) tokens are no multiple of sequences of \(length)")
      }
      return tokens / length
    }
    // Sequences of one forward pass of a replica, and of a step of it.
    let perStep: Int
    if let micro = try sequences("training.num_tokens_per_microbatch_per_dp_rank") {
      microBatch = micro
      let count = hasPipeline ? try number("parallelism.num_pp_microbatches") ?? 1 : 1
      perStep = try StatedDegrees.globalBatch([micro, count], at: settings.whole)
    } else {
      perStep = try number("training.local_batch_size") ?? standard.sequencesPerStep
      microBatch = hasPipeline ? try number("parallelism.pipeline_parallel_microbatch_size") ?? 1 : perStep
    }
    guard perStep % microBatch == 0 else {
      throw settings.whole.conflict("\(perStep) sequences a step are no multiple of the micro-batch \(microBatch)")
    }
    let smallest = try StatedDegrees.globalBatch([perStep, data], at: settings.whole)
    let stepInTokens = try sequences("training.num_tokens_per_train_step")
    let stepInSequences = try number("training.global_batch_size")
    globalBatch = stepInTokens ?? stepInSequences ?? smallest
    guard globalBatch % smallest == 0 else {
      throw settings.whole.conflict(
        "the batch of \(globalBatch) sequences is no multiple of \(perStep) sequences × \(data) replicas")
    }
    if hasPipeline, globalBatch > smallest {
      notes.append(
        "a step runs \(globalBatch / smallest) pipelines one after the other, which is not modelled: one of all micro-batches is priced"
      )
    }
    guard TrainingJob.Bounds.globalBatch.contains(globalBatch) else {
      throw settings.whole.conflict("the batch is more than \(TrainingJob.Bounds.globalBatch.upperBound) sequences")
    }
  }
}

/// Virtual stages and their layers (`distributed/pipeline_parallel.py`).
private struct Stages {
  var schedule = Strategy.Schedule.oneForwardOneBackward
  var layerCounts: [Int]?

  init(
    _ settings: TorchtitanSettings, standard: TorchtitanFlavour, layerCount: Int?, plannedParts: [[String]],
    pipeline: Int, notes: inout [String]
  ) throws(DocumentError) {
    guard pipeline > 1 else {
      layerCounts = layerCount.map { [$0] }
      return
    }
    let kind = try Self.kind(settings, standard: standard, notes: &notes)
    let isInterleaved = kind != .oneForwardOneBackward
    let field = settings.field("parallelism.module_fqns_per_model_part")
    var parts = plannedParts
    if let field {
      parts = []
      for part in try field.array(count: 1...16_384) {
        var names: [String] = []
        for name in try part.array(count: 0...16_386) { names.append(try name.string()) }
        parts.append(names)
      }
    }
    let first = try Self.number("pipeline_parallel_first_stage_less_layers", settings) ?? 1
    let last = try Self.number("pipeline_parallel_last_stage_less_layers", settings) ?? 1
    let perStage = try Self.number("pipeline_parallel_layers_per_stage", settings)
    let count: Int
    if !parts.isEmpty {
      count = parts.count
    } else if let perStage, perStage > 0, let layerCount {
      count = (layerCount + first + last + perStage - 1) / perStage
    } else {
      count = pipeline * (isInterleaved ? 2 : 1)
    }
    guard count % pipeline == 0, isInterleaved ? count >= 2 * pipeline : count == pipeline,
      !kind.isV || count == 2 * pipeline
    else {
      throw (field ?? settings.whole).conflict(
        "\(count) virtual stages do not go with \(pipeline) stages"
          + (kind.isV ? " along a V" : isInterleaved ? " that interleave" : ""))
    }
    switch kind {
    case .oneForwardOneBackward, .forwardOnly, .interleaved: schedule = Strategy.Schedule(chunkCount: count / pipeline)
    case .zeroBubble: schedule = .zeroBubble(chunkCount: count / pipeline)
    case .zeroBubbleV, .dualPipeV: schedule = kind
    }
    defer { evenOut(count, stageCount: pipeline, notes: &notes) }
    if !parts.isEmpty {
      layerCounts = try Self.layerCounts(of: parts, layerCount: layerCount, at: field ?? settings.whole)
    } else if let layerCount {
      layerCounts = try Self.layerCounts(
        stageCount: count, layerCount: layerCount, first: first, last: last, at: settings.whole)
    }
  }

  /// The chunks of a stage under split backward passes are priced as equally large.
  private mutating func evenOut(_ count: Int, stageCount: Int, notes: inout [String]) {
    guard schedule.splitsBackward, let counts = layerCounts,
      counts.indices.contains(where: {
        counts[$0] != counts[schedule.place(ofVirtualStage: $0, stageCount: stageCount).stage]
      })
    else { return }
    let all = counts.reduce(0, +)
    notes.append(
      "chunks of unequal layers on a stage under \(schedule.name) are not modelled: they are taken as "
        + (all % count == 0 ? "\(all / count) each" : "whatever the estimate says of \(all) layers"))
    layerCounts = all % count == 0 ? [Int](repeating: all / count, count: count) : nil
  }

  private static func number(_ key: String, _ settings: TorchtitanSettings) throws(DocumentError) -> Int? {
    try settings.field("parallelism.\(key)")?.integer(in: 0...16_384)
  }

  /// The kind of schedule, of some number of chunks.
  private static func kind(
    _ settings: TorchtitanSettings, standard: TorchtitanFlavour, notes: inout [String]
  ) throws(DocumentError) -> Strategy.Schedule {
    let field = settings.field("parallelism.pipeline_parallel_schedule")
    switch try (field?.string() ?? standard.schedule).lowercased() {
    case "1f1b": return .oneForwardOneBackward
    case "interleaved1f1b": return .interleaved(chunkCount: 2)
    case "interleavedzerobubble": return .zeroBubble(chunkCount: 2)
    case "zbvzerobubble": return .zeroBubbleV
    case "dualpipev": return .dualPipeV
    case "gpipe":
      notes.append("GPipe keeps every micro-batch's activations, which is not modelled: 1F1B is priced")
      return .oneForwardOneBackward
    default:
      throw (field ?? settings.whole).error(
        expected: "1F1B, Interleaved1F1B, InterleavedZeroBubble, ZBVZeroBubble, DualPipeV or GPipe")
    }
  }

  /// How many layers each part names; all parts together name each once and in order.
  private static func layerCounts(
    of parts: [[String]], layerCount: Int?, at field: Field
  ) throws(DocumentError) -> [Int] {
    var next = 0
    var counts: [Int] = []
    for part in parts {
      var count = 0
      for name in part where name.hasPrefix("layers.") {
        guard name == "layers.\(next)" else {
          throw field.conflict("expected layers.\(next) after the layers before it, found \(name.oneLine)")
        }
        next += 1
        count += 1
      }
      counts.append(count)
    }
    if let layerCount, next != layerCount {
      throw field.conflict("the stages name \(next) layers, but the model has \(layerCount)")
    }
    return counts
  }

  /// torchtitan's own rule: embedding and head count as so many layers, and the first stages take one more where they
  /// do not divide (`_generate_llm_fqn_per_model_part`).
  private static func layerCounts(
    stageCount: Int, layerCount: Int, first: Int, last: Int, at field: Field
  ) throws(DocumentError) -> [Int] {
    let (perStage, rest) = (layerCount + first + last).quotientAndRemainder(dividingBy: stageCount)
    guard perStage >= max(1, first, last) else {
      throw field.conflict(
        "\(layerCount) layers, with \(first) and \(last) for the ends, are too few for \(stageCount) stages")
    }
    return (0..<stageCount).map { stage in
      perStage + (stage < rest ? 1 : 0) - (stage == 0 ? first : stage == stageCount - 1 ? last : 0)
    }
  }
}
