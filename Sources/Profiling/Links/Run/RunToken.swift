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

  /// The first line of what comes over a descriptor, as text that is yet to be made a token; empty when nothing comes.
  ///
  /// - Throws: ``LinkRunError/badToken(_:)`` when the line is not over in time.
  package static func line(of descriptor: CInt, withinSeconds seconds: Double) throws(LinkRunError) -> String {
    let end = ContinuousClock.now + .seconds(seconds)
    var bytes: [UInt8] = []
    // What is longer is no token.
    while bytes.count <= 2_048 {
      let remaining = (end - .now).inSeconds
      guard remaining > 0 else { throw .badToken("did not come on standard input within \(short(seconds)) s") }
      var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      let ready = poll(&waiting, 1, CInt(min(remaining * 1_000, 1e6).rounded(.up)))
      if ready == 0 || (ready < 0 && errno == EINTR) { continue }
      // Byte by byte, so that nothing behind the line is taken; and a descriptor that is closed ends it.
      var byte: UInt8 = 0
      guard read(descriptor, &byte, 1) == 1, byte != UInt8(ascii: "\n") else { break }
      bytes.append(byte)
    }
    return String(decoding: bytes, as: UTF8.self)
  }

  var text: String { String(decoding: bytes, as: UTF8.self) }

  private static func isSpace(_ byte: UInt8) -> Bool { byte == 32 || (9...13).contains(byte) }
}
