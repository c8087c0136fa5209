import Foundation
import TestSupport
import Testing

@testable import Documents

/// The stated errors of quantised collectives are those of the quantiser.
@Suite struct QuantisationErrorTests {
  /// Normally distributed numbers (Box and Muller).
  private static func normals(_ count: Int, _ random: inout SeededGenerator) -> [Double] {
    (0..<count).map { _ in
      let radius = (-2 * log(1 - Double.random(in: 0..<1, using: &random))).squareRoot()
      return radius * cos(2 * Double.pi * Double.random(in: 0..<1, using: &random))
    }
  }

  /// Rounds a group and scales it back.
  private static func rounded(_ group: [Double], bits: Int) -> [Double] {
    let most = Double(1 << (bits - 1)), step = (group.map(abs).max() ?? 0) / most
    return group.map { min(max(($0 / step).rounded(.toNearestOrEven), -most), most - 1) * step }
  }

  private static func relativeError(_ found: [Double], _ exact: [Double]) -> Double {
    let difference = zip(found, exact).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
    return (difference / exact.reduce(0) { $0 + $1 * $1 }).squareRoot()
  }

  @Test(arguments: [(8, 2_048, 60), (4, 256, 400), (4, 16, 4_000), (2, 8, 8_000)])
  func theFormulaIsWhatRoundingDoes(bits: Int, groupLength: Int, groups: Int) {
    var random = SeededGenerator(seed: 7)
    var exact: [Double] = [], found: [Double] = []
    for _ in 0..<groups {
      let group = Self.normals(groupLength, &random)
      exact += group
      found += Self.rounded(group, bits: bits)
    }
    let formula = QuantisationError.relative(bits: bits, groupLength: groupLength)
    #expect(abs(Self.relativeError(found, exact) / formula - 1) < 0.02)
  }

  @Test func twoHopsOfEightRanksLeaveWhatIsStated() {
    var random = SeededGenerator(seed: 8)
    var exact: [Double] = [], found: [Double] = []
    for _ in 0..<150 {
      var sum = [Double](repeating: 0, count: 256), across = sum
      for _ in 0..<2 {
        var node = [Double](repeating: 0, count: 256)
        for _ in 0..<4 {
          let gradient = Self.normals(256, &random)
          sum = zip(sum, gradient).map(+)
          node = zip(node, Self.rounded(gradient, bits: 4)).map(+)
        }
        across = zip(across, Self.rounded(node, bits: 4)).map(+)
      }
      exact += sum
      found += across
    }
    let error = Strategy(
      mesh: [.data: 8],
      sharding: Sharding(weightDegree: 8, gradientDegree: 8, optimizerDegree: 8, quantisesGradients: true)
    ).quantisationError(devicesPerNode: 4)
    #expect(error.weights == 0)
    #expect(abs(error.gradients - 0.1585) < 5e-4)
    #expect(abs(Self.relativeError(found, exact) / error.gradients - 1) < 0.03)
  }

  @Test(
    arguments: [
      // Shards, devices of a node, rounds of weights and of gradients: of groups that leave their node only.
      ((8, 8, 8), 1, 4, 1, 2), ((8, 8, 8), 1, 8, 0, 0), ((8, 8, 8), 4, 4, 1, 1), ((2, 4, 8), 1, 4, 1, 1),
      ((1, 1, 8), 1, 4, 1, 2), ((1, 4, 8), 1, 2, 2, 3), ((4, 4, 4), 1, 4, 0, 0), ((1, 1, 1), 1, 4, 0, 0),
    ] as [((Int, Int, Int), Int, Int, Int, Int)])
  func roundsAreThoseOfGroupsThatLeaveTheirNode(
    degrees: (Int, Int, Int), tensor: Int, devicesPerNode: Int, weights: Int, gradients: Int
  ) {
    let error = Strategy(
      mesh: [.tensor: tensor, .data: 8],
      sharding: Sharding(
        weightDegree: degrees.0, gradientDegree: degrees.1, optimizerDegree: degrees.2, quantisesWeights: true,
        quantisesGradients: true)
    ).quantisationError(devicesPerNode: devicesPerNode)
    #expect(abs(error.weights - QuantisationError.weights * Double(weights).squareRoot()) < 1e-12)
    #expect(abs(error.gradients - QuantisationError.gradients * Double(gradients).squareRoot()) < 1e-12)
  }

  @Test func aToleranceAdmitsWhatErrsLess() {
    func strategy(weights: Bool, gradients: Bool) -> Strategy {
      Strategy(
        mesh: [.data: 8],
        sharding: Sharding(
          weightDegree: 8, gradientDegree: 8, optimizerDegree: 8, quantisesWeights: weights,
          quantisesGradients: gradients))
    }
    let little = Allowance(quantisationTolerance: 0.02), much = Allowance(quantisationTolerance: 0.2)
    for allowance in [Allowance.exact, little, much] {
      #expect(allowance.permits(strategy(weights: false, gradients: false), devicesPerNode: 4))
    }
    #expect(!Allowance.exact.permits(strategy(weights: true, gradients: false), devicesPerNode: 4))
    #expect(little.permits(strategy(weights: true, gradients: false), devicesPerNode: 4))
    #expect(!little.permits(strategy(weights: false, gradients: true), devicesPerNode: 4))
    #expect(much.permits(strategy(weights: true, gradients: true), devicesPerNode: 4))
    let least = Allowance(quantisationTolerance: 0.008)
    #expect(!least.permits(strategy(weights: true, gradients: false), devicesPerNode: 4))
  }
}
