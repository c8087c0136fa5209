import Foundation
import Synchronization

/// A node's open door for streams, on one address; only streams of the link that is being opened are let in.
final class StreamListener: Sendable {
  /// Greetings at a time; callers beyond are turned away, so that strangers cannot take all threads.
  private static let greetingLimit = 64

  private let socket: Socket
  private let token: RunToken

  /// - Throws: ``LinkRunError/network(_:)``.
  init(host: String, token: RunToken) throws(LinkRunError) {
    do {
      socket = try Socket.listening(host: host, port: 0, backlog: 128)
    } catch {
      throw .network("cannot listen on \(host): \(error)")
    }
    self.token = token
  }

  var endpoint: Endpoint { socket.localEndpoint }

  private struct Arrivals {
    var sockets: [Socket?]
    var greetingCount = 0
    /// Why the last caller was not let in: the best guess when streams are missing.
    var lastRefusal: LinkFailure?
  }

  /// Waits for the streams of a link.
  ///
  /// Callers greet on threads of their own: one that says nothing keeps nobody waiting.
  ///
  /// - Throws: ``LinkFailure`` when not all came within the stall time.
  func accept(
    _ assignment: ControlMessage.Assignment, maximumBytesPerSecond: Double?, until deadline: Deadline
  ) throws(LinkFailure) -> [Socket] {
    let stallSeconds = assignment.settings.stallSeconds
    let streamCount = assignment.settings.streamCounts.last ?? 1
    let arrivals = Arrived(Arrivals(sockets: [Socket?](repeating: nil, count: streamCount)))
    let waiting = Deadline(seconds: stallSeconds)
    while true {
      let (sockets, refusal) = arrivals.state.withLock { ($0.sockets.compactMap(\.self), $0.lastRefusal) }
      if sockets.count == streamCount { return sockets }
      try deadline.check()
      if waiting.remainingSeconds == 0 { throw refusal ?? .stalled(stallSeconds) }
      guard
        let caller = try socket.accepted(
          withinSeconds: min(0.02, waiting.remainingSeconds), stallSeconds: stallSeconds,
          maximumBytesPerSecond: maximumBytesPerSecond)
      else { continue }
      let isTooMany = arrivals.state.withLock { state in
        state.greetingCount += 1
        return state.greetingCount > Self.greetingLimit
      }
      guard !isTooMany else {
        arrivals.state.withLock { $0.greetingCount -= 1 }
        continue
      }
      Thread.detachNewThread { [token] in
        do throws(LinkFailure) {
          let hello = try caller.answerGreeting(token: token, until: Deadline(seconds: min(5, stallSeconds)))
          arrivals.state.withLock { state in
            state.greetingCount -= 1
            guard hello.rank == assignment.peerRank, case .stream(assignment.link, let index) = hello.purpose,
              state.sockets.indices.contains(index), state.sockets[index] == nil
            else { return }
            state.sockets[index] = caller
          }
        } catch {
          arrivals.state.withLock { state in
            state.greetingCount -= 1
            state.lastRefusal = error
          }
        }
      }
    }
  }

  /// An object, so that the threads share it.
  private final class Arrived: Sendable {
    let state: Mutex<Arrivals>
    init(_ arrivals: Arrivals) { state = Mutex(arrivals) }
  }
}
