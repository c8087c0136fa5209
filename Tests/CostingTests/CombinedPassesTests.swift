import Testing

@testable import Costing

/// The recurrence of a forward pass beside a backward pass, against figures worked out by hand for one layer repeated.
@Suite struct CombinedPassesTests {
  private func passes(_ scale: Double, delaysWeights: Bool = true) -> CombinedPasses {
    CombinedPasses(
      attentionForward: 3, attentionBackward: 6, expertsForward: 6, expertsBackward: delaysWeights ? 6 : 12,
      expertWeights: delaysWeights ? 6 : 0, dispatchForward: 1.9 * scale, combineForward: 3.7 * scale,
      combineBackward: 3.7 * scale, dispatchBackward: 3.7 * scale)
  }

  @Test(arguments: [(1.0, 27.70), (0.5, 27.00), (2.0, 32.80)])
  func aLayerTakesWhatItsStreamsAllow(scale: Double, expected: Double) {
    #expect(abs(passes(scale).secondsPerLayer - expected) < 1e-9, "\(passes(scale).secondsPerLayer)")
  }

  @Test func delayedGradientsOfWeightsHideMore() {
    #expect(abs(passes(2, delaysWeights: false).secondsPerLayer - 34.20) < 1e-9)
  }

  @Test func allAlikeIsBoundByComputation() {
    let one = CombinedPasses(
      attentionForward: 1, attentionBackward: 1, expertsForward: 1, expertsBackward: 1, expertWeights: 1,
      dispatchForward: 1, combineForward: 1, combineBackward: 1, dispatchBackward: 1)
    #expect(abs(one.secondsPerLayer - 5) < 1e-9)
    #expect(one.exposedSeconds < 1e-9)
  }

  @Test func noExchangeCostsNothing() {
    #expect(passes(0).exposedSeconds < 1e-9)
    #expect(abs(passes(1).computeSeconds - 27) < 1e-9 && abs(passes(1).exchangeSeconds - 13) < 1e-9)
  }

  /// Of two parts alone, one on either stream, in one layer: after each other where one needs the other, by itself or by
  /// what its stream does before, else beside each other.
  @Test func whatNeedsAnotherWaitsForIt() {
    let computation: [(String, WritableKeyPath<CombinedPasses, Double>)] = [
      ("attention forward", \.attentionForward), ("experts backward", \.expertsBackward),
      ("experts' weights", \.expertWeights), ("experts forward", \.expertsForward),
      ("attention backward", \.attentionBackward),
    ]
    let tokens: [(String, WritableKeyPath<CombinedPasses, Double>)] = [
      ("combine backward", \.combineBackward), ("dispatch forward", \.dispatchForward),
      ("dispatch backward", \.dispatchBackward), ("combine forward", \.combineForward),
    ]
    let free: Set = [
      "attention forward, combine backward", "experts backward, dispatch forward", "experts' weights, dispatch forward",
      "experts' weights, dispatch backward", "experts forward, dispatch backward",
      "attention backward, combine forward",
    ]
    for (first, one) in computation {
      for (second, other) in tokens {
        var passes = CombinedPasses()
        passes[keyPath: one] = 3
        passes[keyPath: other] = 5
        let pair = "\(first), \(second)"
        #expect(passes.seconds(layerCount: 1) == (free.contains(pair) ? 5 : 8), "\(pair)")
      }
    }
  }
}
