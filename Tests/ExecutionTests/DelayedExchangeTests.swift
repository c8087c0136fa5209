import Documents
import TestSupport
import Testing
import Training

@testable import Execution

/// Messages that are late: a run takes longer, and gives the same numbers.
@Suite struct DelayedExchangeTests {
  static let layouts: [(pattern: String, kind: SmallModels.ExpertKind)] = [
    ("data=4,expert=4,moe_overlap=true,zero_stage=1", .grouped),
    ("data=4,expert=2,moe_overlap=true,moe_dispatcher=deepep,zero_stage=3", .gated),
    ("pipeline=2,data=2,expert=2,virtual_stages=2,moe_overlap=true", .plain),
    (
      "tensor=2,pipeline=2,data=2,sequence_parallel=true,expert=4,virtual_stages=2,moe_overlap=true,zero_stage=1",
      .biased
    ),
    ("pipeline=2,data=2,expert=2,virtual_stages=2", .latent),
  ]

  private static func run(
    _ layout: (pattern: String, kind: SmallModels.ExpertKind), delay: Network.Delay?,
    _ edit: (inout [RankProgram]) -> Bool = { _ in true }
  ) throws -> MiniatureRun {
    let miniature = try Miniature(of: SmallPlans.expertPlan(layout.pattern, layout.kind), rankLimit: 8)
    let setting = ExecutionSetting(
      shape: miniature.shape, optimizer: OptimizerSettings(clippingNorm: 1), seed: 1, arithmetic: .fp32)
    var programs = setting.shape.programs()
    #expect(edit(&programs), "nothing to break")
    var run = MiniatureRun(setting: setting, programs: programs, usesThreads: false, delay: delay)
    for _ in 0..<2 { try run.iterate() }
    return run
  }

  /// What brings tokens to experts and back is late, all by as many turns, or what goes between stages; or every message by
  /// its own number of turns.
  private static func delays() -> [Network.Delay] {
    let exchange = [ProgramStep.Stream.experts, .tensor, .pipeline].map { stream -> Network.Delay in
      { _, _, on, _ in on == stream.index ? 7 : 0 }
    }
    let random = (0..<2).map { seed -> Network.Delay in
      { sender, receiver, stream, number in
        CounterHash(seed: UInt64(seed)).appending(sender).appending(receiver).appending(stream).appending(number)
          .integer(below: 12)
      }
    }
    return exchange + random
  }

  @Test(arguments: layouts.indices)
  func theyTakeTimeAndChangeNoNumber(index: Int) throws {
    let layout = Self.layouts[index], prompt = try Self.run(layout, delay: nil)
    var longer = 0
    for (number, delay) in Self.delays().enumerated() {
      let late = try Self.run(layout, delay: delay)
      let which = "\(layout.pattern), delay \(number)"
      #expect(late.loss == prompt.loss && late.gradientNorm == prompt.gradientNorm, "\(which)")
      #expect(late.parameters.values == prompt.parameters.values, "\(which)")
      #expect(late.ranks.map(\.machine.sentBytes) == prompt.ranks.map(\.machine.sentBytes))
      #expect(late.ranks.map(\.machine.state.memory.peak) == prompt.ranks.map(\.machine.state.memory.peak))
      #expect(late.turnCount >= prompt.turnCount)
      if late.turnCount > prompt.turnCount { longer += 1 }
    }
    // At least what brings tokens, and both that are late at random.
    #expect(longer >= 3)
  }

  /// A step that does not wait for tokens shows as soon as they are late.
  @Test func aStepThatDoesNotWaitShowsWhenTheyAreLate() throws {
    let layout = Self.layouts[0], right = try Self.run(layout, delay: nil)
    func isOfExperts(_ step: ProgramStep) -> Bool {
      if case .compute(.forward(.experts, _, _)) = step.operation { true } else { false }
    }
    let late: Network.Delay = { sender, _, _, _ in sender == 1 ? 9 : 0 }
    do {
      let wrong = try Self.run(layout, delay: late) { programs in
        guard let index = programs[0].steps.firstIndex(where: isOfExperts) else { return false }
        let step = programs[0].steps[index]
        programs[0].steps[index] = ProgramStep(stream: step.stream, operation: step.operation, waitsFor: [])
        return !step.waitsFor.isEmpty
      }
      #expect(wrong.loss != right.loss)
    } catch let failure as ExecutionFailure {
      // What the rank then sends is for nobody.
      #expect("\(failure)".contains("rank 0"))
    }
  }
}
