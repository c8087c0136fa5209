/// A tensor cut into one chunk per rank, and the messages that move the chunks.
struct ChunkedTensor {
  let chunkCount: Int
  let elementCount: Int

  /// Chunk `index`: lengths differ by at most one, longer chunks first.
  func chunk(_ index: Int) -> Range<Int> {
    let (length, longerCount) = elementCount.quotientAndRemainder(dividingBy: chunkCount)
    let start = index * length + min(index, longerCount)
    return start..<(start + length + (index < longerCount ? 1 : 0))
  }

  /// Step s: rank r passes chunk r − s on to rank r + 1. After n − 1 steps every chunk has gone all the way round.
  func ringGather(firstStepIndex: Int) -> [CollectiveTransfer] {
    ring(firstStepIndex: firstStepIndex, action: .copy) { rank, step in rank - step }
  }

  /// Step s: rank r passes its partial sum of chunk r − s − 1 on to rank r + 1. Chunk k starts at rank k + 1 and its
  /// sum is complete when it arrives at rank k.
  func ringReduce() -> [CollectiveTransfer] {
    ring(firstStepIndex: 0, action: .add) { rank, step in rank - step - 1 }
  }

  /// Step s: ranks 0…2ˢ−1 have the tensor and send all of it to the rank 2ˢ above.
  func binomialBroadcast() -> [CollectiveTransfer] {
    var messages: [CollectiveTransfer] = []
    var stepIndex = 0
    var holderCount = 1
    while holderCount < chunkCount {
      for holder in 0..<min(holderCount, chunkCount - holderCount) {
        messages.append(
          CollectiveTransfer(
            stepIndex: stepIndex, fromRank: holder, toRank: holder + holderCount,
            elementRange: 0..<elementCount, destinationIndex: 0, action: .copy))
      }
      stepIndex += 1
      holderCount *= 2
    }
    return messages
  }

  /// Step s: rank r sends chunk d of its send buffer to rank d = r + s + 1, so that no rank receives twice in a step.
  /// A rank's own chunk stays and is no message.
  func directExchange() -> [CollectiveTransfer] {
    var messages: [CollectiveTransfer] = []
    for step in 0..<(chunkCount - 1) {
      for rank in 0..<chunkCount {
        let destination = (rank + step + 1) % chunkCount
        let range = chunk(destination)
        messages.append(
          CollectiveTransfer(
            stepIndex: step, fromRank: rank, toRank: destination, elementRange: range,
            destinationIndex: rank * range.count, action: .copy))
      }
    }
    return messages
  }

  /// n − 1 steps in which every rank sends one chunk to the next rank; `chunkIndex` is taken modulo n.
  private func ring(
    firstStepIndex: Int, action: CollectiveTransfer.Action,
    chunkIndex: (_ rank: Int, _ step: Int) -> Int
  ) -> [CollectiveTransfer] {
    var messages: [CollectiveTransfer] = []
    for step in 0..<(chunkCount - 1) {
      for rank in 0..<chunkCount {
        // rank − step − 1 is at least −n, so one n makes it at least 0.
        let range = chunk((chunkIndex(rank, step) + chunkCount) % chunkCount)
        messages.append(
          CollectiveTransfer(
            stepIndex: firstStepIndex + step, fromRank: rank, toRank: (rank + 1) % chunkCount,
            elementRange: range, destinationIndex: range.lowerBound, action: action))
      }
    }
    return messages
  }
}
