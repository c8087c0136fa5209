import Testing
import Training

@testable import Documents
@testable import Execution

/// Zeroth-order training learns, and learns the same in every layout.
@Suite struct ZerothOrderLearningTests {
  typealias Layout = ZerothOrderLayout

  /// Letters of a sentence, each a token.
  static let corpus = "the cat sat on the mat. the dog sat on the log. ".unicodeScalars.map { letter in
    " .acdeghlmnost".unicodeScalars.enumerated().first { $0.element == letter }?.offset ?? 0
  }

  static let plain = Layout(
    directions: 4, layers: 2, model: { try Layout.llama(layers: $0) }, learningRate: 0.004, globalBatch: 8)

  /// The mean of all losses of each step.
  static func curve(_ steps: [Layout.Step]) -> [Float] {
    steps.map { $0.losses.reduce(0, +) / Float($0.losses.count) }
  }

  /// Of sentences of 14 letters one knows nothing about the next letter at first, ln 14 = 2.6, and a good deal in the end.
  static func learns(_ curve: [Float]) -> Bool { curve[0] > 2.4 && curve.suffix(5).max() ?? .infinity < 1.2 }

  @Test func theLossFallsAndTheCurveIsTheSameInEveryLayout() throws {
    let stepCount = 200
    let reference = try Self.plain.reference(stepCount, corpus: Self.corpus)
    #expect(Self.learns(Self.curve(reference)))
    for layout in [
      Self.plain, Self.plain.with(\.hosted, 1), Self.plain.with(\.data, 2).with(\.perturbation, 2),
      Self.plain.with(\.data, 4).with(\.perturbation, 4).with(\.slices, 4).with(\.hosted, 2),
      Self.plain.with(\.pipeline, 2).with(\.hosted, 1),
    ] {
      let run = try layout.run(stepCount, corpus: Self.corpus)
      #expect(run.steps.map(\.losses) == reference.map(\.losses), "\(layout.testDescription)")
      #expect(run.steps.last == reference.last, "\(layout.testDescription)")
    }
  }

  /// Groups of sequences are added up in fp32, in the order of ranks: of two groups in all layouts of two.
  @Test func dataParallelCurvesAreThoseOfTheirGroups() throws {
    let stepCount = 150, two = Self.plain.with(\.data, 2)
    let reference = try two.reference(stepCount, corpus: Self.corpus)
    #expect(Self.learns(Self.curve(reference)))
    for layout in [two, two.with(\.data, 4).with(\.perturbation, 2).with(\.slices, 4).with(\.hosted, 2)] {
      let run = try layout.run(stepCount, corpus: Self.corpus)
      #expect(run.steps.map(\.losses) == reference.map(\.losses), "\(layout.testDescription)")
      #expect(run.steps.last == reference.last)
    }
  }

  @Test func tensorGroupsLearnAsWell() throws {
    let run = try Self.plain.with(\.tensor, 2).run(150, corpus: Self.corpus)
    #expect(Self.learns(Self.curve(run.steps)))
  }
}
