package import Documents
import JSONText

/// The output of another tool, as lines of text that complaints can point at.
package struct ToolText: Sendable {
  /// The file; also what messages call it.
  package let source: String
  /// Without line ends, control sequences of terminals, and carriage returns.
  let lines: [String]
  /// The text as it was.
  let bytes: [UInt8]

  /// The most that is read of one file.
  static let largestByteCount = 64 << 20

  /// - Throws: `DocumentError` when the file cannot be read, is too large or is no text.
  package init(contentsOf path: String) throws(DocumentError) {
    do {
      try self.init(readFile(at: path, maximumByteCount: Self.largestByteCount), source: path)
    } catch let error as FileError {
      throw DocumentError(source: path, location: "", expected: error.reason, found: nil)
    } catch let error as DocumentError {
      throw error
    } catch {
      throw DocumentError(source: path, location: "", expected: "cannot be read", found: nil)
    }
  }

  /// - Parameter source: what messages call the text.
  package init(_ bytes: [UInt8], source: String) throws(DocumentError) {
    guard let text = String(validating: bytes, as: UTF8.self), !bytes.contains(0) else {
      throw DocumentError(source: source, location: "", expected: "expected UTF-8 text", found: nil)
    }
    self.source = source
    self.bytes = bytes
    lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).map { Self.plain(String($0)) }
  }

  /// A line without the sequences that colour and underline on a terminal (ECMA-48: ESC `[`, parameters, a letter).
  private static func plain(_ line: String) -> String {
    guard line.contains("\u{1B}") else { return line }
    return line.replacing(/\u{1B}\[[0-9;?]*[A-Za-z]/, with: "")
  }

  /// A complaint about one line, which it quotes.
  func error(line index: Int, expected: String) -> DocumentError {
    DocumentError(
      source: source, location: "line \(index + 1)", expected: "expected \(expected)",
      found: JSON.string(String(lines[index].prefix(80))).briefDescription)
  }

  /// A complaint about the text as a whole.
  func error(_ sentence: String) -> DocumentError {
    DocumentError(source: source, location: "", expected: sentence, found: nil)
  }
}

extension String {
  /// What stands between runs of spaces and tabs.
  var words: [String] { split(whereSeparator: { $0 == " " || $0 == "\t" }).map(String.init) }

  /// The finite number that the text is in decimal notation, from 0 to 10^18; nil for anything else, such as `nan`.
  var plainNumber: Double? {
    guard !isEmpty, utf8.allSatisfy({ (48...57).contains($0) || ".+-eE".utf8.contains($0) }),
      let number = Double(self), (0...1e18).contains(number)
    else { return nil }
    return number
  }

  /// The count that the text is.
  var plainCount: Int? {
    guard !isEmpty, utf8.allSatisfy({ (48...57).contains($0) }), let number = Int(self), number <= 1_000_000_000_000_000
    else { return nil }
    return number
  }

  /// The text as a name that a document may hold; nil where it is none.
  var asName: String? { !isEmpty && count <= 200 && self == oneLine ? self : nil }
}
