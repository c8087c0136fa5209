import Testing
import Training

@testable import Documents
@testable import Execution

/// Programs of zeroth-order training that were broken in one place are refused before they run, for the right reason.
@Suite struct ZerothOrderMutationTests {
  typealias Layout = ZerothOrderLayout

  struct Mutation: Sendable, CustomTestStringConvertible {
    let name: String
    /// What the refusal says.
    let phrase: String
    var layout = Layout(data: 4, perturbation: 2, slices: 2, hosted: 3, directions: 2)
    let apply: @Sendable (inout [RankProgram]) -> Bool
    var testDescription: String { name }
  }

  private static func isUpdate(_ step: ProgramStep, _ losses: Computation.Losses) -> Bool {
    if case .compute(.update(_, with: losses)) = step.operation { true } else { false }
  }
  private static func isPerturbation(_ step: ProgramStep, _ index: Int) -> Bool {
    if case .compute(.perturb(_, let evaluation)) = step.operation { evaluation.index == index } else { false }
  }
  private static func isUpload(_ step: ProgramStep) -> Bool { if case .upload = step.operation { true } else { false } }
  private static func isOffload(_ step: ProgramStep) -> Bool {
    if case .offload = step.operation { true } else { false }
  }

  static let mutations: [Mutation] = {
    var all: [Mutation] = []
    all.append(
      Mutation(name: "a sign is lost", phrase: "loss 2, forwards along direction 1) comes where perturbation of") {
        $0.edit(1, where: { isPerturbation($0, 3) }) { step, _ in
          guard case .compute(.perturb(let part, _)) = step.operation else { return .keep(waitsFor: step.waitsFor) }
          return .operation(.compute(.perturb(part, ZerothOrder.Evaluation(2))))
        }
      })
    all.append(
      Mutation(name: "a loss of another member", phrase: "loss 1, backwards along direction 0) comes where") {
        $0.edit(0, where: { isPerturbation($0, 0) }) { _, _ in
          .operation(.compute(.perturb(.embedding, ZerothOrder.Evaluation(1))))
        }
      })
    all.append(
      Mutation(name: "a copy is not perturbed", phrase: "comes where perturbation of embedding for loss 0") {
        $0.drop(0) { isPerturbation($0, 0) }
      })
    all.append(
      Mutation(name: "a piece is left out", phrase: "comes where forward of attention norm") {
        $0.drop(0) {
          if case .compute(.evaluate(.attentionNorm, _, _, _)) = $0.operation { true } else { false }
        }
      })
    all.append(
      Mutation(name: "a step is taken twice on the device", phrase: "has taken its step in this iteration") {
        $0.double(2) { isUpdate($0, .ofThisIteration) }
      })
    all.append(
      Mutation(name: "a step is taken twice from the host", phrase: "has taken its step in this iteration") {
        $0.double(2) { isUpdate($0, .ofLastIteration) }
      })
    all.append(
      Mutation(name: "a step is left out on the device", phrase: "ends without update of embedding") {
        $0.drop(3) { isUpdate($0, .ofThisIteration) }
      })
    all.append(
      Mutation(name: "a step is left out from the host", phrase: "comes where update of layer 1 by the last") {
        $0.drop(3) { isUpdate($0, .ofLastIteration) }
      })
    all.append(
      Mutation(name: "old losses", phrase: "parts on the host take the last iteration's step") {
        $0.edit(0, where: { isUpdate($0, .ofThisIteration) }) { _, _ in
          .operation(.compute(.update(.embedding, with: .ofLastIteration)))
        }
      })
    all.append(
      Mutation(name: "losses that are not there yet", phrase: "parts on the host take the last iteration's step") {
        $0.edit(0, where: { isUpdate($0, .ofLastIteration) }) { _, _ in
          .operation(.compute(.update(.layer(1), with: .ofThisIteration)))
        }
      })
    all.append(
      Mutation(name: "a gradient before the losses are exchanged", phrase: "does not wait for") {
        $0.edit(0, where: { $0.isCompute(.projectGradient) }) { _, _ in .keep(waitsFor: []) }
      })
    all.append(
      Mutation(name: "losses are not exchanged", phrase: "all-reduce of scalars 0 times") {
        $0.dropEverywhere { $0.isCollective("scalars") }
      })
    all.append(
      Mutation(name: "losses are exchanged twice", phrase: "all-reduce of scalars 2 times") {
        for rank in $0.indices where !$0.double(rank, where: { $0.isCollective("scalars") }) { return false }
        return true
      })
    all.append(
      Mutation(name: "a slice is not exchanged", phrase: "all-gather of weights of layer 1 0 times") {
        $0.dropEverywhere { $0.isCollective("weights of layer 1") }
      })
    all.append(
      Mutation(name: "an upload is missing", phrase: "the weights of layer 1 have not come from the host") {
        $0.drop(0, where: isUpload)
      })
    all.append(
      Mutation(name: "an offload is missing", phrase: "comes from the host 1 times and goes there 0 times") {
        $0.dropLast(1, where: isOffload)
      })
    all.append(
      Mutation(name: "an offload of another slice", phrase: "the tensor has") {
        $0.edit(1, where: isOffload) { step, _ in
          guard case .offload(let it) = step.operation else { return .keep(waitsFor: step.waitsFor) }
          return .operation(
            .offload(
              HostTransfer(
                part: it.part, elementCount: it.elementCount + 1, elementByteCount: it.elementByteCount)))
        }
      })
    all.append(
      Mutation(name: "an upload of what stays on the device", phrase: "comes where no step of a pass is due") {
        $0.edit(1, where: isUpload) { step, _ in
          guard case .upload(let it) = step.operation else { return .keep(waitsFor: step.waitsFor) }
          return .operation(
            .upload(
              HostTransfer(part: .layer(0), elementCount: it.elementCount, elementByteCount: it.elementByteCount)))
        }
      })
    all.append(
      Mutation(name: "a gather before the upload", phrase: "does not wait for rank 0") {
        $0.edit(0, where: { $0.isCollective("weights of layer 1") }) { _, _ in .keep(waitsFor: []) }
      })
    all.append(
      Mutation(
        name: "a step before the upload", phrase: "does not wait for rank 0", layout: Layout(hosted: 4)
      ) {
        $0.edit(0, where: { isUpdate($0, .ofLastIteration) }) { _, _ in .keep(waitsFor: []) }
      })
    all.append(
      Mutation(name: "an offload before the step", phrase: "does not wait for rank 0") {
        $0.edit(0, where: isOffload) { _, _ in .keep(waitsFor: []) }
      })
    all.append(
      Mutation(name: "an upload without a buffer", phrase: "does not wait for rank 0", layout: Layout(hosted: 4)) {
        guard let last = $0[0].steps.lastIndex(where: isUpload) else { return false }
        $0[0].steps[last] = ProgramStep(stream: .upload, operation: $0[0].steps[last].operation)
        return true
      })
    all.append(
      Mutation(
        name: "old weights come before the new have left", phrase: "does not wait for rank 0",
        layout: Layout(pipeline: 2, hosted: 1)
      ) {
        let uploads = $0[0].steps.indices.filter { [programs = $0] in isUpload(programs[0].steps[$0]) }
        guard uploads.count > 1 else { return false }
        $0[0].steps[uploads[1]] = ProgramStep(stream: .upload, operation: $0[0].steps[uploads[1]].operation)
        return true
      })
    return all
  }()

  @Test(arguments: mutations)
  func brokenProgramsAreRefused(mutation: Mutation) throws {
    let shape = try mutation.layout.shape()
    var programs = shape.programs()
    #expect(shape.defect(in: programs) == nil)
    #expect(mutation.apply(&programs), "nothing to break")
    let defect = shape.defect(in: programs)
    #expect(defect.map { "\($0)" }?.contains(mutation.phrase) == true, "\(defect.map { "\($0)" } ?? "not refused")")
  }

  /// What a check would have to miss shows in the numbers, too.
  @Test func brokenStepsShowInTheNumbers() throws {
    for mutation in Self.mutations
    where ["a sign is lost", "a step is taken twice on the device", "old losses"].contains(mutation.name) {
      let run = try mutation.layout.run(3) { _ = mutation.apply(&$0) }
      #expect(try run.steps != mutation.layout.reference(3), "\(mutation.name)")
    }
  }
}
