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
    #expect(MegatronLMTarget.groups(of: configuration) == MegatronProgramTests.groups(of: plan), "\(label)")
  }

  private static let even = "micro_batch=1,zero_stage=1"

  @Test(arguments: [
    ("mixtral-8x7b", "tensor=1,pipeline=4,data=32,virtual_stages=8,expert=8,moe_overlap=true"),
    ("mixtral-8x7b", "tensor=2,pipeline=4,data=16,expert=4,expert_tensor=2,sequence_parallel=true"),
    ("mixtral-8x7b", "tensor=2,pipeline=1,context=2,data=32,expert=8,moe_dispatcher=allgather,sequence_parallel=true"),
    ("qwen3-30b-a3b", "tensor=1,pipeline=1,data=128,expert=16,moe_dispatcher=hybridep"),
    ("qwen3-30b-a3b", "tensor=4,pipeline=2,data=16,expert=32,moe_dispatcher=deepep,sequence_parallel=true"),
    ("qwen3-235b-a22b", "tensor=2,pipeline=2,data=32,expert=64,moe_dispatcher=deepep,sequence_parallel=true"),
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
      "--num-distributed-optimizer-instances",
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
    var plans = try MixturePlans(seed: 9), tried: Set<String> = []
    for _ in 0..<40 {
      let plan = try plans.next()
      let words = try MegatronLMTarget.program(of: plan).files[0].text.split(separator: "\n").map(String.init)
      let whole = try read(words.joined(separator: " "), devices: plan.deviceCount)
      for (place, flag) in words.enumerated()
      where flag.hasPrefix("--moe") || flag.hasPrefix("--expert") || flag.hasPrefix("--overlap-moe") {
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
    #expect(tried.count == 16, "\(tried.sorted())")
  }

  // MARK: Groups

  private static let staged =
    "--tensor-model-parallel-size 2 --pipeline-model-parallel-size 2 --expert-tensor-parallel-size 1 --expert-model-parallel-size 4"
  private static let folded =
    "--tensor-model-parallel-size 2 --context-parallel-size 2 --expert-tensor-parallel-size 1 --expert-model-parallel-size 8"
  private static let wide = "--tensor-model-parallel-size 2 --expert-model-parallel-size 2"

  /// Ranks as Megatron-LM's two generators number them, worked out by hand.
  @Test(arguments: [
    (staged, 16, "expert", [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], [12, 13, 14, 15]]),
    (staged, 16, "expert_data", [[0, 4], [1, 5], [2, 6], [3, 7], [8, 12], [9, 13], [10, 14], [11, 15]]),
    (folded, 8, "expert", [[0, 1, 2, 3, 4, 5, 6, 7]]), (folded, 8, "context", [[0, 2], [1, 3], [4, 6], [5, 7]]),
    // The width of experts is divided by the tensor groups where nothing is said of it.
    (wide, 8, "expert_tensor", [[0, 1], [2, 3], [4, 5], [6, 7]]),
    (wide, 8, "expert", [[0, 2], [1, 3], [4, 6], [5, 7]]),
    (wide, 8, "expert_data", [[0, 4], [1, 5], [2, 6], [3, 7]]),
  ])
  func groupsOfExpertsAreMegatrons(flags: String, devices: Int, axis: String, groups: [[Int]]) throws {
    let run = try read("\(Self.shape) --num-experts 8 --sequence-parallel \(flags)", devices: devices)
    #expect(MegatronLMTarget.groups(of: run)[axis] == groups)
  }

  // MARK: Reading

  private static let shape = """
    --num-layers 8 --hidden-size 256 --ffn-hidden-size 512 --num-attention-heads 4 --seq-length 512
    --max-position-embeddings 512 --vocab-size 1000 --micro-batch-size 1 --global-batch-size 64 --disable-bias-linear
    --swiglu --bf16
    """

  private static func sample(_ name: String) throws -> LaunchFile {
    let path = Shipped.root + "/Tests/LaunchTests/Inputs/megatron/\(name)"
    return LaunchFile(
      name: name, text: String(decoding: try readFile(at: path, maximumByteCount: 1 << 20), as: UTF8.self))
  }

  @Test func aTestCaseOfMixtralIsRead() throws {
    let run = try MegatronLMTarget.configuration(in: [Self.sample("mixtral-of-experts.yaml")], deviceCount: 64)
    #expect(run.strategy.mesh == [.tensor: 2, .pipeline: 4, .data: 8] && run.strategy.virtualStageCount == 8)
    #expect(
      run.strategy.expertDivision
        == Strategy.ExpertDivision(expertDegree: 8, tensorDegree: 1, dispatcher: .allToAll))
    #expect(run.strategy.expertReplicaCount == 2)
    let model = try #require(run.model)
    #expect(model.parameterCount == (try Shipped.catalog.model("mixtral-8x7b").parameterCount))
    #expect(model.experts?.perToken == 2 && model.experts?.normalisesWeights == true)
  }

  @Test func whatIsNotStatedIsMegatronsDefault() throws {
    let run = try read("\(Self.shape) --num-experts 8 --tensor-model-parallel-size 2 --sequence-parallel")
    #expect(
      run.strategy.expertDivision
        == Strategy.ExpertDivision(expertDegree: 1, tensorDegree: 2, dispatcher: .allGather))
    #expect(run.model?.experts == ModelDescription.Experts(count: 8, perToken: 2, feedForwardSize: 512))
  }

  @Test(arguments: [
    ("--moe-layer-freq 2", [1, 3, 5, 7]), ("--moe-layer-freq ([0]*3+[1]*5)", [0, 1, 2]),
    ("--moe-layer-freq '([1]*3 + [0])*2'", [3, 7]), ("--moe-layer-freq [1,1,1,1,1,1,1,0]", [7]),
  ])
  func layersWithoutExpertsAreThoseOfTheFlag(flag: String, dense: [Int]) throws {
    #expect(try read("\(Self.shape) --num-experts 8 \(flag)").model?.experts?.denseLayers == dense)
  }

  @Test(arguments: [
    ("--expert-model-parallel-size 2", "--expert-model-parallel-size", "no experts"),
    ("--num-experts 8 --expert-model-parallel-size 3 --global-batch-size 48", "", "do not divide by expert 3"),
    ("--num-experts 6 --expert-model-parallel-size 4", "--expert-model-parallel-size", "6 experts do not divide"),
    ("--num-experts 8 --moe-layer-freq [1,0]", "--moe-layer-freq", "list of 8 digits"),
    ("--num-experts 8 --moe-layer-freq ([1]*4+[2]*4)", "--moe-layer-freq", "list of 8 digits"),
    ("--num-experts 8 --moe-layer-freq [1]*99999999", "--moe-layer-freq", "list of 8 digits"),
    ("--num-experts 8 --moe-router-topk 9", "--moe-router-topk", "from 1 to 8"),
    ("--num-experts 8 --moe-router-score-function sqrtsoftplus", "--moe-router-score-function", "not supported"),
    ("--num-experts 8 --moe-router-enable-expert-bias", "--moe-router-enable-expert-bias", "not corrected"),
    ("--num-experts 8 --moe-router-group-topk 2", "", "--moe-router-num-groups"),
    ("--num-experts 8 --moe-router-group-topk 2 --moe-router-num-groups 3", "", "do not divide into 3 groups"),
    ("--num-experts 8 --moe-enable-deepep", "--moe-enable-deepep", "flex"),
    ("--num-experts 8 --moe-token-dispatcher-type smoke", "--moe-token-dispatcher-type", "one of"),
    ("--num-experts 8 --moe-latent-size 64", "--moe-latent-size", "narrow vectors"),
    ("--num-experts 8 --moe-layer-freq [0,0,0,0,0,0,0,0]", "", "no layer has experts"),
    (
      "--num-experts 8 --expert-tensor-parallel-num-weight-shards 4", "--expert-tensor-parallel-num-weight-shards",
      "weight shards"
    ),
  ])
  func badArgumentsAreRefusedWithTheirPlace(flags: String, place: String, sentence: String) throws {
    let error = #expect(throws: DocumentError.self) { try read("\(Self.shape) \(flags)") }
    #expect(error?.location == place && error?.description.contains(sentence) == true, "\(String(describing: error))")
  }

  @Test func sharedExpertsHaveNoBiases() throws {
    let text = Self.shape.replacing("--disable-bias-linear", with: "")
    #expect(try read("\(text) --num-experts 8").model?.experts?.hasBias == true)
    let error = #expect(throws: DocumentError.self) {
      try read("\(text) --num-experts 8 --moe-shared-expert-intermediate-size 256")
    }
    #expect(error?.location == "--moe-shared-expert-intermediate-size")
  }

  @Test func nothingThatIsBrokenStopsTheReader() throws {
    var plans = try MixturePlans(seed: 21), mutator = DocumentMutator(seed: 12)
    var readCount = 0
    for _ in 0..<20 {
      let text = try MegatronLMTarget.program(of: plans.next()).files[0].text
      for _ in 0..<60 {
        let mutated = String(decoding: mutator.mutated(text: Array(text.utf8)), as: UTF8.self)
        do {
          let run = try read(mutated, devices: 32)
          _ = MegatronLMTarget.groups(of: run)
          _ = try RunConfiguration(Field(run.json, source: "run"))
          readCount += 1
        } catch { #expect(error is DocumentError && !"\(error)".contains("\n"), "\(mutated)") }
      }
    }
    #expect(readCount > 50)
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
