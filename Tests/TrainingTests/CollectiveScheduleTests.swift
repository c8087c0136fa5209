import Testing
import Training

@Suite struct CollectiveScheduleTests {
  /// Performs the messages on one buffer per rank, all of a step at once: what a step
  /// reads is what the step before left.
  static func perform(
    _ schedule: CollectiveSchedule, on buffers: [[Int]], receivingInto receivers: [[Int]]? = nil
  ) -> [[Int]] {
    var senders = buffers
    var results = receivers ?? buffers
    // By receiver and sender: what is added up in the order of ranks when the last of it has come.
    var collected = [[(Range<Int>, [Int])]](repeating: [], count: buffers.count)
    let stepCount = (schedule.transfers.map(\.stepIndex).max() ?? -1) + 1
    for step in 0..<stepCount {
      for transfer in schedule.transfers where transfer.stepIndex == step {
        let elements = Array(senders[transfer.fromRank][transfer.elementRange])
        let range = transfer.destinationIndex..<transfer.destinationIndex + elements.count
        switch transfer.action {
        case .copy: results[transfer.toRank].replaceSubrange(range, with: elements)
        case .add: for (index, element) in zip(range, elements) { results[transfer.toRank][index] += element }
        case .maximum:
          for (index, element) in zip(range, elements) {
            results[transfer.toRank][index] = max(results[transfer.toRank][index], element)
          }
        case .collect: collected[transfer.toRank].append((range, elements))
        }
      }
      if schedule.additionSteps.contains(step) {
        for receiver in collected.indices {
          for (range, elements) in collected[receiver] {
            for (index, element) in zip(range, elements) { results[receiver][index] += element }
          }
          collected[receiver] = []
        }
      }
      if receivers == nil { senders = results }
    }
    return results
  }

  /// Every way to route a gather or a reduction over n ranks.
  static func routes(_ n: Int) -> [Route] {
    var degrees = [[n], [1, n]]
    for inner in 2..<max(2, n) where n % inner == 0 {
      degrees.append([inner, n / inner])
      for middle in 2..<max(2, n / inner) where n / inner % middle == 0 {
        degrees.append([inner, middle, n / inner / middle])
      }
    }
    return [.ring, .direct] + degrees.map { .hierarchical(degrees: $0) } + degrees.map { .directByLevel(degrees: $0) }
  }

  /// Distinct numbers, so that every sum and every place can be told from the others.
  static func buffers(_ n: Int, _ elementCount: Int) -> [[Int]] {
    (0..<n).map { rank in (0..<elementCount).map { 1000 * (rank + 1) * (rank + 1) + $0 } }
  }

  static let shapes: [(n: Int, elementCount: Int)] = (1...9).flatMap { n in
    [0, 1, 2, 5, 7, 12, 18, 40].map { (n, $0) }
  }

  @Test func `Chunks cover the tensor in order and differ by at most one element`() {
    for (n, elementCount) in Self.shapes {
      let schedule = CollectiveSchedule(.allGather, rankCount: n, elementCount: elementCount)
      let chunks = (0..<n).map(schedule.chunk)
      #expect(chunks.flatMap { Array($0) } == Array(0..<elementCount), "n \(n), S \(elementCount)")
      let lengths = chunks.map(\.count)
      #expect(lengths.max()! - lengths.min()! <= 1, "n \(n), S \(elementCount)")
    }
  }

  @Test func `All-gather leaves every rank with every chunk`() {
    for (n, elementCount) in Self.shapes {
      let whole = Array(1..<(elementCount + 1))
      for route in Self.routes(n) {
        let schedule = CollectiveSchedule(
          .allGather, rankCount: n, elementCount: elementCount, route: route)
        let start = (0..<n).map { rank in
          (0..<elementCount).map { schedule.chunk(rank).contains($0) ? whole[$0] : -1 }
        }
        let end = Self.perform(schedule, on: start)
        #expect(end == Array(repeating: whole, count: n), "n \(n), S \(elementCount), \(route)")
      }
    }
  }

  @Test func `Reduce-scatter leaves every rank with its chunk of the sum`() {
    for (n, elementCount) in Self.shapes {
      let start = Self.buffers(n, elementCount)
      let sum = (0..<elementCount).map { element in start.reduce(0) { $0 + $1[element] } }
      for route in Self.routes(n) {
        let schedule = CollectiveSchedule(
          .reduceScatter, rankCount: n, elementCount: elementCount, route: route)
        let end = Self.perform(schedule, on: start)
        for rank in 0..<n {
          let chunk = schedule.chunk(rank)
          #expect(end[rank][chunk] == sum[chunk], "n \(n), S \(elementCount), rank \(rank), \(route)")
        }
      }
    }
  }

  @Test func `All-reduce leaves every rank with the sum`() {
    for (n, elementCount) in Self.shapes {
      let start = Self.buffers(n, elementCount)
      let sum = (0..<elementCount).map { element in start.reduce(0) { $0 + $1[element] } }
      for route in Self.routes(n) + [.tree] {
        let schedule = CollectiveSchedule(
          .allReduce, rankCount: n, elementCount: elementCount, route: route)
        let end = Self.perform(schedule, on: start)
        #expect(end == Array(repeating: sum, count: n), "n \(n), S \(elementCount), \(route)")
      }
    }
  }

  @Test func `All-reduce by maximum leaves every rank with the largest`() {
    for (n, elementCount) in Self.shapes {
      // Each rank has the largest somewhere.
      let start = (0..<n).map { rank in (0..<elementCount).map { ($0 * 7 + rank * 5) % 11 } }
      let largest = (0..<elementCount).map { element in start.map { $0[element] }.max() ?? 0 }
      for route in Self.routes(n) + [.tree] where !route.isDirect {
        let schedule = CollectiveSchedule(
          .allReduce, rankCount: n, elementCount: elementCount, reduction: .maximum, route: route)
        let end = Self.perform(schedule, on: start)
        #expect(end == Array(repeating: largest, count: n), "n \(n), S \(elementCount), \(route)")
      }
    }
  }

  @Test func `Whatever the route, every rank sends as much`() {
    for n in 1...12 {
      for route in Self.routes(n) {
        for kind in [CollectiveKind.allGather, .reduceScatter] {
          let schedule = CollectiveSchedule(kind, rankCount: n, elementCount: 6 * n, route: route)
          let sent = (0..<n).map { schedule.bytesSent(byRank: $0, bytesPerElement: 1) }
          #expect(sent == Array(repeating: 6 * (n - 1), count: n), "\(kind.rawValue), n \(n), \(route)")
        }
      }
    }
  }

  @Test func `A tree sends everything up and down each edge, in twice its depth of steps`() {
    for n in 2...17 {
      let schedule = CollectiveSchedule(.allReduce, rankCount: n, elementCount: 5, route: .tree)
      #expect(schedule.transfers.count == 2 * (n - 1) && schedule.transfers.allSatisfy { $0.elementRange == 0..<5 })
      var depth = 0
      while 1 << depth < n { depth += 1 }
      #expect((schedule.transfers.last?.stepIndex ?? 0) + 1 == 2 * depth, "n \(n)")
    }
  }

  /// 2 nodes of 4: between nodes each rank exchanges half of its quarter, not the seven eighths of a flat ring.
  @Test func `A hierarchy spares the outer level`() {
    let schedule = CollectiveSchedule(
      .reduceScatter, rankCount: 8, elementCount: 64, route: .hierarchical(degrees: [4, 2]))
    let between = schedule.transfers.filter { $0.fromRank / 4 != $0.toRank / 4 }
    #expect(between.reduce(0) { $0 + $1.elementRange.count } == 8 * 8)
    #expect(between.allSatisfy { $0.stepIndex == 3 })
  }

  @Test func `All-to-all leaves every rank with its chunk of every rank's buffer, in rank order`() {
    for (n, elementCount) in Self.shapes {
      let schedule = CollectiveSchedule(.allToAll, rankCount: n, elementCount: elementCount)
      let start = Self.buffers(n, elementCount)
      let receivers = (0..<n).map { rank in
        // A rank's own chunk is no message.
        (0..<n).flatMap { sender in
          schedule.chunk(rank).map { sender == rank ? start[rank][$0] : -1 }
        }
      }
      let end = Self.perform(schedule, on: start, receivingInto: receivers)
      let expected = (0..<n).map { rank in
        (0..<n).flatMap { sender in Array(start[sender][schedule.chunk(rank)]) }
      }
      #expect(end == expected, "n \(n), S \(elementCount)")
    }
  }

  @Test func `A rank sends what the closed forms say when the ranks divide the tensor`() {
    for n in 1...8 {
      let elementCount = 6 * n
      let bytes = 4 * elementCount
      func sent(_ kind: CollectiveKind) -> [Int] {
        let schedule = CollectiveSchedule(kind, rankCount: n, elementCount: elementCount)
        return (0..<n).map { schedule.bytesSent(byRank: $0, bytesPerElement: 4) }
      }
      for kind in [CollectiveKind.allGather, .reduceScatter, .allToAll] {
        #expect(
          sent(kind) == Array(repeating: (n - 1) * bytes / n, count: n), "\(kind.rawValue), n \(n)")
      }
      #expect(sent(.allReduce) == Array(repeating: 2 * (n - 1) * bytes / n, count: n), "n \(n)")
    }
  }

  @Test func `Whatever the remainder, the ranks together send the closed form's bytes`() {
    for (n, elementCount) in Self.shapes {
      func total(_ kind: CollectiveKind) -> Int {
        let schedule = CollectiveSchedule(kind, rankCount: n, elementCount: elementCount)
        return (0..<n).reduce(0) { $0 + schedule.bytesSent(byRank: $1, bytesPerElement: 1) }
      }
      for kind in [CollectiveKind.allGather, .reduceScatter, .allToAll] {
        #expect(
          total(kind) == (n - 1) * elementCount, "\(kind.rawValue), n \(n), S \(elementCount)")
      }
      #expect(total(.allReduce) == 2 * (n - 1) * elementCount, "n \(n), S \(elementCount)")
    }
  }

  @Test(arguments: CollectiveKind.allCases)
  func `In one step no rank sends or receives twice`(kind: CollectiveKind) {
    for (n, elementCount) in Self.shapes {
      let schedule = CollectiveSchedule(kind, rankCount: n, elementCount: elementCount)
      var seen: Set<[Int]> = []
      for transfer in schedule.transfers {
        #expect(!transfer.elementRange.isEmpty && transfer.fromRank != transfer.toRank)
        #expect(
          seen.insert([0, transfer.stepIndex, transfer.fromRank]).inserted
            && seen.insert([1, transfer.stepIndex, transfer.toRank]).inserted,
          "\(kind.rawValue), n \(n), S \(elementCount), step \(transfer.stepIndex)")
      }
    }
  }
}

extension CollectiveSchedule {
  /// Bytes one rank sends over the whole operation.
  fileprivate func bytesSent(byRank rank: Int, bytesPerElement: Int) -> Int {
    transfers.filter { $0.fromRank == rank }.reduce(0) { $0 + $1.elementRange.count * bytesPerElement }
  }
}

extension Route {
  fileprivate var isDirect: Bool {
    switch self {
    case .direct, .directByLevel: true
    case .ring, .hierarchical, .tree: false
    }
  }
}
