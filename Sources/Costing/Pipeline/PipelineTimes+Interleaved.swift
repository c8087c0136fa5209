extension PipelineTimes {
  /// The interleaved 1F1B recurrence, two clocks per stage.
  ///
  /// With p stages and v chunks, stage i has δ = p − 1 − i stages below it and a warm-up of 2δ + (v − 1)p forward
  /// passes. In step s let it run forward pass number s + δ + (v − 1)p, then backward pass number s − δ, as far as
  /// they exist. That is the stage's own order, and every source lies in the step before: the forward pass of the same
  /// number at i − 1 (over the wrap: number less p at p − 1), the backward pass of the same number at i + 1 (over the
  /// wrap: number less p at 0). The turn-around at the last stage lies in the same step. So the latest forward end and
  /// the latest end of each stage are enough.
  ///
  /// - Parameters:
  ///   - forwardEnds: All 0 at first; memory for the latest forward end of each stage.
  ///   - stageEnds: All 0 at first; at the end the end of each stage's last backward pass, in seconds.
  /// - Precondition: The micro-batch count is a multiple of the stage count.
  func advanceInterleaved(
    microBatchCount: Int, forwardEnds: UnsafeMutableBufferPointer<Double>,
    stageEnds: UnsafeMutableBufferPointer<Double>
  ) {
    forwardSeconds.withUnsafeBufferPointer { forward in
      backwardSeconds.withUnsafeBufferPointer { backward in
        transferSeconds.withUnsafeBufferPointer { transfer in
          let clocks = InterleavedClocks(
            stageCount: stageCount, chunkCount: chunkCount,
            passCount: microBatchCount * chunkCount, wrapTransfer: wrapTransferSeconds,
            forwardEnds: forwardEnds, ends: stageEnds,
            forward: forward, backward: backward, transfer: transfer)
          clocks.advanceToEnd()
        }
      }
    }
  }
}

/// Two clocks per stage and the steps that move them.
private struct InterleavedClocks {
  let stageCount: Int
  let chunkCount: Int
  let passCount: Int
  let wrapTransfer: Double
  let forwardEnds: UnsafeMutableBufferPointer<Double>
  let ends: UnsafeMutableBufferPointer<Double>
  let forward: UnsafeBufferPointer<Double>
  let backward: UnsafeBufferPointer<Double>
  let transfer: UnsafeBufferPointer<Double>

  /// Steps 1 − vp …: forward passes only; p − 1 …: both on every stage; then the forward passes run out.
  func advanceToEnd() {
    // N passes per direction, p stages, v chunks.
    let (N, p, v) = (passCount, stageCount, chunkCount)
    for step in (1 - v * p)..<0 { advance(step, isFull: false) }
    for step in 0..<(p - 1) { advance(step, isFull: false) }
    for step in (p - 1)..<max(p - 1, N - v * p + 1) { advance(step, isFull: true) }
    for step in max(p - 1, N - v * p + 1)..<(N + p - 1) { advance(step, isFull: false) }
  }

  /// One step over all stages, first to last.
  ///
  /// - Parameter isFull: Whether every stage has both passes; a constant at every call, so that the full step has no
  ///   such question inside.
  @inline(__always)
  private func advance(_ step: Int, isFull: Bool) {
    // p stages, v chunks; a chunk runs for p passes in a row, so the p consecutive numbers of a step touch two at most.
    let (p, v) = (stageCount, chunkCount)
    // Forward numbers fall from stage 0 to the last, backward numbers rise.
    let forwardNumber = step + v * p - 1
    let backwardNumber = step - (p - 1)
    let forwardPlace = forwardNumber % (v * p)
    let forwardChunk = forwardPlace / p
    // Stages after this one are still in the chunk before.
    let forwardLastInChunk = forwardPlace % p
    let forwardChunkBefore = forwardChunk == 0 ? v - 1 : forwardChunk - 1
    // Backward numbers may be negative at the start; a whole group is added to make the remainder positive.
    let backwardPlace = (backwardNumber + v * p) % (v * p)
    let backwardChunk = v - 1 - backwardPlace / p
    let backwardLastInChunk = p - 1 - backwardPlace % p
    let backwardChunkAfter = backwardChunk == 0 ? v - 1 : backwardChunk - 1

    let firstEnd = ends[0]
    var above = forwardEnds[p - 1] + wrapTransfer
    if forwardChunk == 0 { above = 0 }
    for i in 0..<p {
      var end = ends[i]
      let previousForwardEnd = forwardEnds[i]
      if isFull || isPass(forwardNumber - i) {
        let chunk = i <= forwardLastInChunk ? forwardChunk : forwardChunkBefore
        end = max(end, above) + forward[i * v + chunk]
        forwardEnds[i] = end
      }
      if isFull || isPass(backwardNumber + i) {
        let chunk = i <= backwardLastInChunk ? backwardChunk : backwardChunkAfter
        if i < p - 1 {
          end = max(end, ends[i + 1] + transfer[i])
        } else if chunk < v - 1 {
          end = max(end, firstEnd + wrapTransfer)
        }
        end += backward[i * v + chunk]
      }
      ends[i] = end
      if i < p - 1 { above = previousForwardEnd + transfer[i] }
    }
  }

  @inline(__always)
  private func isPass(_ number: Int) -> Bool {
    number >= 0 && number < passCount
  }
}
