/// Why a text is not a JSON document, and where.
///
/// The description is one line whatever the text contained: `line 3, column 7: duplicate key "nodes"`.
package struct JSONSyntaxError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The line of the fault, counted from 1; a line ends with a line feed.
  package let line: Int

  /// The place of the fault in its line, counted in Unicode scalars from 1, as an editor shows it.
  package let column: Int

  /// What is wrong at that place.
  package let reason: Reason

  /// An error at a known place.
  ///
  /// - Precondition: `line` and `column` are at least 1.
  package init(line: Int, column: Int, reason: Reason) {
    precondition(line >= 1 && column >= 1, "lines and columns are counted from 1")
    self.line = line
    self.column = column
    self.reason = reason
  }

  /// An error at a byte offset, whose line and column are counted here, once, instead of at every byte parsed.
  ///
  /// - Complexity: O(`offset`).
  init(_ reason: Reason, at offset: Int, in bytes: [UInt8]) {
    let before = bytes[..<min(offset, bytes.count)]
    let lineFeed = UInt8(ascii: "\n")
    let lineStart = before.lastIndex(of: lineFeed).map { $0 + 1 } ?? 0
    // A UTF-8 continuation byte (10xxxxxx) begins no character.
    let columnsBefore = before[lineStart...].count { $0 & 0b1100_0000 != 0b1000_0000 }
    self.init(
      line: before.count { $0 == lineFeed } + 1, column: columnsBefore + 1, reason: reason)
  }

  /// One line: the place, then what was found and what was expected.
  package var description: String { "line \(line), column \(column): \(reason)" }
}

extension JSONSyntaxError {
  /// The closed list of things that can be wrong with a text.
  package enum Reason: Sendable, Equatable {
    /// Nothing but white space.
    case emptyText
    /// The text ends where more is needed.
    case unexpectedEnd(expected: Expectation)
    /// Something else stands where more is needed; `found` is the offending character or word.
    case unexpected(found: String, expected: Expectation)
    /// `//` or `/*`, which JSON does not have.
    case comment
    /// The text begins with U+FEFF, which RFC 8259 does not allow.
    case byteOrderMark
    /// Bytes that are not well-formed UTF-8.
    case invalidUTF8
    /// A character below U+0020 stands unescaped in a string.
    case controlCharacter(UInt8)
    /// A backslash is followed by none of `"\/bfnrt` and not by `u` and four hexadecimal digits.
    case invalidEscape
    /// A `\u` escape is half of a surrogate pair.
    case loneSurrogate
    /// More combining marks follow each other in a string than allowed.
    case tooManyCombiningMarks(limit: Int)
    /// A number begins with a zero that more digits follow.
    case leadingZero
    /// A number is beyond the finite doubles.
    case numberOutOfRange
    /// A key occurred before in the same object, up to canonical equivalence of Unicode.
    case duplicateKey(String)
    /// A key contains U+0000, at which json-c would cut it off.
    case nulInKey
    /// More arrays and objects are open than allowed.
    case tooDeep(limit: Int)
    /// The text has more bytes than allowed; reported before any of them is read.
    case tooLong(byteCount: Int, limit: Int)
    /// The text has more values than allowed.
    case tooManyValues(limit: Int)
    /// The text has more objects than allowed.
    case tooManyObjects(limit: Int)
    /// json-c refused what the scan accepted, for instance for lack of memory; its own message.
    case refusedByParser(String)
  }

  /// What would have been right, as a phrase to put into a sentence.
  package enum Expectation: String, Sendable {
    /// Any JSON value.
    case value = "a value"
    /// The first element of an array, or its end.
    case valueOrEndOfArray = "a value or ']'"
    /// A member's key.
    case key = "a key in double quotes"
    /// The first key of an object, or its end.
    case keyOrEndOfObject = "a key in double quotes or '}'"
    /// The separator of key and value.
    case colon = "':' after the key"
    /// What follows an element of an array.
    case commaOrEndOfArray = "',' or ']'"
    /// What follows a member of an object.
    case commaOrEndOfObject = "',' or '}'"
    /// More of a string.
    case closingQuote = "a closing double quote"
    /// More of a number: after a minus sign, a decimal point or an exponent.
    case digit = "a digit"
    /// Nothing: the document is complete.
    case end = "the end of the text"
  }
}

extension JSONSyntaxError.Reason: CustomStringConvertible {
  /// What was found and what was expected, without the place.
  package var description: String {
    switch self {
    case .emptyText: "the text is empty, expected a value"
    case .unexpectedEnd(let expected): "unexpected end of the text, expected \(expected.rawValue)"
    case .unexpected(let found, let expected):
      "expected \(expected.rawValue), found \(JSON.string(found).briefDescription)"
    case .comment: "comments are not allowed in JSON"
    case .byteOrderMark: "a byte order mark is not allowed in JSON, save the file as plain UTF-8"
    case .invalidUTF8: "the text is not valid UTF-8"
    case .controlCharacter(let code):
      "a control character in a string must be written as an escape, \(Unicode.Scalar(code).oneLineText)"
    case .invalidEscape: "invalid escape in a string"
    case .loneSurrogate: "half of a surrogate pair is no character"
    case .tooManyCombiningMarks(let limit): "more than \(limit) combining marks in a row"
    case .leadingZero: "a number must not begin with a zero that digits follow"
    case .numberOutOfRange: "number out of range"
    case .duplicateKey(let key): "duplicate key \(JSON.string(key).briefDescription)"
    case .nulInKey: "a key must not contain \\u0000"
    case .tooDeep(let limit): "nested deeper than \(limit) arrays and objects"
    case .tooLong(let byteCount, let limit):
      "the text has \(byteCount) bytes, more than the limit of \(limit)"
    case .tooManyValues(let limit): "more than \(limit) values"
    case .tooManyObjects(let limit): "more than \(limit) objects"
    case .refusedByParser(let message): "\(message.oneLineText) (json-c)"
    }
  }
}
