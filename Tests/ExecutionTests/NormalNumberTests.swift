import Documents
import Foundation
import Testing
import Training

@testable import Execution

/// Directions are made of normally distributed numbers that are everywhere the same.
@Suite struct NormalNumberTests {
  /// Quantiles of the standard normal distribution, from tables (Abramowitz and Stegun 1964, table 26.5; Wichura 1988).
  @Test func quantilesAreThoseOfTables() {
    for (probability, expected) in [
      (0.5, 0.0), (0.25, -0.674_489_750_196_081_7), (0.975, 1.959_963_984_540_054), (0.001, -3.090_232_306_167_813_5),
      (1e-20, -9.262_340_089_798_408), (0.9, 1.281_551_565_544_600_4),
    ] {
      #expect(abs(NormalNumber.quantile(probability) - expected) <= 1e-14 * max(1, abs(expected)), "\(probability)")
    }
  }

  /// The distribution function that is inverted.
  @Test func quantilesInvertTheDistribution() {
    for step in 1..<1000 {
      let probability = Double(step) / 1000, quantile = NormalNumber.quantile(probability)
      #expect(abs(0.5 * erfc(-quantile / 2.0.squareRoot()) - probability) < 1e-14)
    }
  }

  @Test func logarithmsAreLogarithms() {
    for exponent in stride(from: -60, through: 60, by: 7) {
      for step in 1...200 {
        let number = scalbn(1 + Double(step) / 200, exponent)
        #expect(abs(NormalNumber.logarithm(of: number) - log(number)) <= 1e-14 * max(1, abs(log(number))))
      }
    }
  }

  /// Bits that any machine has to find: those of Python's `statistics.NormalDist().inv_cdf` at the same probabilities.
  @Test func bitsArePinned() {
    let hash = CounterHash(seed: 42)
    let bits = (0..<6).map { String(NormalNumber.of(hash.appending($0)).bitPattern, radix: 16) }
    #expect(bits == ["bece96f2", "3fda06ae", "bd0c2dc0", "bfbf751e", "3eeb0e08", "bfbf4ed3"])
  }

  /// Mean, variance, skewness and kurtosis of 200,000 numbers within five of their own standard deviations.
  @Test func momentsAreThoseOfTheNormalDistribution() {
    let hash = CounterHash(seed: 7), count = 200_000
    var sums = [Double](repeating: 0, count: 5)
    for index in 0..<count {
      let number = Double(NormalNumber.of(hash.appending(index)))
      var power = 1.0
      for exponent in 1...4 {
        power *= number
        sums[exponent] += power
      }
    }
    let n = Double(count)
    for (exponent, expected, variance) in [(1, 0.0, 1.0), (2, 1, 2), (3, 0, 15), (4, 3, 96)] {
      #expect(abs(sums[exponent] / n - expected) < 5 * (variance / n).squareRoot(), "moment \(exponent)")
    }
  }

  /// Numbers are of places in the whole model: every division holds parts of the same ones, and a copy of a matrix those of the
  /// matrix.
  @Test(arguments: [1, 2, 4])
  func anyDivisionHasTheSameNumbers(tensorDegree: Int) throws {
    let model = try SmallModels.gpt()
    func shard(_ degree: Int, _ index: Int) -> ModelShard {
      ModelShard(
        model: model, sequenceLength: 8, tensorDegree: degree, tensorIndex: index, paddedVocabularySize: 16, seed: 1)
    }
    let direction = Direction(seed: 9, iteration: 3, index: 1)
    for part in [ModelPart.embedding, .layer(1), .head] {
      let whole = ParameterLayout(part, shard: shard(1, 0))
      let shards = (0..<tensorDegree).map { ParameterLayout(part, shard: shard(tensorDegree, $0)) }
      #expect(
        ParameterComparison.assembled(shards: shards.map { ($0, $0.numbers(of: direction)) }, as: whole)
          == whole.numbers(of: direction))
    }
    let embedding = ParameterLayout(.embedding, shard: shard(1, 0)), head = ParameterLayout(.head, shard: shard(1, 0))
    #expect(
      embedding.numbers(of: direction)[embedding[.tokenEmbedding]] == head.numbers(of: direction)[head[.outputMatrix]])
  }

  /// No two of seed, iteration, direction and part share numbers.
  @Test func everyCoordinateCounts() throws {
    let shard = try ModelShard(model: SmallModels.gpt(), sequenceLength: 8, paddedVocabularySize: 16, seed: 1)
    var seen: Set<[Float]> = []
    for seed in 0..<2 {
      for iteration in 0..<3 {
        for index in 0..<3 {
          for layer in 0..<2 {
            seen.insert(
              ParameterLayout(.layer(layer), shard: shard)
                .numbers(of: Direction(seed: seed, iteration: iteration, index: index)))
          }
        }
      }
    }
    #expect(seen.count == 36)
  }
}
