import Foundation
import Synchronization

/// One thread for each stream of a pair, the caller's for the first; they start on a message together.
///
/// Threads and not tasks: they block on their sockets. Every call they make is bounded, so that the crew's waiting is.
final class StreamCrew: Sendable {
  /// What a thread does with its part of a message; the buffer is the thread's own.
  typealias Work =
    @Sendable (Socket, _ byteCount: Int, _ buffer: UnsafeMutableRawBufferPointer) throws(LinkFailure) -> Void

  private struct State {
    /// Bytes of the next part of each stream; nil tells its thread to end.
    var orders: [Int?]
    var failure: LinkFailure?
  }

  private let sockets: [Socket]
  private let work: Work
  private let state: Mutex<State>
  private let starts: [DispatchSemaphore]
  private let done = DispatchSemaphore(value: 0)

  /// - Precondition: there is a socket.
  init(sockets: [Socket], bufferByteCount: Int, work: @escaping Work) {
    self.sockets = sockets
    self.work = work
    state = Mutex(State(orders: sockets.map { _ in nil }, failure: nil))
    starts = sockets.map { _ in DispatchSemaphore(value: 0) }
    for index in sockets.indices.dropFirst() {
      Thread.detachNewThread { [self] in
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: bufferByteCount, alignment: 4_096)
        buffer.initializeMemory(as: UInt8.self, repeating: 0)
        defer { buffer.deallocate() }
        while true {
          starts[index].wait()
          guard let byteCount = state.withLock({ $0.orders[index] }) else { break }
          perform(index, byteCount, buffer)
          done.signal()
        }
        done.signal()
      }
    }
  }

  /// Lets the threads do their work, each with its part of the bytes; the seconds until the last was done.
  ///
  /// - Parameters:
  ///   - streamCount: how many of the streams take part.
  ///   - buffer: the caller's own, of which nothing has to be kept.
  /// - Throws: the first stream's failure; then all sockets are shut down, so that no thread waits for its timeout.
  func send(
    _ byteCount: Int, streamCount: Int, _ buffer: UnsafeMutableRawBufferPointer
  ) throws(LinkFailure) -> Double {
    let count = min(streamCount, sockets.count)
    state.withLock { state in
      for index in 0..<count { state.orders[index] = byteCount * (index + 1) / count - byteCount * index / count }
    }
    let start = ContinuousClock.now
    for index in 1..<max(1, count) { starts[index].signal() }
    perform(0, byteCount / count, buffer)
    for _ in 1..<max(1, count) { done.wait() }
    let seconds = (ContinuousClock.now - start).inSeconds
    if let failure = state.withLock({ $0.failure }) { throw failure }
    return seconds
  }

  /// Ends the threads and waits for that; the sockets stay open.
  func dismiss() {
    state.withLock { state in for index in state.orders.indices { state.orders[index] = nil } }
    for index in sockets.indices.dropFirst() { starts[index].signal() }
    for _ in sockets.indices.dropFirst() { done.wait() }
  }

  private func perform(_ index: Int, _ byteCount: Int, _ buffer: UnsafeMutableRawBufferPointer) {
    do throws(LinkFailure) {
      try work(sockets[index], byteCount, buffer)
    } catch {
      let isFirst = state.withLock { state in
        defer { state.failure = state.failure ?? error }
        return state.failure == nil
      }
      if isFirst { for socket in sockets { socket.shutDown() } }
    }
  }
}
