import Documents
import TestSupport
import Testing

@testable import Costing
@testable import Launch

/// Weights that are gathered in the format that they are multiplied in, as frameworks are told and say it.
@Suite struct NarrowWeightsLaunchTests {
  private static func plan(_ precision: Precision, _ pattern: String) throws -> Plan {
    let model = try CostModel(
      cluster: Shipped.catalog.cluster("dgx-b200-4"),
      job: TrainingJob(
        model: Shipped.catalog.model("llama-3-8b"), sequenceLength: 4_096, globalBatch: 128, precision: precision))
    let strategy = try StrategyPattern(text: pattern, source: "test").completed(
      deviceCount: 32, flashAttention: true, overlap: true)
    #expect(model.violation(of: strategy) == nil)
    let split = Split.even(layerCount: 32, stageCount: strategy.pipelineDegree, chunkCount: 1)
    return Plan(stating: strategy, split: split, on: model)
  }

  @Test(arguments: [
    (Precision.fp8Delayed, "--fp8-param-gather"), (.fp8Current, "--fp8-param-gather"),
    (.mxfp8, "--fp8-param-gather --reuse-grad-buf-for-mxfp8-param-ag"), (.nvfp4, "--fp4-param-gather"),
  ])
  func megatronIsTold(precision: Precision, flags: String) throws {
    func words(_ pattern: String) throws -> Set<String> {
      let plan = try Self.plan(precision, pattern)
      return Set(MegatronTargets.words(try MegatronLMTarget.program(of: plan), stage: 0))
    }
    let plain = try words("zero_stage=1"), narrow = try words("zero_stage=1,narrow_weights=true")
    #expect(narrow.subtracting(plain) == Set(flags.split(separator: " ").map(String.init)))
    #expect(plain.isSubset(of: narrow))
    // A single replica's optimizer is the distributed one as well.
    let alone = try words("tensor=8,pipeline=4,narrow_weights=true,virtual_stages=1")
    #expect(alone.contains("--use-distributed-optimizer"))
  }

  private static func tables(_ extra: String) -> String {
    """
    [model]
    name = "llama3"
    flavor = "8B"
    converters = ["quantize.linear.float8"]
    [quantize.linear.float8]
    \(extra)
    [training]
    local_batch_size = 1
    seq_len = 4096
    [parallelism]
    data_parallel_shard_degree = 32
    """
  }

  private static func read(_ text: String) throws -> RunConfiguration {
    try TorchtitanTablesTarget.configuration(in: [LaunchFile(name: "train.toml", text: text)], deviceCount: 32)
  }

  /// 0.2.2 names no recipe beside narrow gathers, and asserts so.
  @Test func torchtitansTablesAskForThem() throws {
    func table(_ pattern: String) throws -> String {
      let files = try TorchtitanTablesTarget.program(of: Self.plan(.fp8Current, pattern)).files
      return try #require(files.first { $0.name.hasSuffix(".toml") }).text
    }
    let plain = try table("zero_stage=3"), narrow = try table("zero_stage=3,narrow_weights=true")
    #expect(plain.contains("recipe_name = \"tensorwise\"") && !plain.contains("all_gather"))
    #expect(!narrow.contains("recipe_name"))
    #expect(narrow.contains("enable_fsdp_float8_all_gather = true\nprecompute_float8_dynamic_scale_for_fsdp = true\n"))
  }

  @Test func torchtitansTablesAreRead() throws {
    let narrow = try Self.read(Self.tables("enable_fsdp_float8_all_gather = true"))
    #expect(narrow.strategy.holdsNarrowWeights && narrow.precision == .fp8Current)
    #expect(try !Self.read(Self.tables("enable_fsdp_float8_all_gather = false")).strategy.holdsNarrowWeights)
    #expect(try !Self.read(Self.tables("recipe_name = \"tensorwise\"")).strategy.holdsNarrowWeights)
    let error = #expect(throws: DocumentError.self) {
      try Self.read(Self.tables("recipe_name = \"tensorwise\"\nenable_fsdp_float8_all_gather = true"))
    }
    #expect(error.map { "\($0)".contains("goes with no recipe_name") } == true, "\(String(describing: error))")
  }
}
