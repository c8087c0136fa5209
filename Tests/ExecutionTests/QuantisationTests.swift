import Documents
import TestSupport
import Testing
import Training

@testable import Execution

/// Codes, steps and words.
@Suite struct QuantisationTests {
  static func words(_ values: [Float], _ quantisation: Quantisation) -> [Float] {
    var words: [Float] = []
    quantisation.quantise(values[...], into: &words)
    return words
  }

  /// Δ of every group, from its definition.
  static func steps(_ values: [Float], _ quantisation: Quantisation) -> [Float] {
    stride(from: 0, to: values.count, by: quantisation.groupLength).map { first in
      let largest = values[first..<min(first + quantisation.groupLength, values.count)].map(abs).max() ?? 0
      return largest == 0 ? 1 : largest / Float(1 << (quantisation.bitCount - 1))
    }
  }

  /// INT4 with Δ = 1: ties to even, the largest code is 7, the smallest −8.
  @Test func codesAreRoundedToEvenAndClipped() {
    let values: [Float] = [-8, 0.5, 1.5, 2.5, -0.5, -1.5, 7.4, 7.5, 8, 0.49, -7.5, 3]
    let expected: [Float] = [-8, 0, 2, 2, 0, -2, 7, 7, 7, 0, -8, 3]
    #expect(Quantisation.gradients.rounded(values[...]) == expected)
    #expect(Quantisation.gradients.rounded([0, 0, -0][...]) == [0, 0, 0])
  }

  /// INT8 codes 0…3 are the bytes of the first word, lowest first; then the step.
  @Test func wordsHoldCodesAndThenSteps() {
    let words = Self.words([-128, 1, -1, 127, 5], .weights)
    #expect(words.map(\.bitPattern) == [0x7F_FF_01_80, 0x05, Float(1).bitPattern])
    let nibbles = Self.words([-8, 1, -1, 7, 0, 2, 3, -2, 4], .gradients)
    #expect(nibbles.map(\.bitPattern) == [0xE3_20_7F_18, 0x4, Float(1).bitPattern])
  }

  /// Within Δ/2, and within Δ near the positive tip, whose code does not exist; +A is off by Δ exactly.
  @Test(arguments: [Quantisation.weights, .gradients])
  func numbersAreOffByAStepAtMost(quantisation: Quantisation) {
    var random = SeededGenerator(seed: 5)
    for count in [1, 2, 7, 8, 31, 255, 256, 257, 2047, 2048, 2049, 5000] {
      let values = (0..<count).map { _ in
        Float.random(in: -3...3, using: &random) * Float.random(in: 0...1, using: &random)
      }
      let words = Self.words(values, quantisation), steps = Self.steps(values, quantisation)
      #expect(words.count == quantisation.wordCount(elementCount: count))
      let seen = quantisation.dequantise(words[...], elementCount: count)
      let tip = Float(1 << (quantisation.bitCount - 1)) - 0.5
      for (index, (value, other)) in zip(values, seen).enumerated() {
        let step = steps[index / quantisation.groupLength]
        // A code times the step is rounded once more: 128 units in the last place of it.
        #expect(abs(value - other) <= (value <= tip * step ? step / 2 : step) + step * 0x1p-16)
      }
    }
    #expect(quantisation.rounded([1, 0][...])[0] == 1 - 1 / Float(1 << (quantisation.bitCount - 1)))
  }

  @Test func whatIsNotFiniteShows() {
    for bad in [Float.nan, .infinity] {
      let seen = Quantisation.weights.rounded([1, bad, 2][...])
      #expect(seen.count { $0.isNaN } == 3)
    }
  }
}
