import JSONText
import TestSupport
import Testing

/// Reads a document given as a string literal.
func parse(
  _ text: String, limits: JSONLimits = .standard
) throws(JSONSyntaxError) -> JSON {
  try JSON(parsing: Array(text.utf8), limits: limits)
}

/// The error of a document that must be refused.
func refusal(_ bytes: [UInt8], limits: JSONLimits = .standard) -> JSONSyntaxError? {
  do throws(JSONSyntaxError) {
    _ = try JSON(parsing: bytes, limits: limits)
    return nil
  } catch { return error }
}

@Suite("Parsing")
struct ParsingTests {
  @Test(
    "What RFC 8259 allows is read as what it says",
    arguments: [
      ("null", .null),
      ("true", .boolean(true)),
      ("false", .boolean(false)),
      (" \t\r\n42\n ", .integer(42)),
      ("0", .integer(0)),
      ("-0", .integer(0)),
      ("-7", .integer(-7)),
      ("9223372036854775807", .integer(.max)),
      ("-9223372036854775808", .integer(.min)),
      ("1000000000000000000", .integer(1_000_000_000_000_000_000)),
      ("999999999999999999", .integer(999_999_999_999_999_999)),
      ("9223372036854775808", .number(0x1p63)),
      ("-9223372036854775809", .number(-0x1p63)),
      ("18446744073709551615", .number(0x1p64)),
      ("18446744073709551616", .number(0x1p64)),
      ("1" + String(repeating: "0", count: 308), .number(1e308)),
      ("1" + String(repeating: "0", count: 307) + ".5", .number(1e307)),
      ("1.0", .number(1)),
      ("0.1", .number(0.1)),
      ("1e5", .number(100_000)),
      ("1E+2", .number(100)),
      ("25e-1", .number(2.5)),
      ("0e999999999999", .number(0)),
      ("1e-400", .number(0)),
      ("5e-324", .number(.leastNonzeroMagnitude)),
      ("1.7976931348623157e308", .number(1.7976931348623157e308)),
      ("\"\"", .string("")),
      (#""\"\\\/\b\f\n\r\t""#, .string("\"\\/\u{8}\u{C}\n\r\t")),
      (#""\u0041\u00e9\u20AC""#, .string("Aé€")),
      (#""\ud83d\uDE00 😀""#, .string("😀 😀")),
      (#""a\u0000b""#, .string("a\u{0}b")),
      (#""\uFFFE\uffff""#, .string("\u{FFFE}\u{FFFF}")),
      ("\"\u{7F}\u{2028}\u{FEFF}\u{10FFFF}\"", .string("\u{7F}\u{2028}\u{FEFF}\u{10FFFF}")),
      ("[]", .array([])),
      ("{}", .object([])),
      ("[ ]", .array([])),
      ("{ }", .object([])),
      ("[1,[true],{\"a\":null}]", .array([1, [true], ["a": .null]])),
      (
        "{\"b\":1, \"a\":2, \"\":3}",
        .object([JSONMember("b", 1), JSONMember("a", 2), JSONMember("", 3)])
      ),
      ("{\"a\":{\"a\":[{\"a\":1}]}}", ["a": ["a": [["a": 1]]]]),
      ("[9223372036854775808,1,-99999999999999999999]", [.number(0x1p63), 1, .number(-1e20)]),
    ] as [(String, JSON)])
  func accepted(text: String, value: JSON) throws {
    #expect(try parse(text) == value)
  }

  @Test("The sign of a zero with a fraction is kept")
  func negativeZero() throws {
    guard case .number(let value) = try parse("-0.0") else {
      Issue.record("not a number")
      return
    }
    #expect(value.sign == .minus && value == 0)
  }

  @Test("Canonically different spellings of a string are kept apart in their scalars")
  func normalization() throws {
    guard case .string(let value) = try parse(#""\u00e9e\u0301""#) else {
      Issue.record("not a string")
      return
    }
    #expect(value.unicodeScalars.map(\.value) == [0xE9, 0x65, 0x301])
  }

  @Test(
    "What RFC 8259 forbids is refused at its place",
    arguments: [
      ("", "line 1, column 1: the text is empty, expected a value"),
      (" \n ", "line 2, column 2: the text is empty, expected a value"),
      ("1 2", "line 1, column 3: expected the end of the text, found \"2\""),
      ("{}x", "line 1, column 3: expected the end of the text, found \"x\""),
      ("{}\n\u{0}", "line 2, column 1: expected the end of the text, found \"\\u0000\""),
      ("1\u{0}", "line 1, column 2: expected the end of the text, found \"\\u0000\""),
      ("// a\n1", "line 1, column 1: comments are not allowed in JSON"),
      ("[1, /* a */ 2]", "line 1, column 5: comments are not allowed in JSON"),
      ("{'a': 1}", "line 1, column 2: expected a key in double quotes or '}', found \"'\""),
      ("['a']", "line 1, column 2: expected a value or ']', found \"'\""),
      ("NaN", "line 1, column 1: expected a value, found \"NaN\""),
      ("[Infinity]", "line 1, column 2: expected a value or ']', found \"Infinity\""),
      ("-Infinity", "line 1, column 2: expected a digit, found \"Infinity\""),
      ("-", "line 1, column 2: unexpected end of the text, expected a digit"),
      ("1.", "line 1, column 3: unexpected end of the text, expected a digit"),
      ("[1.]", "line 1, column 4: expected a digit, found \"]\""),
      ("1.e5", "line 1, column 3: expected a digit, found \"e5\""),
      ("1e", "line 1, column 3: unexpected end of the text, expected a digit"),
      ("1e+", "line 1, column 4: unexpected end of the text, expected a digit"),
      (".5", "line 1, column 1: expected a value, found \".\""),
      ("+1", "line 1, column 1: expected a value, found \"+\""),
      ("01", "line 1, column 1: a number must not begin with a zero that digits follow"),
      ("[-01]", "line 1, column 2: a number must not begin with a zero that digits follow"),
      ("0x10", "line 1, column 2: expected the end of the text, found \"x10\""),
      ("1_000", "line 1, column 2: expected the end of the text, found \"_000\""),
      ("[1e400]", "line 1, column 2: number out of range"),
      ("-1E400", "line 1, column 1: number out of range"),
      ("1" + String(repeating: "0", count: 309), "line 1, column 1: number out of range"),
      ("1" + String(repeating: "0", count: 309) + ".5", "line 1, column 1: number out of range"),
      ("nul", "line 1, column 1: expected a value, found \"nul\""),
      ("[nulll]", "line 1, column 2: expected a value or ']', found \"nulll\""),
      ("True", "line 1, column 1: expected a value, found \"True\""),
      ("[1,]", "line 1, column 4: expected a value, found \"]\""),
      ("[,1]", "line 1, column 2: expected a value or ']', found \",\""),
      ("[1 2]", "line 1, column 4: expected ',' or ']', found \"2\""),
      ("[1", "line 1, column 3: unexpected end of the text, expected ',' or ']'"),
      ("[", "line 1, column 2: unexpected end of the text, expected a value or ']'"),
      ("[}", "line 1, column 2: expected a value or ']', found \"}\""),
      ("{", "line 1, column 2: unexpected end of the text, expected a key in double quotes or '}'"),
      ("{\"a\"", "line 1, column 5: unexpected end of the text, expected ':' after the key"),
      ("{\"a\" 1}", "line 1, column 6: expected ':' after the key, found \"1\""),
      ("{\"a\":}", "line 1, column 6: expected a value, found \"}\""),
      ("{\"a\":1,}", "line 1, column 8: expected a key in double quotes, found \"}\""),
      ("{\"a\":1;}", "line 1, column 7: expected ',' or '}', found \";\""),
      ("{a:1}", "line 1, column 2: expected a key in double quotes or '}', found \"a\""),
      ("{1:1}", "line 1, column 2: expected a key in double quotes or '}', found \"1\""),
      ("\"a", "line 1, column 3: unexpected end of the text, expected a closing double quote"),
      ("\"a\\", "line 1, column 4: unexpected end of the text, expected a closing double quote"),
      (
        "\"a\nb\"",
        "line 1, column 3: a control character in a string must be written as an escape, \\u000a"
      ),
      (
        "\"\u{0}\"",
        "line 1, column 2: a control character in a string must be written as an escape, \\u0000"
      ),
      (#""\x""#, "line 1, column 2: invalid escape in a string"),
      (#""\'""#, "line 1, column 2: invalid escape in a string"),
      (#""\u12""#, "line 1, column 2: invalid escape in a string"),
      (#""\u12g4""#, "line 1, column 2: invalid escape in a string"),
      (#""a\ud800""#, "line 1, column 3: half of a surrogate pair is no character"),
      (#""\udc00\ud800""#, "line 1, column 2: half of a surrogate pair is no character"),
      (#""\ud800\u0041""#, "line 1, column 2: half of a surrogate pair is no character"),
      ("\u{FEFF}1", "line 1, column 1: a byte order mark is not allowed in JSON, save the file as plain UTF-8"),
      ("\u{A0}1", "line 1, column 1: expected a value, found \"\u{A0}\""),
      ("{\"a\":1,\n \"a\":2}", "line 2, column 2: duplicate key \"a\""),
      (#"{"a":1, "\u0061":2}"#, "line 1, column 9: duplicate key \"a\""),
      ("{\"é\":1, \"e\u{301}\":2}", "line 1, column 9: duplicate key \"e\u{301}\""),
      (#"{"x":{"a\n":1,"b":2,"a\n":3}}"#, "line 1, column 21: duplicate key \"a\\u000a\""),
      (#"{"a\u0000b":1}"#, "line 1, column 2: a key must not contain \\u0000"),
    ])
  func refused(text: String, description: String) {
    #expect(refusal(Array(text.utf8))?.description == description)
  }

  @Test(
    "Ill-formed UTF-8 is refused at its first byte",
    arguments: [
      [0x80], [0xBF], [0xC0, 0x80], [0xC1, 0xBF], [0xC3], [0xC3, 0x28], [0xE0, 0x80, 0x80],
      [0xE2, 0x82], [0xED, 0xA0, 0x80], [0xED, 0xBF, 0xBF], [0xF0, 0x80, 0x80, 0x80],
      [0xF0, 0x9F, 0x98], [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xFE], [0xFF],
    ] as [[UInt8]])
  func invalidUTF8(sequence: [UInt8]) {
    let expected = JSONSyntaxError(line: 2, column: 4, reason: .invalidUTF8)
    #expect(refusal(Array("[\n\"aé".utf8) + sequence + Array("\"]".utf8)) == expected)
    #expect(refusal(Array("[\n\"aé".utf8) + sequence) == expected)
    let outside = JSONSyntaxError(line: 1, column: 1, reason: .invalidUTF8)
    #expect(refusal(sequence + Array("1".utf8)) == outside)
  }

  @Test("Columns count characters, not bytes, and lines end with a line feed")
  func positions() {
    #expect(
      refusal(Array("{\r\n  \"é😀\": 1,\r\n  \"é😀\": 2}".utf8))
        == JSONSyntaxError(line: 3, column: 3, reason: .duplicateKey("é😀")))
    #expect(
      refusal(Array("[\"é😀\" 1]".utf8))
        == JSONSyntaxError(
          line: 1, column: 7, reason: .unexpected(found: "1", expected: .commaOrEndOfArray)))
  }

  @Test("Every truncation of a document is refused")
  func truncations() {
    let document = Array(#"{"a": [1, -2.5e3, true, null, "x\u00e9é"], "b": {}}"#.utf8)
    for count in document.indices {
      #expect(refusal(Array(document.prefix(count))) != nil, "truncated to \(count) bytes")
    }
    #expect(refusal(document) == nil)
  }

  @Test("json-c reads every escape and every double as Swift does")
  func agreementWithSwift() throws {
    for unit in UInt16.min...UInt16.max where !UTF16.isSurrogate(unit) && unit % 7 == 0 {
      let digits = String(unit, radix: 16)
      let escape = "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      #expect(
        try parse("\"\(escape)\"") == .string(String(decoding: [unit], as: UTF16.self)), "\(escape)")
    }
    var generator = SeededGenerator(seed: 1)
    for _ in 0..<2_000 {
      let digits = (0..<Int.random(in: 1...40, using: &generator)).map { _ in
        String(Int.random(in: 0...9, using: &generator))
      }
      let literal =
        "\(Int.random(in: -9...9, using: &generator)).\(digits.joined())e\(Int.random(in: -330...300, using: &generator))"
      guard case .number(let value) = try parse(literal) else {
        Issue.record("\(literal) is not a number")
        continue
      }
      #expect(value == Double(literal), "\(literal)")
    }
  }
}
