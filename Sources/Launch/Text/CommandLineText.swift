package import Documents

/// The words of a command line as a shell would see them: quotes and backslashes taken off, lines that end with a
/// backslash joined, comments left out.
///
/// Variables and substitutions stay as they are written: what they stand for is not in the text.
///
/// - Throws: `DocumentError` where a quotation does not end.
package func parseCommandLine(_ text: String, source: String) throws(DocumentError) -> [String] {
  var words: [String] = []
  var word: String?
  var quote: Character?
  var characters = Array(text)[...]
  while let next = characters.popFirst() {
    switch (quote, next) {
    case ("'", "'"), ("\"", "\""): quote = nil
    case ("'", _): word?.append(next)
    case (_, "\\"):
      guard let escaped = characters.popFirst() else { break }
      if escaped.isNewline { break }
      // Inside double quotes a backslash stands before few signs only.
      if quote != nil, !"\"\\$`".contains(escaped) { word?.append(next) }
      word = (word ?? "") + String(escaped)
    case ("\"", _): word?.append(next)
    case (_, "'"), (_, "\""):
      quote = next
      word = word ?? ""
    case (_, "#") where word == nil:
      while characters.first.map({ !$0.isNewline }) ?? false { characters.removeFirst() }
    case (_, _) where next.isWhitespace || next == ";":
      if let word { words.append(word) }
      word = nil
    default: word = (word ?? "") + String(next)
    }
  }
  guard quote == nil else {
    throw DocumentError(source: source, location: "", expected: "expected an end of the quotation", found: nil)
  }
  if let word { words.append(word) }
  return words
}
