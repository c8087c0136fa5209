import Training

/// One rank as a state machine: it performs its program's steps on a machine as far as what has arrived allows.
///
/// Steps of one stream run one after the other, in the order of the program; a step begins when those it waits for have
/// ended.
struct RankRunner<M: Machine> {
  let number: Int
  private(set) var prepared: PreparedProgram
  var machine: M

  private var cursors: [Int]
  private var isDone: [Bool]

  init(_ prepared: PreparedProgram, on machine: M) {
    number = prepared.program.rank
    self.prepared = prepared
    self.machine = machine
    cursors = [Int](repeating: 0, count: prepared.streams.count)
    isDone = [Bool](repeating: false, count: prepared.program.steps.count)
  }

  /// Takes up another program of the same rank, which begins with the next iteration.
  mutating func load(_ other: PreparedProgram) {
    precondition(other.program.rank == number, "a program is its rank's own")
    prepared = other
    isDone = [Bool](repeating: false, count: other.program.steps.count)
  }

  /// Starts the program again, for the next iteration.
  mutating func beginIteration() {
    for stream in cursors.indices { cursors[stream] = 0 }
    for index in isDone.indices { isDone[index] = false }
    machine.beginIteration()
  }

  /// Whether every step has ended.
  var hasEnded: Bool {
    for stream in cursors.indices where cursors[stream] < prepared.streams[stream].count { return false }
    return true
  }

  /// Performs every step that can be performed now.
  mutating func advance(_ medium: M.Medium) throws(ExecutionFailure) {
    var moved = true
    while moved {
      moved = false
      for stream in cursors.indices {
        while let index = next(stream) {
          guard isReady(index), try machine.perform(index, of: prepared, on: medium) else { break }
          isDone[index] = true
          cursors[stream] += 1
          moved = true
        }
      }
    }
  }

  /// The rank's wait for another: the first step that waits for one.
  func waiting(on medium: M.Medium) -> Waiting? {
    for stream in cursors.indices {
      guard let index = next(stream), isReady(index) else { continue }
      if let other = machine.awaitedRank(index, of: prepared, on: medium) {
        return Waiting(rank: number, step: index, what: prepared.program.steps[index], on: other)
      }
    }
    return nil
  }

  /// The step that a stream comes to next; nil at its end.
  private func next(_ stream: Int) -> Int? {
    let steps = prepared.streams[stream], cursor = cursors[stream]
    return cursor < steps.count ? steps[cursor] : nil
  }

  /// Whether all that a step waits for has ended.
  private func isReady(_ index: Int) -> Bool {
    for wait in prepared.program.steps[index].waitsFor where !isDone[wait] { return false }
    return true
  }
}
