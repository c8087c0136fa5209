import Foundation

/// The streams that the process was given: whatever is wrong with them, writing never traps and never goes to a file
/// that was opened for something else.
enum StandardStreams {
  /// Puts something in the place of each stream that is closed, so that no file which is opened later gets its number.
  ///
  /// It is opened to be read only: writing to a standard output that was closed fails, as it should.
  static func occupy() {
    // A new descriptor is the least that is free.
    for descriptor in STDIN_FILENO...STDERR_FILENO where fcntl(descriptor, F_GETFD) == -1 {
      _ = open("/dev/null", O_RDONLY)
    }
  }

  /// Writes all of a text.
  ///
  /// - Returns: whether it was written; a reader that has gone away, a full disk and a closed stream are why not.
  @discardableResult
  static func write(_ text: String, to descriptor: CInt) -> Bool {
    var bytes = Array(text.utf8)[...]
    while !bytes.isEmpty {
      let count = bytes.withUnsafeBytes { Foundation.write(descriptor, $0.baseAddress, $0.count) }
      if count < 0, errno == EINTR { continue }
      // Somebody may have set the stream to not wait.
      if count < 0, errno == EAGAIN {
        var waiting = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        _ = poll(&waiting, 1, -1)
        continue
      }
      guard count > 0 else { return false }
      bytes = bytes.dropFirst(count)
    }
    return true
  }
}
