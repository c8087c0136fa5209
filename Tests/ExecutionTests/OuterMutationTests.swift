import Testing
import Training

@testable import Documents
@testable import Execution

/// Programs of workers with outer steps that were broken in one place are refused before they run, for the right reason.
@Suite struct OuterMutationTests {
  typealias Layout = OuterLayout

  struct Mutation: Sendable, CustomTestStringConvertible {
    let name: String
    /// What the refusal says.
    let phrase: String
    var layout = Layout(workers: 3, data: 2, zero: 1)
    var stretch = Stretch.usual
    let apply: @Sendable (inout [RankProgram]) -> Bool
    var testDescription: String { name }
  }

  static let late = Layout(workers: 3, data: 2, zero: 1)
  static let onTime = Layout(workers: 3, data: 2, step: OuterStep(period: 2))
  static let rounded = Layout(workers: 3, step: OuterStep(period: 2, staleness: 1, format: .bf16))

  private static func isProgress(_ step: ProgramStep) -> Bool { step.isCollective("progress of workers") }
  private static func isStep(_ step: ProgramStep) -> Bool {
    if case .compute(.outerStep) = step.operation { true } else { false }
  }

  /// Replaces all waits for collectives between workers.
  private static func stopWaiting(_ programs: inout [RankProgram]) -> Bool {
    var found = false
    for rank in programs.indices {
      for (index, step) in programs[rank].steps.enumerated() {
        let waits = step.waitsFor.filter { programs[rank].steps[$0].stream != .outer }
        guard waits.count < step.waitsFor.count else { continue }
        programs[rank].steps[index] = ProgramStep(stream: step.stream, operation: step.operation, waitsFor: waits)
        found = true
      }
    }
    return found
  }

  /// Puts every step that matches right after the first that does otherwise, with no waits of its own.
  private static func move(
    _ programs: inout [RankProgram], _ matches: (ProgramStep) -> Bool, after: (ProgramStep) -> Bool
  ) -> Bool {
    for rank in programs.indices {
      guard let index = programs[rank].steps.firstIndex(where: matches) else { return false }
      let step = programs[rank].steps[index]
      programs[rank].remove(index)
      guard let place = programs[rank].steps.firstIndex(where: after) else { return false }
      programs[rank].steps.insert(ProgramStep(stream: step.stream, operation: step.operation), at: place + 1)
      for later in place + 2..<programs[rank].steps.count {
        let other = programs[rank].steps[later]
        programs[rank].steps[later] = ProgramStep(
          stream: other.stream, operation: other.operation,
          waitsFor: other.waitsFor.map { $0 > place ? $0 + 1 : $0 })
      }
    }
    return true
  }

  static let mutations: [Mutation] = [
    Mutation(name: "a late outer step does not wait", phrase: "does not wait for", layout: late) { stopWaiting(&$0) },
    Mutation(name: "the closing step does not wait", phrase: "does not wait for", layout: late, stretch: .closing) {
      stopWaiting(&$0)
    },
    Mutation(name: "an outer step on time does not wait", phrase: "does not wait for", layout: onTime) {
      stopWaiting(&$0)
    },
    Mutation(name: "the sum begins before what it is of", phrase: "does not wait for", layout: onTime) { programs in
      programs.edit(0, where: isProgress) { _, _ in .keep(waitsFor: []) }
    },
    Mutation(name: "a missed round", phrase: "steps by the mean over no workers", layout: late) { programs in
      programs.dropEverywhere { isProgress($0) } && programs.dropEverywhere { isStep($0) }
    },
    Mutation(name: "a sum of no step", phrase: "steps by the mean over no workers, but 3", layout: late) {
      $0.drop(0) { isStep($0) }
    },
    Mutation(name: "a round is never summed", phrase: "all-reduce of progress of workers 0 times", layout: late) {
      $0.dropEverywhere { isProgress($0) }
    },
    Mutation(
      name: "one sum an iteration", phrase: "all-reduce of progress of workers 2 times in an iteration, not 1",
      layout: late
    ) { programs in
      for rank in programs.indices where !programs.double(rank, where: { isProgress($0) }) { return false }
      return true
    },
    Mutation(name: "a stale anchor", phrase: "step 2 of the round of rank 0 is outer step", layout: late) {
      $0.exchange(0) { $0.isCompute(.takeProgress) || isStep($0) }
    },
    Mutation(name: "progress of a round that has not ended", phrase: "step 1 of the round of rank 0", layout: late) {
      programs in
      move(&programs, { $0.isCompute(.takeProgress) }, after: { $0.isCompute(.updateParameters) })
    },
    Mutation(name: "no return to the anchor", phrase: "returns to the anchor 0 times", layout: late, stretch: .opening)
    {
      $0.dropEverywhere { $0.isCompute(.returnToAnchor) }
    },
    Mutation(name: "progress is not taken", phrase: "takes what its worker has moved by 0 times", layout: late) {
      $0.dropEverywhere { $0.isCompute(.takeProgress) }
    },
    Mutation(name: "a wrong divisor", phrase: "steps by the mean over 2 workers, but 3 are summed", layout: late) {
      $0.edit(4, where: { isStep($0) }) { _, _ in .operation(.compute(.outerStep(workerCount: 2))) }
    },
    Mutation(name: "a divisor of all replicas", phrase: "mean over 6 workers, but 3", layout: onTime) { programs in
      for rank in programs.indices {
        _ = programs.edit(rank, where: { isStep($0) }) { _, _ in .operation(.compute(.outerStep(workerCount: 6))) }
      }
      return true
    },
    Mutation(name: "summed over one worker's replicas", phrase: "ranks 0, 1 are no group", layout: late) {
      $0.editCollective(0, { "\($0.operand)" == "progress of workers" }) { $0.with(group: [0, 1]) }
    },
    Mutation(name: "summed over two of three workers", phrase: "ranks 0, 2 are no group", layout: late) {
      $0.editEverywhere({ isProgress($0) }) { $0.with(group: Array($0.group.prefix(2))) } && true
    },
    Mutation(name: "too few elements", phrase: "the tensor has", layout: late) {
      $0.editCollective(0, { "\($0.operand)" == "progress of workers" }) {
        $0.with(elementCount: $0.elementCount - 1)
      }
    },
    Mutation(name: "summed after the round", phrase: "is not begun before the round", layout: late) { programs in
      move(&programs, { isProgress($0) }, after: { $0.isCompute(.updateParameters) })
    },
    Mutation(name: "weights are gathered before the outer step", phrase: "does not wait for", layout: late) {
      programs in
      guard let index = programs[0].steps.lastIndex(where: { $0.isCollective("weights") }) else { return false }
      programs[0].steps[index] = ProgramStep(
        stream: programs[0].steps[index].stream, operation: programs[0].steps[index].operation)
      return true
    },
    Mutation(name: "weights are gathered twice", phrase: "weights 3 times", layout: late) {
      $0.double(0) { $0.isCollective("weights") }
    },
    Mutation(name: "sums are not sent back", phrase: "sums of the progress of workers 0 times", layout: rounded) {
      $0.dropEverywhere { $0.isCollective("sums of the progress of workers") }
    },
    Mutation(name: "an iteration is missing", phrase: "updates the parameters 1 times", layout: late) {
      $0.drop(0) { $0.isCompute(.updateParameters) }
    },
    Mutation(name: "gradients are averaged over all workers", phrase: "averages gradients over", layout: late) {
      $0.edit(0, where: { $0.isCompute(.averageGradients(replicaCount: 2)) }) { _, _ in
        .operation(.compute(.averageGradients(replicaCount: 6)))
      }
    },
    Mutation(name: "the norm is summed over all workers", phrase: "are no group", layout: late) {
      $0.editCollective(0, { "\($0.operand)" == "scalars" }) { $0.with(group: Array(0..<6)) }
    },
  ]

  @Test(arguments: mutations)
  func wrongProgramsAreRefused(mutation: Mutation) throws {
    let shape = try mutation.layout.shape()
    var programs = shape.programs(mutation.stretch)
    #expect(shape.defect(in: programs, mutation.stretch) == nil)
    #expect(mutation.apply(&programs), "nothing to break")
    let defect = shape.defect(in: programs, mutation.stretch)
    #expect(defect.map { "\($0)".contains(mutation.phrase) } ?? false, "\(defect.map { "\($0)" } ?? "passed")")
  }

  /// A round's programs are not another round's.
  @Test func roundsAreToldApart() throws {
    let shape = try Self.late.shape()
    for stretch in Stretch.allCases {
      for other in Stretch.allCases {
        #expect((shape.defect(in: shape.programs(stretch), other) == nil) == (stretch == other))
      }
    }
  }

  /// What the checks do not see shows in the numbers: a rank that takes part in sums, and does not step.
  @Test func aRankOfItsOwnShowsInTheNumbers() throws {
    let layout = Layout(workers: 2)
    let run = try layout.run(3) { programs in
      _ = programs.edit(1, where: { Self.isStep($0) }) { _, _ in .operation(.compute(.outerStep(workerCount: 3))) }
    }
    #expect(!run.agrees)
  }
}
