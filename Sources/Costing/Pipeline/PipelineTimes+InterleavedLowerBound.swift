import Schedules

extension PipelineTimes {
  /// A lower bound on the time of the interleaved schedule, in seconds: the largest of three paths per stage.
  ///
  /// With i the stage, p stages, v chunks, m micro-batches, N = m·v passes per direction and stage, w the warm-up:
  ///
  /// - *fill*: Σ_{j<i} (f_{j,0} + l_j), then all passes of the stage, m·Σ_c (f_{i,c} + b_{i,c}), then
  ///   Σ_{j<i} (b_{j,0} + l_j). For equal stages without transfers it is the exact time, (m + (p − 1)/v) times the
  ///   seconds of a stage: Narayanan et al. 2021 (arXiv 2104.04473), section 2.2.2.
  /// - *backwards after*: the first micro-batch through all chunks of all stages, its backward pass of the last chunk
  ///   up to stage i, then all that the stage has left (N − 1 backward passes and the forward passes after number w),
  ///   then the first chunk's backward passes up to stage 0.
  /// - *forwards before*: its mirror image: the first chunk down to stage i, all of the stage's forward passes with the
  ///   N − 1 − w backward passes among them, the last chunk down to the last stage, and the last micro-batch's backward
  ///   passes through all chunks of all stages.
  ///
  /// Derived here.
  ///
  /// - Complexity: O(stages × chunks).
  func interleavedLowerBoundSeconds(of schedule: PipelineSchedule) -> Double {
    // p stages, v chunks, i the stage, N passes per direction and stage.
    let (p, v) = (stageCount, chunkCount)
    let passCount = schedule.passCount
    let allTransfers = transferSeconds.reduce(0, +)
    let throughAllChunks = Double(v) * allTransfers + Double(v - 1) * wrapTransferSeconds
    let allForwards = forwardSeconds.reduce(throughAllChunks, +)
    let allBackwards = backwardSeconds.reduce(throughAllChunks, +)
    // First chunk of the stages before i with their links; last chunk of the stages from i on with theirs.
    var (forwardBefore, backwardBefore) = (0.0, 0.0)
    var (forwardFrom, backwardFrom) = (allTransfers, allTransfers)
    for i in 0..<p {
      forwardFrom += forwardSeconds[i * v + v - 1]
      backwardFrom += backwardSeconds[i * v + v - 1]
    }

    var longest = 0.0
    for i in 0..<p {
      let warmUp = schedule.warmUpCount(ofStage: i)
      let forwardsBeforeFirstBackward = min(warmUp + 1, passCount)
      let backwardsBeforeLastForward = max(0, passCount - 1 - warmUp)
      let forwards = seconds(
        ofFirst: passCount, passesIn: forwardSeconds, stage: i, isReversed: false)
      let backwards = seconds(
        ofFirst: passCount, passesIn: backwardSeconds, stage: i, isReversed: true)
      let earlyForwards = seconds(
        ofFirst: forwardsBeforeFirstBackward, passesIn: forwardSeconds, stage: i, isReversed: false)
      let earlyBackwards = seconds(
        ofFirst: backwardsBeforeLastForward, passesIn: backwardSeconds, stage: i, isReversed: true)

      let fill = forwardBefore + forwards + backwards + backwardBefore
      let backwardsAfter =
        allForwards + backwardFrom + (backwards - backwardSeconds[i * v + v - 1])
        + (forwards - earlyForwards) + backwardBefore
      let forwardsBefore =
        forwardBefore + (forwards - forwardSeconds[i * v + v - 1]) + earlyBackwards + forwardFrom
        + allBackwards
      longest = max(longest, fill, backwardsAfter, forwardsBefore)

      if i < p - 1 {
        forwardBefore += forwardSeconds[i * v] + transferSeconds[i]
        backwardBefore += backwardSeconds[i * v] + transferSeconds[i]
        forwardFrom -= forwardSeconds[i * v + v - 1] + transferSeconds[i]
        backwardFrom -= backwardSeconds[i * v + v - 1] + transferSeconds[i]
      }
    }
    return longest
  }

  /// Seconds of a stage's first `count` passes in one direction; `isReversed` when the chunks run from last to first.
  private func seconds(
    ofFirst count: Int, passesIn seconds: [Double], stage stageIndex: Int, isReversed: Bool
  ) -> Double {
    let (groupCount, rest) = count.quotientAndRemainder(dividingBy: stageCount * chunkCount)
    var sum = 0.0
    for position in 0..<chunkCount {
      let chunk = isReversed ? chunkCount - 1 - position : position
      let inRest = min(stageCount, max(0, rest - position * stageCount))
      sum += Double(groupCount * stageCount + inRest) * seconds[stageIndex * chunkCount + chunk]
    }
    return sum
  }
}
