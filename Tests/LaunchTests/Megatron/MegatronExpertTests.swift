import Costing
import Documents
import JSONText
import TestSupport
import Testing

@testable import Launch

/// Mixtures of experts, written for Megatron-LM and read again.
@Suite struct MegatronExpertTests {
  private func read(_ text: String, devices: Int? = 16) throws -> RunConfiguration {
    try MegatronLMTarget.configuration(in: [LaunchFile(name: "arguments.txt", text: text)], deviceCount: devices)
  }

  /// A plan by a pattern, with layers as even as they can be unless they are stated.
  private func plan(
    _ model: String, _ pattern: String, on cluster: String, layers: [Int]? = nil, globalBatch: Int = 256
  ) throws -> Plan {
    let job = try TrainingJob(
      model: try Shipped.catalog.model(model), sequenceLength: 4_096, globalBatch: globalBatch)
    let costs = try CostModel(cluster: try Shipped.catalog.cluster(cluster), job: job)
    let strategy = try StrategyPattern(text: pattern, source: "test").completed(
      deviceCount: costs.deviceCount, flashAttention: true, overlap: true)
    #expect(costs.violation(of: strategy) == nil, "\(pattern)")
    let split =
      layers.map { Split($0, stageCount: strategy.pipelineDegree) }
      ?? Split.even(
        layerCount: job.model.layerCount, stageCount: strategy.pipelineDegree, chunkCount: strategy.virtualStageCount)
    return Plan(stating: strategy, split: split, on: costs)
  }

  /// Flags by the table of Megatron-LM's flags and by its rules, then the way back.
  private func expectWayBack(_ plan: Plan, _ label: String) throws {
    let program = try MegatronLMTarget.program(of: plan)
    let environment = Dictionary(uniqueKeysWithValues: program.environment.map { ($0.name, $0.value) })
    let words = MegatronTargets.words(program, stage: 0)
    let line = try MegatronCommandLine(Array(words.dropFirst(2)))
    #expect(line.complaint(worldSize: plan.deviceCount, environment: environment) == nil, "\(label)")
    let configuration = try MegatronLMTarget.configuration(
      in: MegatronTargets.exportedFiles(program), deviceCount: plan.deviceCount)
    MegatronProgramTests.expect(configuration, isOf: plan, framework: "megatron-lm", label)
    let groups = MegatronLMTarget.groups(of: configuration)
    #expect(groups == MegatronProgramTests.groups(of: plan), "\(label)")
    // And what the plan's own document lists.
    let listed = JSON.object(
      groups.sorted { $0.key < $1.key }.map { JSONMember($0.key, .array($0.value.map { .integers($0) })) })
    #expect(plan.json.member("groups")?.sortedByKey == listed, "\(label)")
  }

  private static let even = "micro_batch=1,zero_stage=1"

  @Test(arguments: [
    ("mixtral-8x7b", "tensor=1,pipeline=4,data=32,virtual_stages=8,expert=8,moe_overlap=true"),
    ("mixtral-8x7b", "tensor=2,pipeline=4,data=16,expert=4,expert_tensor=2,sequence_parallel=true"),
    ("mixtral-8x7b", "tensor=2,pipeline=1,context=2,data=32,expert=8,moe_dispatcher=allgather,sequence_parallel=true"),
    ("qwen3-30b-a3b", "tensor=1,pipeline=1,data=128,expert=16,moe_dispatcher=hybridep"),
    ("qwen3-30b-a3b", "tensor=4,pipeline=2,data=16,expert=32,moe_dispatcher=deepep,sequence_parallel=true"),
    ("qwen3-235b-a22b", "tensor=2,pipeline=2,data=32,expert=64,moe_dispatcher=deepep,sequence_parallel=true"),
    ("gpt-oss-120b", "tensor=1,pipeline=4,data=32,expert=32"),
    (
      "gpt-oss-120b",
      "tensor=2,pipeline=1,context=4,context_exchange=all-to-all,data=16,expert=64,sequence_parallel=true"
    ),
  ])
  func plansOfShippedMixturesComeBack(model: String, pattern: String) throws {
    try expectWayBack(plan(model, "\(pattern),\(Self.even)", on: "dgx-h100-16"), "\(model) \(pattern)")
  }

  /// 94 layers in 4 stages of 4 chunks: two chunks have a layer less than the others.
  @Test func chunksOfUnevenLayersAreALayout() throws {
    let layers = [5] + [Int](repeating: 6, count: 14) + [5]
    let plan = try plan(
      "qwen3-235b-a22b", "tensor=1,pipeline=4,data=32,virtual_stages=4,expert=32,moe_overlap=true,\(Self.even)",
      on: "dgx-h100-16", layers: layers)
    try expectWayBack(plan, "uneven")
    let words = MegatronTargets.words(try MegatronLMTarget.program(of: plan), stage: 0)
    let place = try #require(words.firstIndex(of: "--pipeline-model-parallel-layout"))
    #expect(words[place + 1] == "Et*5|(t*6|)*14t*5L")
    #expect(!words.contains("--num-virtual-stages-per-pipeline-rank"))
  }

  /// 94 layers in 96 chunks: the first has the embedding alone, and the last the head. A plan's document says so, too.
  @Test func chunksAtTheEndsMayHaveNoLayers() throws {
    let plan = try plan(
      "qwen3-235b-a22b", "tensor=1,pipeline=8,data=16,virtual_stages=12,expert=16,\(Self.even)", on: "dgx-h100-16",
      layers: [0] + [Int](repeating: 1, count: 94) + [0])
    try expectWayBack(plan, "empty ends")
    let words = MegatronTargets.words(try MegatronLMTarget.program(of: plan), stage: 0)
    let place = try #require(words.firstIndex(of: "--pipeline-model-parallel-layout"))
    #expect(words[place + 1] == "E|(t|)*94L")
    #expect(try Plan(Field(plan.json, source: "plan")).split == plan.split)
    let inside = plan.json.text(style: .compact).replacing(
      /"layer_counts":\[0,1,1/, with: #""layer_counts":[1,0,1"#)
    #expect(throws: DocumentError.self) {
      try Plan(Field(try JSON(parsing: Array(inside.utf8)), source: "plan"))
    }
  }

  /// 61 layers in 8 stages of 2 chunks, the last of which predicts a further token.
  @Test func deepSeekComesBackWithItsFurtherPrediction() throws {
    let layers = [Int](repeating: 4, count: 13) + [3, 3, 3]
    let plan = try plan(
      "deepseek-v3", "tensor=1,pipeline=8,data=16,virtual_stages=2,expert=16,moe_dispatcher=deepep,\(Self.even)",
      on: "dgx-h100-16", layers: layers)
    try expectWayBack(plan, "deepseek-v3")
    let text = try MegatronLMTarget.program(of: plan).files[0].text.replacing("\n", with: " ")
    // The release test case of DeepSeek's proxy states these.
    for words in [
      "--pipeline-model-parallel-layout E(t*4|)*13ttt|ttt|tttmL", "--moe-layer-freq ([0]*3+[1]*58)",
      "--multi-latent-attention --q-lora-rank 1536 --kv-lora-rank 512 --qk-head-dim 128 --qk-pos-emb-head-dim 64",
      "--v-head-dim 128 --qk-layernorm", "--rope-type yarn --rotary-scaling-factor 40.0 --mscale-all-dim 1.0",
      "--moe-router-num-groups 8 --moe-router-group-topk 4 --moe-router-topk-scaling-factor 2.5",
      "--moe-router-score-function sigmoid", "--moe-router-enable-expert-bias",
      "--moe-shared-expert-intermediate-size 2048", "--mtp-num-layers 1", "--kv-channels 128",
      "--attention-backend fused",
    ] { #expect(text.contains("\(words) "), "\(words)") }
  }

  @Test func sinksAndWindowsOfGPTOSSAreStated() throws {
    let plan = try plan("gpt-oss-120b", "pipeline=1,expert=8,\(Self.even)", on: "dgx-h100-4")
    let text = try MegatronLMTarget.program(of: plan).files[0].text.replacing("\n", with: " ")
    for words in [
      "--softmax-type learnable", "--window-size 127,0 --window-attn-skip-freq 2", "--position-embedding-type yarn",
      "--quick-geglu --glu-linear-offset 1.0 --activation-func-clamp-value 7.0", "--attention-backend fused",
      "--expert-tensor-parallel-size 1",
    ] { #expect(text.contains("\(words) "), "\(words)") }
    #expect(!text.contains("--disable-bias-linear"))
  }

  @Test(arguments: 0..<4)
  func randomMixturesAreTakenByMegatronAndComeBack(seed: Int) throws {
    var plans = try MixturePlans(seed: seed)
    var seen: Set<String> = []
    for number in 0..<40 {
      let plan = try plans.next()
      let strategy = plan.strategy.json.text(style: .compact)
      try expectWayBack(plan, "seed \(seed), plan \(number): \(strategy), \(plan.split), \(plan.job.model.json)")
      let file = try MegatronLMTarget.program(of: plan).files[0]
      seen.formUnion(file.text.split(separator: "\n").filter { $0.hasPrefix("--") }.map(String.init))
    }
    // What the plans were drawn for was drawn.
    for flag in [
      "--moe-layer-freq", "--moe-shared-expert-gate", "--moe-router-pre-softmax", "--moe-router-num-groups",
      "--moe-router-topk-scaling-factor", "--moe-router-enable-expert-bias", "--moe-flex-dispatcher-backend",
      "--overlap-moe-expert-parallel-comm", "--pipeline-model-parallel-layout", "--context-parallel-size",
      "--num-distributed-optimizer-instances", "--multi-latent-attention", "--mtp-num-layers", "--softmax-type",
      "--mscale",
      "--mscale-all-dim", "--glu-linear-offset", "--activation-func-clamp-value",
    ] { #expect(seen.contains(flag), "\(flag)") }
    #expect(plans.refusedModels > 0)
  }

  /// Without any one of them the same file says another run, or none: but for what has no bearing on cost, and what
  /// Megatron-LM takes without being told.
  @Test func everyFlagOfExpertsBearsOnWhatIsRead() throws {
    let silent = [
      "--moe-router-dtype", "--moe-grouped-gemm", "--moe-permute-fusion", "--delay-wgrad-compute",
    ]
    let usual = [
      "--moe-router-topk": "2", "--moe-token-dispatcher-type": "allgather", "--moe-router-score-function": "softmax",
      "--moe-flex-dispatcher-backend": "deepep", "--expert-model-parallel-size": "1",
    ]
    let others = [
      "--multi-latent-attention", "--q-lora-rank", "--kv-lora-rank", "--qk-head-dim", "--qk-pos-emb-head-dim",
      "--v-head-dim", "--rotary-scaling-factor", "--mscale", "--mscale-all-dim", "--mtp-num-layers", "--softmax-type",
      "--glu-linear-offset", "--activation-func-clamp-value", "--pipeline-model-parallel-layout", "--qk-layernorm",
    ]
    var plans = try MixturePlans(seed: 9), tried: Set<String> = []
    for _ in 0..<40 {
      let plan = try plans.next()
      let words = try MegatronLMTarget.program(of: plan).files[0].text.split(separator: "\n").map(String.init)
      let whole = try read(words.joined(separator: " "), devices: plan.deviceCount)
      for (place, flag) in words.enumerated()
      where flag.hasPrefix("--moe") || flag.hasPrefix("--expert") || flag.hasPrefix("--overlap-moe")
        || others.contains(flag)
      {
        let values = words[(place + 1)...].prefix { !$0.hasPrefix("--") }
        if silent.contains(flag) || values.first.map({ $0 == usual[flag] }) ?? false { continue }
        if flag == "--expert-tensor-parallel-size", values.first == "\(plan.strategy.tensorDegree)" { continue }
        if flag == "--moe-ffn-hidden-size", values.first == "\(plan.job.model.feedForwardSize)" { continue }
        let rest = words[..<place] + words[values.endIndex...]
        let other = try? read(rest.joined(separator: " "), devices: plan.deviceCount)
        #expect(other?.strategy != whole.strategy || other?.model != whole.model, "\(flag)")
        tried.insert(flag)
      }
    }
    #expect(tried.count == 16 + others.count, "\(tried.sorted())")
  }

  // MARK: What cannot be told

  @Test(arguments: [
    (#""score": "sigmoid", "normalises_weights": false"#, "a router other than softmax and sigmoid"),
    (#""correction_bias": true"#, "a router other than softmax and sigmoid"),
    (#""router_bias": true"#, "biases of some of the attention's output"),
    (#""bias": true, "router_bias": true"#, "biases of some of the attention's output"),
    (#""groups": {"count": 8, "kept": 4}"#, "a router other than softmax and sigmoid"),
  ])
  func aRouterWithoutWordsIsRefusedByName(members: String, words: String) throws {
    let text = """
      {"schema": "sextant.model/1", "name": "small", "family": "llama", "layers": 4, "hidden": 256, "heads": 4,
       "ffn_hidden": 512, "vocab": 1000, "gated_mlp": true, "tied_embeddings": true,
       "experts": {"count": 8, "per_token": 2, "ffn_hidden": 64, \(members)}}
      """
    let model = try ModelDescription(Field(try JSON(parsing: Array(text.utf8)), source: "model"))
    let job = try TrainingJob(model: model, sequenceLength: 256, globalBatch: 8)
    #expect(Capabilities.megatronLM.refusal(of: job)?.description.contains(words) == true)
  }

  /// Kimi K2 rotates between 1 and 1 rotations, which latent attention cannot be told; without YaRN it is.
  @Test func rotationsOfLatentAttentionThatNoFlagSaysAreRefused() throws {
    let path = Shipped.root + "/Profiles/models/kimi-k2.json"
    let text = String(decoding: try readFile(at: path, maximumByteCount: 1 << 20), as: UTF8.self)
    func job(_ text: String) throws -> TrainingJob {
      let model = try ModelDescription(Field(try JSON(parsing: Array(text.utf8)), source: "kimi"))
      return try TrainingJob(model: model, sequenceLength: 4_096, globalBatch: 8)
    }
    let refusal = try #require(Capabilities.megatronLM.refusal(of: job(text)))
    #expect(refusal.description.contains("latent attention whose positions") && refusal.nearest == "no rotary_scaling")
    #expect(
      try Capabilities.megatronLM.refusal(of: job(text.replacing("\"beta_fast\": 1.0", with: "\"beta_fast\": 32")))
        == nil)
    let plain = text.replacing(/"rope_scaling": \{[^}]*\}/, with: "\"rope_scaling\": null")
    #expect(try Capabilities.megatronLM.refusal(of: job(plain)) == nil)
  }

  @Test(arguments: [
    (#""mtp_layers": 1, "rotary_scaling": {"kind": "yarn", "factor": 4, "original_positions": 128}"#, "further tokens"),
    (#""particulars": {"score_scale": 0.5}"#, "scale of attention scores"),
    (#""particulars": {"gate_offset": 1}"#, "a gate of another activation"),
    (#""particulars": {"gate_limit": 7}"#, "a gate of another activation"),
    (
      #""latent_attention": {"kv_rank": 32, "plain_head_dim": 16, "rotary_head_dim": 16, "value_head_dim": 16}, "qk_norm": true"#,
      "norms of whole queries and keys"
    ),
  ])
  func partsWithoutWordsAreRefusedByName(members: String, words: String) throws {
    let text = """
      {"schema": "sextant.model/1", "name": "small", "family": "llama", "layers": 4, "hidden": 256, "heads": 4,
       "ffn_hidden": 512, "vocab": 1000, "gated_mlp": true, "tied_embeddings": true, \(members)}
      """
    let model = try ModelDescription(Field(try JSON(parsing: Array(text.utf8)), source: "model"))
    let job = try TrainingJob(model: model, sequenceLength: 256, globalBatch: 8)
    #expect(Capabilities.megatronLM.refusal(of: job)?.description.contains(words) == true)
  }

  @Test func sequencesOfModelsWithSinksAreDividedByHeadsOnly() throws {
    let job = try TrainingJob(
      model: try Shipped.catalog.model("gpt-oss-120b"), sequenceLength: 4_096, globalBatch: 64)
    func refusal(_ exchange: String) throws -> Capabilities.Refusal? {
      let strategy = try StrategyPattern(
        text: "pipeline=1,context=2,context_exchange=\(exchange),expert=8,zero_stage=1", source: "test"
      ).completed(deviceCount: 32, flashAttention: true, overlap: true)
      return Capabilities.megatronLM.refusal(of: strategy, split: Split([36]), job: job)
    }
    #expect(try refusal("ring")?.nearest == "context_exchange=all-to-all")
    #expect(try refusal("all-to-all") == nil)
  }

  /// A scale of rotations and one of scores are two numbers, whichever of them is stated.
  @Test(arguments: [(1.0, 0.0), (1, 1), (0.707, 0.707), (1.2, 0.4), (0.5, 0)])
  func yarnsScalesComeBack(mscale: Double, mscaleOfAll: Double) {
    let yarn = MegatronYaRN(mscale: mscale, mscaleOfAll: mscaleOfAll)
    let again = MegatronYaRN(
      factor: 40, attentionFactor: yarn.attentionFactor(factor: 40),
      scoreScale: yarn.scoreScale(factor: 40, headSize: 192), headSize: 192)
    #expect(again == yarn)
  }

  @Test(arguments: [
    ("expert=1,moe_dispatcher=deepep", Precision.bf16, "moe_dispatcher=alltoall"),
    ("expert=8,moe_dispatcher=hybridep", .fp16, "moe_dispatcher=alltoall"),
    ("expert=8,moe_overlap=true", .fp32, "moe_overlap=false"),
  ])
  func divisionsThatMegatronStopsAtAreRefused(pattern: String, precision: Precision, nearest: String) throws {
    let job = try TrainingJob(
      model: try Shipped.catalog.model("mixtral-8x7b"), sequenceLength: 1_024, globalBatch: 64, precision: precision)
    let strategy = try StrategyPattern(text: "pipeline=1,zero_stage=1,\(pattern)", source: "test").completed(
      deviceCount: 32, flashAttention: precision.is16Bit, overlap: true)
    let refusal = Capabilities.megatronLM.refusal(of: strategy, split: Split([32]), job: job)
    #expect(refusal?.nearest == nearest)
  }

  /// The environment and the settings that mixtures alone need.
  @Test func overlapAsksForManyConnectionsAndTheLossOfARouterIsTheUsers() throws {
    let plan = try plan("mixtral-8x7b", "pipeline=1,expert=8,moe_overlap=true,\(Self.even)", on: "dgx-h100-4")
    let program = try MegatronLMTarget.program(of: plan)
    #expect(program.environment.first { $0.name == "CUDA_DEVICE_MAX_CONNECTIONS" }?.value == "32")
    #expect(program.settings.contains { $0.name == "ROUTER_LOSS_COEFFICIENT" })
    let dense = try MegatronLMTarget.program(of: RandomPlans.dense())
    #expect(!dense.settings.contains { $0.name.hasPrefix("ROUTER") })
  }
}

extension RandomPlans {
  fileprivate static func dense() throws -> Plan {
    var plans = try RandomPlans(seed: 1)
    return try plans.plan(of: "tensor=2,pipeline=2,data=8")
  }
}

extension JSON {
  fileprivate func member(_ key: String) -> JSON? {
    guard case .object(let members) = self else { return nil }
    return members.first { $0.key == key }?.value
  }

  fileprivate var sortedByKey: JSON {
    guard case .object(let members) = self else { return self }
    return .object(members.sorted { $0.key < $1.key })
  }
}
