package import Documents
import JSONText

/// The hosts that a user names: in a host file (`host slots=8`, `host:8`, or a host alone), or as a list of Slurm's.
package struct HostList: Sendable, Equatable {
  /// A host, and the ranks that it takes where the list says so.
  package struct Entry: Sendable, Equatable {
    package let name: String
    package let slotCount: Int?
  }

  /// What messages call the list.
  package let source: String
  package let entries: [Entry]

  /// The most that is read of a file.
  private static let largestByteCount = 16 << 20

  /// - Parameter argument: the path of a file, or a list such as `gpu[01-16],gpu20`.
  /// - Throws: `DocumentError` that names the file and the line.
  package init(_ argument: String) throws(DocumentError) {
    do {
      let bytes = try readFile(at: argument, maximumByteCount: Self.largestByteCount)
      guard let text = String(validating: bytes, as: UTF8.self), !bytes.contains(0) else {
        throw DocumentError(source: argument, location: "", expected: "expected UTF-8 text", found: nil)
      }
      try self.init(text: text, source: argument)
    } catch let error as FileError {
      // What is no file may be the list itself.
      guard argument.contains(where: { "[,".contains($0) }), let names = Hostlist.names(argument) else {
        throw DocumentError(source: argument, location: "", expected: error.reason, found: nil)
      }
      try self.init(
        names.map { (line: nil, entry: Entry(name: $0, slotCount: nil)) }, source: "--hosts")
    } catch let error as DocumentError {
      throw error
    } catch {
      throw DocumentError(source: argument, location: "", expected: "cannot be read", found: nil)
    }
  }

  /// - Parameters:
  ///   - text: lines; empty ones and what follows a `#` do not count.
  ///   - source: what messages call the text.
  /// - Throws: `DocumentError` that names the line.
  package init(text: String, source: String) throws(DocumentError) {
    var lines: [(line: Int?, entry: Entry)] = []
    for (index, line) in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated() {
      let words = line.prefix { $0 != "#" }.split(whereSeparator: \.isWhitespace).map(String.init)
      guard let first = words.first else { continue }
      func error(_ expected: String, _ found: String) -> DocumentError {
        DocumentError(
          source: source, location: "line \(index + 1)", expected: expected,
          found: JSON.string(found).briefDescription)
      }
      var slotCount: Int?
      var list = first
      // `host:8`, as MPICH and Open MPI's --host write it; an IPv6 address has more colons.
      if first.count(where: { $0 == ":" }) == 1, let colon = first.firstIndex(of: ":") {
        guard let count = Int(first[first.index(after: colon)...]), count > 0 else {
          throw error("expected host:slots", first)
        }
        slotCount = count
        list = String(first[..<colon])
      }
      for word in words.dropFirst() {
        let parts = word.split(separator: "=", maxSplits: 1).map(String.init)
        guard parts.count == 2, ["slots", "max_slots", "max-slots"].contains(parts[0].lowercased()),
          let count = Int(parts[1]), count > 0
        else { throw error("expected slots= and a number after the host", word) }
        if parts[0].lowercased() == "slots" { slotCount = count }
      }
      guard let names = list.contains(where: { "[,".contains($0) }) ? Hostlist.names(list) : [list] else {
        throw error("expected a host, or a list such as gpu[01-16]", list)
      }
      for name in names {
        guard HostName.isValid(name) else { throw error("expected the name of a host", name) }
        lines.append((index + 1, Entry(name: name, slotCount: slotCount)))
      }
    }
    try self.init(lines, source: source)
  }

  private init(_ lines: [(line: Int?, entry: Entry)], source: String) throws(DocumentError) {
    guard !lines.isEmpty else {
      throw DocumentError(source: source, location: "", expected: "expected hosts, a line each", found: nil)
    }
    var known: Set<String> = []
    for (line, entry) in lines {
      let location = line.map { "line \($0)" } ?? ""
      guard HostName.isValid(entry.name) else {
        throw DocumentError(
          source: source, location: location, expected: "expected the name of a host",
          found: JSON.string(entry.name).briefDescription)
      }
      guard known.insert(entry.name.lowercased()).inserted else {
        throw DocumentError(
          source: source, location: location, expected: "expected every host once",
          found: "\(entry.name) a second time")
      }
    }
    self.source = source
    entries = lines.map(\.entry)
  }
}
