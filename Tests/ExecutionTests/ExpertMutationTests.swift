import Documents
import TestSupport
import Testing
import Training

@testable import Execution

/// Programs of models with experts that were broken in one place are refused, before they run or by what comes of them.
@Suite struct ExpertMutationTests {
  typealias Mutation = ProgramMutationTests.Mutation

  static let exchanged = "data=4,expert=2,zero_stage=1"
  static let shared = "tensor=2,data=2,sequence_parallel=true,expert=2,expert_tensor=2"

  private static func goes(_ tensor: RoutedTensor) -> @Sendable (ProgramStep) -> Bool {
    { $0.isCollective(.routed(tensor)) }
  }

  static let mutations: [Mutation] = {
    var all: [Mutation] = []
    all.append(
      Mutation("an expert is held twice", "of layer 1 is held twice, by ranks 0 and 1", plan: exchanged) { programs in
        guard let index = programs[1].parts.firstIndex(of: .experts(1, 2..<4)) else { return false }
        programs[1].parts[index] = .experts(1, 0..<2)
        return true
      })
    all.append(
      Mutation("experts are held by nobody", "is held by nobody", plan: exchanged) {
        $0.removePart(.experts(1, 2..<4), of: [1])
      })
    all.append(
      Mutation("two ranks exchange their experts", "held by nobody", plan: exchanged) { programs in
        for (rank, own, other) in [(0, 0..<2, 2..<4), (1, 2..<4, 0..<2)] {
          guard let index = programs[rank].parts.firstIndex(of: .experts(1, own)) else { return false }
          programs[rank].parts[index] = .experts(1, other)
        }
        return true
      })
    all.append(
      Mutation("a rank has experts of a layer that is not its own", "no token is sent", plan: exchanged) { programs in
        programs[0].parts.append(.experts(99, 0..<2))
        return true
      })
    all.append(
      Mutation("tokens are not sent from one rank", "tokens", plan: exchanged) { $0.drop(1, where: goes(.tokens)) })
    all.append(
      Mutation("tokens are sent nowhere", "tokens", plan: exchanged) { programs in
        programs.indices.allSatisfy { programs.drop($0, where: goes(.tokens)) }
      })
    all.append(
      Mutation("gradients of weights do not come back", "gradient of the weights of experts", plan: exchanged) {
        programs in programs.indices.allSatisfy { programs.drop($0, where: goes(.weightsGradient)) }
      })
    all.append(
      Mutation("tokens go to ranks that have the same experts", "(tokens) over ranks 0, 2", plan: exchanged) {
        programs in
        var found = false
        for rank in programs.indices {
          found =
            programs.editCollective(rank, { $0.operand == .routed(.tokens) }) {
              $0.with(group: [rank % 2, rank % 2 + 2])
            } || found
        }
        return found
      })
    all.append(
      Mutation("experts are not computed", "experts of layer 1", plan: exchanged) {
        $0.drop(2, where: { if case .compute(.forward(.experts, .layer(1), _)) = $0.operation { true } else { false } })
      })
    all.append(
      Mutation("experts' gradients are averaged over those that have the same", "average", plan: exchanged) {
        $0.edit(
          1, where: { if case .compute(.averageGradients) = $0.operation { true } else { false } },
          { _, _ in .operation(.compute(.averageGradients(replicaCount: 2))) })
      })
    all.append(
      Mutation("experts' gradients are summed with those of others", "are no group of the layout", plan: exchanged) {
        $0.editCollective(0, { Self.isOfExperts($0) }) {
          $0.with(group: [0, 1])
        }
      })
    all.append(
      Mutation("parts of a width are not gathered", "tokens", plan: shared) { programs in
        programs.indices.allSatisfy { rank in
          programs.drop(rank) {
            if case .collective(let it) = $0.operation {
              it.operand == .routed(.tokens) && it.kind == .allGather
            } else {
              false
            }
          }
        }
      })
    return all
  }()

  private static func isOfExperts(_ collective: Collective) -> Bool {
    if case .exchanged(let exchange, _, _) = collective.operand { exchange.isOfExperts } else { false }
  }

  @Test(arguments: mutations)
  func aBrokenProgramIsRefusedForTheRightReason(mutation: Mutation) throws {
    let shape = try Miniature(of: SmallPlans.expertPlan(mutation.plan, .plain), rankLimit: 8).shape
    try mutation.isRefused(by: shape)
  }

  /// What no check of programs would have seen: rows that come to a rank without their experts.
  @Test func aTokenOnTheWrongRankIsRefused() throws {
    let miniature = try Miniature(of: SmallPlans.expertPlan(Self.exchanged, .plain), rankLimit: 8)
    let shape = miniature.shape
    var programs = shape.programs()
    for rank in programs.indices {
      _ = programs.editCollective(rank, { $0.operand == .routed(.tokens) }) {
        $0.with(group: $0.group.reversed())
      }
    }
    #expect(shape.defect(in: programs) != nil)
    #expect {
      try DryRun(miniature, options: DryRun.Options(stepCount: 1), shape: shape, programs: programs)
    } throws: {
      "\($0)".contains("does not belong there: it is for experts")
    }
  }

  /// Nor this: gradients of experts divided by as many as have the same ones, and not by as many as have tokens.
  @Test func anotherDivisorShowsInTheNumbers() throws {
    let miniature = try Miniature(of: SmallPlans.expertPlan(Self.exchanged, .plain), rankLimit: 8)
    let shape = miniature.shape
    var programs = shape.programs()
    for rank in programs.indices {
      let isEdited = programs.edit(
        rank, where: { if case .compute(.averageGradients) = $0.operation { true } else { false } },
        { _, _ in .operation(.compute(.averageGradients(replicaCount: 2))) })
      #expect(isEdited)
    }
    let run = try DryRun(
      miniature, options: DryRun.Options(stepCount: 1, optimizer: .sgd), shape: shape, programs: programs)
    #expect(run.disagreements.contains { $0.contains("the gradient's norm") })
  }
}
