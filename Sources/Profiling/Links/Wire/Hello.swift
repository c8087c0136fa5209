/// The first frame of every connection: who calls and what for. Nothing in it is believed before it is proven.
///
/// Magic, version and rank stand at the same place in every version of the protocol, so that versions can tell each
/// other apart.
struct Hello: Equatable {
  /// What a connection is for.
  enum Purpose: Equatable {
    /// Orders and reports between a node and the coordinator.
    case control
    /// One stream of a measurement between two nodes.
    case stream(link: UInt64, index: Int)
  }

  static let magic = Array("SXTNLINK".utf8)
  static let protocolVersion = 2
  static let nonceByteCount = 32

  let rank: Int
  let purpose: Purpose
  /// Fresh random bytes, so that no proof can be used twice.
  let nonce: [UInt8]

  /// A greeting with a fresh nonce.
  init(rank: Int, purpose: Purpose) {
    self.rank = rank
    self.purpose = purpose
    nonce = freshNonce()
  }

  /// - Throws: ``WireError``: not ours, of another version, or malformed.
  init(_ bytes: [UInt8]) throws(WireError) {
    var cursor = ByteCursor(bytes)
    guard let magic = try? cursor.bytes(Self.magic.count), magic == Self.magic else { throw .notSextant }
    let version = Int(try cursor.integer(UInt16.self))
    rank = Int(try cursor.integer(UInt32.self))
    guard version == Self.protocolVersion else { throw .otherVersion(rank: rank, version: version) }
    let kind = try cursor.integer(UInt8.self)
    let link = try cursor.integer(UInt64.self)
    let index = Int(try cursor.integer(UInt32.self))
    nonce = try cursor.bytes(Self.nonceByteCount)
    guard cursor.isAtEnd else { throw .malformed }
    switch kind {
    case 1: purpose = .control
    case 2: purpose = .stream(link: link, index: index)
    default: throw .malformed
    }
  }

  /// The content of its frame.
  var bytes: [UInt8] {
    let (kind, link, index): (UInt8, UInt64, Int) =
      switch purpose {
      case .control: (1, 0, 0)
      case .stream(let link, let index): (2, link, index)
      }
    return Self.magic + bigEndianBytes(UInt16(Self.protocolVersion)) + bigEndianBytes(UInt32(rank)) + [kind]
      + bigEndianBytes(link) + bigEndianBytes(UInt32(index)) + nonce
  }
}

/// Bytes from the system's cryptographically secure generator.
func freshNonce() -> [UInt8] {
  var generator = SystemRandomNumberGenerator()
  return (0..<Hello.nonceByteCount).map { _ in UInt8.random(in: 0 ... .max, using: &generator) }
}
