import Foundation

/// A node's ear for its coordinator, which notices when it has fallen silent.
///
/// TCP tells when the other process has ended, but not when it was stopped, hangs or has lost its power. So a
/// coordinator says regularly that it is there, also while the node measures or others do, and says how long a silence
/// means that it is not.
struct CoordinatorWatch {
  /// The longest wait for one event.
  private static let pollSeconds = 0.1

  private let mailbox: Mailbox
  private var silenceSeconds: Double
  /// Time that was waited in vain, and no more: while this process is stopped itself, it hears nothing either.
  private var silentSeconds = 0.0

  /// - Parameter silenceSeconds: how long a silence is borne until the coordinator has said it.
  init(_ mailbox: Mailbox, silenceSeconds: Double) {
    self.mailbox = mailbox
    self.silenceSeconds = silenceSeconds
  }

  /// The coordinator's next word, however long others are measured before it comes.
  ///
  /// - Throws: ``LinkRunError/coordinator(_:)`` when it went away or fell silent.
  mutating func next() throws(LinkRunError) -> ControlMessage {
    while true { if let message = try heard() { return message } }
  }

  /// The coordinator's next word, which has to come within a time.
  ///
  /// - Throws: ``LinkRunError/coordinator(_:)`` when it did not, or the coordinator went away or fell silent.
  mutating func next(withinSeconds seconds: Double) throws(LinkRunError) -> ControlMessage {
    let end = ContinuousClock.now + .seconds(seconds)
    while ContinuousClock.now < end { if let message = try heard() { return message } }
    throw .coordinator("the coordinator did not say to go on within \(short(seconds)) s")
  }

  /// Does work on another thread and listens until it is over.
  ///
  /// - Returns: nil when the coordinator said goodbye before that; then the caller calls the work off.
  /// - Throws: ``LinkRunError/coordinator(_:)`` when the coordinator went away, fell silent or said something else.
  mutating func result<Value: Sendable>(
    of work: @escaping @Sendable () throws(LinkFailure) -> Value
  ) throws(LinkRunError) -> Result<Value, LinkFailure>? {
    let working = InOtherThread(work, whenOver: { [mailbox] in mailbox.put(.workEnded) })
    while !working.isOver {
      switch try heard() {
      case nil: continue
      case .goodbye: return nil
      default: throw .outOfTurn
      }
    }
    do throws(LinkFailure) { return .success(try working.value()) } catch { return .failure(error) }
  }

  /// What comes within a moment and is for the node to act on.
  private mutating func heard() throws(LinkRunError) -> ControlMessage? {
    switch mailbox.take(withinSeconds: Self.pollSeconds) {
    case .message(_, .alive(let seconds)):
      silenceSeconds = seconds
      silentSeconds = 0
      return nil
    case .message(_, let message):
      silentSeconds = 0
      return message
    case .closed(_, let reason): throw .coordinator("the coordinator went away: \(reason)")
    case nil:
      silentSeconds += Self.pollSeconds
      guard silentSeconds < silenceSeconds else {
        throw .coordinator("nothing was heard of the coordinator for \(short(silenceSeconds)) s")
      }
      return nil
    default: return nil
    }
  }
}

extension LinkRunError {
  static var outOfTurn: LinkRunError { .coordinator("the coordinator said something out of turn") }
}
