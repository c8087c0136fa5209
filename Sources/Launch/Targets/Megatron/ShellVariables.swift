/// Variables of a shell script, as far as launch scripts use them: plain assignments, `$NAME`, `${NAME}` and
/// `${NAME:-default}`. What a command or arithmetic would give stays as it is written.
struct ShellVariables {
  private var values: [String: String] = [:]
  /// No value of a flag is longer; scripts that double a variable again and again end there.
  private static let longest = 10_000

  /// The words of a script with what is known of its variables put in. An assignment becomes the word `;`, which ends a
  /// command, and the flags that it holds; a quotation that holds several words of flags becomes these.
  static func expanded(_ words: [String]) -> [String] {
    var variables = ShellVariables()
    return words.flatMap { variables.take($0) }
  }

  private mutating func take(_ word: String) -> [String] {
    // The end of an array, right behind its last word.
    if word.count > 1, word.hasSuffix(")"), !word.contains("(") { return take(String(word.dropLast())) + [")"] }
    guard !word.hasPrefix("-"), let equals = word.firstIndex(of: "=") else {
      return Self.flags(in: expanded(word)) ?? [expanded(word)]
    }
    var name = word[..<equals]
    if name.last == "+" { name = name.dropLast() }
    guard Self.isName(name) else { return [expanded(word)] }
    let stated = word[word.index(after: equals)...]
    if stated.hasPrefix("(") { return [";"] + (stated.count > 1 ? take(String(stated.dropFirst())) : []) }
    let value = expanded(String(stated))
    values[String(name)] = value
    return [";"] + (Self.flags(in: value).map { $0 + [";"] } ?? [])
  }

  /// The words of a text that begins with a flag and has several; nil for any other.
  private static func flags(in text: String) -> [String]? {
    let words = text.split(whereSeparator: { $0.isWhitespace || $0 == "\\" }).map(String.init)
    return words.count > 1 && words[0].hasPrefix("--") && !words[0].contains("=") ? words : nil
  }

  private func expanded(_ word: String) -> String {
    guard word.contains("$") else { return word }
    var result = ""
    var rest = word[...]
    while let dollar = rest.firstIndex(of: "$") {
      result += rest[..<dollar]
      rest = rest[rest.index(after: dollar)...]
      let isBraced = rest.hasPrefix("{")
      let after = isBraced ? rest.dropFirst() : rest
      let name = after.prefix { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }
      let tail = after[name.endIndex...]
      guard Self.isName(name), !isBraced || tail.contains("}") else {
        result += "$"
        continue
      }
      let inner = isBraced ? tail.prefix { $0 != "}" } : ""
      let fallback = inner.hasPrefix(":-") ? String(inner.dropFirst(2)) : nil
      guard inner.isEmpty || fallback != nil, let value = values[String(name)] ?? fallback else {
        result += "$"
        continue
      }
      result += value
      rest = isBraced ? tail[inner.endIndex...].dropFirst() : tail
      if result.count > Self.longest { return word }
    }
    return result + rest
  }

  private static func isName(_ text: Substring) -> Bool {
    guard let first = text.first, first.isLetter || first == "_" else { return false }
    return text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }
  }
}
