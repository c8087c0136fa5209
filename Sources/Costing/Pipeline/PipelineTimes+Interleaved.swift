extension PipelineTimes {
  /// The interleaved 1F1B recurrence, two clocks per stage and a group's ends at both turns between chunks.
  ///
  /// With p stages, v chunks and groups of N micro-batches, stage i has δ = p − 1 − i stages below it and a warm-up of
  /// 2δ + (v − 1)N forward passes. In step s let it run forward pass number s + δ + (v − 1)N, then backward pass number
  /// s − δ, as far as they exist. That is the stage's own order. The source of a forward pass is the pass of the same
  /// number at i − 1, that of a backward pass the one of the same number at i + 1, and both lie in the step before; the
  /// turn-around at the last stage lies in the same step. So the latest forward end and the latest end of each stage are
  /// enough there. Over the wrap the source has the number less N: a forward pass of stage 0 reads the last stage, a
  /// backward pass of the last stage reads stage 0, N − p + 1 ≥ 1 steps before. Of these two stages the ends of the last
  /// N passes are kept, at the pass's number modulo N.
  ///
  /// - Parameters:
  ///   - groupSize: N.
  ///   - others: All 0 at first; memory for p + 2N clocks.
  ///   - stageEnds: All 0 at first; at the end the end of each stage's last backward pass, in seconds.
  /// - Precondition: Micro-batches are a multiple of `groupSize`, which is at least the stage count.
  func advanceInterleaved(
    microBatchCount: Int, groupSize: Int, others: UnsafeMutableBufferPointer<Double>,
    stageEnds: UnsafeMutableBufferPointer<Double>
  ) {
    let (p, N) = (stageCount, groupSize)
    forwardSeconds.withUnsafeBufferPointer { forward in
      backwardSeconds.withUnsafeBufferPointer { backward in
        transferSeconds.withUnsafeBufferPointer { transfer in
          let clocks = InterleavedClocks(
            all: others,
            stageCount: p, chunkCount: chunkCount, groupSize: N,
            passCount: microBatchCount * chunkCount, wrapTransfer: wrapTransferSeconds,
            forwardEnds: UnsafeMutableBufferPointer(rebasing: others[..<p]),
            lastForwardEnds: UnsafeMutableBufferPointer(rebasing: others[p..<(p + N)]),
            firstBackwardEnds: UnsafeMutableBufferPointer(rebasing: others[(p + N)..<(p + 2 * N)]),
            ends: stageEnds, forward: forward, backward: backward, transfer: transfer)
          clocks.advanceToEnd()
        }
      }
    }
  }
}

/// The clocks and the steps that move them.
private struct InterleavedClocks {
  /// Those of all stages but their ends.
  let all: UnsafeMutableBufferPointer<Double>
  let stageCount: Int
  let chunkCount: Int
  let groupSize: Int
  let passCount: Int
  let wrapTransfer: Double
  /// The latest of every stage.
  let forwardEnds: UnsafeMutableBufferPointer<Double>
  /// The latest N of the last stage.
  let lastForwardEnds: UnsafeMutableBufferPointer<Double>
  /// The latest N of the first stage.
  let firstBackwardEnds: UnsafeMutableBufferPointer<Double>
  let ends: UnsafeMutableBufferPointer<Double>
  let forward: UnsafeBufferPointer<Double>
  let backward: UnsafeBufferPointer<Double>
  let transfer: UnsafeBufferPointer<Double>

  /// Where the numbers of a step lie in their groups; counted on from step to step, as divisions would cost as much as
  /// the passes.
  private struct Turn {
    /// Chunk, in the order in which chunks run, and micro-batch in the group of stage 0's forward pass.
    var forward: (chunk: Int, place: Int)
    /// The same of stage 0's backward pass.
    var backward: (chunk: Int, place: Int)
    /// Micro-batch in the group of both passes of the last stage.
    var lastPlace: Int
  }

  @inline(__always)
  private func advance(_ position: inout (chunk: Int, place: Int)) {
    position.place += 1
    guard position.place == groupSize else { return }
    position = (position.chunk == chunkCount - 1 ? 0 : position.chunk + 1, 0)
  }

  /// Steps 1 − p − (v − 1)N …: forward passes only; p − 1 …: both on every stage; then the forward passes run out.
  func advanceToEnd() {
    // p stages, v chunks, groups of N; `before` forward passes of the last stage before its first pair.
    let (p, v, N) = (stageCount, chunkCount, groupSize), before = (v - 1) * N
    // The first step has forward pass 0 of stage 0. Its backward number is negative, to which whole groups are added.
    let backward = 2 - 2 * p - before + 2 * v * N
    var turn = Turn(
      forward: (0, 0), backward: (backward / N % v, backward % N), lastPlace: (1 - p + N) % N)
    for step in (1 - p - before)..<(p - 1) { advance(step, &turn, isFull: false) }
    let lastFull = max(p - 1, passCount - before - p + 1)
    advanceFull((p - 1)..<lastFull, &turn)
    for step in lastFull..<(passCount + p - 1) { advance(step, &turn, isFull: false) }
  }

  /// Steps in which every stage has both passes; of very many groups the ones that repeat themselves at once.
  private func advanceFull(_ steps: Range<Int>, _ turn: inout Turn) {
    let round = chunkCount * groupSize
    guard passCount > chunkCount * PipelineTimes.walkedMicroBatchCount, steps.count > 2 * round else {
      for step in steps { advance(step, &turn, isFull: true) }
      return
    }
    var repetition = ClockRepetition(ends, all)
    var step = steps.lowerBound
    while steps.upperBound - step >= round {
      // After a round every pass has the same place in its group again.
      for next in step..<step + round { advance(next, &turn, isFull: true) }
      step += round
      guard let period = repetition.period(ends, all) else { continue }
      step += round * period.leap(over: (steps.upperBound - step) / round, clocks: ends, all)
      break
    }
    for next in step..<steps.upperBound { advance(next, &turn, isFull: true) }
  }

  /// One step over all stages, first to last.
  ///
  /// - Parameter isFull: Whether every stage has both passes; a constant at every call, so that the full step has no
  ///   such question inside.
  @inline(__always)
  private func advance(_ step: Int, _ turn: inout Turn, isFull: Bool) {
    // p stages, v chunks, groups of N ≥ p; a chunk runs for N passes in a row, so the p consecutive numbers of a step touch
    // two chunks at most.
    let (p, v, N) = (stageCount, chunkCount, groupSize)
    // Forward numbers fall from stage 0 to the last, backward numbers rise.
    let forwardNumber = step + (v - 1) * N + p - 1
    let backwardNumber = step - (p - 1)
    // Stages after number `place` are still in the chunk before.
    let (forwardChunk, forwardLastInChunk) = turn.forward
    let forwardChunkBefore = forwardChunk == 0 ? v - 1 : forwardChunk - 1
    let backwardChunk = v - 1 - turn.backward.chunk
    let backwardLastInChunk = N - 1 - turn.backward.place
    let backwardChunkAfter = backwardChunk == 0 ? v - 1 : backwardChunk - 1

    var above = forwardChunk == 0 ? 0 : lastForwardEnds[forwardLastInChunk] + wrapTransfer
    let gradient = firstBackwardEnds[turn.lastPlace] + wrapTransfer
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
          end = max(end, gradient)
        }
        end += backward[i * v + chunk]
      }
      ends[i] = end
      if i < p - 1 { above = previousForwardEnd + transfer[i] }
    }
    lastForwardEnds[turn.lastPlace] = forwardEnds[p - 1]
    firstBackwardEnds[turn.backward.place] = ends[0]
    advance(&turn.forward)
    advance(&turn.backward)
    turn.lastPlace = turn.lastPlace == N - 1 ? 0 : turn.lastPlace + 1
  }

  @inline(__always)
  private func isPass(_ number: Int) -> Bool {
    number >= 0 && number < passCount
  }
}
