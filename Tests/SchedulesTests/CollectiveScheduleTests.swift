import Schedules
import Testing

@Suite struct CollectiveScheduleTests {
  /// Performs the messages on one buffer per rank, all of a step at once: what a step reads is what the step before left.
  static func perform(
    _ schedule: CollectiveSchedule, on buffers: [[Int]], receivingInto receivers: [[Int]]? = nil
  ) -> [[Int]] {
    var senders = buffers
    var results = receivers ?? buffers
    let stepCount = (schedule.transfers.map(\.stepIndex).max() ?? -1) + 1
    for step in 0..<stepCount {
      for transfer in schedule.transfers where transfer.stepIndex == step {
        for (offset, element) in senders[transfer.fromRank][transfer.elementRange].enumerated() {
          let index = transfer.destinationIndex + offset
          switch transfer.action {
          case .copy: results[transfer.toRank][index] = element
          case .add: results[transfer.toRank][index] += element
          }
        }
      }
      if receivers == nil { senders = results }
    }
    return results
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
      let schedule = CollectiveSchedule(.allGather, rankCount: n, elementCount: elementCount)
      let whole = Array(1..<(elementCount + 1))
      let start = (0..<n).map { rank in
        (0..<elementCount).map { schedule.chunk(rank).contains($0) ? whole[$0] : -1 }
      }
      let end = Self.perform(schedule, on: start)
      #expect(end == Array(repeating: whole, count: n), "n \(n), S \(elementCount)")
    }
  }

  @Test func `Reduce-scatter leaves every rank with its chunk of the sum`() {
    for (n, elementCount) in Self.shapes {
      let schedule = CollectiveSchedule(.reduceScatter, rankCount: n, elementCount: elementCount)
      let start = Self.buffers(n, elementCount)
      let sum = (0..<elementCount).map { element in start.reduce(0) { $0 + $1[element] } }
      let end = Self.perform(schedule, on: start)
      for rank in 0..<n {
        let chunk = schedule.chunk(rank)
        #expect(end[rank][chunk] == sum[chunk], "n \(n), S \(elementCount), rank \(rank)")
      }
    }
  }

  @Test func `All-reduce leaves every rank with the sum`() {
    for (n, elementCount) in Self.shapes {
      let schedule = CollectiveSchedule(.allReduce, rankCount: n, elementCount: elementCount)
      let start = Self.buffers(n, elementCount)
      let sum = (0..<elementCount).map { element in start.reduce(0) { $0 + $1[element] } }
      let end = Self.perform(schedule, on: start)
      #expect(end == Array(repeating: sum, count: n), "n \(n), S \(elementCount)")
    }
  }

  @Test
  func `Broadcast leaves every rank with rank 0's tensor after as few steps as a doubling takes`() {
    for (n, elementCount) in Self.shapes {
      let schedule = CollectiveSchedule(.broadcast, rankCount: n, elementCount: elementCount)
      let start = Self.buffers(n, elementCount)
      let end = Self.perform(schedule, on: start)
      #expect(end == Array(repeating: start[0], count: n), "n \(n), S \(elementCount)")
      let stepCount = (schedule.transfers.last?.stepIndex ?? -1) + 1
      #expect(elementCount == 0 || (1 << stepCount) >= n, "n \(n)")
      #expect(stepCount == 0 || (1 << (stepCount - 1)) < n, "n \(n)")
    }
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
      #expect(sent(.broadcast).reduce(0, +) == (n - 1) * bytes, "broadcast, n \(n)")
    }
  }

  @Test func `Whatever the remainder, the ranks together send the closed form's bytes`() {
    for (n, elementCount) in Self.shapes {
      func total(_ kind: CollectiveKind) -> Int {
        let schedule = CollectiveSchedule(kind, rankCount: n, elementCount: elementCount)
        return (0..<n).reduce(0) { $0 + schedule.bytesSent(byRank: $1, bytesPerElement: 1) }
      }
      for kind in [CollectiveKind.allGather, .reduceScatter, .allToAll, .broadcast] {
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
