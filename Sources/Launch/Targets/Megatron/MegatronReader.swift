import Documents
import JSONText

/// The run that Megatron-LM's arguments state: defaults and rules are those of its main at d98e8a64 (2026-08-22).
struct MegatronReader {
  let flags: MegatronFlags
  /// What the ranks of each stage get beside; empty where stages do not differ.
  let stageFlags: [MegatronFlags]
  let deviceCount: Int
  private(set) var notes: [String] = []

  let tensorDegree: Int
  let pipelineDegree: Int
  let contextDegree: Int
  /// Ranks that divide the experts of every layer, and the width of each; 1 without experts.
  let expertDegree: Int
  let expertTensorDegree: Int
  var dataDegree: Int { deviceCount / (tensorDegree * pipelineDegree * contextDegree) }
  /// Ranks that hold the same weights, among which states are divided.
  private var replicaCount: Int { dataDegree * contextDegree }

  init(_ files: [LaunchFile], deviceCount: Int?) throws(DocumentError) {
    var stages = ExportedStages()
    var read: [MegatronFlags] = []
    for file in files where try !stages.take(file) {
      // Host files and the like may lie beside.
      let flags = try MegatronFlags(file)
      if !flags.isEmpty || files.count == 1 { read.append(flags) }
    }
    guard var flags = read.first else {
      throw DocumentError(
        source: files.map(\.name).joined(separator: ", "), location: "",
        expected: "expected a file of Megatron-LM's arguments", found: "none")
    }
    for others in read.dropFirst() { flags = flags.adding(others) }
    self.flags = flags
    try Self.refuseWhatIsNotModelled(flags)
    tensorDegree = try flags.integer("--tensor-model-parallel-size", in: StatedDegrees.bounds) ?? 1
    pipelineDegree = try flags.integer("--pipeline-model-parallel-size", in: StatedDegrees.bounds) ?? 1
    contextDegree = try flags.integer("--context-parallel-size", in: StatedDegrees.bounds) ?? 1
    (expertDegree, expertTensorDegree) = try Self.expertDegrees(flags, tensorDegree: tensorDegree)
    self.deviceCount = try Self.deviceCount(flags, stated: deviceCount ?? stages.rankCount)
    stageFlags =
      stages.words.isEmpty
      ? [] : (0..<pipelineDegree).map { MegatronFlags(words: stages.words[$0] ?? [], source: "rank.sh, stage \($0)") }
    let (stageBlock, stageOverflows) = tensorDegree.multipliedReportingOverflow(by: pipelineDegree)
    let (block, overflows) = stageBlock.multipliedReportingOverflow(by: contextDegree)
    guard !stageOverflows, !overflows, self.deviceCount % block == 0 else {
      let context = contextDegree > 1 ? " × context \(contextDegree)" : ""
      throw flags.whole.conflict(
        "\(self.deviceCount) devices do not divide by tensor \(tensorDegree) × pipeline \(pipelineDegree)\(context)")
    }
  }

  /// What the file itself says of its launcher, or else somebody.
  private static func deviceCount(_ flags: MegatronFlags, stated: Int?) throws(DocumentError) -> Int {
    // The script's path may follow such a flag's value.
    func first(_ names: [String]) -> Int? {
      for name in names {
        var value = flags[name]?.value
        if case .array(let values)? = value { value = values.first }
        if case .integer(let count)? = value, (1...65_536).contains(count) { return count }
      }
      return nil
    }
    let perNode = first(["--nproc-per-node", "--nproc_per_node", "--num_gpus"])
    let nodes = first(["--nnodes", "--num_nodes"])
    let own = perNode.flatMap { perNode in nodes.map { perNode * $0 } }
    if let own, let stated, own != stated {
      throw flags.whole.conflict("the launcher's flags say \(own) devices, not \(stated)")
    }
    guard let count = own ?? stated else {
      throw flags.whole.conflict("the arguments do not say how many devices there are: state it")
    }
    guard StatedDegrees.bounds.contains(count) else {
      throw flags.whole.conflict("\(count) devices are none, or more than \(StatedDegrees.bounds.upperBound)")
    }
    return count
  }

  /// The run.
  func configuration() throws(DocumentError) -> RunConfiguration {
    var reader = self
    return try reader.read()
  }

  private mutating func read() throws(DocumentError) -> RunConfiguration {
    let precision = try precision()
    let microBatch = try flags.required("--micro-batch-size").integer(in: TrainingJob.Bounds.globalBatch)
    let globalBatch = try globalBatch(microBatch: microBatch)
    let sequenceLength = try flags.required("--seq-length").integer(in: TrainingJob.Bounds.sequenceLength)
    let layerCount = try flags.required("--num-layers").integer(in: 1...16_384)
    let layerCounts = try layerCounts(layerCount: layerCount)
    let isFullySharded = flags.has("--use-megatron-fsdp")
    if isFullySharded, pipelineDegree > 1 {
      throw try flags.required("--use-megatron-fsdp").conflict("Megatron-FSDP runs in no pipeline")
    }
    let sharding = try sharding(isFullySharded: isFullySharded)
    let recomputation = try recomputation(layerCounts: layerCounts)
    var strategy = Strategy(
      mesh: [.tensor: tensorDegree, .pipeline: pipelineDegree, .data: dataDegree, .context: contextDegree],
      schedule: Strategy.Schedule(chunkCount: layerCounts.count / pipelineDegree), microBatch: microBatch,
      zeroStage: sharding.stage, sharding: replicaCount > 1 ? sharding.degrees : nil,
      recompute: recomputation.recompute, usesFlashAttention: try usesFlashAttention(precision))
    strategy.recomputeModules = recomputation.modules
    (strategy.contextExchange, strategy.contextInnerDegree) = try contextExchange()
    strategy = strategy.with(try expertDivision())
    strategy.overlapsGradientReduce =
      flags.has("--overlap-grad-reduce") || isFullySharded && strategy.zeroStage >= .gradients
    if flags.has("--sequence-parallel") {
      strategy.usesSequenceParallelism = tensorDegree > 1
      if tensorDegree == 1 { notes.append("--sequence-parallel is switched off without tensor parallelism") }
    }
    try noteGroupSize(strategy, microBatchCount: globalBatch / (microBatch * dataDegree))
    noteWhatIsPassedOver()
    let model = try model(layerCount: layerCount)
    strategy.overlapsTensorExchange = try overlapsTensorExchange(
      strategy, of: isFullySharded ? .megatronFSDP : .megatronLM, model: model, precision: precision,
      sequenceLength: sequenceLength)
    let optimizer = try optimizer(precision)
    strategy.hosting = try hosting(layerCount: layerCount)
    strategy.holdsNarrowWeights = try holdsNarrowWeights(precision, optimizer, isFullySharded: isFullySharded)
    return RunConfiguration(
      framework: isFullySharded ? MegatronFSDPTarget.name : MegatronLMTarget.name, strategy: strategy,
      layerCounts: layerCounts, choices: recomputation.choices, model: model, sequenceLength: sequenceLength,
      globalBatch: globalBatch, precision: precision,
      wideLayers: try wideLayers(precision, layerCount: layerCount), narrowsHead: try narrowsHead(precision),
      accumulatesGradientsInFP32: try accumulatesInFP32(precision, isFullySharded: isFullySharded),
      optimizer: optimizer, notes: notes)
  }

  mutating func note(_ sentence: String) { notes.append(sentence) }

  // MARK: Batch and precision

  private func globalBatch(microBatch: Int) throws(DocumentError) -> Int {
    let (step, overflows) = microBatch.multipliedReportingOverflow(by: dataDegree)
    let field = flags["--global-batch-size"]
    let batch = try field?.integer(in: TrainingJob.Bounds.globalBatch) ?? (overflows ? 0 : step)
    guard !overflows, TrainingJob.Bounds.globalBatch.contains(batch), batch % step == 0 else {
      throw (field ?? flags.whole).conflict(
        "the global batch \(batch) does not divide by micro-batch \(microBatch) × data \(dataDegree)")
    }
    return batch
  }

  private func precision() throws(DocumentError) -> Precision {
    switch (flags.has("--bf16"), flags.has("--fp16")) {
    case (true, true): throw try flags.required("--fp16").conflict("--bf16 and --fp16 exclude each other")
    case (true, false): return try narrowProducts() ?? .bf16
    case (false, true): return .fp16
    case (false, false): return .fp32
    }
  }

  /// The recipe of narrow products; nil where there is none.
  private func narrowProducts() throws(DocumentError) -> Precision? {
    let fp8 = try flags.word("--fp8-format", of: ["e4m3", "hybrid"]), fp4 = try flags.word("--fp4-format", of: ["e2m1"])
    if fp8 != nil, fp4 != nil {
      throw try flags.required("--fp4-format").conflict("--fp8-format and --fp4-format exclude each other")
    }
    if fp4 != nil {
      _ = try flags.word("--fp4-recipe", of: ["nvfp4"])
      return .nvfp4
    }
    guard fp8 != nil else { return nil }
    let recipe = try flags.word("--fp8-recipe", of: Precision.megatronFP8Recipes.map(\.word)) ?? "delayed"
    return Precision.megatronFP8Recipes.first { $0.word == recipe }?.precision
  }

  /// Whether the output head multiplies in the format of blocks, which the recipe mxfp8 has alone (`transformer_config.py`).
  private func narrowsHead(_ precision: Precision) throws(DocumentError) -> Bool {
    guard let field = flags[Precision.megatronHeadFlag] else { return false }
    guard precision == .mxfp8 else { throw field.conflict("an output head in FP8 wants --fp8-recipe mxfp8") }
    return true
  }

  /// Layers at the ends that multiply in bf16: one at either unless told otherwise (`transformer_config.py`, which has them of no
  /// more layers than a stage has in the mean).
  private func wideLayers(_ precision: Precision, layerCount: Int) throws(DocumentError) -> WideLayers {
    guard let field = flags[WideLayers.megatronFlag] else { return .none }
    let bounds = 0...layerCount / pipelineDegree
    let layers = WideLayers(
      first: try flags.integer(WideLayers.megatronFirstFlag, in: bounds) ?? 1,
      last: try flags.integer(WideLayers.megatronLastFlag, in: bounds) ?? 1)
    // Of products in bf16 nothing reads it.
    guard precision.products != nil else { return .none }
    if precision == .fp8Delayed { throw field.conflict("delayed scaling has no layers in bf16 beside the others") }
    if layers.first + layers.last > layerCount {
      throw field.conflict(
        "\(layers.first) first and \(layers.last) last layers are more than the \(layerCount) there are")
    }
    return layers
  }

  /// Whether weights lie and are gathered in the format of products alone; as `validate_args` has it, of what divides states,
  /// and with hosts that update under delayed scaling only.
  private mutating func holdsNarrowWeights(
    _ precision: Precision, _ optimizer: Optimizer, isFullySharded: Bool
  ) throws(DocumentError) -> Bool {
    let flag = precision == .nvfp4 ? "--fp4-param-gather" : "--fp8-param-gather"
    let other = precision == .nvfp4 ? "--fp8-param-gather" : "--fp4-param-gather"
    if let field = flags[other] {
      throw field.conflict("\(other) is of another format than products in \(precision.rawValue)")
    }
    guard let field = flags[flag] else { return false }
    guard precision.products != nil else {
      throw field.conflict("\(flag) is of products in FP8, not in \(precision.rawValue)")
    }
    if isFullySharded {
      note("\(flag) is passed over: Megatron-FSDP's weights are taken as they are stored")
      return false
    }
    if !flags.has("--use-distributed-optimizer") { throw field.conflict("\(flag) wants --use-distributed-optimizer") }
    if precision == .fp8Blockwise {
      note("\(flag) is passed over: weights of the recipe blockwise are taken as gathered in bf16")
      return false
    }
    if precision == .mxfp8, !flags.has(Precision.megatronGradientBufferFlag) {
      throw field.conflict("\(flag) with mxfp8 wants \(Precision.megatronGradientBufferFlag)")
    }
    if flags.has("--optimizer-cpu-offload"), precision != .fp8Delayed {
      throw field.conflict("\(flag) with --optimizer-cpu-offload is of the recipe delayed only")
    }
    guard optimizer.masterWeights == .fp32 else {
      throw field.conflict("\(flag) wants master weights in fp32, not \(optimizer.words)")
    }
    return true
  }

  /// Under bf16 gradients are accumulated in fp32 unless told otherwise; Megatron-FSDP has a flag of its own.
  private func accumulatesInFP32(_ precision: Precision, isFullySharded: Bool) throws(DocumentError) -> Bool {
    if precision == .fp32 { return true }
    if isFullySharded {
      return try flags.word("--megatron-fsdp-main-grads-dtype", of: ["fp32", "bf16", "fp16", "auto"]) == "fp32"
    }
    if precision == .fp16 { return flags.has("--accumulate-allreduce-grads-in-fp32") }
    if flags.has("--grad-reduce-in-bf16") { return false }
    return try flags.word("--main-grads-dtype", of: ["fp32", "bf16"]) != "bf16"
  }

  private func usesFlashAttention(_ precision: Precision) throws(DocumentError) -> Bool {
    switch try flags.word("--attention-backend", of: ["flash", "fused", "unfused", "local", "auto"]) {
    case "flash", "fused": true
    case "unfused", "local": false
    // Fused kernels are of 16-bit numbers.
    default: precision != .fp32
    }
  }

  // MARK: States

  private mutating func sharding(
    isFullySharded: Bool
  ) throws(DocumentError) -> (stage: Strategy.ZeroStage, degrees: Sharding) {
    let instances = try flags.integer("--num-distributed-optimizer-instances", in: 1...1_048_576) ?? 1
    guard replicaCount % instances == 0 else {
      throw try flags.required("--num-distributed-optimizer-instances").conflict(
        "\(replicaCount) replicas do not divide into \(instances) instances")
    }
    let inner = replicaCount / instances
    func divided(_ stage: Strategy.ZeroStage, outer: Bool = false) -> (stage: Strategy.ZeroStage, degrees: Sharding) {
      let degrees = Sharding(
        weightDegree: stage >= .weights ? inner : 1, gradientDegree: stage >= .gradients ? inner : 1,
        optimizerDegree: outer ? replicaCount : stage >= .optimizer ? inner : 1)
      return (stage, degrees)
    }
    guard isFullySharded else {
      if let stage = try flags.integer("--zero-stage", in: 0...3) {
        note("--zero-stage is Megatron-DeepSpeed's: how states are divided is read from it")
        return divided(Strategy.ZeroStage(rawValue: stage) ?? .none)
      }
      // The precision-aware optimizer is a distributed one, of a single replica too, and so is that of narrow weights.
      let isAlone =
        replicaCount == 1
        && ["--use-precision-aware-optimizer", "--fp8-param-gather", "--fp4-param-gather"].contains(where: flags.has)
      return divided(flags.has("--use-distributed-optimizer") && !isAlone ? .optimizer : .none)
    }
    let kinds = ["no_shard", "optim", "optim_grads", "optim_grads_params"]
    let kind = try flags.word("--data-parallel-sharding-strategy", of: kinds) ?? "optim_grads_params"
    let outer = try flags.word("--outer-dp-sharding-strategy", of: ["no_shard", "optim"]) == "optim"
    let stage = kinds.firstIndex(of: kind).flatMap(Strategy.ZeroStage.init) ?? .none
    if outer, instances > 1, stage != .weights {
      throw try flags.required("--outer-dp-sharding-strategy").conflict(
        "optimizer states are divided among instances beside optim_grads_params only")
    }
    return divided(stage, outer: outer && instances > 1)
  }
}
