extension Strategy {
  /// What frameworks and their users call the parts of a strategy: for the hint that an unknown key gets.
  ///
  /// The words are those of the frameworks whose sources ``Capabilities`` names (Megatron-LM's flags with `_` for `-`), of
  /// transformers' `training_args.py`, and the letters by which all of them abbreviate. A hint says which key is meant,
  /// not that the value is the same.
  private static let frameworkWords: [(key: String, words: [String])] = [
    (
      "tensor",
      [
        "tp", "t", "tp_size", "tp_degree", "tensor_parallel", "tensor_parallel_size", "tensor_parallel_degree",
        "tensor_model_parallel", "tensor_model_parallel_size", "autotp_size", "model_parallel_size", "mp",
      ]
    ),
    (
      "pipeline",
      [
        "pp", "p", "pp_size", "pp_degree", "pipeline_parallel", "pipeline_parallel_size", "pipeline_parallel_degree",
        "pipeline_model_parallel", "pipeline_model_parallel_size", "stages", "num_stages",
      ]
    ),
    (
      "data",
      [
        "dp", "d", "dp_size", "dp_degree", "dp_shard", "dp_replicate", "data_parallel", "data_parallel_size",
        "data_parallel_degree", "data_parallel_shard_degree", "data_parallel_replicate_degree",
      ]
    ),
    ("context", ["cp", "cp_size", "context_parallel", "context_parallel_size", "context_parallel_degree"]),
    (
      "expert",
      [
        "ep", "ep_size", "expert_parallel", "expert_parallel_size", "expert_parallel_degree",
        "expert_model_parallel_size",
      ]
    ),
    (
      "virtual_stages",
      [
        "vp", "vpp", "v", "virtual_pipeline", "virtual_pipeline_model_parallel_size",
        "num_virtual_stages_per_pipeline_rank",
      ]
    ),
    (
      "micro_batch",
      [
        "mbs", "mb", "b", "micro_batch_size", "microbatch_size", "train_micro_batch_size_per_gpu", "local_batch_size",
        "per_device_train_batch_size", "pipeline_parallel_microbatch_size",
      ]
    ),
    (
      "zero_stage",
      ["zero", "z", "zero_optimization.stage", "stage", "zero1", "zero2", "zero3", "use_distributed_optimizer"]
    ),
    (
      "narrow_weights",
      ["fp8_param_gather", "fp8_param", "fp4_param_gather", "fp4_param", "enable_fsdp_float8_all_gather"]
    ),
    (
      "recompute",
      [
        "ac", "recompute_granularity", "recompute_activations", "recompute_layer", "activation_checkpoint",
        "activation_checkpoint.mode", "activation_checkpointing", "gradient_checkpointing",
      ]
    ),
    ("sequence_parallel", ["sp", "enable_sequence_parallel"]),
    ("flash_attention", ["fa", "use_flash_attn", "flash_attn", "attention_backend"]),
    ("overlap_gradient_reduce", ["overlap_grad_reduce", "overlap_comm"]),
    (
      "overlap_tensor_exchange",
      ["tp_comm_overlap", "enable_async_tensor_parallel", "tp_linear_async_communication", "tp_overlap_comm"]
    ),
    ("offload_optimizer", ["optimizer_cpu_offload", "cpu_offload", "enable_cpu_offload"]),
    ("schedule", ["pipeline_parallel_schedule", "pp_engine"]),
    ("quantise_weights", ["zero_quantized_weights"]),
    ("quantise_gradients", ["zero_quantized_gradients"]),
    ("secondary_shards", ["zero_hpz_partition_size"]),
  ]

  /// Batches are a matter of the job.
  private static let batchWords = [
    "gbs", "global_batch", "global_batch_size", "train_batch_size", "batch", "batch_size",
  ]

  /// A count that follows from the batch, so that nothing can be said of it.
  private static let accumulationWords = [
    "gas", "ga", "gradient_accumulation_steps", "batch_accumulation_per_replica", "micro_batches", "num_microbatches",
  ]

  /// What to write in place of a word that a framework or its users have for a part of a strategy, as the end of a
  /// complaint; nil for a word that is none of these.
  ///
  /// Leading dashes, dashes for underscores, capitals and the tables in front of a word (`parallelism.`) do not count.
  static func hint(forKey key: String) -> String? {
    let plain = key.drop { $0 == "-" }.lowercased().map { $0 == "-" ? "_" : String($0) }.joined()
    let last = plain.split(separator: ".").last.map(String.init) ?? plain
    for word in [plain, last] {
      // A key itself, behind dashes or a table's name.
      if let known = keys.first(where: { $0.name == word }) { return "did you mean \"\(known.name)\"?" }
      if let known = frameworkWords.first(where: { $0.words.contains(word) }) {
        return "did you mean \"\(known.key)\"?"
      }
      if batchWords.contains(word) { return "the global batch is not part of a strategy but stated beside it" }
      if accumulationWords.contains(word) {
        return "the number of micro-batches follows from the global batch, \"data\" and \"micro_batch\""
      }
    }
    return nil
  }
}
