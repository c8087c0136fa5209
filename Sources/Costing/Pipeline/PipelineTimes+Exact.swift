package import Documents
import Training

extension PipelineTimes {
  /// The exact time of a pipeline schedule, in seconds: the end of the last backward pass of the slowest stage.
  ///
  /// Each stage's own end is left in `scratch` (``PipelineScratch/endSeconds(ofStage:)``). The result is that of a
  /// walk over the schedule's steps bit for bit, since the same sums and maxima are taken in another order of events; the
  /// recurrences keep one or two numbers per stage and allocate nothing but the scratch's first growth. Checked in
  /// `PipelineExactTests`.
  ///
  /// - Parameters:
  ///   - schedule: The order of passes; its chunk count is that of these times.
  ///   - microBatchCount: Micro-batches per iteration, at least 1.
  ///   - scratch: Memory to reuse between calls.
  /// - Precondition: A ``PipelineSchedule`` of this order and shape exists.
  /// - Complexity: O(stages × chunks × micro-batches) time, O(stages) memory.
  package func endSeconds(
    of schedule: Strategy.Schedule, microBatchCount: Int, scratch: inout PipelineScratch
  ) -> Double {
    precondition(schedule.chunkCount == chunkCount, "times of \(chunkCount) chunks per stage for \(schedule)")
    do {
      _ = try PipelineSchedule(schedule, stageCount: stageCount, microBatchCount: microBatchCount)
    } catch {
      preconditionFailure(error.description)
    }
    scratch.withClocks(stageCount: stageCount) { stageEnds, forwardEnds in
      switch schedule {
      case .oneForwardOneBackward:
        advanceOneForwardOneBackward(microBatchCount: microBatchCount, stageEnds: stageEnds)
      case .interleaved:
        advanceInterleaved(
          microBatchCount: microBatchCount, forwardEnds: forwardEnds, stageEnds: stageEnds)
      }
    }
    var end = 0.0
    for stageIndex in 0..<stageCount {
      end = max(end, scratch.endSeconds(ofStage: stageIndex))
    }
    return end
  }
}
