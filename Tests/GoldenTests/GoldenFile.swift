import Foundation
import JSONText
import Testing

/// A file of recorded answers, and what is done when an answer is not the recorded one.
///
/// With `RECORD_GOLDEN=1` in the environment the file is written anew and the run fails, so that no recording passes as
/// a test. A file that is not there is a failure too.
struct GoldenFile {
  /// The largest relative difference between two doubles that count as equal.
  ///
  /// It leaves room for sums in another order and for nothing else.
  static let tolerance = 1e-12

  private static let isRecording = ProcessInfo.processInfo.environment["RECORD_GOLDEN"] == "1"

  /// Under the folder of recorded answers.
  let name: String

  private var path: String { "\(GoldenFolder.recorded)/\(name)" }

  /// Compares answers with the recorded ones, one JSON object a line, by their `id`.
  func check(_ answers: [JSON], sourceLocation: SourceLocation = #_sourceLocation) throws {
    let text = answers.map { $0.text(style: .compact) + "\n" }.joined()
    guard let recorded = try recordedText(orRecord: text, sourceLocation: sourceLocation) else { return }
    let lines = recorded.split(separator: "\n")
    var differences: [String] = []
    if lines.count != answers.count { differences.append("\(lines.count) lines, but \(answers.count) answers") }
    for (line, answer) in zip(lines, answers) {
      let expected = try JSON(parsing: Array(line.utf8))
      if let difference = answer.difference(from: expected, tolerance: Self.tolerance) {
        differences.append("\(expected["id"].map { $0.text(style: .compact) } ?? "?")\(difference)")
      }
    }
    guard !differences.isEmpty else { return }
    Issue.record(
      "\(name): \(differences.count) of \(lines.count) answers differ:\n\(differences.prefix(5).joined(separator: "\n"))",
      sourceLocation: sourceLocation)
  }

  /// Compares a text with the recorded one, byte by byte.
  func check(text: String, sourceLocation: SourceLocation = #_sourceLocation) throws {
    guard let recorded = try recordedText(orRecord: text, sourceLocation: sourceLocation), recorded != text else {
      return
    }
    let pair = zip(
      recorded.split(separator: "\n", omittingEmptySubsequences: false),
      text.split(separator: "\n", omittingEmptySubsequences: false)
    ).enumerated().first { $1.0 != $1.1 }
    let place = pair.map { "line \($0.offset + 1): recorded \($0.element.0), now \($0.element.1)" } ?? "lengths differ"
    Issue.record("\(name) differs, \(place)", sourceLocation: sourceLocation)
  }

  private func recordedText(orRecord text: String, sourceLocation: SourceLocation) throws -> String? {
    if Self.isRecording {
      try writeFileAtomically(Array(text.utf8), to: path)
      Issue.record("\(name) was recorded, not compared", sourceLocation: sourceLocation)
      return nil
    }
    guard FileManager.default.fileExists(atPath: path) else {
      Issue.record("\(name) was never recorded; RECORD_GOLDEN=1 does it", sourceLocation: sourceLocation)
      return nil
    }
    return String(decoding: try readFile(at: path, maximumByteCount: 1 << 24), as: UTF8.self)
  }
}

extension JSON {
  /// The member of an object under a key; nil where there is none.
  subscript(key: String) -> JSON? {
    guard case .object(let members) = self else { return nil }
    return members.first { $0.key == key }?.value
  }

  /// The first place where this value is not the recorded one, with both; nil where they are equal.
  ///
  /// Numbers may differ by the tolerance relative to the recorded one, or to `scale` where that is larger. The parts of
  /// an object's `time` are compared on the scale of its `seconds`, since some of them are small differences of large
  /// numbers.
  func difference(from recorded: JSON, tolerance: Double, scale: Double = 0, at place: String = "") -> String? {
    switch (recorded, self) {
    case (.number(let old), .number(let new)):
      if abs(old - new) <= tolerance * max(abs(old), scale) { return nil }
    case (.array(let old), .array(let new)) where old.count == new.count:
      return zip(old, new).enumerated().lazy.compactMap {
        $1.1.difference(from: $1.0, tolerance: tolerance, scale: scale, at: "\(place)/\($0)")
      }.first
    case (.object(let old), .object(let new)) where old.map(\.key) == new.map(\.key):
      return zip(old, new).lazy.compactMap { pair -> String? in
        var scale = scale
        if pair.0.key == "time", case .number(let seconds) = recorded["seconds"] { scale = abs(seconds) }
        return pair.1.value.difference(
          from: pair.0.value, tolerance: tolerance, scale: scale, at: "\(place)/\(pair.0.key)")
      }.first
    default:
      if recorded == self { return nil }
    }
    return "\(place): recorded \(recorded.text(style: .compact)), now \(text(style: .compact))"
  }
}
