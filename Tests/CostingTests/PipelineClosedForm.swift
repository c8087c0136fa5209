import Costing

/// The exact time of 1F1B with equal stages and links, in seconds: an oracle of recurrence and bounds.
///
/// T = (m + p − 1)·C + 2l·[(m/p)(p − 1) + (p − 2)] with p stages, m micro-batches (a multiple of p), C forward and
/// backward seconds of one micro-batch on one stage, l seconds of one transfer; m·C for p = 1. The first term is
/// Narayanan et al. 2021 (arXiv 2104.04473), section 2.2.1; the second was derived here: of the m/p round trips that
/// the window of p micro-batches forces, each pays p − 1 links both ways, and draining pays p − 2 more.
func equalStageSeconds(stageCount p: Int, microBatchCount m: Int, stageSeconds: Double, transferSeconds: Double)
  -> Double
{
  precondition(m % p == 0, "the micro-batch count is a multiple of the stage count")
  guard p > 1 else { return Double(m) * stageSeconds }
  return Double(m + p - 1) * stageSeconds + 2 * transferSeconds * Double(m / p * (p - 1) + (p - 2))
}

extension PipelineTimes {
  /// A pipeline whose stages, chunks and boundaries are all alike, the wrap included;
  /// the seconds are those of one chunk.
  init(
    equalStageCount p: Int, chunkCount v: Int = 1, forwardSeconds: Double, backwardSeconds: Double,
    transferSeconds: Double
  ) {
    self.init(
      stageCount: p, chunkCount: v, forwardSeconds: Array(repeating: forwardSeconds, count: p * v),
      backwardSeconds: Array(repeating: backwardSeconds, count: p * v),
      transferSeconds: Array(repeating: transferSeconds, count: p - 1), wrapTransferSeconds: transferSeconds)
  }
}
