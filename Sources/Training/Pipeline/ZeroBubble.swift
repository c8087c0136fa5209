import Documents

/// 1F1B with split backward passes: ZB-H1, and over several chunks a stage ZB1P (Qi et al. 2023, arXiv 2401.10241,
/// sections 2.1 and 6), in the order of PyTorch's `ScheduleInterleavedZeroBubble`.
///
/// With p stages, v chunks and groups of N micro-batches as in ``Interleaved``, stage r first runs (v − 1)N + p − 1 − r
/// forward passes; then a forward pass, while there is one, an input gradient, and from the r-th pair on a weight
/// gradient; then the weight gradients that are left. The delay of r weight gradients makes every stage keep as much as
/// 1F1B keeps on the first.
struct ZeroBubble: PassOrder {
  let stageCount: Int
  let chunkCount: Int
  let microBatchCount: Int
  /// N.
  private let groupSize: Int

  /// - Throws: ``PipelineScheduleError`` with fewer than two stages, or where micro-batches make no groups.
  init(stageCount: Int, chunkCount: Int, microBatchCount: Int) throws(PipelineScheduleError) {
    guard chunkCount >= 1 else { throw .tooFewChunks(chunkCount: chunkCount) }
    try Strategy.Schedule.zeroBubble(chunkCount: chunkCount).require(
      stageCount: stageCount, microBatchCount: microBatchCount)
    let groupSize =
      chunkCount == 1
      ? microBatchCount : Strategy.Schedule.groupSize(stageCount: stageCount, microBatchCount: microBatchCount)
    guard let groupSize else {
      throw .microBatchesMakeNoGroups(microBatchCount: microBatchCount, stageCount: stageCount)
    }
    self.stageCount = stageCount
    self.chunkCount = chunkCount
    self.microBatchCount = microBatchCount
    self.groupSize = groupSize
  }

  func steps(ofStage stageIndex: Int) -> [PipelineStep] {
    let passCount = microBatchCount * chunkCount
    let warmUpCount = (chunkCount - 1) * groupSize + stageCount - 1 - stageIndex
    var steps: [PipelineStep] = []
    steps.reserveCapacity(3 * passCount)
    func append(_ pass: PipelineStep.Pass, _ number: Int) {
      let (group, numberInGroup) = number.quotientAndRemainder(dividingBy: groupSize * chunkCount)
      let chunk = numberInGroup / groupSize
      steps.append(
        PipelineStep(
          pass: pass, microBatchIndex: group * groupSize + numberInGroup % groupSize,
          chunkIndex: pass == .forward ? chunk : chunkCount - 1 - chunk))
    }
    for number in 0..<warmUpCount { append(.forward, number) }
    for pair in 0..<passCount {
      if warmUpCount + pair < passCount { append(.forward, warmUpCount + pair) }
      append(.inputGradient, pair)
      if pair >= stageIndex { append(.weightGradient, pair - stageIndex) }
    }
    for number in (passCount - stageIndex)..<passCount { append(.weightGradient, number) }
    return steps
  }

  func virtualStageIndex(stage stageIndex: Int, chunk chunkIndex: Int) -> Int {
    chunkIndex * stageCount + stageIndex
  }

  /// (v − 1)N + p passes on every stage. Stage 0 puts no weight gradient off, so that in its first chunk a second group
  /// enters before the first has left where there are more chunks than one.
  var passesInFlight: PassesInFlight {
    let inFirstChunk =
      switch chunkCount {
      case 1: stageCount
      case 2: min(groupSize + stageCount, microBatchCount)
      default: min(2 * groupSize, microBatchCount)
      }
    return PassesInFlight(
      onFirstStage: (chunkCount - 1) * groupSize + stageCount, fewerPerStage: 0,
      passCount: microBatchCount * chunkCount, inFirstChunk: inFirstChunk,
      splitting: .zeroBubble, stageCount: stageCount)
  }
}
