import Glibc
import JSONText

/// The file through which the processes of a run find each other: the token in its first line and, once rank 0
/// listens, its address in the second.
///
/// It is created with mode 0600 by rank 0 if it is not there, on a file system that all nodes see, and removed by who
/// created it. A file that others than its owner can read is refused.
package struct RunFile: Sendable, Equatable {
  package let path: String

  package init(path: String) { self.path = path }

  /// The file of a run that no flag names: in the user's home, which the nodes of a cluster share, after the launcher's
  /// name of the run. Its folder is created, for the user alone.
  ///
  /// - Throws: ``LinkRunError/file(_:_:)`` when there is no home or the folder cannot be created.
  package static func standard(runName: String, environment: [String: String]) throws(LinkRunError) -> RunFile {
    guard let home = environment["HOME"], home.hasPrefix("/") else {
      throw .launcher("no HOME for the run's token: set SEXTANT_TOKEN on every node, or give --token-file")
    }
    let folder = "\(home)/.sextant"
    guard mkdir(folder, 0o700) == 0 || errno == EEXIST else {
      throw .file(folder, "cannot be created: \(String(cString: strerror(errno)))")
    }
    let name = String(runName.map { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == ".") ? $0 : "-" })
    return RunFile(path: "\(folder)/links-\(name)")
  }

  /// What the file says.
  struct Content: Equatable {
    let token: RunToken
    let rendezvous: Endpoint?
  }

  /// Reads the file; nil when it is not there.
  ///
  /// - Throws: ``LinkRunError`` when others can read it, it is not this user's, or it holds no token.
  func read() throws(LinkRunError) -> Content? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else {
      if errno == ENOENT { return nil }
      throw .file(path, "cannot be read: \(String(cString: strerror(errno)))")
    }
    defer { close(descriptor) }
    // The checks are of the file that was opened, so that nobody can change it in between.
    var status = stat()
    guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
      throw .file(path, "is not a regular file")
    }
    guard status.st_uid == geteuid() else { throw .file(path, "belongs to another user") }
    guard status.st_mode & 0o077 == 0 else { throw .file(path, "can be read by others; its mode has to be 0600") }
    var buffer = [UInt8](repeating: 0, count: 4_096)
    let count = Glibc.read(descriptor, &buffer, buffer.count)
    guard count >= 0 else { throw .file(path, "cannot be read: \(String(cString: strerror(errno)))") }
    let lines = buffer[..<count].split(separator: UInt8(ascii: "\n"), maxSplits: 2).map {
      String(decoding: $0, as: UTF8.self)
    }
    guard let first = lines.first else { throw .file(path, "holds no token") }
    let rendezvous: Endpoint? = if lines.count > 1 { try Endpoint(lines[1]) } else { nil }
    return Content(token: try RunToken(first), rendezvous: rendezvous)
  }

  /// Creates the file with a token, readable by its owner only.
  ///
  /// It is written under another name beside it and then linked to its own: a rank that looks for it finds all of it or
  /// nothing.
  ///
  /// - Throws: ``LinkRunError`` when it exists or cannot be written.
  func create(_ content: Content) throws(LinkRunError) {
    let draft = "\(path).\(getpid())"
    let descriptor = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw .file(path, "cannot be created: \(String(cString: strerror(errno)))") }
    defer {
      close(descriptor)
      unlink(draft)
    }
    // The mask of the process may have taken bits away; none were added.
    let text = Array((content.token.text + "\n" + (content.rendezvous.map { "\($0)\n" } ?? "")).utf8)
    guard fchmod(descriptor, 0o600) == 0, write(descriptor, text, text.count) == text.count else {
      throw .file(path, "cannot be written: \(String(cString: strerror(errno)))")
    }
    guard link(draft, path) == 0 else {
      throw .file(path, "cannot be created: \(String(cString: strerror(errno)))")
    }
  }

  func remove() { unlink(path) }
}
