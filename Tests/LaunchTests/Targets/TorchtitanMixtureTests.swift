import Costing
import Documents
import JSONText
import TestSupport
import Testing

@testable import Launch

/// Mixtures of experts, written for torchtitan and read again.
@Suite struct TorchtitanMixtureTests {
  private static let targets: [any LaunchTarget.Type] = [TorchtitanTarget.self, TorchtitanMainTarget.self]

  private func plan(
    _ model: String, _ pattern: String, on cluster: String = "dgx-h100-16", precision: Precision = .bf16
  ) throws -> Plan {
    let job = try TrainingJob(
      model: try Shipped.catalog.model(model), sequenceLength: 4_096, globalBatch: 512, precision: precision)
    let costs = try CostModel(cluster: try Shipped.catalog.cluster(cluster), job: job)
    let strategy = try StrategyPattern(text: "micro_batch=1,\(pattern)", source: "test").completed(
      deviceCount: costs.deviceCount, flashAttention: true, overlap: true)
    #expect(costs.violation(of: strategy) == nil, "\(pattern)")
    return Plan(
      stating: strategy,
      split: Split.even(
        layerCount: job.model.layerCount, stageCount: strategy.pipelineDegree, chunkCount: strategy.virtualStageCount),
      on: costs)
  }

  private func expectWayBack(_ plan: Plan, _ target: any LaunchTarget.Type, _ label: String) throws {
    let files = try target.program(of: plan).files
    let run = try target.configuration(in: files, deviceCount: plan.deviceCount)
    #expect(run.strategy == plan.strategy, "\(target.name) \(label)")
    #expect(run.precision == plan.job.precision && run.layerCounts == plan.split.layerCounts, "\(label)")
    #expect(run.globalBatch == plan.job.globalBatch && run.sequenceLength == plan.job.sequenceLength, "\(label)")
    let model = try #require(run.model), planned = plan.job.model
    #expect(model.experts == planned.experts && model.latent == planned.latent, "\(label)")
    #expect(model.predictionDepth == planned.predictionDepth, "\(label)")
    #expect(model.hasQueryKeyNorm == planned.hasQueryKeyNorm, "\(label)")
    #expect(model.parameterCount == planned.parameterCount && model.headSize == planned.headSize, "\(label)")
    #expect(model.details.rotaryScaling == planned.details.rotaryScaling, "\(label)")
    let scales = [model, planned].map { $0.details.particulars[.scoreScale] ?? 0 }
    #expect(abs(scales[0] - scales[1]) <= 1e-9, "\(label)")
    #expect(target.groups(of: run) == MegatronProgramTests.groups(of: plan), "\(label)")
  }

  @Test(arguments: [
    ("qwen3-30b-a3b", "tensor=1,pipeline=1,data=128,expert=16,zero_stage=3,moe_dispatcher=hybridep"),
    (
      "qwen3-30b-a3b", "tensor=2,pipeline=2,data=32,expert=32,zero_stage=1,moe_dispatcher=deepep,sequence_parallel=true"
    ),
    (
      "qwen3-30b-a3b",
      "tensor=4,pipeline=1,data=32,expert_tensor=4,moe_dispatcher=allgather,zero_stage=3,sequence_parallel=true"
    ),
    (
      "qwen3-235b-a22b",
      "tensor=4,context=2,context_exchange=all-gather,pipeline=2,data=8,expert=64,zero_stage=1,sequence_parallel=true"
    ),
    ("mixtral-8x7b", "pipeline=1,data=128,expert=8,weight_shards=16,gradient_shards=16,optimizer_shards=16"),
    ("deepseek-v3", "tensor=2,pipeline=1,data=64,expert=64,zero_stage=3,sequence_parallel=true"),
  ])
  func plansOfShippedMixturesComeBack(model: String, pattern: String) throws {
    for target in Self.targets { try expectWayBack(plan(model, pattern), target, "\(model) \(pattern)") }
  }

  @Test(arguments: targets.indices)
  func randomMixturesComeBack(index: Int) throws {
    let target = Self.targets[index]
    let table = try TargetTable(target.name)
    var plans = try MixturePlans(seed: 20 + index, for: target)
    var families: Set<String> = [], dispatchers: Set<String> = [], precisions: Set<Precision> = []
    for number in 0..<40 {
      let plan = try plans.next(), strategy = plan.strategy
      let label = "plan \(number): \(strategy.json.text(style: .compact)), \(plan.job.model.json)"
      try expectWayBack(plan, target, label)
      let files = try target.program(of: plan).files
      let words = try #require(files.first { $0.name == "arguments.txt" }).text.split(separator: "\n").map(String.init)
      let place = try #require(words.firstIndex(of: "--parallelism.expert_parallel_degree"), "\(label)")
      table.check("parallelism.expert_parallel_degree", .integer(strategy.expertDegree), label)
      #expect(words[place + 1] == "\(strategy.expertDegree)", "\(label)")
      #expect(
        words.contains("--training.disable_cuda_graphs") == (strategy.pipelineDegree > 1 || strategy.expertDegree > 1),
        "\(label)")
      families.insert(TorchtitanModel.Family(of: plan.job.model).rawValue)
      if strategy.expertDegree > 1 { dispatchers.insert(strategy.dispatcher.rawValue) }
      if strategy.dispatcher == .allGather { dispatchers.insert("gathered") }
      precisions.insert(plan.job.precision)
    }
    #expect(families == ["qwen3", "deepseek_v3"] && plans.refusedModels > 0)
    #expect(dispatchers == ["alltoall", "deepep", "hybridep", "gathered"], "\(dispatchers)")
    #expect(precisions == [.bf16, .fp8Current])
  }

  /// The meshes that torchtitan 0.3.0's `ParallelDims` makes, by the degrees of its flags, on PyTorch's fake process group.
  @Test(arguments: [
    (
      "tensor=2,pipeline=2,data=4,expert=4,zero_stage=1", 16,
      [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], [12, 13, 14, 15]],
      [[0, 4], [1, 5], [2, 6], [3, 7], [8, 12], [9, 13], [10, 14], [11, 15]]
    ),
    (
      "tensor=2,context=2,pipeline=1,data=2,expert=8,zero_stage=3", 8, [[0, 1, 2, 3, 4, 5, 6, 7]],
      [[0], [1], [2], [3], [4], [5], [6], [7]]
    ),
    (
      "tensor=2,pipeline=1,data=8,expert=4,weight_shards=4,gradient_shards=4,optimizer_shards=4", 16,
      [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], [12, 13, 14, 15]],
      [[0, 4, 8, 12], [1, 5, 9, 13], [2, 6, 10, 14], [3, 7, 11, 15]]
    ),
    (
      "tensor=1,context=2,pipeline=2,data=4,expert=2,optimizer_shards=4", 16,
      [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9], [10, 11], [12, 13], [14, 15]],
      [[0, 2, 4, 6], [1, 3, 5, 7], [8, 10, 12, 14], [9, 11, 13, 15]]
    ),
  ])
  func groupsAreThoseThatTorchtitanMakes(pattern: String, ranks: Int, expert: [[Int]], expertData: [[Int]]) throws {
    let strategy = try StrategyPattern(text: pattern, source: "test").completed(
      deviceCount: ranks, flashAttention: true, overlap: true)
    let groups = TorchtitanTarget.groups(of: RunConfiguration(framework: "torchtitan", strategy: strategy))
    #expect(groups["expert"] == expert && groups["expert_data"] == expertData)
    // And those of the plan's own grid.
    #expect(strategy.expertMesh.groups(along: .expert).map(\.ranks) == expert)
    #expect(strategy.expertMesh.groups(along: .data).map(\.ranks) == expertData)
  }

  @Test func deepSeekIsToldAsItIs() throws {
    let plan = try plan(
      "deepseek-v3", "tensor=2,pipeline=1,data=64,expert=64,zero_stage=3,sequence_parallel=true",
      precision: .fp8Current)
    let files = try TorchtitanTarget.program(of: plan).files
    let text = try #require(files.first { $0.name == TorchtitanModel.fileName }).text
    let json = try JSON(parsing: Array(text.utf8)).text(style: .compact)
    for words in [
      #""family":"deepseek_v3""#, #""products":"float8""#, #""prediction_layers":1"#, #""mscale":1.0"#,
      #""rotary_scaling":{"factor":40.0,"beta_fast":32.0,"beta_slow":1.0,"original_max_position_embeddings":4096}"#,
      #""query_rank":1536,"kv_rank":512,"plain_head_dim":128,"rotary_head_dim":64,"value_head_dim":128"#,
      #""score":"sigmoid","normalises_weights":true,"routed_scale":2.5,"groups":{"count":8,"kept":4}"#,
      #""correction_bias":true,"dense_layers":[0,1,2],"dispatcher":"standard""#,
    ] { #expect(json.contains(words), "\(words)") }
  }

  // MARK: What cannot be told

  @Test(arguments: [
    (
      "tensor=2,expert=1,sequence_parallel=true,zero_stage=3", Precision.bf16,
      "expert_tensor=2,moe_dispatcher=allgather"
    ),
    (
      "tensor=2,expert=1,expert_tensor=2,sequence_parallel=true,zero_stage=3", .bf16, "moe_dispatcher=allgather"
    ),
    ("tensor=2,expert=8,expert_tensor=2,sequence_parallel=true,zero_stage=3", .bf16, "expert_tensor=1"),
    ("expert=8,moe_dispatcher=allgather,zero_stage=3", .bf16, "moe_dispatcher=alltoall"),
    ("expert=8,moe_dispatcher=deepep,zero_stage=3", .fp8Current, "moe_dispatcher=alltoall"),
    ("expert=8,moe_overlap=true,zero_stage=3", .bf16, "moe_overlap=false"),
    (
      "expert=8,zero_stage=0", .bf16, "optimizer_shards of a multiple of the expert degree over the tensor degree"
    ),
  ])
  func divisionsThatTorchtitanHasNotAreRefused(pattern: String, precision: Precision, nearest: String) throws {
    let job = try TrainingJob(
      model: try Shipped.catalog.model("qwen3-30b-a3b"), sequenceLength: 1_024, globalBatch: 64, precision: precision)
    let strategy = try StrategyPattern(text: "pipeline=1,\(pattern)", source: "test").completed(
      deviceCount: 32, flashAttention: true, overlap: true)
    let refusal = Capabilities.torchtitan.refusal(of: strategy, split: Split([48]), job: job)
    #expect(refusal?.nearest == nearest, "\(refusal?.description ?? "none")")
  }

  @Test func furtherPredictionsStandBesideNoPipeline() throws {
    let job = try TrainingJob(
      model: try Shipped.catalog.model("deepseek-v3"), sequenceLength: 4_096, globalBatch: 64)
    func refusal(_ pattern: String) throws -> Capabilities.Refusal? {
      let strategy = try StrategyPattern(text: pattern, source: "test").completed(
        deviceCount: 32, flashAttention: true, overlap: true)
      return Capabilities.torchtitan.refusal(of: strategy, job: job)
    }
    #expect(try refusal("pipeline=2,expert=8,zero_stage=1")?.rule.contains("without a pipeline") == true)
    #expect(try refusal("pipeline=1,expert=8,zero_stage=3") == nil)
  }

  @Test(arguments: [
    ("gpt-oss-120b", "biases of query, key and value"), ("kimi-k2", ""), ("llama-3-8b", ""),
  ])
  func modelsAreTakenByTheirParts(name: String, words: String) throws {
    let job = try TrainingJob(model: try Shipped.catalog.model(name), sequenceLength: 4_096, globalBatch: 64)
    let refusal = Capabilities.torchtitan.refusal(of: job)
    #expect(
      words.isEmpty ? refusal == nil : refusal?.description.contains(words) == true, "\(String(describing: refusal))")
  }

  @Test(arguments: [Precision.fp8Delayed, .fp8Blockwise, .nvfp4, .fp16])
  func formatsWithoutAConverterAreRefusedByName(precision: Precision) throws {
    let job = try TrainingJob(
      model: try Shipped.catalog.model("llama-3-8b"), sequenceLength: 4_096, globalBatch: 64, precision: precision)
    for table in [Capabilities.torchtitan, .torchtitan02] {
      #expect(
        table.refusal(of: job)?.description
          == "\(table.label) does not train in \(precision.rawValue); nearest: precision bf16 or fp32 or tf32 or fp8-current-scaling or mxfp8"
      )
    }
  }

  @Test func splitBackwardPassesAreNotCompiled() throws {
    let job = try TrainingJob(
      model: try Shipped.catalog.model("llama-3-8b"), sequenceLength: 4_096, globalBatch: 64, precision: .mxfp8)
    let strategy = try StrategyPattern(text: "pipeline=4,schedule=zero-bubble-v", source: "test").completed(
      deviceCount: 32, flashAttention: true, overlap: true)
    #expect(Capabilities.torchtitan.refusal(of: strategy, job: job)?.nearest == "schedule=1f1b")
  }
}
