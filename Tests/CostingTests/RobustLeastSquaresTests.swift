import Foundation
import TestSupport
import Testing

@testable import Costing

@Suite("Robust least squares")
struct RobustLeastSquaresTests {
  /// Times a + b/x with 3 % noise, every fifth off by a factor of 2 to 4.
  private func fit(seed: UInt64, broken: Bool) -> RobustLeastSquares.Solution {
    var random = SeededGenerator(seed: seed)
    let points = (1...100).map { index -> (x: Double, y: Double) in
      let x = Double(index) / 10
      var y = (2 + 3 / x) * exp(Double.random(in: -0.03...0.03, using: &random))
      if broken, index % 5 == 0 { y *= Double.random(in: 2...4, using: &random) }
      return (x, y)
    }
    let solver = RobustLeastSquares(
      unknowns: [0, 0].map { .init(lower: -5, upper: 5, prior: $0, spread: 2) }, lossScale: 0.05, iterationLimit: 100)
    return solver.solve { values in
      points.map { log((exp(values[0]) + exp(values[1]) / $0.x) / $0.y) }
    }
  }

  @Test("Known coefficients are recovered, and deviations say how well")
  func recovers() {
    for seed in (1...20).map(UInt64.init) {
      let found = fit(seed: seed, broken: false)
      #expect(abs(exp(found.values[0]) / 2 - 1) < 0.02, "seed \(seed)")
      #expect(abs(exp(found.values[1]) / 3 - 1) < 0.02, "seed \(seed)")
      #expect(found.deviations.allSatisfy { $0 < 0.02 }, "seed \(seed)")
    }
  }

  @Test("A fifth of broken runs does not move the fit")
  func robust() {
    for seed in (1...20).map(UInt64.init) {
      let found = fit(seed: seed, broken: true)
      #expect(abs(exp(found.values[0]) / 2 - 1) < 0.03, "seed \(seed)")
      #expect(abs(exp(found.values[1]) / 3 - 1) < 0.03, "seed \(seed)")
    }
  }

  @Test("What the data cannot tell keeps its prior and its spread")
  func unidentified() {
    let solver = RobustLeastSquares(
      unknowns: [
        .init(lower: -5, upper: 5, prior: 0, spread: 1), .init(lower: -5, upper: 5, prior: 0.7, spread: 0.3),
      ], lossScale: 0.05, iterationLimit: 50)
    let found = solver.solve { values in (1...20).map { _ in values[0] - 1.5 } }
    #expect(abs(found.values[0] - 1.5) < 0.01)
    #expect(abs(found.values[1] - 0.7) < 1e-9)
    #expect(abs(found.deviations[1] - 0.3) < 1e-6)
  }

  @Test("Values stay within their bounds")
  func bounded() {
    let solver = RobustLeastSquares(
      unknowns: [.init(lower: 0, upper: 1, prior: 0.5, spread: 10)], lossScale: 1, iterationLimit: 50)
    #expect(abs(solver.solve { [$0[0] - 3] }.values[0] - 1) < 1e-12)
    #expect(abs(solver.solve { [$0[0] + 3] }.values[0]) < 1e-12)
  }

  @Test("A search that runs out of steps says so")
  func convergence() {
    func solve(limit: Int) -> RobustLeastSquares.Solution {
      RobustLeastSquares(
        unknowns: [0, 0].map { .init(lower: -50, upper: 50, prior: $0, spread: 20) }, lossScale: 0.05,
        iterationLimit: limit
      ).solve { values in [exp(values[0] + values[1]) - 30, exp(values[0] - values[1]) - 0.01] }
    }
    #expect(!solve(limit: 3).hasConverged)
    #expect(solve(limit: 1_000).hasConverged)
  }
}
