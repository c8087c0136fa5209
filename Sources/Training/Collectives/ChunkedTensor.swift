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
  func stepCount(_ route: Route) -> Int {
    hierarchy(route).degrees.reduce(0) { $0 + $1 - 1 }
  }

  /// Steps of a reduction at whose end what was laid aside is added up.
  func additionSteps(_ route: Route) -> [Int] {
    guard route.isDirect else { return [] }
    let degrees = hierarchy(route).degrees
    return degrees.indices.filter { degrees[$0] > 1 }.map { level in
      degrees[...level].reduce(0) { $0 + $1 - 1 } - 1
    }
  }

  /// Messages after which every rank has every chunk.
  func gather(_ route: Route, firstStepIndex: Int) -> [CollectiveTransfer] {
    exchange(route, firstStepIndex: firstStepIndex, action: .copy)
  }

  /// Messages after which every rank has its chunk of the sum (or maximum).
  func reduce(_ route: Route, _ reduction: Reduction) -> [CollectiveTransfer] {
    precondition(reduction == .sum || !route.isDirect, "a direct reduction is a sum")
    return exchange(
      route, firstStepIndex: 0, action: route.isDirect ? .collect : reduction == .sum ? .add : .maximum)
  }

  /// Messages after which rank 0 has the whole sum (or maximum), then all ranks have: in round r of the way up, ranks that are
  /// an odd multiple of 2ʳ send all they have summed to the rank 2ʳ below; the way down is the same backwards.
  func treeAllReduce(_ reduction: Reduction) -> [CollectiveTransfer] {
    let pairs = binomialTree(chunkCount)
    func message(_ step: Int, _ from: Int, _ to: Int, _ action: CollectiveTransfer.Action) -> CollectiveTransfer {
      CollectiveTransfer(
        stepIndex: step, fromRank: from, toRank: to, elementRange: 0..<elementCount, destinationIndex: 0,
        action: action)
    }
    let action: CollectiveTransfer.Action = reduction == .sum ? .add : .maximum
    let up = pairs.map { message($0.round, $0.child, $0.parent, action) }
    let roundCount = (pairs.last?.round ?? -1) + 1
    let down = pairs.map { message(2 * roundCount - 1 - $0.round, $0.parent, $0.child, .copy) }
    return up + down.sorted { ($0.stepIndex, $0.fromRank) < ($1.stepIndex, $1.fromRank) }
  }

  /// One level for all ranks where the route has none of its own.
  private func hierarchy(_ route: Route) -> Hierarchy {
    switch route {
    case .tree: preconditionFailure("a tree gathers and scatters nothing: it is a route of all-reduces")
    case .ring, .direct: return Hierarchy(degrees: [chunkCount])
    case .hierarchical(let degrees), .directByLevel(let degrees):
      precondition(
        degrees.allSatisfy { $0 >= 1 } && degrees.reduce(1, *) == chunkCount,
        "degrees \(degrees) do not multiply to \(chunkCount)")
      return Hierarchy(degrees: degrees)
    }
  }

  /// Level by level, a reduction from the innermost out, a gather from the outermost in.
  ///
  /// In rings, step s of a level passes on to the next, for ring number i, the partial sums of what number i − s − 1
  /// will be responsible for; a gather passes on what number i − s is responsible for. With one level this is the ring
  /// of Patarasuk and Yuan: chunk k starts at rank k + 1, and its sum is complete when it arrives at rank k.
  ///
  /// Directly, in step s of a level number i sends number i + s + 1, so that no rank receives twice in a step: the
  /// partial sums of what that one will be responsible for, or in a gather what number i is responsible for itself.
  private func exchange(
    _ route: Route, firstStepIndex: Int, action: CollectiveTransfer.Action
  ) -> [CollectiveTransfer] {
    let hierarchy = hierarchy(route), isGather = action == .copy, isDirect = route.isDirect
    var messages: [CollectiveTransfer] = []
    var stepIndex = firstStepIndex
    let levels = Array(hierarchy.degrees.indices)
    for level in isGather ? levels.reversed() : levels {
      let degree = hierarchy.degrees[level], stride = hierarchy.stride(level)
      for step in 0..<(degree - 1) {
        // By how many numbers the receiver, and whoever is responsible for what it gets, are further on.
        let ahead = isDirect ? step + 1 : 1
        let owner = isDirect ? (isGather ? 0 : ahead) : -step - (isGather ? 0 : 1)
        for rank in 0..<chunkCount {
          let number = rank / stride % degree
          // A step is at most degree − 2, so one degree makes the sum at least 0.
          func member(_ distance: Int) -> Int { rank + ((number + distance + degree) % degree - number) * stride }
          for chunk in hierarchy.chunks(of: member(owner), level: level) {
            let range = self.chunk(chunk)
            messages.append(
              CollectiveTransfer(
                stepIndex: stepIndex, fromRank: rank, toRank: member(ahead), elementRange: range,
                destinationIndex: range.lowerBound, action: action))
          }
        }
        stepIndex += 1
      }
    }
    return messages
  }

  /// Every rank sends all it has to the one so many places further on.
  func shift(by distance: Int) -> [CollectiveTransfer] {
    guard chunkCount > 1 else { return [] }
    return (0..<chunkCount).map { rank in
      CollectiveTransfer(
        stepIndex: 0, fromRank: rank, toRank: (rank + distance) % chunkCount, elementRange: 0..<elementCount,
        destinationIndex: 0, action: .copy)
    }
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

extension Route {
  /// Whether chunks go straight to their owners, who add them up, instead of round a ring.
  fileprivate var isDirect: Bool {
    switch self {
    case .ring, .hierarchical, .tree: false
    case .direct, .directByLevel: true
    }
  }
}

/// The edges of a binomial tree of n ranks, rank 0 its root, by the round in which they carry sums up.
package func binomialTree(_ rankCount: Int) -> [(round: Int, child: Int, parent: Int)] {
  var edges: [(round: Int, child: Int, parent: Int)] = []
  var distance = 1, round = 0
  while distance < rankCount {
    for child in Swift.stride(from: distance, to: rankCount, by: 2 * distance) {
      edges.append((round, child, child - distance))
    }
    distance *= 2
    round += 1
  }
  return edges
}
