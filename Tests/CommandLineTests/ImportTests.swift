import JSONText
import Testing

/// `sextant import`: files of frameworks in, a configuration document out.
@Suite struct ImportTests {
  private static let configuration = """
    {"train_micro_batch_size_per_gpu": 1, "gradient_accumulation_steps": 8, "bf16": {"enabled": true},
     "zero_optimization": {"stage": 2}}
    """

  @Test func aConfigurationIsShownAndWritten() async throws {
    let folder = try Workspace()
    try folder.write(Self.configuration, to: "ds.json")
    let text = try await folder.sextant(
      "import", "--from", "deepspeed", "ds.json", "--devices", "8", "--model", "llama-3-8b", "--output", "run.json"
    ).succeeded()
    #expect(text.hasPrefix("deepspeed: tensor 1 × pipeline 1 × data 8, micro-batch 1, ZeRO 2, "))
    #expect(text.contains("Note: attention is model code: FlashAttention is assumed.\n"))
    let document = try JSON(parsing: Array(folder.text(of: "run.json").utf8))
    guard case .object(let members) = document else { return }
    #expect(members.first { $0.key == "schema" }?.value == .string("sextant.configuration/1"))
    #expect(members.first { $0.key == "global_batch" }?.value == .integer(64))
    let json = try await folder.sextant(
      "import", "--from", "deepspeed", "ds.json", "--devices", "8", "--model", "llama-3-8b", "--json"
    ).succeeded()
    #expect(try JSON(parsing: Array(json.utf8)) == document)
  }

  @Test func aFolderIsAllOfItsFiles() async throws {
    let folder = try Workspace()
    try folder.write(Self.configuration, to: "ds.json")
    try folder.write("n0 slots=8\nn1 slots=8\n", to: "hostfile")
    let text = try await folder.sextant("import", "--from", "deepspeed", folder.path).succeeded()
    #expect(text.hasPrefix("deepspeed: tensor 1 × pipeline 1 × data 16, "))
  }

  @Test(arguments: [
    ("torchtitan", "torchtitan", "pipeline=2,virtual_stages=2,recompute=full"),
    ("torchtitan-0.2", "torchtitan", "tensor=2,sequence_parallel=true,pipeline=2,virtual_stages=1,zero_stage=1"),
    (
      "torchtitan-main", "torchtitan",
      "tensor=4,pipeline=1,zero_stage=3,weight_shards=8,gradient_shards=8,optimizer_shards=8,secondary_shards=1"
    ),
    ("deepspeed", "megatron-lm", "tensor=1,pipeline=1,zero_stage=1,optimizer_shards=32,recompute=none,micro_batch=1"),
    ("nanotron", "nanotron", "tensor=2,pipeline=2,virtual_stages=1,zero_stage=1"),
    ("megatron-lm", "megatron-lm", "tensor=2,pipeline=4,virtual_stages=1,zero_stage=1,recompute=none"),
  ])
  func theFolderThatExportWroteIsThePlansStrategy(target: String, framework: String, fixed: String) async throws {
    let folder = try Workspace()
    let plan = try JSON(
      parsing: Array(
        await folder.sextant(
          "plan", "--framework", framework, "--cluster", "dgx-a100-4", "--model", "llama-3-8b", "--global-batch", "256",
          "--fix", "\(fixed),offload_optimizer=false", "--output", "plan.json", "--json"
        ).succeeded().utf8))
    try await folder.sextant(
      "export", "plan.json", "--for", target, "--launcher", "torchrun", "--output", "launch"
    ).succeeded()
    let run = try JSON(
      parsing: Array(await folder.sextant("import", "--from", target, "launch", "--json").succeeded().utf8))
    guard case .object(let planned) = plan, case .object(let read) = run else { return }
    #expect(read.first { $0.key == "strategy" }?.value == planned.first { $0.key == "strategy" }?.value)
    if let layers = read.first(where: { $0.key == "layer_counts" })?.value {
      #expect(layers == planned.first { $0.key == "layer_counts" }?.value)
    }
  }

  /// What only some stages are told is in the script that starts a rank, and comes back with the folder.
  @Test func stagesOfAnExportedFolderRecomputeAsPlanned() async throws {
    let folder = try Workspace()
    let plan = try JSON(
      parsing: Array(
        await folder.sextant(
          "plan", "--cluster", "dgx-a100-1", "--model", "megatron-22b", "--sequence", "2048", "--global-batch", "64",
          "--fix", "tensor=4,pipeline=2,virtual_stages=1,offload_optimizer=false", "--output", "plan.json", "--json"
        ).succeeded().utf8))
    try await folder.sextant("export", "plan.json", "--for", "megatron-lm", "--output", "launch").succeeded()
    let run = try JSON(
      parsing: Array(await folder.sextant("import", "--from", "megatron", "launch", "--json").succeeded().utf8))
    guard case .object(let planned) = plan, case .object(let read) = run else { return }
    let choices = try #require(planned.first { $0.key == "stage_choices" }?.value)
    guard case .array(let stages) = choices else { return }
    #expect(stages.count == 2 && stages[0] != stages[1], "the stages differ")
    #expect(read.first { $0.key == "stage_choices" }?.value == choices)
  }

  @Test func whatCannotBeReadIsOneLine() async throws {
    let folder = try Workspace()
    try folder.write("{\"zero_optimization\": {\"stag\": 3}}", to: "ds.json")
    try await folder.sextant("import", "--from", "deepspeed", "ds.json", "--devices", "8").failed(
      65, "ds.json: /zero_optimization: unknown key \"stag\", did you mean \"stage\"?")
    try await folder.sextant("import", "--from", "deepspeed", "none.json").failed(65, "none.json: ")
    try await folder.sextant("import", "--from", "jax", "ds.json").failed(64, "jax")
    try folder.write("[training]\nseq_len = \n", to: "a.toml")
    try await folder.sextant("import", "--from", "torchtitan", "a.toml").failed(65, "a.toml: line 2, column 11")
    #expect(try folder.names.sorted() == ["a.toml", "ds.json"])
  }
}
