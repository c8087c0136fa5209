import Documents

/// DualPipeV (DeepSeek's DualPipe, one of its two directions), in the order of PyTorch's `ScheduleDualPipeV`.
///
/// Stage r of p holds the virtual stages r and 2p − 1 − r, its chunks 0 and 1. With m ≥ 2p micro-batches it runs
/// 1. 2(p − r − 1) forward passes of chunk 0;
/// 2. r + 1 times a forward pass of each chunk;
/// 3. p − r − 1 times an input gradient, a weight gradient and a forward pass of chunk 1;
/// 4. m − 2p + r + 1 times two pairs: a forward pass of chunk 0 with a backward pass of chunk 1, and the other way round;
///    the very first of the last stage's is no pair, but one after the other;
/// 5. p − r − 1 times a backward pass of chunk 1, and the second of the pairs;
/// 6. r + 1 times a backward pass of chunk 1 and one of chunk 0, from the middle on their input gradients alone;
/// 7. p − r − 1 times the oldest weight gradient that is left and an input gradient of chunk 0;
/// 8. r + 1 weight gradients.
struct DualPipeV: PassOrder {
  let stageCount: Int
  let microBatchCount: Int

  /// - Throws: ``PipelineScheduleError`` with fewer than two stages, or fewer than 2p micro-batches.
  init(stageCount: Int, microBatchCount: Int) throws(PipelineScheduleError) {
    try Strategy.Schedule.dualPipeV.require(stageCount: stageCount, microBatchCount: microBatchCount)
    self.stageCount = stageCount
    self.microBatchCount = microBatchCount
  }

  func steps(ofStage stageIndex: Int) -> [PipelineStep] { list(ofStage: stageIndex).steps }

  func pairs(ofStage stageIndex: Int) -> [Int] { list(ofStage: stageIndex).pairs }

  private func list(ofStage r: Int) -> (steps: [PipelineStep], pairs: [Int]) {
    let (p, m) = (stageCount, microBatchCount)
    var list = ChunkSteps(capacity: 5 * m)
    var pairs: [Int] = []
    // Input gradients whose weight gradients are still to come, oldest first.
    var waiting: [PipelineStep] = [], next = 0
    func pair(forwardOf chunk: Int) {
      pairs.append(list.steps.count)
      list.append(.forward, chunk)
      list.append(.backward, 1 - chunk)
    }
    func gradient(_ chunk: Int, isSplit: Bool) {
      list.append(isSplit ? .inputGradient : .backward, chunk)
      if isSplit, let step = list.steps.last { waiting.append(step) }
    }
    func weightGradient() {
      guard next < waiting.count else { return }
      list.append(weightGradientOf: waiting[next])
      next += 1
    }
    for _ in 0..<(2 * (p - r - 1)) { list.append(.forward, 0) }
    for _ in 0..<(r + 1) {
      list.append(.forward, 0)
      list.append(.forward, 1)
    }
    for _ in 0..<(p - r - 1) {
      gradient(1, isSplit: true)
      weightGradient()
      list.append(.forward, 1)
    }
    for round in 0..<(m - 2 * p + r + 1) {
      if round == 0, r == p - 1 {
        list.append(.forward, 0)
        list.append(.backward, 1)
      } else {
        pair(forwardOf: 0)
      }
      pair(forwardOf: 1)
    }
    for _ in 0..<(p - r - 1) {
      list.append(.backward, 1)
      pair(forwardOf: 1)
    }
    // With an even number of passes the middle lies between two rounds, otherwise within one.
    let middle = (r + 1) / 2, isEven = r % 2 == 1
    for round in 0..<(r + 1) {
      gradient(1, isSplit: round > middle || round == middle && isEven)
      gradient(0, isSplit: round >= middle)
    }
    for _ in 0..<(p - r - 1) {
      weightGradient()
      gradient(0, isSplit: true)
    }
    for _ in 0..<(r + 1) { weightGradient() }
    return (list.steps, pairs)
  }

  func virtualStageIndex(stage stageIndex: Int, chunk chunkIndex: Int) -> Int {
    Strategy.Schedule.dualPipeV.virtualStageIndex(stage: stageIndex, chunk: chunkIndex, stageCount: stageCount)
  }

  /// 2p passes, each of half a stage, and one more while a pair runs.
  var passesInFlight: PassesInFlight {
    PassesInFlight(
      onFirstStage: 2 * stageCount + 1, fewerPerStage: 0, passCount: 2 * microBatchCount,
      inFirstChunk: 2 * stageCount, splitting: .dualPipeV, stageCount: stageCount)
  }
}
