package import Documents
import JSONText

/// Reads TOML 1.0 as the JSON value that it says, for those who read settings by key.
///
/// Dates and times come as strings; `inf` and `nan`, which no setting of ours is, are refused. Members keep the order
/// in which their keys first appear.
///
/// - Throws: `DocumentError` with line and column of what is broken, or of what is defined twice.
package func parseTOML(_ text: String, source: String) throws(DocumentError) -> Field {
  var reader = TOMLReader(text, source: source)
  try reader.readDocument()
  return Field(reader.root.json, source: source)
}

/// A table under construction; several places of a file may add to it.
private final class TOMLTable {
  enum Item {
    case value(JSON)
    case table(TOMLTable)
    case tables([TOMLTable])
  }

  /// Who may still add to a table.
  enum Origin {
    /// Named by a header below it only: a header of its own may follow.
    case implied
    case header
    /// Made by a dotted key: headers may not name it.
    case dotted
  }

  var keys: [String] = []
  var items: [String: Item] = [:]
  var origin: Origin

  init(_ origin: Origin) { self.origin = origin }

  func set(_ item: Item, at key: String) {
    if items.updateValue(item, forKey: key) == nil { keys.append(key) }
  }

  var json: JSON {
    .object(
      keys.map { key in
        switch items[key] {
        case .value(let value): JSONMember(key, value)
        case .table(let table): JSONMember(key, table.json)
        case .tables(let tables): JSONMember(key, .array(tables.map(\.json)))
        case nil: JSONMember(key, .null)
        }
      })
  }
}

private struct TOMLReader {
  let root = TOMLTable(.header)
  private let source: String
  private let scalars: [Unicode.Scalar]
  private var position = 0
  /// Inline tables and arrays that the reader is inside of.
  private var depth = 0
  private static let depthLimit = 64

  init(_ text: String, source: String) {
    self.source = source
    scalars = Array(text.unicodeScalars)
  }

  // MARK: Lines

  mutating func readDocument() throws(DocumentError) {
    var table = root
    while true {
      try skipBlankLines()
      guard let next = peek else { return }
      if next == "[" {
        table = try readHeader()
      } else {
        try readPair(into: table)
      }
      skipSpaces()
      try skipComment()
      guard peek == nil || takeNewline() else { throw broken("the end of the line") }
    }
  }

  private mutating func readHeader() throws(DocumentError) -> TOMLTable {
    position += 1
    let isArray = take("[")
    skipSpaces()
    let keys = try readKey()
    guard take("]"), !isArray || take("]") else { throw broken("\"]\"") }
    var table = root
    for key in keys.dropLast() {
      switch table.items[key] {
      case nil:
        let inner = TOMLTable(.implied)
        table.set(.table(inner), at: key)
        table = inner
      case .table(let inner): table = inner
      case .tables(let tables): table = tables[tables.count - 1]
      case .value: throw broken("a table above \"\(keys.joined(separator: "."))\", not a value")
      }
    }
    let last = keys[keys.count - 1]
    let fresh = TOMLTable(.header)
    switch (table.items[last], isArray) {
    case (nil, false): table.set(.table(fresh), at: last)
    case (nil, true): table.set(.tables([fresh]), at: last)
    case (.tables(let tables), true): table.set(.tables(tables + [fresh]), at: last)
    case (.table(let inner), false) where inner.origin == .implied:
      inner.origin = .header
      return inner
    default: throw broken("a table that is defined once, not \"\(last)\" again")
    }
    return fresh
  }

  private mutating func readPair(into table: TOMLTable) throws(DocumentError) {
    let keys = try readKey()
    guard take("=") else { throw broken("\"=\" after a key") }
    skipSpaces()
    var table = table
    for key in keys.dropLast() {
      switch table.items[key] {
      case nil:
        let inner = TOMLTable(.dotted)
        table.set(.table(inner), at: key)
        table = inner
      case .table(let inner) where inner.origin == .dotted: table = inner
      default: throw broken("a key that is defined once, not \"\(key)\" again")
      }
    }
    let last = keys[keys.count - 1]
    guard table.items[last] == nil else { throw broken("a key that is defined once, not \"\(last)\" again") }
    table.set(.value(try readValue()), at: last)
  }

  /// A key and what follows it up to the next sign: `a.b."c d"`.
  private mutating func readKey() throws(DocumentError) -> [String] {
    var keys: [String] = []
    repeat {
      skipSpaces()
      switch peek {
      case "\"": keys.append(try readBasicString())
      case "'": keys.append(try readLiteralString())
      default:
        var key = ""
        while let next = peek, isBare(next) {
          key.unicodeScalars.append(next)
          position += 1
        }
        guard !key.isEmpty else { throw broken("a key") }
        keys.append(key)
      }
      guard !keys[keys.count - 1].unicodeScalars.contains("\0") else { throw broken("a key without U+0000") }
      skipSpaces()
    } while take(".")
    return keys
  }

  // MARK: Values

  private mutating func readValue() throws(DocumentError) -> JSON {
    switch peek {
    case "\"": return .string(try startsWith("\"\"\"") ? readLongString(of: "\"") : readBasicString())
    case "'": return .string(try startsWith("'''") ? readLongString(of: "'") : readLiteralString())
    case "[": return try nested { (reader) throws(DocumentError) in try reader.readArray() }
    case "{": return try nested { (reader) throws(DocumentError) in try reader.readInlineTable() }
    default: return try readWord()
    }
  }

  private mutating func nested(
    _ read: (inout TOMLReader) throws(DocumentError) -> JSON
  ) throws(DocumentError) -> JSON {
    guard depth < Self.depthLimit else { throw broken("at most \(Self.depthLimit) levels") }
    depth += 1
    defer { depth -= 1 }
    return try read(&self)
  }

  private mutating func readArray() throws(DocumentError) -> JSON {
    position += 1
    var values: [JSON] = []
    while true {
      try skipBlankLines()
      if take("]") { return .array(values) }
      values.append(try readValue())
      try skipBlankLines()
      if take("]") { return .array(values) }
      guard take(",") else { throw broken("\",\" or \"]\"") }
    }
  }

  private mutating func readInlineTable() throws(DocumentError) -> JSON {
    position += 1
    let table = TOMLTable(.header)
    skipSpaces()
    if take("}") { return table.json }
    while true {
      try readPair(into: table)
      skipSpaces()
      if take("}") { return table.json }
      guard take(",") else { throw broken("\",\" or \"}\"") }
    }
  }

  /// A boolean, a number or a date: whatever stands up to the next sign.
  private mutating func readWord() throws(DocumentError) -> JSON {
    let start = position
    var word = ""
    while let next = peek, isBare(next) || "+.:".unicodeScalars.contains(next) {
      word.unicodeScalars.append(next)
      position += 1
    }
    if let value = Self.value(of: word) { return value }
    position = start
    throw broken("a value")
  }

  private static func value(of word: String) -> JSON? {
    if word == "true" { return .boolean(true) }
    if word == "false" { return .boolean(false) }
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] where word.hasPrefix(prefix) {
      return digits(word.dropFirst(2)).flatMap { Int($0, radix: radix) }.map(JSON.integer)
    }
    let unsigned = word.hasPrefix("+") || word.hasPrefix("-") ? word.dropFirst() : word[...]
    guard let first = unsigned.first, first.isASCII, first.isNumber, let plain = digits(unsigned) else { return nil }
    let sign = word.hasPrefix("-") ? "-" : ""
    if plain.allSatisfy({ "0123456789".contains($0) }) {
      guard plain == "0" || !plain.hasPrefix("0") else { return nil }
      return Int(sign + plain).map(JSON.integer)
    }
    if plain.allSatisfy({ "0123456789.eE+-".contains($0) }), let number = Double(sign + plain), number.isFinite,
      plain.first != ".", plain.last != ".", !plain.contains(".e"), !plain.contains(".E")
    {
      return .number(number)
    }
    // 1979-05-27, 07:32:00, 1979-05-27T07:32:00Z and what is between.
    let isDate = plain.count >= 8 && plain.allSatisfy { "0123456789-:.TtZz+".contains($0) }
    return isDate && sign.isEmpty && (plain.contains(":") || plain.filter { $0 == "-" }.count == 2)
      ? .string(plain) : nil
  }

  /// A number without its underscores, each of which stands between two digits.
  private static func digits(_ text: Substring) -> String? {
    guard text.first != "_", text.last != "_", !text.contains("__") else { return nil }
    return text.filter { $0 != "_" }
  }

  // MARK: Strings

  private mutating func readBasicString() throws(DocumentError) -> String {
    position += 1
    var text = ""
    while let next = peek, next != "\n", next != "\r" {
      position += 1
      if next == "\"" { return text }
      text.unicodeScalars.append(next == "\\" ? try readEscape() : next)
    }
    throw broken("a closing quotation mark")
  }

  private mutating func readLiteralString() throws(DocumentError) -> String {
    position += 1
    var text = ""
    while let next = peek, next != "\n", next != "\r" {
      position += 1
      if next == "'" { return text }
      text.unicodeScalars.append(next)
    }
    throw broken("a closing apostrophe")
  }

  /// Three marks on either side; a newline right after the first three does not count.
  private mutating func readLongString(of mark: Unicode.Scalar) throws(DocumentError) -> String {
    position += 3
    _ = takeNewline()
    let fence = String(repeating: String(mark), count: 3)
    var text = ""
    while let next = peek {
      if startsWith(fence) {
        position += 3
        // Up to two marks may stand before the closing three.
        for _ in 0..<2 where peek == mark {
          text.unicodeScalars.append(mark)
          position += 1
        }
        return text
      }
      position += 1
      if mark == "\"", next == "\\" {
        if skipsLines() { continue }
        text.unicodeScalars.append(try readEscape())
      } else {
        text.unicodeScalars.append(next)
      }
    }
    throw broken("three closing marks")
  }

  /// After a backslash that ends a line: the line end and all white space up to the next sign.
  private mutating func skipsLines() -> Bool {
    let start = position
    skipSpaces()
    guard takeNewline() else {
      position = start
      return false
    }
    repeat { skipSpaces() } while takeNewline()
    return true
  }

  private mutating func readEscape() throws(DocumentError) -> Unicode.Scalar {
    guard let sign = peek else { throw broken("an escape") }
    position += 1
    switch sign {
    case "b": return "\u{8}"
    case "t": return "\t"
    case "n": return "\n"
    case "f": return "\u{C}"
    case "r": return "\r"
    case "\"", "\\": return sign
    case "u", "U":
      let end = position + (sign == "u" ? 4 : 8)
      guard end <= scalars.count else { break }
      let text = String(String.UnicodeScalarView(scalars[position..<end]))
      guard text.allSatisfy(\.isHexDigit), let number = UInt32(text, radix: 16), let scalar = Unicode.Scalar(number)
      else { break }
      position = end
      return scalar
    default: break
    }
    throw broken("an escape")
  }

  // MARK: Signs

  private var peek: Unicode.Scalar? { position < scalars.count ? scalars[position] : nil }

  private mutating func take(_ sign: Unicode.Scalar) -> Bool {
    guard peek == sign else { return false }
    position += 1
    return true
  }

  private mutating func takeNewline() -> Bool {
    if take("\n") { return true }
    guard startsWith("\r\n") else { return false }
    position += 2
    return true
  }

  private func startsWith(_ text: String) -> Bool { scalars[position...].starts(with: text.unicodeScalars) }

  private func isBare(_ sign: Unicode.Scalar) -> Bool {
    switch sign {
    case "a"..."z", "A"..."Z", "0"..."9", "_", "-": true
    default: false
    }
  }

  private mutating func skipSpaces() { while peek == " " || peek == "\t" { position += 1 } }

  private mutating func skipComment() throws(DocumentError) {
    guard take("#") else { return }
    while let next = peek, next != "\n", !startsWith("\r\n") {
      guard next == "\t" || next.value >= 0x20, next.value != 0x7F else { throw broken("a comment without controls") }
      position += 1
    }
  }

  private mutating func skipBlankLines() throws(DocumentError) {
    repeat {
      skipSpaces()
      try skipComment()
    } while takeNewline()
  }

  /// The complaint that something else was expected here.
  private func broken(_ expected: String) -> DocumentError {
    let before = scalars[..<position]
    let line = before.count { $0 == "\n" } + 1
    let column = position - (before.lastIndex(of: "\n").map { $0 + 1 } ?? 0) + 1
    return DocumentError(
      source: source, location: "line \(line), column \(column)", expected: "expected \(expected)", found: nil)
  }
}
