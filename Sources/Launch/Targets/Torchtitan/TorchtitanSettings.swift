import Documents
import JSONText

/// What a user's files say to torchtitan, by `section.key`: tables of TOML, and flags, which come after them.
struct TorchtitanSettings {
  private(set) var values: [String: Field] = [:]
  /// The file that speaks last, for complaints about what nobody states.
  private(set) var source = ""
  /// Whether there are tables: 0.2's dialect.
  private(set) var hasTables = false
  /// The configuration function that flags are over; nil without one.
  private(set) var function: String?

  func field(_ key: String) -> Field? { values[key].flatMap { $0.value == .null ? nil : $0 } }

  /// A complaint's place where no single key is at fault.
  var whole: Field { Field(.null, source: source) }

  init(_ files: [LaunchFile]) throws(DocumentError) {
    for file in files where file.name.hasSuffix(".toml") { try readTables(file) }
    for file in files
    where !file.lastComponent.contains(".") || [".txt", ".sh", ".args"].contains(where: file.name.hasSuffix) {
      try readFlags(file)
    }
    guard !values.isEmpty || function != nil else {
      throw DocumentError(
        source: files.map(\.name).joined(separator: ", "), location: "",
        expected: "expected torchtitan's tables (.toml) or a command line (.txt, .sh)", found: nil)
    }
    try refuseUnknownKeys()
  }

  // MARK: Tables

  private mutating func readTables(_ file: LaunchFile) throws(DocumentError) {
    let root = try parseTOML(file.text, source: file.name)
    guard case .object(let sections) = root.value else { return }
    source = file.name
    hasTables = true
    for section in sections {
      guard case .object(let members) = section.value else { continue }
      read(members, below: section.key, of: file)
    }
    try renameOldKeys()
  }

  /// The values of a table, and of those in it, whose names make one key.
  private mutating func read(_ members: [JSONMember], below prefix: String, of file: LaunchFile) {
    for member in members {
      let key = "\(prefix).\(member.key)"
      if case .object(let inner) = member.value {
        read(inner, below: key, of: file)
      } else {
        values[key] = Field(
          member.value, source: file.name, pointer: "/" + key.replacing(".", with: "/"))
      }
    }
  }

  /// Keys that earlier tables had under another name.
  private mutating func renameOldKeys() throws(DocumentError) {
    for (old, new) in [("training.batch_size", "training.local_batch_size")] where values[new] == nil {
      values[new] = values.removeValue(forKey: old)
    }
  }

  // MARK: Flags

  private mutating func readFlags(_ file: LaunchFile) throws(DocumentError) {
    let words = try parseCommandLine(file.text, source: file.name)
    let isMeant = words.contains { $0 == "--module" || $0.hasPrefix("--training.") || $0.hasPrefix("--parallelism.") }
    guard isMeant || words.contains(where: { $0.hasPrefix("activation-checkpoint:") }) else { return }
    source = file.name
    var index = 0
    while index < words.count {
      let word = words[index]
      index += 1
      if let kind = Self.recomputation(word) {
        values["activation_checkpoint.mode"] = Field(.string(kind), source: file.name, pointer: word)
      }
      guard word.hasPrefix("--") else { continue }
      let parts = word.dropFirst(2).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      var key = Self.underscored(String(parts[0]))
      var arguments = parts.count > 1 ? [String(parts[1])] : []
      while parts.count == 1, index < words.count, !words[index].hasPrefix("--"),
        Self.recomputation(words[index]) == nil
      {
        arguments.append(words[index])
        index += 1
        // Only the modules of stages take more than one word.
        if key != "parallelism.module_fqns_per_model_part" { break }
      }
      if key == "config" { function = arguments.first }
      let isNegated = key.contains(".no_")
      if isNegated { key = key.replacing(".no_", with: ".") }
      values[key] = Field(
        Self.value(of: arguments, key: key, isNegated: isNegated), source: file.name, pointer: "--\(parts[0])")
    }
  }

  /// What `activation-checkpoint:full` asks for.
  private static func recomputation(_ word: String) -> String? {
    for prefix in ["activation-checkpoint:", "activation_checkpoint:"] where word.hasPrefix(prefix) {
      return String(word.dropFirst(prefix.count)).replacing("-", with: "_")
    }
    return nil
  }

  /// Dashes in a flag's name are underscores.
  private static func underscored(_ name: String) -> String { name.replacing("-", with: "_") }

  private static func value(of arguments: [String], key: String, isNegated: Bool) -> JSON {
    if key == "parallelism.module_fqns_per_model_part" {
      return .array(arguments.map { .strings($0.split(separator: ",").map(String.init)) })
    }
    guard let word = arguments.first else { return .boolean(!isNegated) }
    switch word {
    case "True", "true": return .boolean(true)
    case "False", "false": return .boolean(false)
    case "None": return .null
    default: return Int(word).map(JSON.integer) ?? .string(word)
    }
  }

  // MARK: Names

  /// Sections of which every key is known: they bear on what is priced.
  private func refuseUnknownKeys() throws(DocumentError) {
    for (key, field) in values.sorted(by: { $0.key < $1.key }) {
      let parts = key.split(separator: ".", maxSplits: 1).map(String.init)
      guard parts.count == 2, let known = Self.known[parts[0]], !known.contains(parts[1]),
        !parts[1].hasPrefix("dataloader")
      else { continue }
      let meant = parts[1].nearest(among: known).map { ", did you mean \"\($0)\"?" } ?? ""
      throw DocumentError(
        source: field.source, location: field.pointer,
        expected: "unknown key \(JSON.string(parts[1]).briefDescription) of \(parts[0])\(meant)", found: nil)
    }
  }

  private static let known = [
    "training": [
      "local_batch_size", "global_batch_size", "seq_len", "num_tokens_per_microbatch_per_dp_rank",
      "num_tokens_per_train_step", "max_context_length", "max_norm", "steps", "enable_cpu_offload",
      "disable_cuda_graphs", "dtype", "mixed_precision_param", "mixed_precision_reduce", "gc_freq", "gc_debug",
      "dataset", "dataset_path", "compile", "deterministic", "seed", "data_parallel_degree",
    ],
    "parallelism": [
      "data_parallel_replicate_degree", "data_parallel_shard_degree", "fsdp_reshard_after_forward",
      "enable_fsdp_symm_mem", "tensor_parallel_degree", "enable_sequence_parallel", "disable_loss_parallel",
      "enable_async_tensor_parallel", "spmd_backend", "pipeline_parallel_degree", "module_fqns_per_model_part",
      "pipeline_parallel_first_stage_less_layers", "pipeline_parallel_last_stage_less_layers",
      "pipeline_parallel_layers_per_stage", "pipeline_parallel_schedule", "pipeline_parallel_schedule_csv",
      "pipeline_parallel_microbatch_size", "num_pp_microbatches", "pipeline_parallel_split_points",
      "pipeline_parallel_expert_parallel_overlap", "context_parallel_degree", "context_parallel_load_balancer",
      "context_parallel_ptrr_mask_key", "context_parallel_rotate_method", "expert_parallel_degree",
      "expert_tensor_parallel_degree", "expert_parallel_comm_backend", "enable_compiled_autograd",
    ],
    "activation_checkpoint": [
      "mode", "selective_ac_option", "per_op_sac_force_recompute_mm_shapes_by_fqns", "early_stop", "memory_budget",
      "visualize_memory_budget_pareto", "preserve_rng_state", "determinism_check", "debug",
      "force_recompute_mm_shapes_by_fqns",
    ],
  ]
}
