import Documents
import TestSupport
import Testing

@testable import Profiling

/// α and β, and what is inferred where nothing was measured.
@Suite struct FitTests {
  @Test func exactTimesGiveTheirAlphaAndBeta() throws {
    for (alpha, beta) in [(5e-6, 12.5e9), (1e-3, 1e6), (0, 1e9)] {
      let points = [1.0, 4_096, 65_536, 1_048_576, 8_388_608].map { ($0, alpha + $0 / beta) }
      let fit = try #require(LatencyBandwidthFit(points: points))
      #expect(abs(fit.betaBytesPerSecond / beta - 1) < 1e-6, "\(alpha) \(beta)")
      #expect(abs(fit.alphaSeconds - alpha) <= 1e-6 * alpha + 1e-12, "\(alpha) \(beta)")
    }
  }

  @Test func oneSizeThatMetAHiccupPullsHardlyAtAll() throws {
    var points = [1.0, 4_096, 65_536, 1_048_576, 8_388_608].map { ($0, 20e-6 + $0 / 1e9) }
    points[2].1 *= 3
    let fit = try #require(LatencyBandwidthFit(points: points))
    #expect(abs(fit.betaBytesPerSecond / 1e9 - 1) < 0.01)
    #expect(abs(fit.alphaSeconds / 20e-6 - 1) < 0.02)
  }

  @Test func whatCannotBeFittedIsNot() {
    #expect(LatencyBandwidthFit(points: []) == nil)
    #expect(LatencyBandwidthFit(points: [(4_096, 1e-3), (4_096, 2e-3)]) == nil)
    #expect(LatencyBandwidthFit(points: [(4_096, 2e-3), (65_536, 1e-6)])?.alphaSeconds ?? 0 == 0)
  }

  /// Racks of unequal links, one slow sender, noise: of a quarter of the rounds the rest is inferred to a few percent.
  @Test func sampledRatesCompleteTheMatrix() throws {
    var generator = SeededGenerator(seed: 3)
    let count = 32
    let block = (0..<count).map { $0 / 8 }
    func truth(_ from: Int, _ to: Int) -> Double {
      let common = block[from] == block[to] ? 24e9 : abs(block[from] - block[to]) == 1 ? 16e9 : 12e9
      return common * (from == 5 ? 0.6 : 1) * (to == 9 ? 0.8 : 1)
    }
    var rates = [[Double?]](repeating: [Double?](repeating: nil, count: count), count: count)
    let rounds = pairRounds(nodeCount: count)
    for index in sampledRounds(count: 8, of: rounds.count) {
      for pair in rounds[index] {
        for (from, to) in [(pair.lower, pair.upper), (pair.upper, pair.lower)] {
          rates[from][to] = truth(from, to) * Double.random(in: 0.98...1.02, using: &generator)
        }
      }
    }
    // One broken link must not spoil its row.
    rates[2][rates[2].firstIndex { $0 != nil } ?? 0] = 1e9
    let completion = try #require(StructureCompletion(bytesPerSecond: rates, block: block))
    var errors: [Double] = []
    for from in 0..<count {
      for to in 0..<count where from != to && rates[from][to] == nil {
        errors.append(abs(completion.bytesPerSecond(from: from, to: to) / truth(from, to) - 1))
      }
    }
    let median = try #require(errors.median), worst = try #require(errors.quantile(0.99))
    #expect(median < 0.02, "\(median)")
    #expect(worst < 0.06, "\(worst)")
    #expect(StructureCompletion(bytesPerSecond: [[nil, nil], [nil, nil]], block: [0, 0]) == nil)
  }
}
