/// What is wrong with a document, and where: one line for a person, facts for a program.
///
/// Facts are kept apart and ``description`` is the one place that makes the sentence:
/// `cluster.json: /levels/1/bytes_per_second: expected a positive number from 1e-24 to 1e24, found "fast"`.
package struct DocumentError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The file, or what stands for it (`--strategy`, `standard input`).
  package let source: String
  /// A JSON pointer (RFC 6901) into the document, `line 3, column 7` for broken text, or empty for the whole.
  package let location: String
  /// What was expected, in words.
  package let expected: String
  /// What was found instead; nil where there is nothing to quote.
  package let found: String?

  package init(source: String, location: String, expected: String, found: String?) {
    self.source = source
    self.location = location
    self.expected = expected
    self.found = found
  }

  package var description: String { "\(source.oneLine): \(reason)" }

  /// The sentence without the document's name.
  package var reason: String {
    "\(location.isEmpty ? "" : "\(location): ")\(expected)\(found.map { ", found \($0)" } ?? "")".oneLine
  }
}

extension String {
  /// The text with every control character made visible, so that no input can break a message's single line.
  package var oneLine: String {
    var result = ""
    for scalar in unicodeScalars {
      switch scalar.value {
      // The two blocks of controls, of which U+0085 ends a line as well, and the separators of lines and paragraphs.
      case 0..<0x20, 0x7F...0x9F, 0x2028, 0x2029: result += "\\u{\(String(scalar.value, radix: 16))}"
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }

  /// The name in `candidates` that was probably meant: the nearest by edit distance,
  /// if near enough; ties go to the first.
  package func nearest(among candidates: [String]) -> String? {
    guard count <= 64 else { return nil }
    var best: (name: String, distance: Int)?
    for candidate in candidates {
      let distance = editDistance(to: candidate)
      if distance <= Swift.max(1, Swift.min(count, candidate.count) / 3), distance < best?.distance ?? .max {
        best = (candidate, distance)
      }
    }
    return best?.name
  }

  /// Levenshtein distance: insertions, deletions and replacements that turn one text into the other.
  private func editDistance(to other: String) -> Int {
    let left = Array(self), right = Array(other)
    var previous = Array(0...right.count)
    for (row, character) in left.enumerated() {
      var current = [row + 1]
      for (column, candidate) in right.enumerated() {
        let replaced = previous[column] + (character == candidate ? 0 : 1)
        current.append(Swift.min(replaced, previous[column + 1] + 1, current[column] + 1))
      }
      previous = current
    }
    return previous[right.count]
  }
}
