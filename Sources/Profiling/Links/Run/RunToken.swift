import Glibc
import JSONText

/// The secret that the processes of one run share and that each has to prove before it is listened to.
package struct RunToken: Sendable, Equatable {
  /// The fewest characters that a token given by the user may have.
  package static let leastCharacterCount = 16

  let bytes: [UInt8]

  /// A fresh token of 256 bits from the system's generator, as 64 hexadecimal digits.
  package static func generated() -> RunToken {
    let digits = Array("0123456789abcdef".utf8)
    return RunToken(bytes: freshNonce().flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
  }

  private init(bytes: [UInt8]) { self.bytes = bytes }

  /// A token as a user gives it; white space around it does not count.
  ///
  /// - Throws: ``LinkRunError/badToken(_:)`` when it is shorter than ``leastCharacterCount``, longer than 1,024
  ///   characters or has characters that are not printable ASCII.
  package init(_ text: some StringProtocol) throws(LinkRunError) {
    let bytes = Array(text.utf8.drop { Self.isSpace($0) })
    let trimmed = Array(bytes.prefix(bytes.count - bytes.reversed().prefix { Self.isSpace($0) }.count))
    guard trimmed.allSatisfy({ (33...126).contains($0) }) else {
      throw .badToken("has characters that are not printable ASCII")
    }
    guard (Self.leastCharacterCount...1_024).contains(trimmed.count) else {
      throw .badToken("has \(trimmed.count) characters instead of \(Self.leastCharacterCount) to 1024")
    }
    self.bytes = trimmed
  }

  var text: String { String(decoding: bytes, as: UTF8.self) }

  private static func isSpace(_ byte: UInt8) -> Bool { byte == 32 || (9...13).contains(byte) }
}
