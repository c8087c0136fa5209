import Training

/// What one rank sends another at once.
struct Message: Sendable {
  let elements: [Float]
  /// The sender's step that it belongs to, an index into its program.
  let step: Int
  /// Between stages, the sender's clock when its pass had ended; 0 otherwise.
  let tick: Int
  /// Of rows that tokens have chosen the way of, what each is.
  var rows: RoutedRows?
}

/// Where messages wait for their receiver: first in, first out between two ranks on one stream.
struct Mailbox<Letter: Sendable>: Sendable {
  private var queues: [Int: Queue] = [:]

  private struct Queue {
    var messages: [Letter] = []
    var first = 0
  }

  mutating func put(_ message: Letter, from sender: Int, stream: Int) {
    queues[Self.key(sender, stream), default: Queue()].messages.append(message)
  }

  mutating func take(from sender: Int, stream: Int) -> Letter? {
    let key = Self.key(sender, stream)
    guard let index = queues.index(forKey: key) else { return nil }
    let first = queues.values[index].first
    guard first < queues.values[index].messages.count else { return nil }
    let message = queues.values[index].messages[first]
    if first + 1 == queues.values[index].messages.count {
      queues.values[index].messages.removeAll(keepingCapacity: true)
      queues.values[index].first = 0
    } else {
      queues.values[index].first = first + 1
    }
    return message
  }

  private static func key(_ sender: Int, _ stream: Int) -> Int { sender * streamCount + stream }

  /// Messages that nobody took.
  var count: Int { queues.values.reduce(0) { $0 + $1.messages.count - $1.first } }
}

private let streamCount = ProgramStep.Stream.allCases.count
