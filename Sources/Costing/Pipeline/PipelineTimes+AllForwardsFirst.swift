extension PipelineTimes {
  /// All forwards, then all backwards: GPipe.
  ///
  /// With p stages, stage i runs its forward pass number n in step i + n, and its backward pass number n in step
  /// p − 1 − i + n of a second sweep. The source of a pass then lies in the step before: the neighbour's pass of the
  /// same number, or over the wrap the pass numbered n − p of the stage at the other end. So one clock per stage is
  /// enough if the sweep runs against the direction of the data.
  ///
  /// - Parameter stageEnds: All 0 at first; at the end the end of each stage's last backward pass, in seconds.
  /// - Precondition: The micro-batch count is a multiple of the stage count, or there is one chunk.
  func advanceAllForwardsFirst(
    microBatchCount: Int, stageEnds ends: UnsafeMutableBufferPointer<Double>
  ) {
    let passCount = microBatchCount * chunkCount
    forwardSeconds.withUnsafeBufferPointer { forward in
      transferSeconds.withUnsafeBufferPointer { transfer in
        for step in 0..<(passCount + stageCount - 1) {
          advanceForward(
            step, passCount: passCount, ends: ends, forward: forward, transfer: transfer)
        }
      }
    }
    backwardSeconds.withUnsafeBufferPointer { backward in
      transferSeconds.withUnsafeBufferPointer { transfer in
        for step in 0..<(passCount + stageCount - 1) {
          advanceBackward(
            step, passCount: passCount, ends: ends, backward: backward, transfer: transfer)
        }
      }
    }
  }

  /// Forward pass number `step − i` of every stage i that has one, last stage first.
  @inline(__always)
  private func advanceForward(
    _ step: Int, passCount: Int, ends: UnsafeMutableBufferPointer<Double>,
    forward: UnsafeBufferPointer<Double>, transfer: UnsafeBufferPointer<Double>
  ) {
    let arrivalOverWrap = ends[stageCount - 1] + wrapTransferSeconds
    let firstStage = max(0, step - passCount + 1)
    var chunks = RunningChunk(passAt: max(0, step - stageCount + 1), of: self)
    for i in (firstStage...min(stageCount - 1, step)).reversed() {
      let chunk = chunks.next()
      var start = ends[i]
      if i > 0 {
        start = max(start, ends[i - 1] + transfer[i - 1])
      } else if chunk > 0 {
        start = max(start, arrivalOverWrap)
      }
      ends[i] = start + forward[i * chunkCount + chunk]
    }
  }

  /// Backward pass number `step − (p − 1 − i)` of every stage i of p that has one, first stage first.
  @inline(__always)
  private func advanceBackward(
    _ step: Int, passCount: Int, ends: UnsafeMutableBufferPointer<Double>,
    backward: UnsafeBufferPointer<Double>, transfer: UnsafeBufferPointer<Double>
  ) {
    let arrivalOverWrap = ends[0] + wrapTransferSeconds
    let last = stageCount - 1
    let firstStage = max(0, last - step)
    var chunks = RunningChunk(passAt: max(0, step - last), of: self)
    for i in firstStage...min(last, last - (step - passCount + 1)) {
      // Backward passes run the chunks from last to first.
      let chunksRun = chunks.next()
      var start = ends[i]
      if i < last {
        start = max(start, ends[i + 1] + transfer[i])
      } else if chunksRun > 0 {
        start = max(start, arrivalOverWrap)
      }
      ends[i] = start + backward[i * chunkCount + (chunkCount - 1 - chunksRun)]
    }
  }
}

/// The chunk, counted in running order, of one pass number after another: number n runs chunk (n mod p·v) / p for p
/// stages and v chunks.
private struct RunningChunk {
  private let stageCount: Int
  private let chunkCount: Int
  private var chunk: Int
  private var passesLeft: Int

  init(passAt number: Int, of times: PipelineTimes) {
    stageCount = times.stageCount
    chunkCount = times.chunkCount
    chunk = number / stageCount % chunkCount
    passesLeft = stageCount - number % stageCount
  }

  /// The chunk of this pass; the next call gives that of the next.
  mutating func next() -> Int {
    let current = chunk
    passesLeft -= 1
    if passesLeft == 0 {
      passesLeft = stageCount
      chunk = chunk + 1 == chunkCount ? 0 : chunk + 1
    }
    return current
  }
}
