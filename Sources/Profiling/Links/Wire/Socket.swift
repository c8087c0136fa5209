import Glibc
import Synchronization

/// A blocking TCP socket that never waits for ever: every call is bounded by the stall time and by a deadline.
///
/// Closed with its last reference. Plain sockets on threads of their own, and not the event loop, carry the data: they
/// measured a little faster (docs/measurements.md), and a stalled peer holds up its own thread only.
final class Socket: Sendable {
  private let descriptor: CInt
  private let stallSeconds: Double
  private let pace: Pace?

  private init(descriptor: CInt, stallSeconds: Double, maximumBytesPerSecond: Double?) {
    self.descriptor = descriptor
    self.stallSeconds = stallSeconds
    pace = maximumBytesPerSecond.map(Pace.init)
  }

  deinit { close(descriptor) }

  /// Connects from a given address of this machine.
  ///
  /// - Parameters:
  ///   - localHost: the number of the address to come from; nil for whichever the system takes.
  ///   - maximumBytesPerSecond: the most that is sent on this socket; nil for no limit.
  /// - Throws: ``LinkFailure``.
  static func connected(
    to endpoint: Endpoint, from localHost: String?, stallSeconds: Double, maximumBytesPerSecond: Double?
  ) throws(LinkFailure) -> Socket {
    let address: SocketAddress
    let local: SocketAddress?
    do {
      address = try SocketAddress(resolving: endpoint)
      local = if let localHost { try SocketAddress(resolving: Endpoint(host: localHost, port: 0)) } else { nil }
    } catch {
      throw .unreachable("\(error)")
    }
    let socket = try opened(
      family: address.family, stallSeconds: stallSeconds, maximumBytesPerSecond: maximumBytesPerSecond)
    if let local, local.withPointer({ bind(socket.descriptor, $0, $1) }) != 0 { throw .system("bind", errno) }
    // SO_SNDTIMEO bounds connect(2) too.
    guard address.withPointer({ connect(socket.descriptor, $0, $1) }) == 0 else {
      let code = errno
      if code == EINPROGRESS || code == EAGAIN { throw .stalled(stallSeconds) }
      throw .unreachable("\(endpoint): \(String(cString: strerror(code)))")
    }
    socket.sendAtOnce()
    return socket
  }

  /// Listens on one address of this machine.
  ///
  /// - Parameter port: 0 for any that is free.
  static func listening(host: String, port: Int, backlog: Int) throws(LinkFailure) -> Socket {
    let address: SocketAddress
    do {
      address = try SocketAddress(resolving: Endpoint(host: host, port: port))
    } catch {
      throw .unreachable("\(error)")
    }
    let socket = try opened(family: address.family, stallSeconds: 1, maximumBytesPerSecond: nil)
    var enabled: CInt = 1
    setsockopt(socket.descriptor, SOL_SOCKET, SO_REUSEADDR, &enabled, socklen_t(MemoryLayout<CInt>.size))
    guard address.withPointer({ bind(socket.descriptor, $0, $1) }) == 0 else { throw .system("bind to \(host)", errno) }
    guard listen(socket.descriptor, CInt(backlog)) == 0 else { throw .system("listen", errno) }
    return socket
  }

  private static func opened(
    family: Int32, stallSeconds: Double, maximumBytesPerSecond: Double?
  ) throws(LinkFailure) -> Socket {
    let descriptor = socket(family, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { throw .system("socket", errno) }
    let opened = Socket(
      descriptor: descriptor, stallSeconds: stallSeconds, maximumBytesPerSecond: maximumBytesPerSecond)
    try opened.bound(by: stallSeconds)
    return opened
  }

  /// Number and port of this side.
  var localEndpoint: Endpoint {
    var storage = sockaddr_storage()
    var count = socklen_t(MemoryLayout<sockaddr_storage>.size)
    return withUnsafeMutablePointer(to: &storage) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        guard getsockname(descriptor, $0, &count) == 0 else { return Endpoint(host: "unknown", port: 0) }
        return SocketAddress($0, byteCount: count).endpoint
      }
    }
  }

  /// The next caller, or nil when none came within `seconds`.
  func accepted(withinSeconds seconds: Double, stallSeconds: Double, maximumBytesPerSecond: Double?)
    throws(LinkFailure) -> Socket?
  {
    var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    guard poll(&waiting, 1, CInt(max(0, seconds * 1_000))) > 0 else { return nil }
    let caller = accept(descriptor, nil, nil)
    // A caller that has gone again, or too many open files for a moment: the next may do better.
    guard caller >= 0 else { return nil }
    _ = fcntl(caller, F_SETFD, FD_CLOEXEC)
    let socket = Socket(
      descriptor: caller, stallSeconds: stallSeconds, maximumBytesPerSecond: maximumBytesPerSecond)
    try socket.bound(by: stallSeconds)
    socket.sendAtOnce()
    return socket
  }

  /// Wakes up whoever waits on it, on whatever thread.
  func shutDown() { shutdown(descriptor, CInt(SHUT_RDWR)) }

  /// Sends all bytes.
  func send(_ bytes: UnsafeRawBufferPointer, until deadline: Deadline) throws(LinkFailure) {
    var rest = bytes[...]
    while !rest.isEmpty {
      try deadline.check()
      let allowed = pace?.next(rest.count) ?? rest.count
      let count = Glibc.send(
        descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, allowed, CInt(MSG_NOSIGNAL))
      if count > 0 {
        rest = rest.dropFirst(count)
      } else if count < 0, errno != EINTR {
        throw failure("send", errno)
      }
    }
  }

  /// Sends all bytes of an array.
  func send(_ bytes: [UInt8], until deadline: Deadline) throws(LinkFailure) {
    let outcome = bytes.withUnsafeBytes { raw in
      Result { () throws(LinkFailure) in try send(raw, until: deadline) }
    }
    try outcome.get()
  }

  /// Receives exactly a given number of bytes.
  func receive(count: Int, until deadline: Deadline) throws(LinkFailure) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    let outcome = bytes.withUnsafeMutableBytes { raw in
      Result { () throws(LinkFailure) in try receive(into: raw, until: deadline) }
    }
    try outcome.get()
    return bytes
  }

  /// Receives exactly as many bytes as the buffer has room for.
  func receive(into buffer: UnsafeMutableRawBufferPointer, until deadline: Deadline) throws(LinkFailure) {
    var filled = 0
    while filled < buffer.count {
      filled += try receiveSome(into: UnsafeMutableRawBufferPointer(rebasing: buffer[filled...]), until: deadline)
    }
  }

  /// Receives what is there, at least one byte.
  func receiveSome(into buffer: UnsafeMutableRawBufferPointer, until deadline: Deadline) throws(LinkFailure) -> Int {
    while true {
      try deadline.check()
      let count = recv(descriptor, buffer.baseAddress, buffer.count, 0)
      if count > 0 { return count }
      if count == 0 { throw .closed }
      if errno != EINTR { throw failure("receive", errno) }
    }
  }

  private func failure(_ call: String, _ code: CInt) -> LinkFailure {
    switch code {
    case EAGAIN, EWOULDBLOCK: .stalled(stallSeconds)
    case EPIPE, ECONNRESET: .closed
    default: .system(call, code)
    }
  }

  /// No call blocks longer than the stall time.
  private func bound(by seconds: Double) throws(LinkFailure) {
    var limit = timeval(tv_sec: Int(seconds), tv_usec: Int((seconds - seconds.rounded(.down)) * 1e6))
    let size = socklen_t(MemoryLayout<timeval>.size)
    guard setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, size) == 0,
      setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, size) == 0
    else { throw .system("setsockopt", errno) }
  }

  /// Small messages are not held back to be joined with later ones.
  private func sendAtOnce() {
    var enabled: CInt = 1
    setsockopt(descriptor, CInt(IPPROTO_TCP), TCP_NODELAY, &enabled, socklen_t(MemoryLayout<CInt>.size))
  }
}

/// Lets bytes go no faster than a rate, in pieces of half a millisecond. Up to ``creditSeconds`` that were not used, as
/// when the system woke this thread late, are made up for, no more: who has idled does not burst.
private final class Pace: Sendable {
  private static let creditSeconds = 2e-3

  private let bytesPerSecond: Double
  private let due = Mutex(ContinuousClock.now)

  init(bytesPerSecond: Double) { self.bytesPerSecond = bytesPerSecond }

  /// Waits until the next piece may go; its bytes, `count` at most.
  func next(_ count: Int) -> Int {
    let piece = min(count, max(1, Int(bytesPerSecond * 5e-4)))
    let start = due.withLock { due in
      let start = max(due, .now - .seconds(Self.creditSeconds))
      due = start + .seconds(Double(piece) / bytesPerSecond)
      return start
    }
    let waitSeconds = (start - .now).inSeconds
    if waitSeconds > 0 { usleep(useconds_t(min(waitSeconds * 1e6, 999_999))) }
    return piece
  }
}

/// When a piece of work has to be over, whatever happens; may be called off earlier from elsewhere.
final class Deadline: Sendable {
  private let instant: ContinuousClock.Instant
  private let isCancelled = Atomic(false)

  init(seconds: Double) { instant = .now + .seconds(seconds) }

  func cancel() { isCancelled.store(true, ordering: .relaxed) }

  var remainingSeconds: Double { max(0, (instant - .now).inSeconds) }

  func check() throws(LinkFailure) {
    if isCancelled.load(ordering: .relaxed) { throw .cancelled }
    if ContinuousClock.now >= instant { throw .overdue }
  }
}

extension Duration {
  var inSeconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}
