public import Schedules

extension PipelineTimes {
  /// A lower bound on the exact time of a schedule, in seconds, in time that does not grow with the micro-batches.
  ///
  /// - *1F1B*: the largest stage term of ``OneForwardOneBackwardBound``, where the pairs of a path with cycles may also lie
  ///   on a slower later stage. Equal to the exact time for equal stages and a multiple of p micro-batches.
  /// - *GPipe*: Σ (f_i + b_i) + 2 Σ l_i + (m − 1)(max f_i + max b_i), which is the exact time: two flow shops with
  ///   identical jobs, one after the other (the makespan of a flow shop with identical jobs is one job plus m − 1 times
  ///   the slowest machine).
  /// - *interleaved*: the largest of three paths per stage, see `interleavedLowerBoundSeconds(of:)`. It has no
  ///   cycles yet, so it is loose when links are long beside passes.
  ///
  /// Every bound is the length of a path through the dependency graph; in floating point it may exceed the exact time
  /// by rounding, below 10⁻¹² of it. Checked in `PipelineLowerBoundTests`.
  ///
  /// - Precondition: A ``PipelineSchedule`` of this kind and shape exists.
  /// - Complexity: O(stages × chunks).
  public func lowerBoundSeconds(of kind: PipelineScheduleKind, microBatchCount: Int) -> Double {
    let schedule = schedule(kind, microBatchCount: microBatchCount)
    switch kind {
    case .oneForwardOneBackward:
      return oneForwardOneBackwardLowerBoundSeconds(microBatchCount: microBatchCount)
    case .interleaved:
      return interleavedLowerBoundSeconds(of: schedule)
    case .gpipe:
      return gpipeSeconds(microBatchCount: microBatchCount)
    }
  }

  private func oneForwardOneBackwardLowerBoundSeconds(microBatchCount: Int) -> Double {
    let bound = OneForwardOneBackwardBound(
      workSeconds: forwardSeconds.reduce(0, +) + backwardSeconds.reduce(0, +),
      transferSeconds: transferSeconds, microBatchCount: microBatchCount)
    var longest = 0.0
    var prefixWorkSeconds = bound.workSeconds
    var slowestSeconds = 0.0
    for stageIndex in (0..<stageCount).reversed() {
      let stageSeconds = forwardSeconds[stageIndex] + backwardSeconds[stageIndex]
      slowestSeconds = max(slowestSeconds, stageSeconds)
      prefixWorkSeconds -= stageSeconds
      longest = max(
        longest,
        bound.stageTermSeconds(
          stageIndex, prefixWorkSeconds: prefixWorkSeconds,
          forwardSeconds: forwardSeconds[stageIndex], backwardSeconds: backwardSeconds[stageIndex],
          slowestFromHereSeconds: slowestSeconds))
    }
    return longest
  }

  private func gpipeSeconds(microBatchCount: Int) -> Double {
    let tripSeconds =
      forwardSeconds.reduce(0, +) + backwardSeconds.reduce(0, +) + 2 * transferSeconds.reduce(0, +)
    let slowestSeconds = forwardSeconds.reduce(0, max) + backwardSeconds.reduce(0, max)
    return tripSeconds + Double(microBatchCount - 1) * slowestSeconds
  }
}
