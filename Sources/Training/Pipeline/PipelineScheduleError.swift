package import Documents

/// Why a pipeline schedule of a given shape does not exist.
package enum PipelineScheduleError: Error, Sendable, Hashable {
  /// A pipeline has at least one stage.
  case stageCountBelowOne(stageCount: Int)

  /// An iteration has at least one micro-batch.
  case microBatchCountBelowOne(microBatchCount: Int)

  /// The interleaved schedule needs at least two model chunks per stage.
  case tooFewChunks(chunkCount: Int)

  /// The interleaved schedule needs at least two stages.
  case tooFewStages(stageCount: Int)

  /// The interleaved schedule runs micro-batches in equal groups of at least `stageCount`.
  case microBatchesMakeNoGroups(microBatchCount: Int, stageCount: Int)

  /// A schedule with split backward passes has a least number of micro-batches.
  case tooFewMicroBatches(Strategy.Schedule, microBatchCount: Int, stageCount: Int)
}

extension Strategy.Schedule {
  /// Refuses shapes that a schedule with split backward passes has no list for.
  ///
  /// - Throws: ``PipelineScheduleError`` with fewer than two stages, or fewer micro-batches than it needs.
  func require(stageCount: Int, microBatchCount: Int) throws(PipelineScheduleError) {
    guard stageCount >= 2 else { throw .tooFewStages(stageCount: stageCount) }
    guard microBatchCount >= leastMicroBatchCount(stageCount: stageCount) else {
      throw .tooFewMicroBatches(self, microBatchCount: microBatchCount, stageCount: stageCount)
    }
  }
}

extension PipelineScheduleError: CustomStringConvertible {
  /// What was expected and what was found, in one sentence.
  package var description: String {
    switch self {
    case .stageCountBelowOne(let stageCount):
      "a pipeline has at least 1 stage, found \(stageCount)"
    case .microBatchCountBelowOne(let microBatchCount):
      "an iteration has at least 1 micro-batch, found \(microBatchCount)"
    case .tooFewChunks(let chunkCount):
      "schedule 1f1b-interleaved needs at least 2 model chunks per stage, found \(chunkCount)"
    case .tooFewStages(let stageCount):
      "schedules with several chunks or split backward passes need at least 2 stages, found \(stageCount)"
    case .microBatchesMakeNoGroups(let microBatchCount, let stageCount):
      "schedule 1f1b-interleaved needs a number of micro-batches that makes equal groups, as many as fit, of at least its "
        + "\(stageCount) stages, found \(microBatchCount)"
    case .tooFewMicroBatches(let schedule, let microBatchCount, let stageCount):
      "schedule \(schedule.name) needs at least \(schedule.leastMicroBatchCount(stageCount: stageCount)) micro-batches for "
        + "\(stageCount) stages, found \(microBatchCount)"
    }
  }
}
