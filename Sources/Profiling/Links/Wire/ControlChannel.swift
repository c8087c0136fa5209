import Dispatch
import NIOCore
import Synchronization

/// What the event loop tells the thread that decides, in the order in which it happened on each connection.
enum ControlEvent {
  /// A node has proven the token; not yet who it is.
  case opened(ControlConnection, rank: Int)
  case message(ControlConnection, ControlMessage)
  /// The connection is gone, with the reason.
  case closed(ControlConnection, reason: String)
  /// A greeting failed; the rank is what the caller said, if it said one.
  case refused(rank: Int?, WireError)
  /// The process that was to become a node ended before it came.
  case launchFailed(rank: Int, reason: String)
  /// What a node does on another thread is over.
  case workEnded
}

/// One proven connection, on either side.
final class ControlConnection: Sendable, Hashable {
  private let channel: any Channel
  /// Number and port of this side, and of the other.
  let localEndpoint: Endpoint?

  init(channel: any Channel) {
    self.channel = channel
    localEndpoint = channel.localAddress.flatMap { address in
      address.ipAddress.map { Endpoint(host: $0, port: address.port ?? 0) }
    }
  }

  /// Sends without waiting; what cannot be sent shows as the connection's end.
  func send(_ message: ControlMessage) { channel.writeAndFlush(message, promise: nil) }

  func close() { channel.close(promise: nil) }

  static func == (one: ControlConnection, other: ControlConnection) -> Bool { one === other }
  func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(self)) }
}

/// Events on their way from the event loop to a thread that waits for them, never longer than it says.
final class Mailbox: Sendable {
  private let events = Mutex<[ControlEvent]>([])
  private let count = DispatchSemaphore(value: 0)

  func put(_ event: ControlEvent) {
    events.withLock { $0.append(event) }
    count.signal()
  }

  /// The oldest event, or nil when none came within `seconds`.
  func take(withinSeconds seconds: Double) -> ControlEvent? {
    guard count.wait(timeout: .now() + max(0, seconds)) == .success else { return nil }
    return events.withLock { $0.removeFirst() }
  }
}
