package import Documents
import Training

extension PipelineTimes {
  /// The exact time of a pipeline schedule, in seconds: the end of the last backward pass of the slowest stage.
  ///
  /// Each stage's own end is left in `scratch` (``PipelineScratch/endSeconds(ofStage:)``). The result is that of a
  /// walk over the schedule's steps (``endSeconds(walking:)``) bit for bit. A schedule that is priced often has a recurrence
  /// here, which takes the same sums and maxima in another order of events, keeps a few numbers per stage and allocates
  /// nothing but the scratch's first growth; every other schedule is walked. Checked in `PipelineExactTests`.
  ///
  /// - Parameters:
  ///   - schedule: The order of passes; its chunk count is that of these times.
  ///   - microBatchCount: Micro-batches per iteration, at least 1.
  ///   - scratch: Memory to reuse between calls.
  /// - Precondition: A ``PipelineSchedule`` of this order and shape exists.
  /// - Complexity: O(stages × chunks × micro-batches) time; by a recurrence O(stages) memory.
  package func endSeconds(
    of schedule: Strategy.Schedule, microBatchCount: Int, scratch: inout PipelineScratch
  ) -> Double {
    precondition(schedule.chunkCount == chunkCount, "times of \(chunkCount) chunks per stage for \(schedule)")
    if case .oneForwardOneBackward = schedule {
      precondition(microBatchCount >= 1, "an iteration has at least 1 micro-batch")
      scratch.withClocks(stageCount: stageCount) { stageEnds, _ in
        advanceOneForwardOneBackward(microBatchCount: microBatchCount, stageEnds: stageEnds)
      }
    } else if case .interleaved = schedule {
      guard let groupSize = Strategy.Schedule.groupSize(stageCount: stageCount, microBatchCount: microBatchCount)
      else { preconditionFailure("\(microBatchCount) micro-batches make no groups for \(stageCount) stages") }
      scratch.withClocks(stageCount: stageCount, othersCount: stageCount + 2 * groupSize) { stageEnds, others in
        advanceInterleaved(
          microBatchCount: microBatchCount, groupSize: groupSize, others: others, stageEnds: stageEnds)
      }
    } else {
      let ends = walkedEndSeconds(of: schedule, microBatchCount: microBatchCount)
      scratch.withClocks(stageCount: stageCount) { stageEnds, _ in _ = stageEnds.update(fromContentsOf: ends) }
    }
    var end = 0.0
    for stageIndex in 0..<stageCount {
      end = max(end, scratch.endSeconds(ofStage: stageIndex))
    }
    return end
  }

  /// The end of each stage by a walk over the schedule's steps, seconds.
  ///
  /// With more micro-batches than ``walkedMicroBatchCount`` a schedule that takes them one by one, or p by p, repeats itself
  /// in its steady state, so that ends grow along a line: through those of two walks, ``steadyRoundCount`` rounds and twice
  /// as many.
  private func walkedEndSeconds(of schedule: Strategy.Schedule, microBatchCount: Int) -> [Double] {
    func walk(_ count: Int) -> [Double] {
      do {
        return try endSeconds(
          walking: PipelineSchedule(schedule, stageCount: stageCount, microBatchCount: count))
      } catch {
        preconditionFailure("\(error)")
      }
    }
    let unit = schedule.wraps ? stageCount : 1
    guard microBatchCount > Self.walkedMicroBatchCount, microBatchCount % unit == 0 else {
      return walk(microBatchCount)
    }
    let step = Self.steadyRoundCount * unit, rest = microBatchCount % step
    let first = walk(step + rest), second = walk(2 * step + rest)
    let steps = Double((microBatchCount - step - rest) / step)
    return zip(first, second).map { $0 + steps * ($1 - $0) }
  }

  /// A multiple of every period up to ten.
  private static let steadyRoundCount = 2_520
}
