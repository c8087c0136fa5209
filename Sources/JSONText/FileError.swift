import Glibc

/// Why a file could not be read or written.
///
/// The description is one line: `cannot read plan.json: No such file or directory`.
package struct FileError: Error, Sendable, Equatable, CustomStringConvertible {
  /// What was attempted.
  package enum Operation: String, Sendable {
    /// Reading the whole file.
    case read
    /// Writing or replacing the file.
    case write
  }

  /// The file as the caller named it.
  package let path: String

  /// What was attempted with the file.
  package let operation: Operation

  /// The reason, such as `is a directory`, `is larger than 1024 bytes`, or the system's own message.
  package let reason: String

  /// An error with a reason in words.
  package init(path: String, operation: Operation, reason: String) {
    self.path = path
    self.operation = operation
    self.reason = reason
  }

  /// An error with the system's message for an error number.
  ///
  /// The corresponding C function is `strerror`, which glibc keeps per thread.
  init(path: String, operation: Operation, code: CInt) {
    self.init(path: path, operation: operation, reason: String(cString: strerror(code)))
  }

  /// One line: the operation, the path and the reason.
  package var description: String {
    "cannot \(operation.rawValue) \(path.isEmpty ? "\"\"" : path.oneLineText): \(reason.oneLineText)"
  }
}
