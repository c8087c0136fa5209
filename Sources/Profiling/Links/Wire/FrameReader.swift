/// Cuts a stream of bytes into frames: four bytes of length, the most significant first, and that many bytes of
/// content.
///
/// Holds no more than one frame of the greatest allowed size and what arrived with it: a length beyond the limit is
/// refused as soon as it is read, before any of the content is waited for.
struct FrameReader {
  /// The most bytes of content a frame may have; it grows once the peer has proven who it is.
  var byteLimit: Int

  private var pending: [UInt8] = []
  private var consumed = 0

  init(byteLimit: Int) { self.byteLimit = byteLimit }

  /// Takes what arrived, in pieces of any size.
  mutating func append(_ bytes: some Sequence<UInt8>) {
    if consumed > 0 {
      pending.removeFirst(consumed)
      consumed = 0
    }
    pending.append(contentsOf: bytes)
  }

  /// The next whole frame's content; nil until more has arrived.
  ///
  /// - Throws: ``WireError/frameTooLong(byteCount:limit:)``; the stream cannot be read on after that.
  mutating func next() throws(WireError) -> [UInt8]? {
    guard pending.count - consumed >= 4 else { return nil }
    var length = 0
    for byte in pending[consumed..<(consumed + 4)] { length = length << 8 | Int(byte) }
    guard length <= byteLimit else { throw .frameTooLong(byteCount: length, limit: byteLimit) }
    guard pending.count - consumed >= 4 + length else { return nil }
    let content = Array(pending[(consumed + 4)..<(consumed + 4 + length)])
    consumed += 4 + length
    return content
  }
}

/// A frame as it goes over the wire.
///
/// - Precondition: the content has fewer than 2³² bytes.
func framed(_ content: [UInt8]) -> [UInt8] {
  let length = UInt32(content.count)
  return bigEndianBytes(length) + content
}

/// Unsigned numbers go over the wire most significant byte first.
func bigEndianBytes(_ number: some FixedWidthInteger) -> [UInt8] {
  withUnsafeBytes(of: number.bigEndian) { Array($0) }
}

/// Reads numbers and bytes off the front of a frame's content.
struct ByteCursor {
  private var rest: ArraySlice<UInt8>

  init(_ bytes: [UInt8]) { rest = bytes[...] }

  var isAtEnd: Bool { rest.isEmpty }

  /// - Throws: ``WireError/malformed`` when there are fewer bytes left.
  mutating func bytes(_ count: Int) throws(WireError) -> [UInt8] {
    guard rest.count >= count else { throw .malformed }
    defer { rest = rest.dropFirst(count) }
    return Array(rest.prefix(count))
  }

  mutating func integer<Number: FixedWidthInteger & UnsignedInteger>(
    _ type: Number.Type
  ) throws(WireError) -> Number {
    var number: Number = 0
    for byte in try bytes(Number.bitWidth / 8) {
      number = Number(truncatingIfNeeded: UInt64(number) << 8) | Number(byte)
    }
    return number
  }
}

/// Why what a peer sent is refused.
enum WireError: Error, Equatable, CustomStringConvertible {
  /// A frame that says it is longer than it may be.
  case frameTooLong(byteCount: Int, limit: Int)
  /// Not the greeting of a `sextant profile links`.
  case notSextant
  /// A peer of another protocol version; the rank is what it says, unproven.
  case otherVersion(rank: Int, version: Int)
  /// Wrong number of bytes or a value that is none.
  case malformed
  /// The peer does not know the run's token.
  case wrongProof(rank: Int)
  /// The other side closed or refused before the greeting was complete.
  case refused
  /// A frame whose seal does not fit: changed on its way, repeated, or not by the peer that proved itself.
  case brokenSeal
  /// A message that cannot be read.
  case badMessage(String)

  var description: String {
    switch self {
    case .frameTooLong(let byteCount, let limit): "sent a frame of \(byteCount) bytes, where \(limit) are allowed"
    case .notSextant: "does not speak the protocol of sextant profile links"
    case .otherVersion(_, let version):
      "runs version \(version) of the protocol, this is version \(Hello.protocolVersion)"
    case .malformed: "sent a frame that cannot be read"
    case .wrongProof: "could not prove that it knows the run's token"
    case .refused: "closed the connection in the middle of the greeting"
    case .brokenSeal: "sent a frame whose seal does not fit"
    case .badMessage(let reason): "sent a message that cannot be read: \(reason)"
    }
  }
}
