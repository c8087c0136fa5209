/// Words as a POSIX shell reads them.
enum Shell {
  /// The text as one word: quoted unless every character of it is plain.
  static func word(_ text: String) -> String {
    let plain = "_./:=@%+,-"
    let isPlain = text.utf8.allSatisfy { byte in
      byte.isASCIILetterOrDigit || plain.utf8.contains(byte)
    }
    return isPlain && !text.isEmpty ? text : quoted(text)
  }

  /// The text between single quotes, in which a shell leaves everything as it is.
  static func quoted(_ text: String) -> String {
    // Scalar by scalar: a quote and a combining mark after it are one `Character`.
    var result = "'"
    for scalar in text.unicodeScalars {
      if scalar == "'" { result += #"'\''"# } else { result.unicodeScalars.append(scalar) }
    }
    return result + "'"
  }

  /// The text as lines of a comment.
  static func comment(_ text: String) -> String {
    text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).map { "# \($0)" }.joined(separator: "\n")
  }

  /// Whether a text is the name of a variable.
  static func isVariable(_ text: String) -> Bool {
    guard let first = text.utf8.first, !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first) else { return false }
    return text.utf8.allSatisfy { $0.isASCIILetterOrDigit || $0 == UInt8(ascii: "_") }
  }
}

extension UInt8 {
  var isASCIILetterOrDigit: Bool {
    switch self {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"):
      true
    default: false
    }
  }
}
