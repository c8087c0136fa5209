import Costing
import Documents
import JSONText
import TestSupport
import Testing

@testable import Launch

/// The two targets, by the table of what they can.
enum MegatronTargets {
  static func target(of capabilities: Capabilities) -> any LaunchTarget.Type {
    capabilities.name == MegatronFSDPTarget.name ? MegatronFSDPTarget.self : MegatronLMTarget.self
  }

  /// The words that the ranks of a stage are started with, settings as they are before the user changes them.
  static func words(_ program: RankCommand, stage: Int) -> [String] {
    let values = Dictionary(uniqueKeysWithValues: program.settings.map { ($0.name, $0.value) })
    var words: [String] = []
    for word in program.command {
      switch word {
      case .literal(let text): words.append(text)
      case .setting(let name): words.append(values[name] ?? "?")
      case .prefixed(let text, let name): words.append(text + (values[name] ?? "?"))
      case .file(let name): words.append(name)
      case .words(let name):
        let file = program.files.first { $0.name == name }
        words += (file?.text.split(separator: "\n").map(String.init)) ?? []
      }
    }
    return words + (program.stageArguments.isEmpty ? [] : program.stageArguments[stage])
  }

  /// The files of an export that a reader needs: the program's own, and what the ranks of some stages are told beside.
  static func exportedFiles(_ program: RankCommand) -> [LaunchFile] {
    guard !program.stageArguments.isEmpty else { return program.files }
    return program.files + [RankScript.file(of: program)]
  }
}

@Suite struct MegatronProgramTests {
  /// Every flag by the table of Megatron-LM's flags, and all of them by its rules; then the way back: strategy, layers,
  /// stages' choices, job, model and groups are the plan's.
  @Test(arguments: [Capabilities.megatronLM, .megatronFSDP].map(\.name), 0..<4)
  func randomPlansAreTakenByMegatronAndComeBack(name: String, seed: Int) throws {
    let capabilities = try #require(Capabilities.named(name))
    let target = MegatronTargets.target(of: capabilities)
    var plans = try RandomPlans(seed: seed)
    var seen: Set<String> = []
    for number in 0..<60 {
      let plan = try plans.next(for: capabilities)
      let label = "\(name), seed \(seed), plan \(number): \(plan.strategy.json.text(style: .compact)), \(plan.split)"
      let program = try target.program(of: plan)
      let environment = Dictionary(uniqueKeysWithValues: program.environment.map { ($0.name, $0.value) })
      for stage in 0..<plan.strategy.pipelineDegree {
        let words = MegatronTargets.words(program, stage: stage)
        // python and the script come first.
        let line = try MegatronCommandLine(Array(words.dropFirst(2)))
        #expect(line.complaint(worldSize: plan.deviceCount, environment: environment) == nil, "\(label)")
      }
      let configuration = try target.configuration(
        in: MegatronTargets.exportedFiles(program), deviceCount: plan.deviceCount)
      Self.expect(configuration, isOf: plan, framework: name, label)
      #expect(target.groups(of: configuration) == Self.groups(of: plan), "\(label)")
      seen.formUnion(program.files[0].text.split(separator: "\n").filter { $0.hasPrefix("--") }.map(String.init))
      if !program.stageArguments.isEmpty { seen.insert("stages that differ") }
    }
    // What the plans were drawn for was drawn.
    let own =
      name == "megatron-fsdp"
      ? ["--outer-dp-sharding-strategy", "--megatron-fsdp-main-grads-dtype"]
      : [
        "--pipeline-model-parallel-layout", "--num-virtual-stages-per-pipeline-rank", "stages that differ",
        "--num-distributed-optimizer-instances", "--grad-reduce-in-bf16",
      ]
    for what in own + ["--recompute-method", "--recompute-modules", "--sequence-parallel", "--overlap-grad-reduce"] {
      #expect(seen.contains(what), "\(what)")
    }
  }

  /// The groups of both grids of a plan, by the names that readers give them.
  static func groups(of plan: Plan) -> [String: [[Int]]] {
    let strategy = plan.strategy
    func groups(_ mesh: Mesh, _ axis: Mesh.Axis) -> [[Int]] { mesh.groups(along: axis).map(\.ranks) }
    var all = Dictionary(uniqueKeysWithValues: Mesh.searchedAxes.map { ($0.name, groups(strategy.mesh, $0)) })
    if strategy.contextDegree > 1 { all["context"] = groups(strategy.mesh, .context) }
    if strategy.expertDivision != .none {
      all["expert"] = groups(strategy.expertMesh, .expert)
      all["expert_tensor"] = groups(strategy.expertMesh, .tensor)
      all["expert_data"] = groups(strategy.expertMesh, .data)
    }
    return all
  }

  static func expect(_ configuration: RunConfiguration, isOf plan: Plan, framework: String, _ label: String) {
    let planned = plan.split.choices ?? plan.split.choices(under: plan.strategy)
    let read =
      configuration.choices
      ?? Split(configuration.layerCounts ?? [], stageCount: plan.strategy.pipelineDegree)
      .choices(under: configuration.strategy)
    let recomputesNothing = planned.allSatisfy { $0.recomputedLayerCount == 0 }
    let strategy =
      recomputesNothing && plan.strategy.recompute == .full ? plan.strategy.with(\.recompute, .none) : plan.strategy
    #expect(configuration.framework == framework, "\(label)")
    #expect(configuration.strategy == strategy, "\(label)")
    #expect(configuration.layerCounts == plan.split.layerCounts, "\(label)")
    #expect(read == planned, "\(label)")
    #expect(configuration.sequenceLength == plan.job.sequenceLength, "\(label)")
    #expect(configuration.globalBatch == plan.job.globalBatch, "\(label)")
    #expect(configuration.precision == plan.job.precision, "\(label)")
    let accumulates = plan.job.accumulatesGradientsInFP32 || plan.job.precision == .fp32
    #expect(configuration.accumulatesGradientsInFP32 == accumulates, "\(label)")
    #expect(configuration.optimizer == plan.job.optimizer, "\(label)")
    #expect(configuration.model?.json == asMegatronTrains(plan.job), "\(label)")
  }

  /// A job's model with Megatron-LM's defaults where nobody stated more.
  private static func asMegatronTrains(_ job: TrainingJob) -> JSON {
    let model = job.model
    var json = model.json.replacing("/name", with: .string("megatron-arguments"))
    func fill(_ key: String, _ value: JSON) {
      if case .object(let members) = json, members.contains(where: { $0.key == key }) { return }
      json = json.replacing("/\(key)", with: value)
    }
    let isRotary = model.positionCount == 0
    let activation: JSON = .string(model.hasGatedFeedForward ? "silu" : "gelu_tanh")
    let details: [(String, JSON, Bool)] = [
      ("activation", activation, true), ("norm_epsilon", .number(1e-5), true),
      ("rotary_base", .number(10_000), isRotary),
      ("maximum_positions", .integer(job.sequenceLength), isRotary),
      ("initialisation_deviation", .number(0.02), true), ("hidden_dropout", .number(0.1), model.hasDropout),
      ("attention_dropout", .number(0.1), model.hasDropout),
    ]
    for (key, value, holds) in details where holds { fill(key, value) }
    guard case .object(let members) = json else { return json }
    let order = [
      "activation", "norm_epsilon", "rotary_base", "rotary_scaling", "maximum_positions", "attention_window",
      "full_attention_layers", "initialisation_deviation", "hidden_dropout", "attention_dropout", "particulars",
    ]
    let shapes = members.filter { !order.contains($0.key) }
    return .object(shapes + order.compactMap { key in members.first { $0.key == key } })
  }

  @Test func groupsOfMoreMicroBatchesThanStagesAreStated() throws {
    func words(globalBatch: Int) throws -> [String] {
      var plans = try RandomPlans(seed: 1)
      let plan = try plans.plan(
        of: "tensor=2,pipeline=4,data=4,virtual_stages=2", layers: [Int](repeating: 4, count: 8),
        globalBatch: globalBatch)
      return MegatronTargets.words(try MegatronLMTarget.program(of: plan), stage: 0)
    }
    let flag = "--microbatch-group-size-per-virtual-pipeline-stage"
    let ofFive = try words(globalBatch: 40)
    #expect(ofFive.firstIndex(of: flag).map { ofFive[$0 + 1] } == "5")
    #expect(try !words(globalBatch: 64).contains(flag))
  }

  // MARK: What bears on values

  private func words(of model: ModelDescription) throws -> [String] {
    MegatronModelArguments(model: model, sequenceLength: 256).words
  }

  private func model(_ members: String) throws -> ModelDescription {
    let text = """
      {"schema": "sextant.model/1", "name": "small", "layers": 4, "hidden": 256, "heads": 4, "ffn_hidden": 512,
       "vocab": 1000, "tied_embeddings": true, \(members)}
      """
    return try ModelDescription(Field(try JSON(parsing: Array(text.utf8)), source: "model"))
  }

  private static let llama = #""family": "llama", "gated_mlp": true"#
  private static let gpt = #""family": "gpt", "gated_mlp": false, "positions": 512"#

  @Test(arguments: [
    (llama + #", "rotary_base": 500000.0, "norm_epsilon": 1e-6"#, "--rotary-base 500000", true),
    (llama + #", "norm_epsilon": 1e-6"#, "--norm-epsilon 1e-06", true),
    (llama, "--swiglu", true), (llama, "--position-embedding-type rope", true), (llama, "--disable-bias-linear", true),
    (llama + #", "qkv_bias": true"#, "--add-qkv-bias", true), (llama + #", "qk_norm": true"#, "--qk-layernorm", true),
    (llama + #", "rotary_scaling": {"kind": "linear", "factor": 4}"#, "--rotary-seq-len-interpolation-factor 4", true),
    (
      llama + #", "rotary_scaling": {"kind": "yarn", "factor": 4, "original_positions": 128}"#,
      "--rotary-scaling-factor 4.0 --yarn-original-max-position-embeddings 128", true
    ),
    (llama + #", "attention_window": 128"#, "--window-size 127,0", true),
    (llama + #", "maximum_positions": 4096"#, "--max-position-embeddings 4096", true),
    (llama + #", "initialisation_deviation": 0.006"#, "--init-method-std 0.006", true),
    (llama, "--attention-dropout 0.0 --hidden-dropout 0.0", true),
    (gpt, "--attention-dropout 0.1 --hidden-dropout 0.1", true),
    (gpt + #", "attention_dropout": 0"#, "--attention-dropout 0.0 --hidden-dropout 0.1", true),
    (gpt + #", "activation": "gelu""#, "--no-bias-gelu-fusion", true),
    (gpt + #", "activation": "gelu_tanh""#, "--no-bias-gelu-fusion", false),
    (gpt + #", "activation": "squared_relu""#, "--squared-relu --no-bias-gelu-fusion", true),
    (gpt, "--untie-embeddings-and-output-weights", false),
  ])
  func whatBearsOnValuesIsStated(members: String, words: String, isStated: Bool) throws {
    let all = try self.words(of: model(members)).joined(separator: " ")
    #expect(" \(all) ".contains(" \(words) ") == isStated, "\(all)")
  }

  @Test(arguments: [
    (gpt + #", "activation": "relu""#, "activation squared_relu or gelu"),
    (#""family": "llama", "gated_mlp": false, "activation": "silu""#, "activation gelu"),
    (#""family": "llama", "gated_mlp": true, "activation": "gelu""#, "activation silu"),
    (llama + #", "attention_output_bias": true, "qkv_bias": true"#, "alike, or qkv_bias alone"),
    (llama + #", "rotary_scaling": {"kind": "dynamic", "factor": 2}"#, "rotary_scaling of the kind yarn"),
    (
      llama
        + #", "rotary_scaling": {"kind": "llama3", "factor": 32, "low_frequency_factor": 1, "high_frequency_factor": 4, "original_positions": 8192}"#,
      "rotary_scaling of the kind yarn"
    ),
    (llama + #", "rotary_base": 10000.5"#, "a whole rotary_base"),
  ])
  func aModelWithoutWordsIsRefusedWithTheNearest(members: String, nearest: String) throws {
    let job = try TrainingJob(model: model(members), sequenceLength: 256, globalBatch: 8)
    let refusal = try #require(Capabilities.megatronLM.refusal(of: job)).description
    #expect(refusal.contains("nearest: ") && refusal.contains(nearest), "\(refusal)")
    #expect(Capabilities.megatronFSDP.refusal(of: job) != nil)
  }

  @Test func shippedModelsAreTrainedOrRefusedByName() throws {
    let catalog = Shipped.catalog
    for name in ["llama-3-70b", "qwen3-8b", "gpt2", "megatron-1t", "mistral-7b"] {
      let job = try TrainingJob(model: catalog.model(name), sequenceLength: 1024, globalBatch: 8)
      #expect(Capabilities.megatronLM.refusal(of: job) == nil, "\(name)")
    }
    let opt = try TrainingJob(model: catalog.model("opt-175b"), sequenceLength: 1024, globalBatch: 8)
    #expect(Capabilities.megatronLM.refusal(of: opt)?.description.contains("ReLU") == true)
  }

  @Test func whatOverlappedExchangesWantIsSaid() throws {
    var plans = try RandomPlans(seed: 7)
    let plain = try MegatronLMTarget.program(of: plans.plan(of: "tensor=4,pipeline=2,data=4,sequence_parallel=true"))
    let program = try MegatronLMTarget.program(
      of: plans.plan(of: "tensor=4,pipeline=2,data=4,sequence_parallel=true,overlap_tensor_exchange=true"))
    #expect(!MegatronTargets.words(plain, stage: 0).contains("--tp-comm-overlap"))
    #expect(MegatronTargets.words(program, stage: 0).contains("--tp-comm-overlap"))
    #expect(program.notes.contains { $0.hasPrefix("--tp-comm-overlap wants CUDA's multicast") })
    #expect(plain.notes.allSatisfy { !$0.contains("tp-comm-overlap") })
  }

  // MARK: The oracle itself

  /// Each of these changes of a good command line breaks a rule.
  @Test func theRulesRefuseWhatMegatronRefuses() throws {
    var plans = try RandomPlans(seed: 7)
    let plan = try plans.plan(of: "tensor=4,pipeline=2,data=4", recompute: .full)
    let program = try MegatronLMTarget.program(of: plan)
    let good = Array(MegatronTargets.words(program, stage: 0).dropFirst(2))
    let one = ["CUDA_DEVICE_MAX_CONNECTIONS": "1"]
    #expect(try MegatronCommandLine(good).complaint(worldSize: 32, environment: one) == nil)
    #expect(try MegatronCommandLine(good).complaint(worldSize: 32, environment: [:]) != nil)
    #expect(try MegatronCommandLine(good).complaint(worldSize: 36, environment: one) != nil)
    for more in [
      ["--num-virtual-stages-per-pipeline-rank", "3"], ["--use-megatron-fsdp"], ["--fp16"],
      ["--recompute-granularity", "selective"], ["--overlap-param-gather"], ["--padded-vocab-size", "1"],
      ["--num-distributed-optimizer-instances", "2"], ["--pipeline-model-parallel-layout", "Et*2|t*3L"],
      ["--tp-comm-overlap"], ["--squared-relu"], ["--max-position-embeddings", "8"], ["--data-path", "x"],
      ["--min-lr", "1"],
    ] {
      let line = try MegatronCommandLine(good + more)
      #expect(line.complaint(worldSize: 32, environment: one) != nil, "\(more)")
    }
    for more in [
      ["--offload-optimizer-states"], ["--num-layers", "many"], ["--bf16", "yes"], ["--ckpt-format", "zip"],
      ["--micro-batch-size"],
    ] {
      #expect(throws: MegatronCommandLine.Complaint.self, "\(more)") { try MegatronCommandLine(good + more) }
    }
  }

  @Test func offloadedStatesAreRefusedWithTheNearest() throws {
    var plans = try RandomPlans(seed: 7)
    let plan = try plans.plan(of: "tensor=4,pipeline=2,data=4", recompute: .full, offloads: true)
    let refusal = #expect(throws: LaunchRefusal.self) { try MegatronLMTarget.program(of: plan) }
    #expect(refusal?.description.contains("nearest: offload_optimizer=false") == true)
  }
}
