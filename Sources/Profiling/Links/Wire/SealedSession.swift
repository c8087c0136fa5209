import Crypto

/// A proven connection's frames: each carries a code over its content and its number, by a key of its direction.
///
/// So nobody who takes over the connection after the greeting can give orders, and no frame can be repeated, left out
/// or moved. The content is not secret and not encrypted: rates and host names.
struct SealedSession {
  /// Bytes of an HMAC-SHA256 that a frame carries.
  static let sealByteCount = 16

  private let sendingKey: SymmetricKey
  private let receivingKey: SymmetricKey
  private var sentCount: UInt64 = 0
  private var receivedCount: UInt64 = 0

  init(sending: [UInt8], receiving: [UInt8]) {
    sendingKey = SymmetricKey(data: sending)
    receivingKey = SymmetricKey(data: receiving)
  }

  /// The content of the frame that carries a message.
  mutating func seal(_ message: [UInt8]) -> [UInt8] {
    defer { sentCount += 1 }
    return message + Self.seal(message, number: sentCount, key: sendingKey)
  }

  /// The message of a frame's content.
  ///
  /// - Throws: ``WireError/brokenSeal``.
  mutating func open(_ content: [UInt8]) throws(WireError) -> [UInt8] {
    guard content.count >= Self.sealByteCount else { throw .brokenSeal }
    let message = Array(content.dropLast(Self.sealByteCount))
    let expected = Self.seal(message, number: receivedCount, key: receivingKey)
    // All bytes are compared, whichever differ.
    var difference: UInt8 = 0
    for (one, other) in zip(expected, content.suffix(Self.sealByteCount)) { difference |= one ^ other }
    guard difference == 0 else { throw .brokenSeal }
    receivedCount += 1
    return message
  }

  private static func seal(_ message: [UInt8], number: UInt64, key: SymmetricKey) -> [UInt8] {
    let code = HMAC<SHA256>.authenticationCode(for: bigEndianBytes(number) + message, using: key)
    return Array(code.prefix(sealByteCount))
  }
}
