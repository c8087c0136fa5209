import Glibc
import JSONText
import TestSupport
import Testing

/// A directory of its own for one test, removed with what is in it.
private final class TemporaryDirectory {
  let path: String

  init() throws {
    var template = Array("\(P_tmpdir)/jsontext-XXXXXX".utf8CString)
    let made = try #require(mkdtemp(&template))
    path = String(cString: made)
  }

  /// The names in it, in order.
  var names: [String] {
    guard let directory = opendir(path) else { return [] }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
      names.append(
        withUnsafePointer(to: &entry.pointee.d_name) {
          $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        })
    }
    return names.filter { $0 != "." && $0 != ".." }.sorted()
  }

  func callAsFunction(_ name: String) -> String { "\(path)/\(name)" }

  deinit {
    for name in names { remove("\(path)/\(name)") }
    rmdir(path)
  }
}

private func permissions(_ path: String) -> mode_t {
  var status = stat()
  return lstat(path, &status) == 0 ? status.st_mode & 0o7777 : 0
}

private func isLink(_ path: String) -> Bool {
  var status = stat()
  return lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFLNK
}

@Suite("Reading files")
struct FileReadingTests {
  @Test(
    "The bytes of a file are read, up to and including the limit", arguments: [0, 1, 65_535, 65_536, 65_537, 200_000])
  func limits(count: Int) throws {
    let directory = try TemporaryDirectory()
    var generator = SeededGenerator(seed: UInt64(count))
    let bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
    try writeFileAtomically(bytes, to: directory("a"))
    #expect(try readFile(at: directory("a"), maximumByteCount: count) == bytes)
    #expect(try readFile(at: directory("a"), maximumByteCount: 1 << 30) == bytes)
    guard count > 0 else { return }
    #expect(throws: FileError(path: directory("a"), operation: .read, reason: "is larger than \(count - 1) bytes")) {
      try readFile(at: directory("a"), maximumByteCount: count - 1)
    }
  }

  @Test("A file without an end is read no further than the limit")
  func endless() {
    #expect(throws: FileError(path: "/dev/zero", operation: .read, reason: "is larger than 100000 bytes")) {
      try readFile(at: "/dev/zero", maximumByteCount: 100_000)
    }
  }

  @Test("A file that does not say its size is read to its end")
  func unknownSize() throws {
    #expect(try !readFile(at: "/proc/self/status", maximumByteCount: 1 << 20).isEmpty)
    #expect(try readFile(at: "/dev/null", maximumByteCount: 0) == [])
  }

  @Test("A pipe is read in pieces, and one byte over the limit is taken from it, no more")
  func pipes() throws {
    var ends: [CInt] = [0, 0]
    try #require(pipe(&ends) == 0)
    defer { close(ends[0]) }
    #expect(write(ends[1], "abcdef", 6) == 6)
    #expect(throws: FileError.self) {
      try readFile(at: "/proc/self/fd/\(ends[0])", maximumByteCount: 2)
    }
    close(ends[1])
    #expect(try readFile(at: "/proc/self/fd/\(ends[0])", maximumByteCount: 3) == Array("def".utf8))
  }

  @Test(
    "What cannot be read is refused with the reason",
    arguments: [
      ("/", "cannot read /: is a directory"),
      ("", "cannot read \"\": No such file or directory"),
      ("/no/such\nfile", "cannot read /no/such\\u000afile: No such file or directory"),
      ("/dev/null/a", "cannot read /dev/null/a: Not a directory"),
      ("/dev/null\u{0}", "cannot read /dev/null\\u0000: the path contains U+0000"),
    ])
  func refused(path: String, description: String) {
    let error = #expect(throws: FileError.self) { try readFile(at: path, maximumByteCount: 10) }
    #expect(error?.description == description)
  }
}

@Suite("Writing files")
struct FileWritingTests {
  private let old = Array("old".utf8)
  private let new = Array("new content".utf8)

  private func content(_ path: String) -> [UInt8]? { try? readFile(at: path, maximumByteCount: 1 << 20) }

  @Test("A file is created and replaced, and nothing else is left in the directory")
  func replaces() throws {
    let directory = try TemporaryDirectory()
    try writeFileAtomically(old, to: directory("a"))
    #expect(content(directory("a")) == old)
    try writeFileAtomically(new, to: directory("a"))
    #expect(content(directory("a")) == new)
    try writeFileAtomically([], to: directory("a"))
    #expect(content(directory("a")) == [])
    #expect(directory.names == ["a"])
  }

  @Test(
    "An existing file keeps its permissions and its old content for who has it open",
    arguments: [0o600, 0o640, 0o777] as [mode_t])
  func keepsPermissions(mode: mode_t) throws {
    let directory = try TemporaryDirectory()
    try writeFileAtomically(old, to: directory("a"))
    try #require(chmod(directory("a"), mode) == 0)
    let descriptor = open(directory("a"), O_RDONLY)
    defer { close(descriptor) }
    try writeFileAtomically(new, to: directory("a"))
    #expect(permissions(directory("a")) == mode)
    var byte: UInt8 = 0
    #expect(read(descriptor, &byte, 1) == 1 && byte == UInt8(ascii: "o"))
  }

  @Test("The target of a symbolic link is replaced, not the link, whether or not it exists")
  func links() throws {
    let directory = try TemporaryDirectory()
    try writeFileAtomically(old, to: directory("a"))
    try #require(symlink("a", directory("relative")) == 0)
    try #require(symlink(directory("relative"), directory("absolute")) == 0)
    try #require(symlink("b", directory("dangling")) == 0)
    try writeFileAtomically(new, to: directory("absolute"))
    #expect(content(directory("a")) == new)
    try writeFileAtomically(new, to: directory("dangling"))
    #expect(content(directory("b")) == new)
    #expect(isLink(directory("absolute")) && isLink(directory("relative")) && isLink(directory("dangling")))
    #expect(directory.names == ["a", "absolute", "b", "dangling", "relative"])
  }

  @Test("What is not a regular file is written to directly")
  func streams() throws {
    try writeFileAtomically(new, to: "/dev/null")
    let full = #expect(throws: FileError.self) { try writeFileAtomically(new, to: "/dev/full") }
    #expect(full?.description == "cannot write /dev/full: No space left on device")

    var ends: [CInt] = [0, 0]
    try #require(pipe(&ends) == 0)
    try writeFileAtomically(new, to: "/proc/self/fd/\(ends[1])")
    close(ends[1])
    #expect(content("/proc/self/fd/\(ends[0])") == new)
    close(ends[0])
  }

  @Test(
    "A file that the process has open as a stream is appended to, not replaced",
    arguments: ["/proc/self/fd", "/dev/fd"])
  func openFiles(streams: String) throws {
    let directory = try TemporaryDirectory()
    try writeFileAtomically(old, to: directory("a"))
    let descriptor = open(directory("a"), O_WRONLY | O_APPEND)
    try writeFileAtomically(new, to: "\(streams)/\(descriptor)")
    #expect(write(descriptor, "!", 1) == 1)
    close(descriptor)
    #expect(content(directory("a")) == old + new + Array("!".utf8))
    #expect(directory.names == ["a"])
  }

  @Test("What cannot be written is refused with the reason, and nothing is left behind")
  func refused() throws {
    let directory = try TemporaryDirectory()
    try writeFileAtomically(old, to: directory("file"))
    try #require(symlink("loop", directory("loop")) == 0)
    try #require(mkdir(directory("folder"), 0o755) == 0)
    let cases = [
      (directory.path, "is a directory"),
      (directory("folder"), "is a directory"),
      (directory("folder/"), "is a directory"),
      (directory("file/a"), "Not a directory"),
      (directory("file/"), "Not a directory"),
      (directory("none/a"), "No such file or directory"),
      (directory("none/"), "No such file or directory"),
      (directory("loop"), "Too many levels of symbolic links"),
      (directory(String(repeating: "x", count: 300)), "File name too long"),
      (directory("a\u{0}b"), "the path contains U+0000"),
      ("", "No such file or directory"),
      ("/proc/none", "No such file or directory"),
    ]
    for (path, reason) in cases {
      #expect(throws: FileError(path: path, operation: .write, reason: reason)) {
        try writeFileAtomically(new, to: path)
      }
    }
    #expect(directory.names == ["file", "folder", "loop"])
    #expect(content(directory("file")) == old)
  }

  @Test("When the disk refuses the bytes, the old file stays and the temporary one goes")
  func failsHalfway() async {
    // In a process of its own, since the limit on file size is the process's.
    await #expect(processExitsWith: .success) {
      let directory = try TemporaryDirectory()
      try writeFileAtomically(Array("old".utf8), to: directory("a"))
      signal(SIGXFSZ, SIG_IGN)
      var limit = rlimit()
      try #require(getrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit) == 0)
      limit.rlim_cur = 1_000
      try #require(setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit) == 0)
      let big = [UInt8](repeating: 1, count: 5_000)
      let error = #expect(throws: FileError.self) { try writeFileAtomically(big, to: directory("a")) }
      #expect(error?.reason == "File too large")
      #expect(directory.names == ["a"])
      #expect(try readFile(at: directory("a"), maximumByteCount: 10) == Array("old".utf8))
    }
  }
}
