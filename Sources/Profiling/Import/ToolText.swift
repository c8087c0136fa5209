package import Documents
import JSONText

/// The output of another tool, as lines of text that complaints can point at.
package struct ToolText: Sendable {
  /// The file; also what messages call it.
  package let source: String
  /// What the program printed: without line ends, control sequences of terminals, and what stood around the lines.
  let lines: [String]
  /// Where each line stood in the file, from 1.
  let numbers: [Int]
  /// What was taken away, as sentences.
  let notes: [String]
  /// The text as it was, or the lines where something was taken away.
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
    let printed = PrintedLines(text)
    self.source = source
    lines = printed.lines.map(\.text)
    numbers = printed.lines.map(\.number)
    notes = printed.notes
    self.bytes = printed.isChanged ? Array(lines.joined(separator: "\n").utf8) : bytes
  }

  /// A complaint about one line, which it quotes.
  func error(line index: Int, expected: String) -> DocumentError {
    DocumentError(
      source: source, location: "line \(numbers[index])", expected: "expected \(expected)",
      found: JSON.string(String(lines[index].prefix(80))).briefDescription)
  }

  /// The file's number of the line at an index of ``lines``; of one past the end, the last.
  func number(_ index: Int) -> Int { numbers.indices.contains(index) ? numbers[index] : numbers.last ?? 1 }

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
