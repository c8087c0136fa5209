import Testing
import Training

@testable import Documents
@testable import Execution

/// However zeroth-order training is divided, moved and deferred, the numbers are those of one rank.
@Suite struct ZerothOrderAgreementTests {
  typealias Layout = ZerothOrderLayout

  /// Without tensor groups: every layout agrees with the serial reference to the bit, in every loss and parameter.
  static let undivided: [Layout] = [
    Layout(), Layout(directions: 2), Layout(hosted: 4), Layout(hosted: 2), Layout(hosted: 0),
    // PertP: two replicas, one sign each; four, two directions' signs.
    Layout(data: 2, perturbation: 2), Layout(data: 2, perturbation: 2, directions: 2),
    Layout(data: 4, perturbation: 4, directions: 2), Layout(data: 2, perturbation: 2, hosted: 4),
    // Data parallel.
    Layout(data: 2), Layout(data: 4), Layout(data: 4, microBatch: 2), Layout(data: 4, hosted: 4),
    // Both.
    Layout(data: 4, perturbation: 2), Layout(data: 4, perturbation: 2, hosted: 4, directions: 2),
    Layout(data: 8, perturbation: 4, directions: 2),
    // Slices of parts, on the device and on the host.
    Layout(data: 2, perturbation: 2, slices: 2), Layout(data: 4, perturbation: 2, slices: 4),
    Layout(data: 4, perturbation: 2, slices: 2), Layout(data: 2, slices: 2, hosted: 4),
    Layout(data: 4, perturbation: 2, slices: 4, hosted: 4), Layout(data: 4, perturbation: 2, slices: 4, hosted: 3),
    Layout(data: 4, slices: 2, hosted: 1, directions: 2),
    // Pipelines, whose ends share a matrix.
    Layout(pipeline: 2), Layout(pipeline: 4, hosted: 1), Layout(pipeline: 2, hosted: 2), Layout(pipeline: 2, hosted: 1),
    Layout(pipeline: 2, data: 2, perturbation: 2, slices: 2, hosted: 2),
    Layout(pipeline: 2, hosted: 5, layers: 10), Layout(pipeline: 2, data: 2, slices: 2, hosted: 5, layers: 10),
  ]

  @Test(arguments: undivided)
  func layoutsAgreeWithOneRankToTheBit(layout: Layout) throws {
    let run = try layout.run(), reference = try layout.reference()
    for (step, (found, expected)) in zip(run.steps, reference).enumerated() {
      #expect(found.losses == expected.losses, "losses of step \(step)")
      #expect(found.parameters == expected.parameters, "parameters of step \(step)")
    }
    #expect(run.copiesAgree == [true, true, true])
    // Something has moved.
    #expect(run.steps[0].parameters != run.steps[2].parameters)
  }

  @Test(arguments: [
    Layout(model: { try Layout.gpt(layers: $0, isTied: false) }), Layout(model: { try Layout.llama(layers: $0) }),
    Layout(precision: .bf16), Layout(precision: .fp16),
  ])
  func familiesAndFormatsAgree(plain: Layout) throws {
    // A step that shows in 16 bits.
    let plain = plain.with(\.learningRate, 0.1)
    for layout in [
      plain, plain.with(\.hosted, 3),
      plain.with(\.data, 2).with(\.perturbation, 2).with(\.slices, 2).with(\.hosted, 4),
      plain.with(\.pipeline, 2).with(\.hosted, 1),
    ] {
      let run = try layout.run()
      #expect(try run.steps == layout.reference(), "\(layout.testDescription)")
      #expect(run.copiesAgree == [true, true, true], "\(layout.testDescription)")
      #expect(run.steps[0].parameters != run.steps[2].parameters)
    }
  }

  /// Tensor groups add products in another order: all layouts of one tensor degree agree to the bit, and with one rank as far
  /// as the sums of losses and what a difference of two of them makes of that allow.
  @Test(arguments: [false, true])
  func tensorGroupsAgreeAmongThemselves(sequenceParallel: Bool) throws {
    let plain = Layout(tensor: 2, sequenceParallel: sequenceParallel)
    let first = try plain.run(), reference = try plain.reference()
    for (found, expected) in zip(first.steps, reference) {
      for (loss, wanted) in zip(found.losses, expected.losses) { #expect(abs(loss - wanted) < 1e-4 * wanted) }
      for (part, values) in expected.parameters {
        let error = ParameterComparison.relativeError(found.parameters[part] ?? [], reference: values)
        #expect(error < 1e-3, "\(part)")
      }
    }
    for layout in [
      plain.with(\.hosted, 4), plain.with(\.data, 2).with(\.perturbation, 2),
      plain.with(\.data, 2).with(\.perturbation, 2).with(\.slices, 2).with(\.hosted, 3),
      plain.with(\.pipeline, 2).with(\.hosted, 1),
    ] {
      let run = try layout.run()
      #expect(run.steps == first.steps, "\(layout.testDescription)")
      #expect(run.copiesAgree == [true, true, true])
    }
  }

  @Test func threadsGiveTheSameBits() throws {
    let layout = Layout(pipeline: 2, data: 4, perturbation: 2, slices: 4, hosted: 2, directions: 2)
    #expect(try layout.run(usesThreads: true).steps == layout.run().steps)
  }

  /// Deferred or not, on the host or not: check 4.
  @Test func whatLiesOnTheHostIsTheSameAfterItsFlush() throws {
    let resident = try Layout().run(5)
    for hosted in 0...4 { #expect(try Layout(hosted: hosted).run(5).steps == resident.steps, "\(hosted) layers") }
  }

  /// A part's directions are its own, whoever comes first.
  @Test func stepsCanBeTakenInAnyOrder() throws {
    let layout = Layout(data: 2, perturbation: 2, slices: 2, hosted: 1)
    let other = try layout.run { programs in
      for rank in programs.indices {
        let steps = programs[rank].steps.indices.filter {
          if case .compute(.update(_, with: .ofThisIteration)) = programs[rank].steps[$0].operation {
            true
          } else {
            false
          }
        }
        let operations = steps.map { programs[rank].steps[$0].operation }
        for (step, operation) in zip(steps, operations.reversed()) {
          let old = programs[rank].steps[step]
          programs[rank].steps[step] = ProgramStep(stream: old.stream, operation: operation, waitsFor: old.waitsFor)
        }
      }
    }
    #expect(try other.steps == layout.run().steps)
  }

  /// Check 6: ranks that hold copies see it at once; slices of which there is one each show it in the numbers.
  @Test func anotherSeedOnOneRankIsCaught() throws {
    for layout in [
      Layout(data: 2), Layout(data: 2, perturbation: 2), Layout(data: 2, hosted: 4), Layout(pipeline: 2),
      Layout(tensor: 2), Layout(data: 4, slices: 2),
    ] {
      let run = try layout.run(seedOfRank: [1: 6])
      #expect(run.copiesAgree == [false, false, false], "\(layout.testDescription)")
    }
    let sliced = Layout(data: 2, slices: 2)
    #expect(try sliced.run(seedOfRank: [1: 6]).steps != sliced.reference())
  }

  /// Check 7: weights are as they were after an iteration of no step.
  @Test func nothingMovesWithoutALearningRate() throws {
    for layout in [
      Layout(learningRate: 0), Layout(data: 2, perturbation: 2, hosted: 4, learningRate: 0),
      Layout(data: 2, slices: 2, hosted: 2, learningRate: 0), Layout(pipeline: 2, hosted: 1, learningRate: 0),
    ] {
      let initial = try layout.setting().initialParameters
      for step in try layout.run().steps { #expect(step.parameters == initial, "\(layout.testDescription)") }
    }
  }

  /// In place, θ + εz − 2εz + εz is not θ: why copies are perturbed beside the weights.
  @Test func inPlaceWeightsWouldDrift() throws {
    let layout = try ParameterLayout(.layer(0), shard: Layout().setting().referenceShard)
    let weights = layout.initialValues(seed: 3),
      numbers = layout.numbers(of: Direction(seed: 1, iteration: 0, index: 0))
    let drifted = zip(weights, numbers).count { weight, number in
      var moved = weight
      for reach: Float in [1e-3, -2e-3, 1e-3] { moved += reach * number }
      return moved != weight
    }
    #expect(drifted * 3 > weights.count)
  }
}
