import Costing
import Documents
import JSONText
import TestSupport
import Testing

@testable import Launch

/// Mixtures of experts under DeepSpeed: its section `expert_parallel`, and the way back.
@Suite struct DeepSpeedMixtureTests {
  private func plan(_ model: String, _ pattern: String) throws -> Plan {
    let job = try TrainingJob(model: try Shipped.catalog.model(model), sequenceLength: 4_096, globalBatch: 256)
    let costs = try CostModel(cluster: try Shipped.catalog.cluster("dgx-h100-16"), job: job)
    let strategy = try StrategyPattern(text: "pipeline=1,micro_batch=1,\(pattern)", source: "test").completed(
      deviceCount: costs.deviceCount, flashAttention: true, overlap: true)
    #expect(costs.violation(of: strategy) == nil, "\(pattern)")
    return Plan(stating: strategy, split: Split([job.model.layerCount]), on: costs)
  }

  @Test(arguments: [
    ("qwen3-30b-a3b", "expert=8,zero_stage=1"), ("qwen3-30b-a3b", "expert=32,zero_stage=2"),
    ("qwen3-30b-a3b", "expert=16,zero_stage=3,recompute=full"), ("mixtral-8x7b", "expert=8,zero_stage=3"),
    ("mixtral-8x7b", "context=2,context_exchange=all-to-all,expert=4,zero_stage=2"),
    ("deepseek-v3", "expert=64,zero_stage=3"), ("mixtral-8x7b", "zero_stage=3"),
  ])
  func plansComeBack(model: String, pattern: String) throws {
    let plan = try plan(model, pattern)
    let files = try DeepSpeedTarget.program(of: plan).files
    let json = try JSON(parsing: Array(try #require(files.first { $0.name == "deepspeed.json" }).text.utf8))
    try TargetTable("deepspeed").check(json, below: "", pattern)
    let expert = plan.strategy.expertDegree
    #expect(
      json.text(style: .compact).contains("\"expert_parallel\":{\"enabled\":true,\"autoep_size\":\(expert)}")
        == (expert > 1), "\(pattern)")
    let run = try DeepSpeedTarget.configuration(in: files, deviceCount: plan.deviceCount)
    #expect(run.strategy == plan.strategy, "\(pattern)")
    #expect(DeepSpeedTarget.groups(of: run) == MegatronProgramTests.groups(of: plan), "\(pattern)")
  }

  /// The example of `_create_expert_and_data_parallel`, two of 16 ranks to a group; and what its
  /// `expected_folding_group_tables` says of four.
  @Test(arguments: [
    (2, (0..<8).map { [2 * $0, 2 * $0 + 1] }, [[0, 2, 4, 6, 8, 10, 12, 14], [1, 3, 5, 7, 9, 11, 13, 15]]),
    (
      4, [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], [12, 13, 14, 15]],
      [[0, 4, 8, 12], [1, 5, 9, 13], [2, 6, 10, 14], [3, 7, 11, 15]]
    ),
  ])
  func consecutiveRanksDivideExperts(degree: Int, expert: [[Int]], expertData: [[Int]]) throws {
    let text = """
      {"train_micro_batch_size_per_gpu": 1, "expert_parallel": {"enabled": true, "autoep_size": \(degree)},
       "zero_optimization": {"stage": 2}}
      """
    let run = try DeepSpeedTarget.configuration(
      in: [LaunchFile(name: "ds.json", text: text)], deviceCount: 16)
    let groups = DeepSpeedTarget.groups(of: run)
    #expect(groups["expert"] == expert && groups["expert_data"] == expertData)
    #expect(run.strategy.expertMesh.groups(along: .expert).map(\.ranks) == expert)
    #expect(run.strategy.dispatcher == .allToAll)
  }

  @Test(arguments: [
    (
      #"{"enabled": true, "autoep_size": 3}"#, "",
      "ds.json: /expert_parallel: autoep_size 3 does not divide the 16 ranks"
    ),
    (
      #"{"enabled": true, "autoep_size": 4, "expert_tensor_parallel_size": 2}"#, "",
      "ds.json: /expert_parallel: expert_tensor_parallel_size is 1, and reserved for others"
    ),
    (
      #"{"enabled": true, "autoep_size": 4}"#, #""tensor_parallel": {"autotp_size": 2}, "#,
      "ds.json: /expert_parallel: expert_parallel beside tensor_parallel is not supported"
    ),
    (#"{"enabled": false, "autoep_size": 3}"#, "", "none"),
  ])
  func sectionsThatDeepSpeedWouldRefuse(section: String, others: String, sentence: String) throws {
    let text = "{\(others)\"train_micro_batch_size_per_gpu\": 1, \"expert_parallel\": \(section)}"
    let files = [LaunchFile(name: "ds.json", text: text)]
    do {
      let run = try DeepSpeedTarget.configuration(in: files, deviceCount: 16)
      #expect(sentence == "none" && run.strategy.expertDivision == .none)
    } catch {
      #expect(error.description == sentence)
    }
  }

  @Test(arguments: [
    ("qwen3-30b-a3b", "expert=8,moe_dispatcher=deepep,zero_stage=3", "moe_dispatcher=alltoall"),
    ("qwen3-30b-a3b", "tensor=2,expert=8,zero_stage=1", "tensor=1"),
    ("qwen3-30b-a3b", "expert=8,weight_shards=8,gradient_shards=8,optimizer_shards=8", "zero_stage=2"),
    ("qwen3-30b-a3b", "context=2,context_exchange=all-to-all,expert=8,zero_stage=3", "zero_stage=2"),
    ("gpt-oss-120b", "expert=8,zero_stage=3", "expert=1"),
  ])
  func divisionsThatDeepSpeedHasNotAreRefused(model: String, pattern: String, nearest: String) throws {
    let job = try TrainingJob(model: try Shipped.catalog.model(model), sequenceLength: 4_096, globalBatch: 256)
    let strategy = try StrategyPattern(text: "pipeline=1,\(pattern)", source: "test").completed(
      deviceCount: 128, flashAttention: true, overlap: true)
    let table = Capabilities.deepSpeed
    let refusal =
      table.refusal(ofContext: strategy) ?? table.refusal(ofExperts: strategy) ?? table.refusal(of: strategy, job: job)
    #expect(refusal?.nearest == nearest, "\(refusal?.description ?? "none")")
  }
}
