package import JSONText

/// What a plan tells a launcher: of every framework that can run the plan as it is, what to pass to it.
///
/// Facts about flags are those of Megatron-LM's core 0.20, DeepSpeed's configuration
/// and torchtitan's `parallelism` table.
extension Plan {
  /// A framework that plans can be written for.
  package enum LaunchFramework: String, Sendable, CaseIterable {
    case megatronLM = "megatron-lm"
    case deepSpeed = "deepspeed"
    case torchtitan = "torchtitan"
  }

  /// The frameworks that offer all that the plan does; none for shard degrees that no framework knows.
  package var launchFrameworks: [LaunchFramework] {
    var frameworks: [LaunchFramework] = []
    if megatronArguments != nil { frameworks.append(.megatronLM) }
    if deepSpeedConfiguration != nil { frameworks.append(.deepSpeed) }
    if torchtitanArguments != nil { frameworks.append(.torchtitan) }
    return frameworks
  }

  var launchSection: JSON {
    object(
      ("world_size", .integer(strategy.worldSize)), ("nodes", .integer(arrangement.nodeOrder.count)),
      ("processes_per_node", .integer(cluster.devicesPerNode)), ("rank_order", .string("tp-cp-ep-dp-pp")),
      ("frameworks", .strings(launchFrameworks.map(\.rawValue))),
      ("megatron_lm_arguments", megatronArguments.map(JSON.strings)),
      (
        "megatron_lm_stage_arguments",
        megatronArguments == nil ? nil : megatronStageArguments.map { .array($0.map { JSON.strings($0) }) }
      ),
      ("deepspeed_config", deepSpeedConfiguration),
      ("torchtitan_arguments", torchtitanArguments.map(JSON.strings)))
  }

  /// A configuration file for DeepSpeed, as far as the plan decides it; nil where
  /// DeepSpeed alone does not run the plan.
  ///
  /// Recomputation is the model code's. Where collectives are quantised, DeepSpeed quantises inside nodes as well.
  package var deepSpeedConfiguration: JSON? {
    guard strategy.tensorDegree == 1, strategy.pipelineDegree == 1, split.choices == nil,
      let zero = deepSpeedZeRO
    else { return nil }
    let usesFP32Gradients = job.precision != .fp32 && job.accumulatesGradientsInFP32
    return object(
      ("train_batch_size", .integer(job.globalBatch)),
      ("train_micro_batch_size_per_gpu", .integer(strategy.microBatch)),
      ("gradient_accumulation_steps", .integer(microBatchCount)),
      ("bf16", object(("enabled", .boolean(job.precision == .bf16)))),
      ("fp16", object(("enabled", .boolean(job.precision == .fp16)))),
      ("data_types", usesFP32Gradients ? object(("grad_accum_dtype", .string("fp32"))) : nil),
      ("zero_optimization", zero))
  }

  /// ZeRO's stages; with weights, gradients and optimizer states divided alike MiCS
  /// or, among all replicas, hpZ, qwZ and qgZ.
  private var deepSpeedZeRO: JSON? {
    let sharding = strategy.sharding, n = strategy.dataDegree
    let isAlike =
      sharding.weightDegree == sharding.gradientDegree && sharding.gradientDegree == sharding.optimizerDegree
    if strategy.hasShardLevels {
      guard isAlike, sharding.weightDegree > 1 else { return nil }
      let isWhole = sharding.weightDegree == n
      guard isWhole || sharding.secondaryDegree == nil && !sharding.isQuantised else { return nil }
      return object(
        ("stage", .integer(3)), ("overlap_comm", .boolean(strategy.overlapsGradientReduce)),
        ("mics_shard_size", isWhole ? nil : .integer(sharding.weightDegree)),
        ("zero_hpz_partition_size", sharding.secondaryDegree.map(JSON.integer)),
        ("zero_quantized_weights", sharding.quantisesWeights ? .boolean(true) : nil),
        ("zero_quantized_gradients", sharding.quantisesGradients ? .boolean(true) : nil))
    }
    return object(
      ("stage", .integer(strategy.zeroStage.rawValue)), ("overlap_comm", .boolean(strategy.overlapsGradientReduce)))
  }

  /// Arguments for torchtitan's launcher that divide the work as planned; nil where torchtitan does not.
  ///
  /// Model and data are the user's configuration.
  package var torchtitanArguments: [String]? {
    let sharding = strategy.sharding, n = strategy.dataDegree, w = sharding.weightDegree
    guard strategy.pipelineDegree == 1, split.choices == nil, strategy.recompute != .selective,
      // Fully sharded, hybrid, or not sharded at all; tensor parallelism always comes with sequence parallelism.
      w == sharding.gradientDegree, w == sharding.optimizerDegree, sharding.secondaryDegree == nil,
      !sharding.isQuantised, strategy.tensorDegree == 1 || strategy.usesSequenceParallelism
    else { return nil }
    return [
      "--training.local_batch_size", "\(strategy.microBatch)", "--training.global_batch_size", "\(job.globalBatch)",
      "--training.seq_len", "\(job.sequenceLength)", "--parallelism.data_parallel_replicate_degree", "\(n / w)",
      "--parallelism.data_parallel_shard_degree", "\(w)", "--parallelism.tensor_parallel_degree",
      "\(strategy.tensorDegree)", "--parallelism.pipeline_parallel_degree", "1",
      "--activation_checkpoint.mode", strategy.recompute == .full ? "full" : "none",
    ]
  }
}
