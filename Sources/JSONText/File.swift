import Glibc

/// The bytes of a file, a pipe or a device, up to a limit.
///
/// Never reads more than `maximumByteCount` + 1 bytes, so a file that never ends costs no more than the limit.
/// Waits, as every reader of a named pipe does, until somebody writes to it.
///
/// - Complexity: O(bytes read).
/// - Throws: ``FileError`` when the path is a directory, has more than `maximumByteCount` bytes or cannot be read.
/// - Precondition: `maximumByteCount` is not negative.
package func readFile(at path: String, maximumByteCount: Int) throws(FileError) -> [UInt8] {
  precondition(maximumByteCount >= 0, "a number of bytes must not be negative")
  let tooLarge = FileError(
    path: path, operation: .read, reason: "is larger than \(maximumByteCount) bytes")
  try checkPath(path, operation: .read)
  let descriptor = CInt(retryingInterrupted { Int(open(path, O_RDONLY | O_CLOEXEC)) })
  guard descriptor >= 0 else { throw FileError(path: path, operation: .read, code: errno) }
  defer { close(descriptor) }

  var status = stat()
  guard fstat(descriptor, &status) == 0 else {
    throw FileError(path: path, operation: .read, code: errno)
  }
  var bytes: [UInt8] = []
  switch status.st_mode & S_IFMT {
  case S_IFDIR: throw FileError(path: path, operation: .read, reason: "is a directory")
  case S_IFREG:
    guard status.st_size <= maximumByteCount else { throw tooLarge }
    bytes.reserveCapacity(Int(status.st_size))
  default: break
  }

  // Read to the end whatever the size was said to be: files of /proc say 0, and a file may grow.
  var chunk = [UInt8](repeating: 0, count: 1 << 16)
  while true {
    let room = maximumByteCount - bytes.count
    let wantedCount = room < chunk.count ? room + 1 : chunk.count
    let count = retryingInterrupted {
      chunk.withUnsafeMutableBytes { read(descriptor, $0.baseAddress, wantedCount) }
    }
    guard count >= 0 else { throw FileError(path: path, operation: .read, code: errno) }
    if count == 0 { return bytes }
    guard count <= room else { throw tooLarge }
    bytes.append(contentsOf: chunk[..<count])
  }
}

/// Repeats a system call while a signal interrupts it; `errno` is that of the last attempt.
func retryingInterrupted(_ call: () -> Int) -> Int {
  while true {
    let result = call()
    if result != -1 || errno != EINTR { return result }
  }
}

/// Refuses a path that the system would cut off at its first U+0000.
func checkPath(_ path: String, operation: FileError.Operation) throws(FileError) {
  guard !path.utf8.contains(0) else {
    throw FileError(path: path, operation: operation, reason: "the path contains U+0000")
  }
}
