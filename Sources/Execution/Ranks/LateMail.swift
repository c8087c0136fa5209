/// What goes from one rank to another on one stream, and stays in its order.
struct Channel: Hashable {
  let sender: Int
  let receiver: Int
  let stream: Int
}

/// Messages that are on their way for some turns. Two of one sender to one receiver on one stream stay in their order.
struct LateMail {
  struct Letter {
    let message: Message
    let sender: Int
    let receiver: Int
    let stream: Int
    let due: Int
  }

  private let delay: Network.Delay
  /// In the order in which they were sent.
  private var letters: [Letter] = []
  /// Messages of a channel so far, and the turn in which the last arrives.
  private var channels: [Channel: (count: Int, due: Int)] = [:]
  /// The turn that is taken.
  var turn = 0

  init(delay: @escaping Network.Delay) { self.delay = delay }

  /// Takes a message that does not arrive at once.
  ///
  /// - Returns: whether it was taken.
  mutating func hold(_ message: Message, from sender: Int, to receiver: Int, stream: Int) -> Bool {
    let channel = Channel(sender: sender, receiver: receiver, stream: stream)
    let before = channels[channel] ?? (0, 0)
    let due = max(turn + delay(sender, receiver, stream, before.count), before.due)
    channels[channel] = (before.count + 1, due)
    guard due > turn else { return false }
    letters.append(Letter(message: message, sender: sender, receiver: receiver, stream: stream, due: due))
    return true
  }

  /// The turn in which the next message arrives; nil where none is on its way.
  var nextTurn: Int? { letters.map(\.due).min() }

  /// Takes out what has arrived.
  mutating func arrivals(by turn: Int) -> [Letter] {
    let arrived = letters.filter { $0.due <= turn }
    letters.removeAll { $0.due <= turn }
    return arrived
  }
}
