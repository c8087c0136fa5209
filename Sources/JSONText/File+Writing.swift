import Glibc

/// Writes a file so that a reader sees the old content or the new, never a part, even if this process or the machine
/// stops in between.
///
/// The bytes go to a new file in the same directory, onto the disk, and only then under the name. An existing file
/// keeps its permissions; the target of a symbolic link is replaced, not the link. On failure the file is as it was
/// and nothing else is left behind.
///
/// What is not a regular file, such as a named pipe, a device or this process's own standard output, cannot be
/// replaced and is written to directly.
///
/// A signal that ends the process in the middle waits until the new file is gone: see ``HeldSignals``.
///
/// - Throws: ``FileError`` when the path is a directory or a read-only file, or cannot be written.
package func writeFileAtomically(_ bytes: [UInt8], to path: String) throws(FileError) {
  try checkPath(path, operation: .write)
  switch try WriteTarget(of: path) {
  case .stream: try writeInPlace(bytes, to: path)
  case .file(let destination, let permissions):
    try HeldSignals.whileWriting { () throws(FileError) in
      try replace(destination, with: bytes, permissions: permissions, namedBy: path)
    }
  }
}

/// Refuses a path that ``writeFileAtomically(_:to:)`` could not write now, and leaves all as it was.
///
/// What takes long to compute is worth a look before. A file is put beside the path, given a few bytes and removed, so
/// that a folder that is missing or read-only, a full disk and a full quota are found. Named pipes, and devices other
/// than those that refuse every byte, show what they are only when they are written to.
///
/// - Throws: ``FileError``, as the write would.
package func tryWritingFile(at path: String) throws(FileError) {
  try checkPath(path, operation: .write)
  switch try WriteTarget(of: path) {
  case .stream: try tryStream(path)
  case .file(let destination, let permissions):
    try HeldSignals.whileWriting { () throws(FileError) in
      let (temporary, descriptor) = try makeTemporary(beside: destination, permissions: permissions, namedBy: path)
      let code = finish(descriptor, with: [UInt8](repeating: 0, count: 4096), permissions: permissions)
      unlink(temporary)
      guard code == 0 else { throw FileError(path: path, operation: .write, code: code) }
    }
  }
}

/// Opens a device and writes nothing to it, which a full one refuses. A pipe is left alone: to open it is to be seen.
private func tryStream(_ path: String) throws(FileError) {
  var status = stat()
  guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFCHR else { return }
  let descriptor = open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
  var code = descriptor >= 0 ? 0 : errno
  if descriptor >= 0 {
    if write(descriptor, path, 0) != 0 { code = errno }
    close(descriptor)
  }
  guard code == 0 else { throw FileError(path: path, operation: .write, code: code) }
}

/// What a path to be written to leads to.
private enum WriteTarget {
  /// Something that exists and cannot be replaced.
  case stream

  /// A regular file, at a path that is no symbolic link, with the permissions it has if it exists.
  case file(destination: String, permissions: mode_t?)

  init(of path: String) throws(FileError) {
    var status = stat()
    var permissions: mode_t?
    if stat(path, &status) == 0 {
      switch status.st_mode & S_IFMT {
      case S_IFREG: permissions = status.st_mode & 0o7777
      case S_IFDIR: throw FileError(path: path, operation: .write, reason: "is a directory")
      default:
        self = .stream
        return
      }
      // Replacing needs no permission on the file itself, but who made it read-only meant it.
      guard access(path, W_OK) == 0 else {
        throw FileError(path: path, operation: .write, code: errno)
      }
    } else if errno != ENOENT {
      throw FileError(path: path, operation: .write, code: errno)
    }

    var destination = path
    // The number of links that Linux itself follows.
    for _ in 0..<40 {
      guard lstat(destination, &status) == 0, status.st_mode & S_IFMT == S_IFLNK else {
        self = .file(destination: destination, permissions: permissions)
        return
      }
      // These links name a file that a process has open, such as standard output sent to a file, and not a place.
      if destination.hasPrefix("/proc/") || destination.hasPrefix("/dev/fd/") {
        self = .stream
        return
      }
      destination = try Self.target(ofLink: destination, namedBy: path)
    }
    throw FileError(path: path, operation: .write, code: ELOOP)
  }

  /// Where a symbolic link points to, one step.
  private static func target(
    ofLink link: String, namedBy path: String
  ) throws(FileError) -> String {
    var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
    let count = readlink(link, &buffer, buffer.count)
    guard count >= 0 else { throw FileError(path: path, operation: .write, code: errno) }
    guard let target = String(validating: buffer[..<count].lazy.map(UInt8.init(bitPattern:)), as: UTF8.self) else {
      throw FileError(
        path: path, operation: .write, reason: "links to a path that is not valid UTF-8")
    }
    return target.utf8.first == UInt8(ascii: "/") ? target : "\(directory(of: link))/\(target)"
  }
}

/// Writes to what cannot be replaced; appends, if it is a file after all that a process has open.
private func writeInPlace(_ bytes: [UInt8], to path: String) throws(FileError) {
  let flags = O_WRONLY | O_APPEND | O_NOCTTY | O_CLOEXEC
  let descriptor = CInt(retryingInterrupted { Int(open(path, flags)) })
  guard descriptor >= 0 else { throw FileError(path: path, operation: .write, code: errno) }
  let writeCode = writeAll(bytes, to: descriptor)
  let closeCode = close(descriptor) == 0 ? 0 : errno
  let code = writeCode != 0 ? writeCode : closeCode
  guard code == 0 else { throw FileError(path: path, operation: .write, code: code) }
}

/// Puts a new file with the given bytes in the place of `destination`.
private func replace(
  _ destination: String, with bytes: [UInt8], permissions: mode_t?, namedBy path: String
) throws(FileError) {
  let (temporary, descriptor) = try makeTemporary(beside: destination, permissions: permissions, namedBy: path)
  var code = finish(descriptor, with: bytes, permissions: permissions)
  if code == 0, rename(temporary, destination) != 0 { code = errno }
  guard code == 0 else {
    unlink(temporary)
    throw FileError(path: path, operation: .write, code: code)
  }
  let directory = directory(of: destination)
  // The new name is on the disk when its directory is. Some file systems cannot do this: the file is written anyway.
  let directoryDescriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
  if directoryDescriptor >= 0 {
    fsync(directoryDescriptor)
    close(directoryDescriptor)
  }
}

/// A new file with a name of its own beside `destination`, open to write to.
private func makeTemporary(
  beside destination: String, permissions: mode_t?, namedBy path: String
) throws(FileError) -> (name: String, descriptor: CInt) {
  let directory = directory(of: destination)
  // Two writers do not meet under one name; a name that is taken, by whatever, is left alone.
  for _ in 0..<16 {
    let temporary = "\(directory)/.\(getpid())-\(String(UInt64.random(in: 0 ... .max), radix: 16)).tmp"
    let descriptor = CInt(
      retryingInterrupted {
        // Nobody else reads it before it has the permissions of the file it replaces.
        let mode: mode_t = permissions == nil ? 0o666 : 0o600
        return Int(open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode))
      })
    if descriptor >= 0 { return (temporary, descriptor) }
    if errno != EEXIST { break }
  }
  throw FileError(path: path, operation: .write, code: errno)
}

/// Writes a new file, brings it onto the disk and closes it; 0 or the error number.
private func finish(_ descriptor: CInt, with bytes: [UInt8], permissions: mode_t?) -> CInt {
  var code = writeAll(bytes, to: descriptor)
  if code == 0, let permissions, fchmod(descriptor, permissions) != 0 { code = errno }
  if code == 0, retryingInterrupted({ Int(fsync(descriptor)) }) != 0 { code = errno }
  if close(descriptor) != 0, code == 0 { code = errno }
  return code
}

/// Writes all bytes, in as many calls as it takes; 0 or the error number.
private func writeAll(_ bytes: [UInt8], to descriptor: CInt) -> CInt {
  bytes.withUnsafeBytes { buffer in
    var rest = buffer[...]
    while !rest.isEmpty {
      // In parts, so that a held signal does not wait for a large file.
      let part = UnsafeRawBufferPointer(rebasing: rest.prefix(1 << 20))
      let count = retryingInterrupted {
        if HeldSignals.isEnding {
          errno = ECANCELED
          return -1
        }
        return write(descriptor, part.baseAddress, part.count)
      }
      guard count >= 0 else { return errno }
      rest = rest.dropFirst(count)
    }
    return 0
  }
}

/// The directory part of a path. In bytes: `/` and a combining mark make one `Character`.
private func directory(of path: String) -> String {
  guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "." }
  return slash == path.startIndex ? "/" : String(path[..<slash])
}
