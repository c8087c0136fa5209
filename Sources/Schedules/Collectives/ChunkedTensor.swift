/// A tensor cut into one chunk per rank, and the messages that move the chunks.
struct ChunkedTensor: Sendable, Hashable {
  let chunkCount: Int
  let elementCount: Int

  /// Chunk `index`: lengths differ by at most one, longer chunks first.
  func chunk(_ index: Int) -> Range<Int> {
    let (length, longerCount) = elementCount.quotientAndRemainder(dividingBy: chunkCount)
    let start = index * length + min(index, longerCount)
    return start..<(start + length + (index < longerCount ? 1 : 0))
  }

  /// Steps of a gather, and of a reduction.
  func stepCount(_ algorithm: CollectiveAlgorithm) -> Int {
    switch algorithm {
    case .ring, .direct: chunkCount - 1
    case .hierarchical(let degrees), .directByLevel(let degrees): degrees.reduce(0) { $0 + $1 - 1 }
    }
  }

  /// Steps of a reduction at whose end what was laid aside is added up.
  func additionSteps(_ algorithm: CollectiveAlgorithm) -> [Int] {
    switch algorithm {
    case .ring, .hierarchical: []
    case .direct: chunkCount > 1 ? [chunkCount - 2] : []
    case .directByLevel(let degrees):
      degrees.indices.filter { degrees[$0] > 1 }.map { level in degrees[...level].reduce(0) { $0 + $1 - 1 } - 1 }
    }
  }

  /// Messages after which every rank has every chunk.
  func gather(_ algorithm: CollectiveAlgorithm, firstStepIndex: Int) -> [CollectiveTransfer] {
    switch algorithm {
    case .ring: rings(Hierarchy(degrees: [chunkCount]), firstStepIndex: firstStepIndex, action: .copy)
    case .hierarchical(let degrees): rings(hierarchy(degrees), firstStepIndex: firstStepIndex, action: .copy)
    case .direct: direct(firstStepIndex: firstStepIndex, action: .copy) { sender, _ in sender }
    case .directByLevel(let degrees): levels(hierarchy(degrees), firstStepIndex: firstStepIndex, action: .copy)
    }
  }

  /// Messages after which every rank has its chunk of the sum (or maximum).
  func reduce(_ algorithm: CollectiveAlgorithm, _ reduction: Reduction) -> [CollectiveTransfer] {
    let action: CollectiveTransfer.Action = reduction == .sum ? .add : .maximum
    switch algorithm {
    case .ring: return rings(Hierarchy(degrees: [chunkCount]), firstStepIndex: 0, action: action)
    case .hierarchical(let degrees): return rings(hierarchy(degrees), firstStepIndex: 0, action: action)
    case .direct:
      precondition(reduction == .sum, "a direct reduction is a sum")
      return direct(firstStepIndex: 0, action: .collect) { _, receiver in receiver }
    case .directByLevel(let degrees):
      precondition(reduction == .sum, "a direct reduction is a sum")
      return levels(hierarchy(degrees), firstStepIndex: 0, action: .collect)
    }
  }

  private func hierarchy(_ degrees: [Int]) -> Hierarchy {
    precondition(
      degrees.allSatisfy { $0 >= 1 } && degrees.reduce(1, *) == chunkCount,
      "degrees \(degrees) do not multiply to \(chunkCount)")
    return Hierarchy(degrees: degrees)
  }

  /// Rings level by level. A reduction goes from the innermost level out: step s of a level passes on, for ring number
  /// i, the partial sums of what number i − s − 1 will be responsible for. A gather goes from the outermost level in and
  /// passes on what number i − s is responsible for. With one level this is the ring of Patarasuk and Yuan: chunk k
  /// starts at rank k + 1, and its sum is complete when it arrives at rank k.
  private func rings(
    _ hierarchy: Hierarchy, firstStepIndex: Int, action: CollectiveTransfer.Action
  ) -> [CollectiveTransfer] {
    let isGather = action == .copy
    var messages: [CollectiveTransfer] = []
    var stepIndex = firstStepIndex
    let levels = Array(hierarchy.degrees.indices)
    for level in isGather ? levels.reversed() : levels {
      let degree = hierarchy.degrees[level], stride = hierarchy.stride(level)
      for step in 0..<(degree - 1) {
        for rank in 0..<chunkCount {
          let number = rank / stride % degree
          let next = rank + ((number + 1) % degree - number) * stride
          // step + 1 is at most degree − 1, so one degree makes it at least 0.
          let whose = (number - step - (isGather ? 0 : 1) + degree) % degree
          for chunk in hierarchy.chunks(of: rank + (whose - number) * stride, level: level) {
            let range = self.chunk(chunk)
            messages.append(
              CollectiveTransfer(
                stepIndex: stepIndex, fromRank: rank, toRank: next, elementRange: range,
                destinationIndex: range.lowerBound, action: action))
          }
        }
        stepIndex += 1
      }
    }
    return messages
  }

  /// Direct exchanges level by level: a reduction goes from the innermost level out, and in step s of a level rank number i
  /// sends number i + s + 1 the partial sums of what that one will be responsible for; a gather goes from the outermost
  /// level in, and rank number i sends what it is responsible for itself.
  private func levels(
    _ hierarchy: Hierarchy, firstStepIndex: Int, action: CollectiveTransfer.Action
  ) -> [CollectiveTransfer] {
    let isGather = action == .copy
    var messages: [CollectiveTransfer] = []
    var stepIndex = firstStepIndex
    let levels = Array(hierarchy.degrees.indices)
    for level in isGather ? levels.reversed() : levels {
      let degree = hierarchy.degrees[level], stride = hierarchy.stride(level)
      for step in 0..<(degree - 1) {
        for rank in 0..<chunkCount {
          let number = rank / stride % degree
          let receiver = rank + ((number + step + 1) % degree - number) * stride
          for chunk in hierarchy.chunks(of: isGather ? rank : receiver, level: level) {
            let range = self.chunk(chunk)
            messages.append(
              CollectiveTransfer(
                stepIndex: stepIndex, fromRank: rank, toRank: receiver, elementRange: range,
                destinationIndex: range.lowerBound, action: action))
          }
        }
        stepIndex += 1
      }
    }
    return messages
  }

  /// Step s: rank r sends to rank r + s + 1, so that no rank receives twice in a step.
  private func direct(
    firstStepIndex: Int, action: CollectiveTransfer.Action, chunkIndex: (_ sender: Int, _ receiver: Int) -> Int
  ) -> [CollectiveTransfer] {
    var messages: [CollectiveTransfer] = []
    for step in 0..<(chunkCount - 1) {
      for rank in 0..<chunkCount {
        let receiver = (rank + step + 1) % chunkCount
        let range = chunk(chunkIndex(rank, receiver))
        messages.append(
          CollectiveTransfer(
            stepIndex: firstStepIndex + step, fromRank: rank, toRank: receiver, elementRange: range,
            destinationIndex: range.lowerBound, action: action))
      }
    }
    return messages
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
}

/// Ranks in rings inside rings: which chunks a rank is responsible for as a collective narrows from level to level.
private struct Hierarchy {
  /// Ranks of each level's rings, innermost first.
  let degrees: [Int]

  /// Distance between neighbours of a level's ring.
  func stride(_ level: Int) -> Int { degrees[..<level].reduce(1, *) }

  /// The chunks of which a rank holds the sums of its instance of a level, once the reduction at that level is done:
  /// those whose owners agree with it up to this level. Inside the outermost level this is the rank's own chunk.
  func chunks(of rank: Int, level: Int) -> StrideTo<Int> {
    let span = stride(level + 1)
    return Swift.stride(from: rank % span, to: degrees.reduce(1, *), by: span)
  }
}
