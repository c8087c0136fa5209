import Documents
import TestSupport
import Testing
import Training

@testable import Execution

/// Programs of models with further predictions that were broken in one place are refused, before they run or by what comes of
/// them.
@Suite struct PredictionMutationTests {
  typealias Mutation = ProgramMutationTests.Mutation

  static let staged = "pipeline=2,data=2", divided = "tensor=2,data=2,sequence_parallel=true"

  private static func isSum(_ step: ProgramStep) -> Bool {
    guard case .collective(let it) = step.operation, case .exchanged(let exchange, _, _) = it.operand else {
      return false
    }
    return exchange.content == .tiedMatrixGradient
  }

  private static func isForward(_ piece: ModelPiece) -> @Sendable (ProgramStep) -> Bool {
    { step in
      if case .compute(.forward(let found, .prediction, _)) = step.operation { found == piece } else { false }
    }
  }

  static let mutations: [Mutation] = {
    var all: [Mutation] = []
    all.append(
      Mutation("the table's gradient is summed nowhere", "gradient of the tied matrix", plan: staged) { programs in
        programs.indices.allSatisfy { programs.drop($0, where: isSum) }
      })
    all.append(
      Mutation("the table's gradient is summed on one end alone", "gradient of the tied matrix", plan: staged) {
        $0.drop(2, where: isSum)
      })
    all.append(
      Mutation("a further prediction is held by nobody", "held by nobody", plan: staged) {
        $0.removePart(.prediction(8), of: [2, 3])
      })
    all.append(
      Mutation("a further prediction is on the first stage", "is on stage 0", plan: staged) { programs in
        for rank in [2, 3] {
          guard let index = programs[rank].parts.firstIndex(of: .prediction(8)) else { return false }
          programs[rank].parts.remove(at: index)
          programs[rank - 2].parts.append(.prediction(8))
        }
        return true
      })
    all.append(
      Mutation("tokens further on are not looked up", "embedding rows of further tokens", plan: staged) {
        $0.drop(2, where: isForward(.predictionEmbedding))
      })
    all.append(
      Mutation("two vectors are not brought to one", "prediction projection", plan: divided) {
        $0.drop(1, where: isForward(.predictionProjection))
      })
    all.append(
      Mutation("a prediction has no loss", "loss", plan: staged) { $0.drop(3, where: isForward(.loss)) })
    all.append(
      Mutation("columns are not gathered", "columns of a further prediction", plan: divided) { programs in
        programs.indices.allSatisfy { programs.drop($0) { $0.isCollective(.columns) } }
      })
    all.append(
      Mutation("both vectors are not gathered", "input of a further prediction", plan: divided) { programs in
        programs.indices.allSatisfy { programs.drop($0) { $0.isCollective(.joined) } }
      })
    return all
  }()

  @Test(arguments: mutations)
  func aBrokenProgramIsRefusedForTheRightReason(mutation: Mutation) throws {
    let shape = try Miniature(of: PredictionDryRunTests.plan(mutation.plan, .plain, depth: 1), rankLimit: 8).shape
    try mutation.isRefused(by: shape)
  }

  /// What no check is asked: each end steps by its own addend of the table's gradient.
  @Test func aMissingSumShowsInTheNumbers() throws {
    let miniature = try Miniature(of: PredictionDryRunTests.plan(Self.staged, .plain, depth: 1), rankLimit: 8)
    let shape = miniature.shape
    var programs = shape.programs()
    for rank in programs.indices {
      let isDropped = programs.drop(rank, where: Self.isSum)
      #expect(isDropped)
    }
    let run = try DryRun(
      miniature, options: DryRun.Options(stepCount: 1, optimizer: .sgd), shape: shape, programs: programs)
    for sentence in ["the gradient's norm", "the update of embedding", "replicas hold different parameters"] {
      #expect(run.disagreements.contains { $0.contains(sentence) }, "\(run.disagreements)")
    }
  }
}
