/// Who runs which pass of which micro-batch, in which order: a pipeline schedule as data.
///
/// It is the one truth about the order of an iteration. The cost model folds over it (or over its closed form) and the
/// executor performs it. It says nothing about time: a stage starts its next step when the step's source
/// (``PipelineEvent/source(stageCount:chunkCount:)``) has arrived.
public struct PipelineSchedule: Sendable, Hashable {
  /// The order of forward and backward passes.
  public let kind: PipelineScheduleKind

  /// Pipeline stages, at least 1.
  public let stageCount: Int

  /// Model chunks (virtual stages) per stage: at least 2 when interleaved, otherwise 1.
  public let chunkCount: Int

  /// Micro-batches per pipeline and iteration, at least 1; a multiple of `stageCount` when interleaved.
  public let microBatchCount: Int

  /// A schedule of the given shape.
  ///
  /// - Throws: The ``PipelineScheduleError`` that ``refusal(of:stageCount:chunkCount:microBatchCount:)`` returns.
  public init(
    kind: PipelineScheduleKind, stageCount: Int, chunkCount: Int = 1, microBatchCount: Int
  ) throws(PipelineScheduleError) {
    if let refusal = Self.refusal(
      of: kind, stageCount: stageCount, chunkCount: chunkCount, microBatchCount: microBatchCount)
    {
      throw refusal
    }
    self.kind = kind
    self.stageCount = stageCount
    self.chunkCount = chunkCount
    self.microBatchCount = microBatchCount
  }

  /// Why no schedule of this shape exists, or nil when one does; for callers that ask often and allocate nothing.
  public static func refusal(
    of kind: PipelineScheduleKind, stageCount: Int, chunkCount: Int, microBatchCount: Int
  ) -> PipelineScheduleError? {
    if stageCount < 1 { return .stageCountBelowOne(stageCount: stageCount) }
    if microBatchCount < 1 { return .microBatchCountBelowOne(microBatchCount: microBatchCount) }
    switch kind {
    case .oneForwardOneBackward, .gpipe:
      return chunkCount == 1 ? nil : .chunkCountNotOne(kind: kind, chunkCount: chunkCount)
    case .interleaved:
      if chunkCount < 2 { return .tooFewChunks(chunkCount: chunkCount) }
      if stageCount < 2 { return .tooFewStages(stageCount: stageCount) }
      return microBatchCount % stageCount == 0
        ? nil
        : .microBatchesNotMultipleOfStages(microBatchCount: microBatchCount, stageCount: stageCount)
    }
  }

  /// Forward passes of one stage in one iteration, counted per (micro-batch, chunk); as many backward passes.
  public var passCount: Int { microBatchCount * chunkCount }

  /// The position in the model of a stage's chunk: `chunk · stageCount + stage`.
  public func virtualStageIndex(stage stageIndex: Int, chunk chunkIndex: Int) -> Int {
    chunkIndex * stageCount + stageIndex
  }
}
