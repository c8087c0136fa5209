import Documents
import Foundation
import JSONText
import TestSupport
import Testing

/// Shard levels and quantised collectives, as `plan`, `explain` and `verify` treat them.
@Suite struct ShardingCommandTests {
  /// Eight nodes' worth of a small model, without tensor groups and stages.
  private static func request(_ rest: String..., fix: String = "") -> [String] {
    ["plan", "--cluster", "dgx-a100-4", "--model", "gpt2", "--global-batch", "64", "--framework", "any"] + rest
      + ["--fix", "tensor=1,pipeline=1" + fix]
  }

  @Test func whatIsKnownCanBeAllowedAndOnlyWithItsTolerance() async throws {
    let folder = try Workspace()
    func failed(_ arguments: [String], _ phrase: String) async throws {
      try await folder.sextant(arguments).failed(64, phrase)
    }
    try await failed(Self.request("--allow", "co2"), "--outer-period has to say how many iterations")
    try await failed(Self.request("--allow", "zeroth-order", "--tolerance", "0.1"), "--tolerance is for --allow zero++")
    try await failed(Self.request(fix: ",update=zeroth-order"), "needs zeroth-order allowed")
    try await failed(Self.request("--allow", "zero++,co2", "--tolerance", "0.1"), "--outer-period has to say")
    try await failed(
      Self.request("--allow", "fp4", "--tolerance", "0.1"),
      "--allow knows zero++, zeroth-order, co2, low-precision, not \"fp4\"")
    try await failed(Self.request("--allow", "zero++"), "--tolerance has to say by how much")
    try await failed(Self.request("--tolerance", "0.1"), "--tolerance is for --allow zero++")
    for tolerance in ["0", "-1", "2", "nan"] {
      try await failed(Self.request("--allow", "zero++", "--tolerance=\(tolerance)"), "a fraction from 1e-9 to 1")
    }
    try await failed(Self.request(fix: ",quantise_gradients=true"), "needs zero++ allowed")
  }

  @Test func whatIsAllowedIsInThePlanAndSearchedAgainByVerify() async throws {
    let folder = try Workspace()
    let summary = try await folder.sextant(
      Self.request(
        "--allow", "zero++", "--tolerance", "0.2", "--output", "plan.json",
        fix: ",zero_stage=3,quantise_weights=true,quantise_gradients=true")
    ).succeeded()
    #expect(summary.contains("Numerically different: INT8 gathers of weights between nodes, relative error 0.8 %"))
    #expect(summary.contains("Numerically different: INT4 exchange of gradients between nodes, relative error 1"))
    let plan = try Plan(contentsOf: folder.file("plan.json"))
    #expect(plan.question.allowance == Allowance(quantisationTolerance: 0.2))
    #expect(plan.strategy.sharding.quantisesWeights && plan.strategy.sharding.quantisesGradients)
    #expect(plan.shardingOptions.map(\.name).starts(with: ["this plan", "the same, exact"]))
    try await folder.sextant("verify", "plan.json").succeeded()
    #expect(
      try await folder.sextant("explain", "plan.json").succeeded().contains(summary.replacing(" (default)", with: "")))

    // What was allowed is part of what was searched.
    let text = try folder.text(of: "plan.json")
    let json = try JSON(parsing: Array(text.utf8))
    try folder.write(json.replacing("/question/allowed/tolerance", with: .number(0.02)), to: "less.json")
    try await folder.sextant("explain", "less.json").failed(65, "/strategy: the strategy changes values by more")
    try folder.write(json.replacing("/question/allowed", with: .null), to: "none.json")
    try await folder.sextant("verify", "none.json").failed(65, "/strategy: the strategy changes values by more")
    try folder.write(json.replacing("/decisions/0/class", with: .string("numerically-different")), to: "class.json")
    try await folder.sextant("verify", "class.json").failed(65, "/decisions: decisions is not what the strategy says")
    try folder.write(json.replacing("/sharding_options/1/sent_bytes/0", with: .integer(1)), to: "bytes.json")
    try await folder.sextant("verify", "bytes.json").failed(3, "/sharding_options/1/sent_bytes/0 states 1")
  }

  @Test func aLittleToleranceAdmitsWeightsOnly() async throws {
    let folder = try Workspace()
    try await folder.sextant(
      Self.request(
        "--allow", "zero++", "--tolerance", "0.02", fix: ",zero_stage=3,quantise_gradients=true")
    ).failed(2, "no feasible plan")
    try await folder.sextant(
      Self.request("--allow", "zero++", "--tolerance", "0.02", fix: ",zero_stage=3,quantise_weights=true")
    ).succeeded()
  }

  @Test func withoutAllowanceNothingChangesValues() async throws {
    let folder = try Workspace()
    try await folder.sextant(Self.request("--top", "100", "--output", "plan.json")).succeeded()
    let plan = try Plan(contentsOf: folder.file("plan.json"))
    #expect(plan.decisions.allSatisfy { $0.effect == .exact })
    #expect(plan.alternatives.allSatisfy { !$0.strategy.sharding.isQuantised })
    #expect(plan.alternatives.contains { $0.strategy.hasShardLevels })
  }

  @Test func degreesThatAreFixedNeedNotBeALevels() async throws {
    let folder = try Workspace()
    let summary = try await folder.sextant(
      Self.request("--output", "plan.json", fix: ",weight_shards=2,gradient_shards=4,optimizer_shards=16")
    ).succeeded()
    #expect(summary.contains("weights over 2, gradients over 4, optimizer states over 16 replicas"))
    #expect(summary.contains("z3(2|4|16)"))
    #expect(summary.contains("no known framework can be told all of it"))
    #expect(summary.contains("ZeRO 3: "))
    let plan = try Plan(contentsOf: folder.file("plan.json"))
    let names = plan.shardingOptions.map(\.name)
    #expect(names == ["this plan", "ZeRO 3", "hybrid within the node", "hpZ", "ZeRO++"])
    try await folder.sextant("verify", "plan.json").succeeded()
    try await folder.sextant(Self.request(fix: ",weight_shards=3")).failed(2, "shard degrees are not nested")
    try await folder.sextant(
      "plan", "--cluster", "dgx-a100-4", "--model", "gpt2", "--global-batch", "64", "--framework", "any",
      "--fix", "pipeline=2,weight_shards=2"
    ).failed(2, "shard levels with a pipeline")
  }
}
