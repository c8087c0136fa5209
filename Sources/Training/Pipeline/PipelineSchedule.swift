package import Documents

/// Who runs which pass of which micro-batch, in which order: a pipeline schedule as data.
///
/// It is the one truth about the order of an iteration: programs are lowered from it and executed, and the cost model's
/// recurrences give the times of a walk over it. It says nothing about time itself: a stage starts its next step when the
/// results that the step needs have arrived.
package struct PipelineSchedule: Sendable, Hashable {
  /// The order of forward and backward passes.
  package let order: Strategy.Schedule

  /// Pipeline stages, at least 1.
  package let stageCount: Int

  /// Micro-batches per pipeline and iteration, at least 1; a multiple of `stageCount` when interleaved.
  package let microBatchCount: Int

  /// A schedule of the given shape.
  ///
  /// - Throws: ``PipelineScheduleError``, its case saying which of the ranges above does not hold.
  package init(
    _ order: Strategy.Schedule, stageCount: Int, microBatchCount: Int
  ) throws(PipelineScheduleError) {
    guard stageCount >= 1 else { throw .stageCountBelowOne(stageCount: stageCount) }
    guard microBatchCount >= 1 else {
      throw .microBatchCountBelowOne(microBatchCount: microBatchCount)
    }
    if case .interleaved(let chunkCount) = order {
      guard chunkCount >= 2 else { throw .tooFewChunks(chunkCount: chunkCount) }
      guard stageCount >= 2 else { throw .tooFewStages(stageCount: stageCount) }
      guard microBatchCount % stageCount == 0 else {
        throw .microBatchesNotMultipleOfStages(
          microBatchCount: microBatchCount, stageCount: stageCount)
      }
    }
    self.order = order
    self.stageCount = stageCount
    self.microBatchCount = microBatchCount
  }

  /// Model chunks (virtual stages) per stage: at least 2 when interleaved, otherwise 1.
  package var chunkCount: Int { order.chunkCount }

  /// Forward passes of one stage in one iteration, counted per (micro-batch, chunk); as many backward passes.
  package var passCount: Int { microBatchCount * chunkCount }

  /// The position in the model of a stage's chunk: `chunk · stageCount + stage`.
  package func virtualStageIndex(stage stageIndex: Int, chunk chunkIndex: Int) -> Int {
    chunkIndex * stageCount + stageIndex
  }
}
