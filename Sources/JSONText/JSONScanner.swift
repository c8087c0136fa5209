/// The strict reading of RFC 8259 that a text must pass before json-c sees it.
///
/// json-c, even in its strict mode, takes the last of two equal keys, saturates integers, reads `NaN`, `1.` and `-01`,
/// turns `1E400` into infinity and half a surrogate pair into U+FFFD. None of this can be seen in what it returns, so
/// the text is checked here. The scan builds no values; it keeps only the keys of the objects that are open.
///
/// - Complexity: O(bytes) in time; recursion is bounded by the limit on depth.
struct JSONScanner {
  /// Every integer literal of 19 digits or more in the order of the text, read exactly.
  ///
  /// These are the integers of magnitude 10¹⁸ and above, among them all that json-c would saturate.
  private(set) var wideIntegers: [JSON] = []

  /// The whole text.
  let bytes: [UInt8]

  /// The place of the next byte to scan.
  var offset = 0

  private let limits: JSONLimits
  private var valueCount = 0
  private var objectCount = 0

  /// Scans the whole text.
  ///
  /// - Throws: ``JSONSyntaxError`` for the first fault of the text.
  init(scanning bytes: [UInt8], limits: JSONLimits) throws(JSONSyntaxError) {
    self.bytes = bytes
    self.limits = limits
    if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { throw error(.byteOrderMark, at: 0) }
    skipWhiteSpace()
    guard offset < bytes.count else { throw error(.emptyText, at: offset) }
    try scanValue(depth: 0, expected: .value)
    skipWhiteSpace()
    guard offset == bytes.count else { throw unexpected(.end) }
  }

  // MARK: Values

  /// Scans one value inside `depth` open arrays and objects.
  private mutating func scanValue(
    depth: Int, expected: JSONSyntaxError.Expectation
  ) throws(JSONSyntaxError) {
    valueCount += 1
    guard valueCount <= limits.valueCount else {
      throw error(.tooManyValues(limit: limits.valueCount), at: offset)
    }
    guard let byte = peek else { throw unexpected(expected) }
    switch byte {
    case UInt8(ascii: "{"): try scanObject(depth: depth + 1)
    case UInt8(ascii: "["): try scanArray(depth: depth + 1)
    case UInt8(ascii: "\""): _ = try scanString()
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): try scanNumber()
    case UInt8(ascii: "t"): try scanWord("true", expected: expected)
    case UInt8(ascii: "f"): try scanWord("false", expected: expected)
    case UInt8(ascii: "n"): try scanWord("null", expected: expected)
    default: throw unexpected(expected)
    }
  }

  private mutating func scanArray(depth: Int) throws(JSONSyntaxError) {
    guard depth <= limits.depth else { throw error(.tooDeep(limit: limits.depth), at: offset) }
    offset += 1
    skipWhiteSpace()
    if take("]") { return }
    var expected = JSONSyntaxError.Expectation.valueOrEndOfArray
    while true {
      try scanValue(depth: depth, expected: expected)
      skipWhiteSpace()
      if take("]") { return }
      guard take(",") else { throw unexpected(.commaOrEndOfArray) }
      skipWhiteSpace()
      expected = .value
    }
  }

  private mutating func scanObject(depth: Int) throws(JSONSyntaxError) {
    guard depth <= limits.depth else { throw error(.tooDeep(limit: limits.depth), at: offset) }
    objectCount += 1
    guard objectCount <= limits.objectCount else {
      throw error(.tooManyObjects(limit: limits.objectCount), at: offset)
    }
    offset += 1
    skipWhiteSpace()
    if take("}") { return }
    // Compared as Swift strings: a reader that looks a key up would not tell canonically equivalent ones apart.
    var keys: Set<String> = []
    var expected = JSONSyntaxError.Expectation.keyOrEndOfObject
    while true {
      guard peek == UInt8(ascii: "\"") else { throw unexpected(expected) }
      let start = offset
      let key = decoded(try scanString())
      guard !key.utf8.contains(0) else { throw error(.nulInKey, at: start) }
      guard keys.insert(key).inserted else { throw error(.duplicateKey(key), at: start) }
      skipWhiteSpace()
      guard take(":") else { throw unexpected(.colon) }
      skipWhiteSpace()
      try scanValue(depth: depth, expected: .value)
      skipWhiteSpace()
      if take("}") { return }
      guard take(",") else { throw unexpected(.commaOrEndOfObject) }
      skipWhiteSpace()
      expected = .key
    }
  }

  private mutating func scanWord(
    _ word: StaticString, expected: JSONSyntaxError.Expectation
  ) throws(JSONSyntaxError) {
    let end = offset + word.utf8CodeUnitCount
    let matches = word.withUTF8Buffer { bytes[offset..<min(end, bytes.count)].elementsEqual($0) }
    let goesOn = end < bytes.count && Self.isWordCharacter(bytes[end])
    guard matches, !goesOn else { throw unexpected(expected) }
    offset = end
  }

  // MARK: Numbers

  private mutating func scanNumber() throws(JSONSyntaxError) {
    let start = offset
    _ = take("-")
    let startsWithZero = peek == UInt8(ascii: "0")
    let integerDigitCount = try scanDigits()
    if startsWithZero && integerDigitCount > 1 { throw error(.leadingZero, at: start) }
    let isInteger = peek.map { ![".", "e", "E"].contains(Unicode.Scalar($0)) } ?? true
    if take(".") { _ = try scanDigits() }
    var hasExponent = false
    if take("e") || take("E") {
      hasExponent = true
      if !take("+") { _ = take("-") }
      _ = try scanDigits()
    }
    // Anything else is below 10³⁰⁸ and, as an integer, exact in json-c.
    guard hasExponent || integerDigitCount >= (isInteger ? 19 : 308) else { return }
    let literal = String(decoding: bytes[start..<offset], as: UTF8.self)
    if isInteger, let value = Int(literal) {
      wideIntegers.append(.integer(value))
      return
    }
    guard let value = Double(literal), value.isFinite else {
      throw error(.numberOutOfRange, at: start)
    }
    if isInteger { wideIntegers.append(.number(value)) }
  }

  /// Scans one digit or more and returns their count.
  private mutating func scanDigits() throws(JSONSyntaxError) -> Int {
    let start = offset
    while let byte = peek, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) { offset += 1 }
    guard offset > start else { throw unexpected(.digit) }
    return offset - start
  }

  // MARK: Bytes and faults

  /// The next byte, or nil at the end of the text.
  var peek: UInt8? { offset < bytes.count ? bytes[offset] : nil }

  private mutating func take(_ character: Unicode.Scalar) -> Bool {
    guard let byte = peek, UInt32(byte) == character.value else { return false }
    offset += 1
    return true
  }

  private mutating func skipWhiteSpace() {
    while let byte = peek, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 {
      offset += 1
    }
  }

  private static func isWordCharacter(_ byte: UInt8) -> Bool {
    switch Unicode.Scalar(byte) {
    case "a"..."z", "A"..."Z", "0"..."9", "_": true
    default: false
    }
  }

  /// A fault of the text at a byte offset.
  func error(_ reason: JSONSyntaxError.Reason, at offset: Int) -> JSONSyntaxError {
    JSONSyntaxError(reason, at: offset, in: bytes)
  }

  /// The fault of the present place, where something else was expected.
  func unexpected(_ expected: JSONSyntaxError.Expectation) -> JSONSyntaxError {
    guard let byte = peek else { return error(.unexpectedEnd(expected: expected), at: offset) }
    if byte == UInt8(ascii: "/") { return error(.comment, at: offset) }
    guard let length = wellFormedLength(at: offset) else { return error(.invalidUTF8, at: offset) }
    // `NaN` and `nul` say more as words than by the letter at which they went wrong.
    let word = bytes[offset...].prefix(20).prefix(while: Self.isWordCharacter)
    let found = word.isEmpty ? bytes[offset..<(offset + length)] : word
    return error(
      .unexpected(found: String(decoding: found, as: UTF8.self), expected: expected), at: offset)
  }
}
