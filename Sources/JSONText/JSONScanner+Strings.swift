/// Strings: UTF-8, escapes, surrogates, and the text of a key.
extension JSONScanner {
  /// The place of a string's content between its quotes.
  struct StringContent {
    let range: Range<Int>
    let hasEscapes: Bool
  }

  /// Scans one string with its quotes.
  mutating func scanString() throws(JSONSyntaxError) -> StringContent {
    offset += 1
    let start = offset
    var hasEscapes = false
    var combiningMarkCount = 0
    while let byte = peek {
      let scalarStart = offset
      let scalar: Unicode.Scalar
      switch byte {
      case UInt8(ascii: "\""):
        offset += 1
        return StringContent(range: start..<(offset - 1), hasEscapes: hasEscapes)
      case UInt8(ascii: "\\"):
        hasEscapes = true
        scalar = try scanEscape()
      case 0x00..<0x20: throw error(.controlCharacter(byte), at: offset)
      case 0x20..<0x80:
        scalar = Unicode.Scalar(byte)
        offset += 1
      default:
        guard let length = wellFormedLength(at: offset) else {
          throw error(.invalidUTF8, at: offset)
        }
        scalar = multibyteScalar(in: offset..<(offset + length))
        offset += length
      }
      // Below U+0300 there is no combining mark.
      guard scalar.value >= 0x300, scalar.properties.canonicalCombiningClass != .notReordered else {
        combiningMarkCount = 0
        continue
      }
      combiningMarkCount += 1
      guard combiningMarkCount <= Self.combiningMarkLimit else {
        throw error(.tooManyCombiningMarks(limit: Self.combiningMarkLimit), at: scalarStart)
      }
    }
    throw error(.unexpectedEnd(expected: .closingQuote), at: offset)
  }

  /// The most combining marks in a row, as in the Stream-Safe Text Format (Unicode Standard Annex #15, section 13).
  ///
  /// Swift takes quadratic time in their number to hash or compare a string: a megabyte of them takes minutes.
  private static let combiningMarkLimit = 30

  /// Scans one escape and returns the scalar it stands for.
  private mutating func scanEscape() throws(JSONSyntaxError) -> Unicode.Scalar {
    let start = offset
    offset += 1
    guard let byte = peek else { throw unexpected(.closingQuote) }
    if let character = Self.character(ofEscape: byte) {
      offset += 1
      return Unicode.Scalar(character)
    }
    guard let unit = codeUnit(ofEscapeAt: start) else { throw error(.invalidEscape, at: start) }
    offset = start + 6
    if let scalar = Unicode.Scalar(unit) { return scalar }
    guard UTF16.isLeadSurrogate(unit), let trail = codeUnit(ofEscapeAt: offset),
      UTF16.isTrailSurrogate(trail)
    else { throw error(.loneSurrogate, at: start) }
    offset += 6
    return UTF16.decode(UTF16.EncodedScalar([unit, trail]))
  }

  /// The text of a string that has been scanned.
  func decoded(_ content: StringContent) -> String {
    guard content.hasEscapes else { return String(decoding: bytes[content.range], as: UTF8.self) }
    var units: [UInt8] = []
    var index = content.range.lowerBound
    while index < content.range.upperBound {
      if bytes[index] != UInt8(ascii: "\\") {
        units.append(bytes[index])
        index += 1
      } else if let character = Self.character(ofEscape: bytes[index + 1]) {
        units.append(character)
        index += 2
      } else {
        var escaped: [UInt16] = []
        while index < content.range.upperBound, let unit = codeUnit(ofEscapeAt: index) {
          escaped.append(unit)
          index += 6
        }
        units.append(contentsOf: String(decoding: escaped, as: UTF16.self).utf8)
      }
    }
    return String(decoding: units, as: UTF8.self)
  }

  /// The character that a backslash and this byte stand for, if it is one of the short escapes.
  private static func character(ofEscape byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): byte
    case UInt8(ascii: "b"): 0x08
    case UInt8(ascii: "f"): 0x0C
    case UInt8(ascii: "n"): 0x0A
    case UInt8(ascii: "r"): 0x0D
    case UInt8(ascii: "t"): 0x09
    default: nil
    }
  }

  /// The UTF-16 code unit of a `\uXXXX` escape at the given place, if there is one.
  private func codeUnit(ofEscapeAt index: Int) -> UInt16? {
    guard index + 6 <= bytes.count, bytes[index] == UInt8(ascii: "\\"),
      bytes[index + 1] == UInt8(ascii: "u")
    else { return nil }
    var unit: UInt16 = 0
    for byte in bytes[(index + 2)..<(index + 6)] {
      guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue else { return nil }
      unit = unit << 4 | UInt16(digit)
    }
    return unit
  }

  /// The length of the well-formed UTF-8 sequence at the given place (The Unicode Standard, table 3-7), or nil.
  func wellFormedLength(at index: Int) -> Int? {
    let length: Int
    var second: ClosedRange<UInt8> = 0x80...0xBF
    switch bytes[index] {
    case 0x00...0x7F: return 1
    case 0xC2...0xDF: length = 2
    case 0xE0: (length, second) = (3, 0xA0...0xBF)
    case 0xED: (length, second) = (3, 0x80...0x9F)
    case 0xE1...0xEF: length = 3
    case 0xF0: (length, second) = (4, 0x90...0xBF)
    case 0xF1...0xF3: length = 4
    case 0xF4: (length, second) = (4, 0x80...0x8F)
    default: return nil
    }
    guard index + length <= bytes.count, second.contains(bytes[index + 1]) else { return nil }
    for byte in bytes[(index + 2)..<(index + length)] where byte & 0xC0 != 0x80 { return nil }
    return length
  }

  /// The scalar of a well-formed UTF-8 sequence of two bytes or more.
  private func multibyteScalar(in range: Range<Int>) -> Unicode.Scalar {
    // The first byte has as many leading ones as the sequence has bytes, and a zero.
    var value = UInt32(bytes[range.lowerBound]) & (0x7F >> UInt32(range.count))
    for byte in bytes[range.dropFirst()] { value = value << 6 | UInt32(byte & 0x3F) }
    return Unicode.Scalar(value) ?? "\u{FFFD}"
  }
}
