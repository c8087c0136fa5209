package import Documents
import JSONText

/// DeepSpeed 0.19: a JSON configuration for a training script of the user's.
///
/// Keys are those of `runtime/config.py`, `runtime/zero/config.py`, `runtime/tensor_parallel/config.py` and
/// `module_inject/auto_ep_config.py` (main, edaa7221, 2026-08-22).
package enum DeepSpeedTarget: LaunchTarget {
  package static let name = "deepspeed"
  package static let capabilities = Capabilities.deepSpeed

  static let configurationName = "deepspeed.json"
  static let argumentsName = "script-arguments.txt"

  /// The model is the script's.
  package static func unwritten(of model: ModelDescription) -> String? { nil }

  package static func command(for plan: Plan) -> RankCommand {
    var notes = [
      """
      TRAINING_SCRIPT is yours: it calls deepspeed.initialize, trains \(plan.job.model.name) on sequences of \
      \(plan.job.sequenceLength) tokens, and takes its own arguments from \(argumentsName), one a line.
      """
    ]
    if plan.strategy.recompute == .full {
      notes.append("The model code must checkpoint every block (torch.utils.checkpoint or deepspeed.checkpointing).")
    }
    if plan.job.optimizer != .adam {
      notes.append(
        "The optimizer that the script gives to deepspeed.initialize keeps its states as planned: \(plan.job.optimizer.words)."
      )
    }
    if plan.strategy.tensorDegree > 1 {
      notes.append(
        "Tensor parallelism needs a model that DeepSpeed can divide: one with Hugging Face's tp_plan, or a preset.")
    }
    if plan.strategy.contextDegree > 1 {
      notes.append(
        "The model code must exchange sequences for heads around attention: deepspeed.sequence.layer.DistributedAttention."
      )
    }
    if plan.strategy.expertDegree > 1 {
      notes.append(
        """
        expert_parallel is AutoEP, which replaces layers with experts of a Hugging Face model (transformers 5 or later): Mixtral, \
        Qwen 2 and 3 MoE, DeepSeek V2 and V3 by their model_type, others by moe_layer_pattern and its companions. It has no \
        bias of scores that balances loads.
        """)
    }
    if plan.strategy.usesFlashAttention { notes.append("The model code must use FlashAttention.") }
    return RankCommand(
      files: [
        LaunchFile(name: configurationName, text: configuration(of: plan).text(style: .pretty)),
        LaunchFile(name: argumentsName, text: ""),
      ],
      settings: [
        .init(
          "PYTHON", value: "python3", comment: "The interpreter of the environment that DeepSpeed is installed in."),
        .init("TRAINING_SCRIPT", value: "", comment: "Your training script, which calls deepspeed.initialize."),
        .init(
          "CONFIG_FLAG", value: "--deepspeed_config",
          comment: "How the script is told its configuration; --deepspeed for Hugging Face's Trainer."),
      ],
      environment: plan.job.precision.environment,
      command: [
        .setting("PYTHON"), .setting("TRAINING_SCRIPT"), .words(inFile: argumentsName), .setting("CONFIG_FLAG"),
        .file(configurationName),
      ],
      notes: notes)
  }

  private static func configuration(of plan: Plan) -> JSON {
    let strategy = plan.strategy, job = plan.job
    let is16Bit = job.precision.is16Bit
    return object(
      // With tensor parallelism the configuration counts its ranks as replicas (`runtime/config.py`), and the batch is
      // left to it.
      ("train_batch_size", strategy.tensorDegree == 1 ? .integer(job.globalBatch) : nil),
      ("train_micro_batch_size_per_gpu", .integer(strategy.microBatch)),
      ("gradient_accumulation_steps", .integer(plan.microBatchCount)),
      (job.precision.rawValue, is16Bit ? sixteenBit(job) : nil),
      (
        "data_types",
        is16Bit
          ? object(("grad_accum_dtype", .string(job.accumulatesGradientsInFP32 ? "fp32" : job.precision.rawValue)))
          : nil
      ),
      // Client optimizers that DeepSpeed has not tried with ZeRO have to be asked for.
      (
        "zero_allow_untested_optimizer",
        job.optimizer.rule == .adam && job.optimizer.moments != .int8 ? nil : .boolean(true)
      ),
      ("zero_optimization", zeroOptimization(of: plan)),
      ("sequence_parallel_size", strategy.contextDegree > 1 ? .integer(strategy.contextDegree) : nil),
      (
        "tensor_parallel",
        strategy.tensorDegree > 1 ? object(("autotp_size", .integer(strategy.tensorDegree))) : nil
      ),
      (
        "expert_parallel",
        strategy.expertDegree > 1
          ? object(("enabled", .boolean(true)), ("autoep_size", .integer(strategy.expertDegree))) : nil
      ),
      (
        "activation_checkpointing",
        strategy.recompute == .full
          ? object(
            ("number_checkpoints", .integer(job.model.layerCount)),
            ("cpu_checkpointing", strategy.hosting.activations != .onDevice ? .boolean(true) : nil)) : nil
      ))
  }

  /// The section `bf16` or `fp16`, and that weights have no exact copy.
  private static func sixteenBit(_ job: TrainingJob) -> JSON {
    let hasNoMasters = job.optimizer.masterWeights == .none
    return object(
      ("enabled", .boolean(true)),
      ("\(job.precision.rawValue)_master_weights_and_grads", hasNoMasters ? .boolean(true) : nil),
      ("bf16_optimizer_states", hasNoMasters && job.precision == .bf16 ? .boolean(true) : nil))
  }

  private static func zeroOptimization(of plan: Plan) -> JSON {
    let strategy = plan.strategy, job = plan.job
    let sharding = strategy.sharding
    let isHybrid = sharding.form(replicaCount: strategy.replicaCount) == .hybrid
    // One replica has nothing to divide; stage 1 lets it accumulate in fp32, which stage 0 does not.
    let isAlone = strategy.replicaCount == 1 && job.precision.is16Bit && job.accumulatesGradientsInFP32
    let hasLoneHostedWeights = strategy.replicaCount == 1 && strategy.hosting.holdsWeights
    return object(
      // One replica whose host holds weights is one shard of stage 3.
      ("stage", .integer(hasLoneHostedWeights ? 3 : isAlone ? 1 : sharding.stage.rawValue)),
      ("overlap_comm", .boolean(strategy.overlapsGradientReduce)),
      ("mics_shard_size", isHybrid ? .integer(sharding.weightDegree) : nil),
      ("zero_hpz_partition_size", sharding.secondaryDegree.map(JSON.integer)),
      ("zero_quantized_weights", sharding.quantisesWeights ? .boolean(true) : nil),
      ("zero_quantized_gradients", sharding.quantisesGradients ? .boolean(true) : nil),
      ("offload_optimizer", offloadOptimizer(strategy.hosting.updatePercent)),
      ("offload_param", strategy.hosting.holdsWeights ? object(("device", .string("cpu"))) : nil))
  }

  /// The part of the update that is the host's, which Twin-Flow calls a ratio.
  private static func offloadOptimizer(_ percent: Int) -> JSON? {
    guard percent > 0 else { return nil }
    return object(("device", .string("cpu")), ("ratio", percent < 100 ? .number(Double(percent) / 100) : nil))
  }

  /// Tensor groups, or those that divide a sequence, are consecutive ranks, data groups what is left (`utils/groups.py`,
  /// `_init_tp_mesh_device`; `runtime/engine.py` makes the mesh of data and sequence ranks).
  package static func groups(of configuration: RunConfiguration) -> [String: [[Int]]] {
    let ranks = RankArray(axes: [
      ("data", configuration.strategy.dataDegree), ("sequence", configuration.strategy.contextDegree),
      ("tensor", configuration.strategy.tensorDegree),
    ])
    var groups = [
      "tensor": ranks.groups(along: ["tensor"]), "data": ranks.groups(along: ["data"]),
      "pipeline": ranks.groups(along: []),
    ]
    if configuration.strategy.contextDegree > 1 { groups["context"] = ranks.groups(along: ["sequence"]) }
    if configuration.strategy.expertDivision != .none {
      // `utils/groups.py`, `_create_expert_and_data_parallel`: consecutive ranks, and those that hold the same experts.
      let expert = configuration.strategy.expertDegree
      let grid = RankArray(axes: [("data", configuration.strategy.mesh.worldSize / expert), ("expert", expert)])
      groups["expert"] = grid.groups(along: ["expert"])
      groups["expert_tensor"] = grid.groups(along: [])
      groups["expert_data"] = grid.groups(along: ["data"])
    }
    return groups
  }
}
