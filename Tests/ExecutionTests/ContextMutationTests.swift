import Documents
import Testing
import Training

@testable import Execution

/// Programs of divided sequences that were broken in one place are refused, for the right reason; and what no check of
/// programs sees shows in the numbers.
@Suite struct ContextMutationTests {
  typealias Mutation = ProgramMutationTests.Mutation

  static let ring = "context=4,data=2,zero_stage=1"
  static let gather = "context=4,data=2,context_exchange=all-gather"
  static let heads = "context=4,data=2,context_exchange=all-to-all"

  private static func tensor(_ tensor: AttentionTensor) -> @Sendable (ProgramStep) -> Bool {
    { $0.isCollective(.attention(tensor)) }
  }

  static let mutations: [Mutation] = {
    var all: [Mutation] = []
    all.append(
      Mutation("a hop of keys is missing on one rank", "rank 3", plan: ring) {
        $0.drop(3, where: tensor(.keysValues))
      })
    all.append(
      Mutation("a hop of keys is missing on all ranks", "keys and values", plan: ring) { programs in
        programs.indices.allSatisfy { programs.drop($0, where: tensor(.keysValues)) }
      })
    all.append(
      Mutation("a hop of gradients is missing on all ranks", "gradient of keys and values", plan: ring) {
        programs in programs.indices.allSatisfy { programs.drop($0, where: tensor(.keysValuesGradient)) }
      })
    all.append(
      Mutation("keys go round the wrong way", "keys and values", plan: ring) {
        $0.editEverywhere(tensor(.keysValues)) { $0.with(kind: .shiftBack) }
      })
    all.append(
      Mutation("keys go round too few ranks", "keys and values", plan: ring) { programs in
        var found = false
        for rank in programs.indices {
          found =
            programs.editCollective(rank, { $0.operand == .attention(.keysValues) }) {
              $0.with(group: $0.group.filter { $0 / 2 == rank / 2 })
            } || found
        }
        return found
      })
    all.append(
      Mutation("an attention step is missing", "attention to the next keys", plan: ring) {
        $0.drop(2, where: { if case .compute(.forward(.attentionNext, _, _)) = $0.operation { true } else { false } })
      })
    all.append(
      Mutation("gradients of keys are not summed", "gradient of keys and values", plan: gather) {
        programs in programs.indices.allSatisfy { programs.drop($0, where: tensor(.keysValuesGradient)) }
      })
    all.append(
      Mutation("the output is not given back", "attention output", plan: heads) { programs in
        programs.indices.allSatisfy { programs.drop($0, where: tensor(.output)) }
      })
    all.append(
      Mutation("gradients are averaged over data alone", "average", plan: ring) { programs in
        programs.edit(
          1, where: { if case .compute(.averageGradients) = $0.operation { true } else { false } },
          { _, _ in .operation(.compute(.averageGradients(replicaCount: 2))) })
      })
    all.append(
      Mutation("gradients are summed over data alone", "gradients", plan: "context=4,data=2") {
        programs in
        var found = false
        for rank in programs.indices {
          found =
            programs.editCollective(rank, { $0.traffic == .data }) {
              $0.with(group: $0.group.filter { $0 % 4 == rank % 4 })
            } || found
        }
        return found
      })
    return all
  }()

  @Test(arguments: mutations)
  func aBrokenProgramIsRefusedForTheRightReason(mutation: Mutation) throws {
    let shape = try Miniature(
      of: SmallPlans.plan(mutation.plan, .llama, isTied: false, deviceCount: 8), rankLimit: 8
    ).shape
    try mutation.isRefused(by: shape)
  }
}
