import Documents
import Foundation
import JSONText
import TestSupport
import Testing

/// A plan that somebody edited is refused with the place, unless all of it still agrees.
@Suite struct EditedPlanTests {
  /// A plan of two stages and two tensor ranks, made once.
  private static let plan = Task {
    let folder = try Workspace()
    let text = try await folder.sextant(
      "plan", "--cluster", "dgx-a100-1", "--model", "gpt2", "--global-batch", "16", "--fix",
      "tensor=2,pipeline=2,virtual_stages=1", "--json"
    ).succeeded()
    return try JSON(parsing: Array(text.utf8))
  }

  @Test(arguments: [
    ("/layer_counts", JSON.array([.integer(5), .integer(8)]), "/layer_counts: expected 12 layers in all, found 13"),
    ("/layer_counts", .array([.integer(12)]), "/layer_counts: expected an array of 2 to 2 elements"),
    ("/layer_counts", .array([.integer(12), .integer(0)]), "/layer_counts/1: expected an integer from 1 to 12"),
    ("/layer_counts", .array([.integer(1), .integer(11)]), "/stages: stages is not what the strategy says"),
    ("/groups/tensor/0", .array([.integer(0), .integer(2)]), "/groups: groups is not what the strategy says"),
    ("/groups/data", .array([]), "/groups: groups is not what the strategy says"),
    ("/placement/0/ranks/0", .integer(1), "/placement: placement is not what the strategy says"),
    ("/schedule/micro_batch_count", .integer(1), "/schedule: schedule is not what the strategy says"),
    ("/certificate/gap", .number(0.5), "/certificate/gap: the gap 0.5 does not follow"),
    ("/stages/0/first_layer", .integer(3), "/stages: stages is not what the strategy says"),
    ("/strategy/tensor", .integer(4), "/strategy: tensor 4 × pipeline 2 × data 2 is 16 ranks, not the 8 devices"),
    ("/strategy/data", .integer(1_048_576), "/strategy: "),
    ("/strategy/micro_batch", .integer(3), "/strategy: global batch 16 does not divide"),
    ("/strategy/zero_stage", .integer(4), "/strategy/zero_stage: expected an integer from 0 to 3"),
    ("/strategy/recompute", .string("partly"), "/strategy/recompute: expected one of"),
    (
      "/prediction/stage_memory/0/weights_bytes", .integer(1), "/prediction/stage_memory/0/peak_bytes: expected the sum"
    ),
    ("/prediction/iteration_seconds", .number(-1), "/prediction/iteration_seconds: expected a positive number"),
    ("/certificate/ending", .string("proven"), "/certificate/ending: expected one of"),
    ("/question/framework", .string("other"), "/question/framework: expected one of megatron-lm"),
    (
      "/question/coefficients", .string("other"), "/question/coefficients: expected a framework of the device profile"
    ),
    ("/cluster/nodes", .integer(2), "/cluster: "),
    ("/job/global_batch", .integer(17), "/strategy: global batch 17 does not divide"),
    ("/surprise", .null, "unknown key \"surprise\""),
    ("/schema", .string("sextant.plan/3"), "/schema: expected \"sextant.plan/2\" or \"sextant.plan/1\""),
  ])
  func anEditedPlanIsRefusedWithThePlace(pointer: String, value: JSON, phrase: String) async throws {
    let folder = try Workspace()
    try folder.write(try await Self.plan.value.replacing(pointer, with: value), to: "plan.json")
    try await folder.sextant("explain", "plan.json").failed(65, "sextant: plan.json: ", phrase)
  }

  @Test func aPlanOfFewerStagesOfMemoryThanItsPipelineIsRefused() async throws {
    let folder = try Workspace()
    let plan = try await Self.plan.value
    let stage = try #require(Self.member("stage_memory", of: Self.member("prediction", of: plan)))
    guard case .array(let stages) = stage else { return }
    try folder.write(
      plan.replacing("/prediction/stage_memory", with: .array(Array(stages.prefix(1)))), to: "plan.json")
    try await folder.sextant("explain", "plan.json")
      .failed(65, "/prediction: stage_memory is of 1 stages, but the pipeline has 2")
  }

  /// The summary once trapped on a rate beyond the integers; what is the file's own claim may be any number.
  @Test func anAlternativeOfAbsurdRatesIsExplained() async throws {
    let folder = try Workspace()
    let plan = try await Self.plan.value.replacing("/alternatives/0/tokens_per_second_per_device", with: .number(1e300))
    try folder.write(plan, to: "plan.json")
    let text = try await folder.sextant("explain", "plan.json").succeeded()
    #expect(
      text.hasPrefix("Other strategies and the search below are the file's own claim") && text.contains("1.0e+300"))
  }

  @Test(arguments: [
    ("/prediction/iteration_seconds", JSON.number(1e300)), ("/prediction/model_flop_utilization", .number(0.99)),
    ("/arrangement/given_order_seconds", .number(1)),
  ])
  func whatAPlanStatesOfItselfIsExplainedOnlyIfItIsSo(pointer: String, value: JSON) async throws {
    let folder = try Workspace()
    try folder.write(try await Self.plan.value.replacing(pointer, with: value), to: "plan.json")
    try await folder.sextant("explain", "plan.json").failed(3, "plan.json: does not hold: /")
  }

  @Test(arguments: [0.1, 0.5, 0.9, 0.999])
  func aTruncatedPlanIsRefusedWithTheLine(share: Double) async throws {
    let folder = try Workspace()
    let text = try await Self.plan.value.text(style: .pretty)
    try folder.write(String(text.prefix(Int(Double(text.count) * share))), to: "plan.json")
    try await folder.sextant("explain", "plan.json").failed(65, "plan.json: line ", "unexpected end of the text")
  }

  @Test func anotherKindOfDocumentIsNoPlan() async throws {
    let cluster = "\(Shipped.root)/Clusters/dgx-a100-1.json"
    try await Workspace().sextant("explain", cluster).failed(65, "/schema: expected \"sextant.plan/2\"")
  }

  private static func member(_ key: String, of json: JSON?) -> JSON? {
    guard case .object(let members) = json else { return nil }
    return members.first { $0.key == key }?.value
  }
}
