package import Documents
import JSONText

/// DeepSpeed's JSON, ours or a user's, as a run.
extension DeepSpeedTarget {
  /// - Parameter files: the configuration and, if there is one, a hostfile, whose slots are the devices.
  package static func configuration(
    in files: [LaunchFile], deviceCount: Int?
  ) throws(DocumentError) -> RunConfiguration {
    let file = try StatedDegrees.only(files, "JSON configuration of DeepSpeed") {
      $0.text.first { !$0.isWhitespace } == "{"
    }
    var devices = deviceCount
    for other in files where other.name != file.name {
      guard let slots = try slotCount(of: other) else { continue }
      if let devices, devices != slots {
        throw DocumentError(
          source: other.name, location: "", expected: "expected slots for \(devices) devices", found: "\(slots)")
      }
      devices = slots
    }
    return try configuration(parse(Array(file.text.utf8), source: file.name), deviceCount: devices)
  }

  /// The slots of a hostfile's lines `host slots=8`; nil for another file.
  private static func slotCount(of file: LaunchFile) throws(DocumentError) -> Int? {
    var total = 0
    for line in file.text.split(whereSeparator: \.isNewline) {
      let words = line.prefix { $0 != "#" }.split(whereSeparator: \.isWhitespace)
      guard let word = words.first(where: { $0.hasPrefix("slots=") }) else { continue }
      guard let slots = Int(word.dropFirst(6)), StatedDegrees.bounds.contains(slots) else {
        throw DocumentError(
          source: file.name, location: "", expected: "expected slots=N",
          found: JSON.string(String(word)).briefDescription)
      }
      total += slots
    }
    return total > 0 ? total : nil
  }

  private static func configuration(_ field: Field, deviceCount: Int?) throws(DocumentError) -> RunConfiguration {
    var fields = try field.fields()
    var notes: [String] = []
    let tensor = try tensorDegree(&fields)
    let experts = try ExpertParallel(&fields)
    let context = try contextDegree(&fields)
    if context > 1, tensor > 1 {
      throw field.conflict("sequence_parallel_size beside tensor_parallel is not supported")
    }
    var batch = try Batch(
      &fields, tensorDegree: tensor, contextDegree: context, deviceCount: deviceCount, notes: &notes)
    let data = try batch.dataDegree(deviceCount: deviceCount, at: field)
    let mesh = try StatedDegrees.mesh(
      tensor: tensor, pipeline: 1, data: data, context: context, deviceCount: deviceCount, at: field)
    let division = try experts.division(on: mesh)
    let zero = try ZeroOptimization(fields.optional("zero_optimization"), replicaCount: data * context, notes: &notes)
    let types = try NumberFormats(&fields, notes: &notes)
    let optimizer = try DeepSpeedOptimizer(&fields, precision: types.precision, notes: &notes).optimizer

    let checkpointing = fields.optional("activation_checkpointing")
    notes.append(
      checkpointing == nil
        ? "recomputation is model code: without activation_checkpointing none is assumed"
        : "activation_checkpointing configures what the model code recomputes: every block is assumed")
    notes.append("attention is model code: FlashAttention is assumed")
    let microBatchCount = batch.accumulationCount
    var strategy = Strategy(
      mesh: mesh, microBatch: batch.microBatch ?? 1, sharding: zero.sharding,
      recompute: checkpointing == nil ? .none : .full, usesFlashAttention: true,
      overlapsGradientReduce: zero.overlaps)
    strategy.hosting = zero.hosting
    strategy = strategy.with(division)
    if context > 1 {
      strategy.contextExchange = .allToAll
      notes.append("attention is model code: with sequence_parallel_size it is taken as Ulysses'")
    }
    if let checkpointing {
      var settings = try checkpointing.fields()
      if try settings.optional("cpu_checkpointing")?.boolean() == true { strategy.hosting.activations = .allButLast }
    }
    return RunConfiguration(
      framework: name, strategy: strategy,
      globalBatch: try microBatchCount.map { (count) throws(DocumentError) in
        try StatedDegrees.globalBatch([batch.microBatch ?? 1, count, data], at: field)
      },
      precision: types.precision, accumulatesGradientsInFP32: types.accumulatesInFP32,
      optimizer: optimizer, notes: notes)
  }

  private static func tensorDegree(_ fields: inout Fields) throws(DocumentError) -> Int {
    guard let section = fields.optional("tensor_parallel") else { return 1 }
    var parallel = try section.fields()
    return max(1, try parallel.optional("autotp_size")?.integer(in: 0...StatedDegrees.bounds.upperBound) ?? 1)
  }

  private static func contextDegree(_ fields: inout Fields) throws(DocumentError) -> Int {
    try fields.optional("sequence_parallel_size")?.integer(in: StatedDegrees.bounds) ?? 1
  }
}

extension Field {
  /// Whether a value is left to Hugging Face's Trainer.
  var isAuto: Bool { value == .string("auto") }
}

/// The three numbers of a batch, of which the configuration derives those that are absent (`runtime/config.py`,
/// `_set_batch_related_parameters`).
private struct Batch {
  var microBatch: Int?
  var accumulationCount: Int?
  private let trainBatch: Int?
  private let trainBatchField: Field?
  private let tensorDegree: Int
  private let contextDegree: Int

  init(
    _ fields: inout Fields, tensorDegree: Int, contextDegree: Int, deviceCount: Int?, notes: inout [String]
  ) throws(DocumentError) {
    func number(_ key: String, _ fields: inout Fields) throws(DocumentError) -> Int? {
      guard let field = fields.optional(key) else { return nil }
      if field.isAuto { return nil }
      return try field.integer(in: TrainingJob.Bounds.globalBatch)
    }
    trainBatchField = fields.optional("train_batch_size")
    trainBatch = try number("train_batch_size", &fields)
    microBatch = try number("train_micro_batch_size_per_gpu", &fields)
    accumulationCount = try number("gradient_accumulation_steps", &fields)
    self.tensorDegree = tensorDegree
    self.contextDegree = contextDegree
    if trainBatch == nil, microBatch == nil {
      notes.append(
        "neither train_batch_size nor train_micro_batch_size_per_gpu is a number: a micro-batch of 1 is assumed")
    } else if microBatch == nil, accumulationCount == nil {
      accumulationCount = 1
    }
    if trainBatch == nil, microBatch != nil, accumulationCount == nil { accumulationCount = 1 }
  }

  /// Replicas, by the devices or, where nobody says how many they are, by the batch; derives what else is absent.
  mutating func dataDegree(deviceCount: Int?, at field: Field) throws(DocumentError) -> Int {
    let data: Int
    if let deviceCount {
      data = try StatedDegrees.dataDegree(deviceCount: deviceCount, block: tensorDegree * contextDegree, at: field)
    } else if let trainBatch, let microBatch, let accumulationCount, let trainBatchField {
      let perReplica = try StatedDegrees.globalBatch([microBatch, accumulationCount], at: field)
      guard trainBatch % perReplica == 0 else {
        throw trainBatchField.conflict(
          "train_batch_size \(trainBatch) is no multiple of \(microBatch) × \(accumulationCount) sequences a replica")
      }
      data = trainBatch / perReplica
    } else {
      throw field.conflict("the file does not say how many devices train: give --devices or a hostfile")
    }
    guard let trainBatch, let trainBatchField else { return data }
    guard let perReplica = trainBatch.quotient(by: data) else {
      throw trainBatchField.conflict("train_batch_size \(trainBatch) does not divide among \(data) replicas")
    }
    switch (microBatch, accumulationCount) {
    case (let micro?, let count?):
      // Without a topology of the user's the configuration counts all ranks of tensor groups.
      let sequences = try StatedDegrees.globalBatch([micro, count, data], at: trainBatchField)
      guard trainBatch == sequences || trainBatch == sequences * tensorDegree else {
        throw trainBatchField.conflict(
          "train_batch_size \(trainBatch) is not \(micro) sequences × \(count) steps × \(data) replicas")
      }
    case (let micro?, nil):
      guard let count = perReplica.quotient(by: micro) else {
        throw trainBatchField.conflict("\(perReplica) sequences a replica are no multiple of the micro-batch \(micro)")
      }
      accumulationCount = count
    case (nil, let count):
      guard let micro = perReplica.quotient(by: count ?? 1) else {
        throw trainBatchField.conflict("\(perReplica) sequences a replica are no multiple of \(count ?? 1) steps")
      }
      microBatch = micro
      accumulationCount = count ?? 1
    }
    return data
  }
}

extension Int {
  /// The quotient, where nothing is left over and it is not 0.
  fileprivate func quotient(by divisor: Int) -> Int? {
    divisor > 0 && self % divisor == 0 && self > 0 ? self / divisor : nil
  }
}

/// The section `zero_optimization`.
private struct ZeroOptimization {
  let sharding: Sharding
  let overlaps: Bool
  private(set) var hosting = Hosting.none

  /// Keys that bear on nothing here: buckets, prefetching and how memory is laid out.
  private static let others = [
    "allgather_partitions", "allgather_bucket_size", "reduce_scatter", "reduce_bucket_size", "contiguous_gradients",
    "round_robin_gradients", "sub_group_size", "stage3_prefetch_bucket_size", "stage3_param_persistence_threshold",
    "stage3_model_persistence_threshold", "stage3_max_live_parameters", "stage3_max_reuse_distance",
    "stage3_gather_16bit_weights_on_model_save", "stage3_gather_fp16_weights_on_model_save",
    "stage3_module_granularity_threshold", "stage3_use_all_reduce_for_fetch_params", "use_all_reduce_for_fetch_params",
    "use_multi_rank_bucket_allreduce", "ignore_unused_parameters", "legacy_stage1", "load_from_fp32_weights",
    "elastic_checkpoint", "memory_efficient_linear", "override_module_apply", "pipeline_loading_checkpoint",
    "mics_hierarchical_params_gather", "log_trace_cache_warnings", "cpu_offload_use_pin_memory", "leaf_module",
    "param_persistence_threshold", "model_persistence_threshold", "max_live_parameters", "max_reuse_distance",
    "gather_16bit_weights_on_model_save", "prefetch_bucket_size", "save_muon_momentum_buffer_in_memory",
    "enable_sanity_checks", "stage3_allgather_sequential", "allgather_sequential", "module_granularity_threshold",
  ]

  init(_ field: Field?, replicaCount: Int, notes: inout [String]) throws(DocumentError) {
    guard let field else {
      sharding = Sharding(.none, replicaCount: replicaCount)
      overlaps = false
      return
    }
    var fields = try field.fields()
    let number = try fields.optional("stage")?.integer(in: 0...3) ?? 0
    let stage = Strategy.ZeroStage(rawValue: number) ?? .none
    overlaps = try Self.flag("overlap_comm", &fields) ?? (stage == .weights)

    let mics = fields.optional("mics_shard_size"), secondary = fields.optional("zero_hpz_partition_size")
    let micsSize = try mics?.integer(in: -1...StatedDegrees.bounds.upperBound) ?? -1
    let secondarySize = try secondary?.integer(in: StatedDegrees.bounds) ?? 1
    let quantisesWeights = try Self.flag("zero_quantized_weights", &fields) ?? false
    let quantisesGradients = try Self.flag("zero_quantized_gradients", &fields) ?? false
    if stage != .weights, micsSize > 0 || secondarySize > 1 || quantisesWeights {
      throw field.conflict("MiCS, hpZ and quantised weights need stage 3, not \(number)")
    }
    if micsSize > 0, secondarySize > 1 || quantisesWeights || quantisesGradients {
      throw field.conflict("mics_shard_size goes with neither a second copy nor quantised collectives")
    }
    let plain = Sharding(stage, replicaCount: replicaCount)
    let degree = micsSize > 0 ? micsSize : plain.weightDegree
    let stated = Sharding(
      weightDegree: degree, gradientDegree: micsSize > 0 ? micsSize : plain.gradientDegree,
      optimizerDegree: micsSize > 0 ? micsSize : plain.optimizerDegree,
      secondaryDegree: secondarySize > 1 && secondarySize < degree ? secondarySize : nil,
      quantisesWeights: quantisesWeights && replicaCount > 1, quantisesGradients: quantisesGradients && replicaCount > 1
    )
    if let violation = stated.violation(replicaCount: replicaCount, hasPipeline: false) {
      throw field.conflict("\(violation)")
    }
    sharding = stated
    hosting = try Self.hosting(&fields, notes: &notes)
    for key in Self.others { _ = fields.optional(key) }
    try fields.finish()
  }

  private static func flag(_ key: String, _ fields: inout Fields) throws(DocumentError) -> Bool? {
    guard let field = fields.optional(key), !field.isAuto else { return nil }
    return try field.boolean()
  }

  /// What lies on the host: a fast disk is taken for its memory, and that is said.
  private static func hosting(_ fields: inout Fields, notes: inout [String]) throws(DocumentError) -> Hosting {
    var hosting = Hosting.none
    for key in ["offload_optimizer", "offload_param"] {
      guard let section = fields.optional(key) else { continue }
      var offload = try section.fields()
      guard let field = offload.optional("device") else { continue }
      let device = try field.place(among: [.string("none"), .string("cpu"), .string("nvme")])
      guard device > 0 else { continue }
      if device == 2 { notes.append("\(key) on NVMe is taken as in the host's memory") }
      if key == "offload_param" {
        hosting.holdsWeights = true
      } else {
        let ratio = try offload.optional("ratio")?.fraction() ?? 1
        hosting.updatePercent = Int((100 * ratio).rounded())
      }
    }
    if try flag("cpu_offload", &fields) == true { hosting.updatePercent = 100 }
    if try flag("cpu_offload_param", &fields) == true { hosting.holdsWeights = true }
    for key in ["zenflow", "zeropp_loco_param", "zero_quantized_nontrainable_weights"]
    where fields.optional(key).map({ $0.value != .boolean(false) }) ?? false {
      notes.append("\(key) is not modelled")
    }
    return hosting
  }
}

/// The formats of weights and accumulated gradients.
private struct NumberFormats {
  var precision: Precision?
  var accumulatesInFP32: Bool?

  init(_ fields: inout Fields, notes: inout [String]) throws(DocumentError) {
    var enabled: [Precision] = [], isUnknown = false
    for (key, precision) in [("bf16", Precision.bf16), ("bfloat16", .bf16), ("fp16", .fp16)] {
      guard let section = fields.optional(key) else { continue }
      var format = try section.fields()
      guard let flag = format.optional("enabled") else { continue }
      if flag.isAuto {
        isUnknown = true
      } else if try flag.boolean() {
        enabled.append(precision)
      }
    }
    guard enabled.count <= 1 else { throw fields.whole.conflict("bf16 and fp16 are not both enabled") }
    if enabled.isEmpty, isUnknown {
      notes.append("the precision is left to the Trainer")
      return
    }
    let precision = enabled.first ?? .fp32
    self.precision = precision
    guard precision != .fp32 else {
      accumulatesInFP32 = true
      return
    }
    var type: String?
    if let section = fields.optional("data_types") {
      var types = try section.fields()
      type = try types.optional("grad_accum_dtype")?.string()
    }
    switch type {
    case nil: accumulatesInFP32 = false
    case "fp32": accumulatesInFP32 = true
    case precision.rawValue: accumulatesInFP32 = false
    case let other?:
      throw fields.whole.conflict("gradients accumulate in fp32 or \(precision.rawValue), not \(other.oneLine)")
    }
  }
}
