extension PipelineTimes {
  /// The 1F1B recurrence, one clock per stage.
  ///
  /// With p stages number the passes so that every pass lies one slot after its source and after its stage's pass
  /// before: forward pass n of stage i in slot i + 2n, backward pass n in slot 2p − 1 − i + 2n. In slot t the stages
  /// i ≡ t (mod 2) run a forward pass, which reads stage i − 1, and the others a backward pass, which reads stage
  /// i + 1. So a slot splits into pairs (i − 1, i), i ≡ t, that meet at one boundary and read and write only each
  /// other's clocks: E_i ← max(E_i, E_{i−1} + l) + f_i and E_{i−1} ← max(E_{i−1}, E_i + l) + b_{i−1}, both from the old
  /// values. Nothing but the clocks is kept, and the pairs of a slot do not wait for each other.
  ///
  /// - Parameter stageEnds: All 0 at first; at the end the end of each stage's last backward pass, in seconds.
  func advanceOneForwardOneBackward(
    microBatchCount: Int, stageEnds: UnsafeMutableBufferPointer<Double>
  ) {
    forwardSeconds.withUnsafeBufferPointer { forward in
      backwardSeconds.withUnsafeBufferPointer { backward in
        transferSeconds.withUnsafeBufferPointer { transfer in
          let clocks = OneForwardOneBackwardClocks(
            stageCount: stageCount, microBatchCount: microBatchCount, ends: stageEnds,
            forward: forward, backward: backward, transfer: transfer)
          clocks.advanceToEnd()
        }
      }
    }
  }
}

/// One clock per stage and the slots that move them.
private struct OneForwardOneBackwardClocks {
  let stageCount: Int
  let microBatchCount: Int
  let ends: UnsafeMutableBufferPointer<Double>
  let forward: UnsafeBufferPointer<Double>
  let backward: UnsafeBufferPointer<Double>
  let transfer: UnsafeBufferPointer<Double>

  /// In slots 2p − 1 … 2m − 1 every stage runs a pass: two slots at a time there, with no range to look at.
  func advanceToEnd() {
    let slotCount = 2 * (stageCount + microBatchCount) - 2
    if microBatchCount <= stageCount {
      for slot in 0..<slotCount { advancePartly(slot) }
      return
    }
    for slot in 0..<(2 * stageCount) { advancePartly(slot) }
    advanceFullSlots(count: microBatchCount - stageCount)
    for slot in (2 * microBatchCount)..<slotCount { advancePartly(slot) }
  }

  /// All slots in which every stage runs a pass, two at a time; of very many the ones that repeat themselves at once.
  private func advanceFullSlots(count: Int) {
    guard microBatchCount > PipelineTimes.walkedMicroBatchCount else {
      for _ in 0..<count { advanceTwoFullSlots() }
      return
    }
    var repetition = ClockRepetition(ends)
    var done = 0
    while done < count {
      advanceTwoFullSlots()
      done += 1
      guard let period = repetition.period(ends) else { continue }
      done += period.leap(over: count - done, clocks: ends)
      break
    }
    for _ in done..<count { advanceTwoFullSlots() }
  }

  /// One slot of warm-up or cool-down: the stages whose micro-batch exists.
  ///
  /// Pairs are named by their lower stage i ≡ slot, which runs the forward pass. Forward passes reach down to the
  /// last stage and backward passes start there whenever the slot has both, so the pairs with only one of the two are
  /// the uppermost.
  @inline(__always)
  private func advancePartly(_ t: Int) {
    // p stages, m micro-batches, t the slot.
    let p = stageCount
    let m = microBatchCount
    if t & 1 == 0 && t < 2 * m { ends[0] += forward[0] }
    if (t ^ p) & 1 == 0 && t >= p && t <= p + 2 * m - 2 { ends[p - 1] += backward[p - 1] }

    let uppermost = 2 - (t & 1)
    let forwardFirst = max(uppermost, t - 2 * m + 2)
    let forwardLast = min(p - 1, t)
    let backwardFirst = max(uppermost, 2 * p - t)
    let backwardLast = min(p - 1, 2 * p + 2 * m - 2 - t)
    var i = min(forwardFirst, backwardFirst)
    if forwardFirst < backwardFirst {
      while i < backwardFirst && i <= forwardLast {
        ends[i] = max(ends[i], ends[i - 1] + transfer[i - 1]) + forward[i]
        i += 2
      }
    } else {
      while i < forwardFirst && i <= backwardLast {
        ends[i - 1] = max(ends[i - 1], ends[i] + transfer[i - 1]) + backward[i - 1]
        i += 2
      }
    }
    i = max(forwardFirst, backwardFirst)
    while i <= min(forwardLast, backwardLast) {
      let above = ends[i - 1]
      let below = ends[i]
      ends[i] = max(below, above + transfer[i - 1]) + forward[i]
      ends[i - 1] = max(above, below + transfer[i - 1]) + backward[i - 1]
      i += 2
    }
  }

  /// An even slot and the odd one after it, all stages: one sweep from the first stage to the last that loads and
  /// stores every clock once.
  @inline(__always)
  private func advanceTwoFullSlots() {
    let p = stageCount
    // `left` is the clock of stage i − 2 after its forward pass in the even slot.
    var left = ends[0] + forward[0]
    var i = 2
    while i < p {
      let above = ends[i - 1]
      let below = ends[i]
      let right = max(below, above + transfer[i - 1]) + forward[i]
      let middle = max(above, below + transfer[i - 1]) + backward[i - 1]
      ends[i - 2] = max(left, middle + transfer[i - 2]) + backward[i - 2]
      ends[i - 1] = max(middle, left + transfer[i - 2]) + forward[i - 1]
      left = right
      i += 2
    }
    if p & 1 == 0 {
      let middle = ends[p - 1] + backward[p - 1]
      ends[p - 2] = max(left, middle + transfer[p - 2]) + backward[p - 2]
      ends[p - 1] = max(middle, left + transfer[p - 2]) + forward[p - 1]
    } else {
      ends[p - 1] = left + backward[p - 1]
    }
  }
}
