import HeapModule
import Training

/// Virtual time: what will happen when, the messages and collectives under way, and which ranks are to be asked again.
///
/// One thread's own.
final class ClockMedium {
  /// Seconds since the beginning of the iteration.
  private(set) var now = 0.0
  /// Flows that have ended, in that order.
  private(set) var flows: [FlowRecord] = []

  private var events = Heap<Event>()
  private var eventCount = 0
  private var mailboxes: [Mailbox<Letter>]
  /// By sender, receiver and stream: letters sent, letters that have arrived in their order, and those that came before their
  /// turn, by number. Two that go at the same time on shared links keep their order, as on a device's stream.
  private var channels: [Channel: (sent: Int, arrived: Int, early: [Int: Letter])] = [:]
  /// By rank and stream: when the step under way there had all it waited for, once it has ended; otherwise nil.
  private var finished: [Double?]
  /// Ranks that wait for a collective to be complete, by its number.
  private var meetings: [Int: [Seat]] = [:]
  private var links: SharedLinks
  private var deliveries: [Delivery] = []
  private var freeFlows: [Int] = []

  /// A stream of a rank, ranks by their place among those that are simulated.
  struct Seat: Sendable {
    let place: Int
    let stream: Int
  }

  /// A message that has arrived.
  struct Letter: Sendable {
    /// The number of the transfer, see ``PreparedProgram/identities``.
    let identity: Int
    let sentSeconds: Double
    let senderStep: Int
  }

  /// What a flow is for.
  enum Delivery: Sendable {
    case letter(Letter, from: Int, to: Int, stream: Int, number: Int)
    case collective([Seat])
  }

  private struct Event: Comparable {
    let seconds: Double
    /// Among events of one moment, the order in which they were foreseen.
    let order: Int
    let happening: Happening

    static func < (left: Self, right: Self) -> Bool {
      left.seconds == right.seconds ? left.order < right.order : left.seconds < right.seconds
    }
    static func == (left: Self, right: Self) -> Bool { left.order == right.order }
  }

  private enum Happening {
    case stepEnds(Seat)
    case flowMoves(Int)
    case flowEnds(Int, version: Int)
  }

  /// - Parameter contends: whether flows that take the same link share its rate.
  init(rankCount: Int, contends: Bool) {
    mailboxes = [Mailbox<Letter>](repeating: Mailbox(), count: rankCount)
    finished = [Double?](repeating: nil, count: rankCount * Self.streamCount)
    links = SharedLinks(contends: contends)
  }

  private static let streamCount = ProgramStep.Stream.allCases.count

  // MARK: Asked by machines

  /// Ends a step of a rank after a while.
  func end(_ seat: Seat, after seconds: Double) { foresee(.stepEnds(seat), after: seconds) }

  /// When the step that was begun on a stream had all it waited for; nil while it has not ended. It is told once.
  func takeFinished(_ seat: Seat) -> Double? {
    let index = seat.place * Self.streamCount + seat.stream
    defer { finished[index] = nil }
    return finished[index]
  }

  /// Sends a message; its receiver has it when it has crossed the links.
  func send(_ letter: Letter, from: Int, to: Int, stream: Int, _ flow: FlowPrice, byteCount: Int) {
    let channel = Channel(sender: from, receiver: to, stream: stream)
    let number = channels[channel]?.sent ?? 0
    channels[channel, default: (0, 0, [:])].sent = number + 1
    start(flow, for: .letter(letter, from: from, to: to, stream: stream, number: number), byteCount: byteCount)
  }

  func take(at place: Int, from sender: Int, stream: Int) -> Letter? {
    mailboxes[place].take(from: sender, stream: stream)
  }

  /// Takes part in a collective, which begins when all members have come and ends for all at once.
  func meet(_ seat: Seat, identity: Int, memberCount: Int, byteCount: Int, price: () -> FlowPrice) {
    meetings[identity, default: []].append(seat)
    guard let seats = meetings[identity], seats.count == memberCount else { return }
    meetings[identity] = nil
    start(price(), for: .collective(seats), byteCount: byteCount)
  }

  /// Those that have come to a collective which is not complete.
  func present(at identity: Int) -> [Int] { (meetings[identity] ?? []).map(\.place) }

  /// Messages that nobody took.
  func leftOverCount(at place: Int) -> Int { mailboxes[place].count }

  // MARK: Time

  /// Goes on to the next moment at which something happens; the ranks that it happens to, or nil if nothing will.
  func advance() -> [Int]? {
    guard let event = events.popMin() else { return nil }
    switch event.happening {
    case .stepEnds(let seat):
      now = event.seconds
      finish(seat, met: now)
      return [seat.place]
    case .flowMoves(let flow):
      now = event.seconds
      for change in links.begin(flow, at: now) { foresee(change) }
      return []
    case .flowEnds(let flow, let version):
      guard links.isCurrent(flow, version: version) else { return [] }
      now = event.seconds
      let (record, changes) = links.end(flow, at: now)
      for change in changes { foresee(change) }
      flows.append(record)
      freeFlows.append(flow)
      return deliver(deliveries[flow], since: record.startSeconds)
    }
  }

  private func deliver(_ delivery: Delivery, since start: Double) -> [Int] {
    switch delivery {
    case .letter(let letter, let from, let to, let stream, let number):
      let channel = Channel(sender: from, receiver: to, stream: stream)
      channels[channel]?.early[number] = letter
      while let next = channels[channel]?.arrived, let letter = channels[channel]?.early.removeValue(forKey: next) {
        channels[channel]?.arrived = next + 1
        mailboxes[to].put(letter, from: from, stream: stream)
      }
      return [to]
    case .collective(let seats):
      for seat in seats { finish(seat, met: start) }
      return seats.map(\.place)
    }
  }

  private func finish(_ seat: Seat, met: Double) { finished[seat.place * Self.streamCount + seat.stream] = met }

  private func start(_ price: FlowPrice, for delivery: Delivery, byteCount: Int) {
    let flow = freeFlows.popLast() ?? deliveries.count
    if flow == deliveries.count { deliveries.append(delivery) } else { deliveries[flow] = delivery }
    let change = links.add(flow, price, byteCount: byteCount, at: now)
    if price.uses.isEmpty || price.bytesSeconds == 0 || !links.contends {
      foresee(change)
    } else {
      foresee(.flowMoves(flow), after: price.latencySeconds)
    }
  }

  private func foresee(_ change: SharedLinks.Change) {
    events.insert(
      Event(
        seconds: change.endSeconds, order: eventCount,
        happening: .flowEnds(change.flow, version: change.version)))
    eventCount += 1
  }

  private func foresee(_ happening: Happening, after seconds: Double) {
    events.insert(Event(seconds: now + seconds, order: eventCount, happening: happening))
    eventCount += 1
  }
}
