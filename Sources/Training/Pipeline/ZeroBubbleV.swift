import Documents

/// ZB-V (Qi et al. 2024, arXiv 2405.15362, section 4), in the order of PyTorch's `ScheduleZBVZeroBubble`.
///
/// Stage r of p holds the virtual stages r and 2p − 1 − r, its chunks 0 and 1. It runs
/// 1. 2(p − r) − 1 forward passes of chunk 0;
/// 2. r times a forward pass of chunk 1 and one of chunk 0;
/// 3. p − r times a forward pass of chunk 1, its input and its weight gradient;
/// 4. while there are forward passes: one of chunk 0, if there is one, input and weight gradient of chunk 0, and a forward
///    pass, an input and a weight gradient of chunk 1;
/// 5. r times an input gradient of chunk 0 and one of chunk 1;
/// 6. p − r times an input and a weight gradient of chunk 0;
/// 7. the weight gradients that are left, first of chunk 1, then of chunk 0.
struct ZeroBubbleV: PassOrder {
  let stageCount: Int
  let microBatchCount: Int

  /// - Throws: ``PipelineScheduleError`` with fewer than two stages, or fewer than 2p − 1 micro-batches.
  init(stageCount: Int, microBatchCount: Int) throws(PipelineScheduleError) {
    try Strategy.Schedule.zeroBubbleV.require(stageCount: stageCount, microBatchCount: microBatchCount)
    self.stageCount = stageCount
    self.microBatchCount = microBatchCount
  }

  func steps(ofStage r: Int) -> [PipelineStep] {
    let (p, m) = (stageCount, microBatchCount)
    var list = ChunkSteps(capacity: 6 * m)
    for _ in 0..<(2 * (p - r) - 1) { list.append(.forward, 0) }
    for _ in 0..<r {
      list.append(.forward, 1)
      list.append(.forward, 0)
    }
    func turn(_ chunk: Int) {
      list.append(.forward, chunk)
      list.append(.inputGradient, chunk)
      list.append(.weightGradient, chunk)
    }
    for _ in 0..<(p - r) { turn(1) }
    while list.count(.forward, 1) < m {
      if list.count(.forward, 0) < m { list.append(.forward, 0) }
      list.append(.inputGradient, 0)
      list.append(.weightGradient, 0)
      turn(1)
    }
    for _ in 0..<r {
      list.append(.inputGradient, 0)
      list.append(.inputGradient, 1)
    }
    for _ in 0..<(p - r) {
      list.append(.inputGradient, 0)
      list.append(.weightGradient, 0)
    }
    for chunk in [1, 0] {
      while list.count(.weightGradient, chunk) < m { list.append(.weightGradient, chunk) }
    }
    return list.steps
  }

  func virtualStageIndex(stage stageIndex: Int, chunk chunkIndex: Int) -> Int {
    Strategy.Schedule.zeroBubbleV.virtualStageIndex(stage: stageIndex, chunk: chunkIndex, stageCount: stageCount)
  }

  /// 2p passes, each of half a stage.
  var passesInFlight: PassesInFlight {
    PassesInFlight(
      onFirstStage: 2 * stageCount, fewerPerStage: 0, passCount: 2 * microBatchCount,
      inFirstChunk: min(2 * stageCount, microBatchCount), splitting: .zeroBubbleV, stageCount: stageCount)
  }
}

/// A list of steps under way, which counts the micro-batches of each pass and chunk.
struct ChunkSteps {
  private(set) var steps: [PipelineStep] = []
  private var counts = [Int](repeating: 0, count: 2 * PipelineStep.Pass.allCases.count)

  init(capacity: Int) { steps.reserveCapacity(capacity) }

  private func index(_ pass: PipelineStep.Pass, _ chunk: Int) -> Int {
    // A whole backward pass is the input gradient and the weight gradient of its micro-batch.
    2 * (pass == .forward ? 0 : pass == .weightGradient ? 2 : 1) + chunk
  }

  /// Micro-batches that a pass has had.
  func count(_ pass: PipelineStep.Pass, _ chunk: Int) -> Int { counts[index(pass, chunk)] }

  /// Appends a pass of the next micro-batch.
  mutating func append(_ pass: PipelineStep.Pass, _ chunk: Int) {
    steps.append(PipelineStep(pass: pass, microBatchIndex: counts[index(pass, chunk)], chunkIndex: chunk))
    counts[index(pass, chunk)] += 1
    if pass == .backward { counts[index(.weightGradient, chunk)] += 1 }
  }

  /// Appends a weight gradient of a given micro-batch.
  mutating func append(weightGradientOf step: PipelineStep) {
    steps.append(step.with(pass: .weightGradient))
    counts[index(.weightGradient, step.chunkIndex)] += 1
  }
}
