import Documents
import JSONText
import Search
import TestSupport
import Testing

@testable import Execution

/// Plans that somebody edited: every field that says something is refused when it says something else.
@Suite struct PlanMutationTests {
  struct Mutation: Sendable, CustomTestStringConvertible {
    let pointer: String
    let value: JSON
    let phrase: String
    var testDescription: String { "\(pointer) \(phrase)" }

    init(_ pointer: String, _ value: JSON, _ phrase: String) {
      self.pointer = pointer
      self.value = value
      self.phrase = phrase
    }
  }

  static let mutations: [Mutation] = [
    // The strategy.
    .init("/strategy/tensor", .integer(4), "is 16 ranks, not the 8 devices"),
    .init("/strategy/pipeline", .integer(4), "is 16 ranks, not the 8 devices"),
    .init("/strategy/data", .integer(1), "is 4 ranks, not the 8 devices"),
    .init("/strategy/virtual_stages", .integer(3), "the schedule \"1f1b\" has no virtual stages"),
    .init("/strategy/flash_attention", .boolean(false), "/prediction/time/compute_seconds states"),
    .init("/strategy/micro_batch", .integer(5), "global batch 48 does not divide"),
    .init("/strategy/micro_batch", .integer(2), "schedule is not what the strategy says"),
    .init("/strategy/zero_stage", .integer(1), "/prediction/"),
    .init("/strategy/zero_stage", .integer(4), "expected an integer from 0 to 3"),
    .init("/strategy/recompute", .string("full"), "is not what the strategy says"),
    .init("/strategy/sequence_parallel", .boolean(true), "/prediction/iteration_seconds states"),
    // Who does what.
    .init("/layer_counts", .array([.integer(5), .integer(3)]), "stages is not what"),
    .init("/layer_counts", .array([.integer(4), .integer(5)]), "expected 8 layers in all, found 9"),
    .init("/layer_counts", .array([.integer(4), .integer(3)]), "expected 8 layers in all, found 7"),
    .init("/layer_counts", .array([.integer(8), .integer(0)]), "expected an integer from 1 to 8"),
    .init("/layer_counts", .array([.integer(8)]), "expected an array of 2"),
    .init("/stages/1/first_layer", .integer(5), "stages is not what the strategy says"),
    .init("/stages/0/layer_count", .integer(5), "stages is not what the strategy says"),
    .init("/stages/1/has_embedding", .boolean(true), "stages is not what the strategy says"),
    .init("/groups/tensor/0", .array([.integer(0), .integer(2)]), "groups is not what"),
    .init("/groups/data/1", .array([.integer(3), .integer(1)]), "groups is not what"),
    .init("/groups/pipeline", .array([]), "groups is not what the strategy says"),
    .init("/placement/0/ranks/0", .integer(7), "placement is not what the strategy says"),
    .init("/placement/1/node", .string("n0"), "placement is not what the strategy says"),
    .init("/schedule/kind", .string("gpipe"), "schedule is not what the strategy says"),
    .init("/schedule/micro_batch_count", .integer(1), "schedule is not what"),
    .init("/arrangement/nodes", .strings(["n0", "n0"]), "node \"n0\" is used twice"),
    .init("/arrangement/nodes", .strings(["n0"]), "1 nodes are arranged, but the question is of 2"),
    .init("/arrangement/nodes", .strings(["n0", "n7"]), "the cluster has no node \"n7\""),
    // What it costs.
    .init("/prediction/iteration_seconds", .number(1e-3), "/prediction/iteration_seconds states"),
    .init("/prediction/verdict", .string("risky"), "/prediction/verdict states risky"),
    .init("/prediction/model_flop_utilization", .number(0.9), "model_flop_utilization states"),
    .init("/prediction/time/compute_seconds", .number(9), "/prediction/time/compute_seconds states"),
    .init("/prediction/stage_memory/0/weights_bytes", .integer(1), "expected the sum"),
    .init("/prediction/stage_memory", .array([]), "/prediction/stage_memory"),
    // What it is computed from.
    .init("/job/global_batch", .integer(47), "global batch 47 does not divide"),
    .init("/job/global_batch", .integer(96), "schedule is not what the strategy says"),
    .init("/job/sequence_length", .integer(32), "/prediction/iteration_seconds states"),
    .init("/job/model/layers", .integer(9), "expected 9 layers in all, found 8"),
    .init("/job/model/hidden", .integer(128), "/prediction/iteration_seconds states"),
    .init("/job/precision", .string("fp32"), "the device has no FlashAttention"),
    .init("/cluster/device/datasheet/memory_bytes", .integer(1_000_000), "/prediction/"),
    .init("/cluster/levels/0/bytes_per_second", .number(1e9), "/prediction/iteration_seconds states"),
    .init("/cluster/devices_per_node", .integer(8), "/cluster"),
    .init("/question/coefficients", .string("other"), "expected a framework of the device profile"),
    .init("/question/coefficients", .string("megatron-lm of my own"), "expected a framework of the device profile"),
    .init("/question/framework", .string("nanotron"), "/strategy: nanotron (0.4) does not train gpt models"),
    .init("/question/framework", .string("other"), "expected one of megatron-lm, "),
    .init("/question/fixed/tensor", .integer(1), "does not agree with what is fixed"),
    .init("/question/nodes", .integer(1), "2 nodes are arranged, but the question is of 1"),
    .init("/certificate/gap", .number(0.5), "the gap 0.5 does not follow"),
    .init("/schema", .string("sextant.plan/3"), "expected \"sextant.plan/2\" or \"sextant.plan/1\""),
    .init("/surprise", .null, "unknown key \"surprise\""),
  ]

  static func json() throws -> JSON {
    try SmallPlans.plan("tensor=2,pipeline=2,data=2,micro_batch=1", .gpt, isTied: true, deviceCount: 8).json
  }

  /// Why a plan is not run; nil if it is.
  static func refusal(of json: JSON) throws -> String? {
    let plan: Plan
    do {
      plan = try Plan(parse(Array(json.text(style: .pretty).utf8), source: "plan.json"))
    } catch {
      return "\(error)"
    }
    if let first = try PlanVerification.disagreementsWithoutSearch(of: plan).first {
      return "\(first.path) states \(first.stated), but the model says \(first.computed)"
    }
    return plan.memoryExcess.map { "stage \($0.stage) needs \($0.peakBytes) bytes" }
  }

  @Test func theUneditedPlanIsRun() throws { #expect(try Self.refusal(of: Self.json()) == nil) }

  @Test(arguments: mutations)
  func anEditedFieldIsRefusedForTheRightReason(mutation: Mutation) throws {
    let refusal = try #require(
      try Self.refusal(of: Self.json().replacing(mutation.pointer, with: mutation.value)))
    #expect(refusal.contains(mutation.phrase), "\(refusal)")
  }

  /// A plan that says the truth and needs more than a device has.
  @Test func aPlanOverTheMemoryLimitIsRefused() throws {
    let plan = try statedPlan(
      "tensor=1,pipeline=1,data=8", cluster: "dgx-a100-1", model: "llama-2-70b", globalBatch: 8, sequenceLength: 512)
    let refusal = try #require(try Self.refusal(of: plan.json))
    #expect(refusal.hasPrefix("stage 0 needs "), "\(refusal)")
  }
}
