import Documents

/// 1F1B over several chunks of layers a stage: Narayanan et al. 2021 (arXiv 2104.04473), section 2.2.2.
///
/// Micro-batches run in groups of N, each group through chunk 0, then chunk 1, and so on, backward from the last chunk to
/// the first. With p stages, v chunks and m micro-batches, stage i first runs min(m·v, 2(p − i − 1) + (v − 1)N) forward
/// passes; then pairs of one forward and one backward pass; then the backward passes that are left. So do Megatron-LM
/// (`get_pp_rank_microbatches`) and PyTorch (`ScheduleInterleaved1F1B`). N is
/// ``Documents/Strategy/Schedule/groupSize(stageCount:microBatchCount:)``.
struct Interleaved: PassOrder {
  let stageCount: Int
  let chunkCount: Int
  let microBatchCount: Int
  /// Whether the passes of a pair run beside each other, after one more forward pass.
  let combines: Bool

  /// - Throws: ``PipelineScheduleError`` with fewer than two stages or chunks, or where micro-batches make no groups.
  init(stageCount: Int, chunkCount: Int, microBatchCount: Int, combines: Bool = false) throws(PipelineScheduleError) {
    guard chunkCount >= 2 else { throw .tooFewChunks(chunkCount: chunkCount) }
    guard stageCount >= 2 else { throw .tooFewStages(stageCount: stageCount) }
    guard Strategy.Schedule.groupSize(stageCount: stageCount, microBatchCount: microBatchCount) != nil else {
      throw .microBatchesMakeNoGroups(microBatchCount: microBatchCount, stageCount: stageCount)
    }
    self.stageCount = stageCount
    self.chunkCount = chunkCount
    self.microBatchCount = microBatchCount
    self.combines = combines
  }

  /// N, which the initialiser has seen to be whole.
  private var groupSize: Int { microBatchCount / (microBatchCount / stageCount) }

  func steps(ofStage stageIndex: Int) -> [PipelineStep] {
    PipelineStep.inPairs(
      warmUpCount: warmUpCount(stageIndex),
      passCount: microBatchCount * chunkCount,
      forward: {
        let (microBatch, chunk) = place(of: $0)
        return PipelineStep(pass: .forward, microBatchIndex: microBatch, chunkIndex: chunk)
      },
      backward: {
        let (microBatch, chunk) = place(of: $0)
        return PipelineStep(pass: .backward, microBatchIndex: microBatch, chunkIndex: chunkCount - 1 - chunk)
      })
  }

  func pairs(ofStage stageIndex: Int) -> [Int] {
    combines
      ? PipelineStep.pairs(warmUpCount: warmUpCount(stageIndex), passCount: microBatchCount * chunkCount) : []
  }

  private func warmUpCount(_ stageIndex: Int) -> Int {
    2 * (stageCount - stageIndex - 1) + (chunkCount - 1) * groupSize + (combines ? 1 : 0)
  }

  /// Micro-batch and chunk of a pass, chunks counted in the order in which they run.
  private func place(of number: Int) -> (microBatch: Int, chunk: Int) {
    let groupSize = groupSize
    let (group, numberInGroup) = number.quotientAndRemainder(dividingBy: groupSize * chunkCount)
    return (group * groupSize + numberInGroup % groupSize, numberInGroup / groupSize)
  }

  /// The chunks of all stages, then the next ones: `chunk · p + stage`.
  func virtualStageIndex(stage stageIndex: Int, chunk chunkIndex: Int) -> Int {
    chunkIndex * stageCount + stageIndex
  }

  /// min(2(p − i − 1) + (v − 1)N + 1, m·v): the warm-up and the forward pass of the first pair. In stage 0's first chunk a
  /// second group enters before the first has left.
  var passesInFlight: PassesInFlight {
    PassesInFlight(
      onFirstStage: 2 * (stageCount - 1) + (chunkCount - 1) * groupSize + (combines ? 2 : 1), fewerPerStage: 2,
      passCount: microBatchCount * chunkCount, inFirstChunk: min(2 * groupSize, microBatchCount),
      chunkCount: chunkCount, groupSize: groupSize)
  }
}
