import Schedules

/// Published and derived closed forms of the time of 1F1B, for explanations and comparisons.
///
/// None of them is a bound in general; the planner ranks by ``PipelineTimes/endSeconds(of:microBatchCount:scratch:)``
/// and prunes by ``PipelineTimes/lowerBoundSeconds(of:microBatchCount:)``.
public enum PipelineClosedForms {
  /// The exact time of 1F1B with equal stages and links, in seconds.
  ///
  /// T = (m + p − 1)·C + 2l·[(m/p)(p − 1) + (p − 2)] with p stages, m micro-batches, C forward and backward seconds of
  /// one micro-batch on one stage, l seconds of one transfer. The first term is Narayanan et al. 2021
  /// (arXiv 2104.04473), section 2.2.1; the second was derived here: of the m/p round trips that the window of p
  /// micro-batches forces, each pays p − 1 links both ways, and draining pays p − 2 more.
  ///
  /// It assumes that m is a multiple of p, that forward and backward times add up to C in any proportion, and that
  /// transfers run beside the passes. For p = 1 it is m·C. Checked by
  /// "The golden values of 1F1B hold for recurrence, reference and closed form" and "Equal stages end when the closed
  /// form says".
  ///
  /// - Parameters:
  ///   - stageCount: Stages, at least 1.
  ///   - microBatchCount: Micro-batches, a positive multiple of `stageCount`.
  ///   - stageSeconds: C.
  ///   - transferSeconds: l.
  /// - Precondition: The micro-batch count is a positive multiple of the stage count.
  public static func equalStageSeconds(
    stageCount: Int, microBatchCount: Int, stageSeconds: Double, transferSeconds: Double
  ) -> Double {
    precondition(
      stageCount >= 1 && microBatchCount >= 1 && microBatchCount % stageCount == 0,
      "the micro-batch count is a positive multiple of the stage count")
    guard stageCount > 1 else { return Double(microBatchCount) * stageSeconds }
    let passes = Double(microBatchCount + stageCount - 1)
    let roundTrips = microBatchCount / stageCount * (stageCount - 1) + (stageCount - 2)
    return passes * stageSeconds + 2 * transferSeconds * Double(roundTrips)
  }

  /// An estimate of 1F1B with unequal stages and links, in seconds: fill and drain once, then the slowest cycle.
  ///
  /// P = max(max_i C_i, max_i (Σ_{j≥i} C_j + 2 Σ_{j≥i} l_j)/(p − i)), T = Σ C_i + 2 Σ l_j + (m − 1)·P, since stage i
  /// (from 0) holds at most p − i micro-batches and so pays its round trip once in p − i of them. Derived here. It is
  /// the asymptotically right period with an end that is too simple: above or below the exact time by a few percent.
  ///
  /// - Parameters:
  ///   - times: The pipeline, one chunk per stage.
  ///   - microBatchCount: m, at least 1.
  public static func criticalCycleSeconds(of times: PipelineTimes, microBatchCount: Int) -> Double {
    _ = times.schedule(.oneForwardOneBackward, microBatchCount: microBatchCount)
    var periodSeconds = 0.0
    var roundTripSeconds = 0.0
    for stageIndex in (0..<times.stageCount).reversed() {
      let stageSeconds = times.forwardSeconds[stageIndex] + times.backwardSeconds[stageIndex]
      roundTripSeconds += stageSeconds
      if stageIndex < times.stageCount - 1 {
        roundTripSeconds += 2 * times.transferSeconds[stageIndex]
      }
      periodSeconds = max(
        periodSeconds, stageSeconds, roundTripSeconds / Double(times.stageCount - stageIndex))
    }
    return roundTripSeconds + Double(microBatchCount - 1) * periodSeconds
  }

  /// Pipette's estimate of 1F1B without its data-parallel terms, in seconds.
  ///
  /// T = ⌊m/p⌋·(p·C + T_pp) + (p − 1)·C with T_pp = Σ 2 l_j over the stage boundaries: Yim et al., "Pipette"
  /// (DATE 2024), as in the released code. It assumes equal stages, takes C as the slowest, needs m ≥ p, and drops the
  /// last m mod p micro-batches.
  ///
  /// - Parameters:
  ///   - times: The pipeline, one chunk per stage.
  ///   - microBatchCount: m, at least the stage count p.
  /// - Precondition: There are at least as many micro-batches as stages.
  public static func pipetteSeconds(of times: PipelineTimes, microBatchCount: Int) -> Double {
    _ = times.schedule(.oneForwardOneBackward, microBatchCount: microBatchCount)
    precondition(
      microBatchCount >= times.stageCount, "there are at least as many micro-batches as stages")
    var slowestSeconds = 0.0
    for stageIndex in 0..<times.stageCount {
      slowestSeconds = max(
        slowestSeconds, times.forwardSeconds[stageIndex] + times.backwardSeconds[stageIndex])
    }
    let roundTripTransferSeconds = 2 * times.transferSeconds.reduce(0, +)
    let windowSeconds = Double(times.stageCount) * slowestSeconds + roundTripTransferSeconds
    return Double(microBatchCount / times.stageCount) * windowSeconds
      + Double(times.stageCount - 1) * slowestSeconds
  }
}
