import Crypto

/// The calling side of the greeting, frame by frame: hello → challenge → proof → counter-proof.
///
/// Both sides prove with HMAC-SHA256 that they know the run's token, over everything that was said and a label for the
/// side, so that neither a recorded nor a reflected proof is of use; the caller proves first. No I/O: the caller passes
/// frames in and sends what comes out, over NIO or a plain socket alike.
struct ClientHandshake {
  /// What to do after a frame.
  enum Step {
    case reply([UInt8])
    case accepted(SealedSession)
  }

  let hello: Hello
  private let token: RunToken
  private var challenge: Challenge?

  init(hello: Hello, token: RunToken) {
    self.hello = hello
    self.token = token
  }

  /// - Throws: ``WireError``; the connection is to be closed.
  mutating func receive(_ frame: [UInt8]) throws(WireError) -> Step {
    guard let challenge else {
      let challenge = try Challenge(frame)
      self.challenge = challenge
      return .reply(token.proof(.caller, Transcript(hello, challenge)))
    }
    let transcript = Transcript(hello, challenge)
    guard token.isProof(frame, .answerer, transcript) else { throw .wrongProof(rank: hello.rank) }
    return .accepted(
      SealedSession(sending: token.key(.caller, transcript), receiving: token.key(.answerer, transcript)))
  }
}

/// The called side of the greeting.
struct ServerHandshake {
  /// What to do after a frame.
  enum Step {
    case reply([UInt8])
    case accepted(Hello, reply: [UInt8], SealedSession)
  }

  private let token: RunToken
  private let challenge = Challenge()
  private var hello: Hello?

  init(token: RunToken) { self.token = token }

  /// What to send to a caller of another version before the connection is closed, so that it can say why.
  static var refusalOfVersion: [UInt8] { Challenge().bytes }

  /// - Throws: ``WireError``; the connection is to be closed.
  mutating func receive(_ frame: [UInt8]) throws(WireError) -> Step {
    guard let hello else {
      hello = try Hello(frame)
      return .reply(challenge.bytes)
    }
    let transcript = Transcript(hello, challenge)
    guard token.isProof(frame, .caller, transcript) else { throw .wrongProof(rank: hello.rank) }
    return .accepted(
      hello, reply: token.proof(.answerer, transcript),
      SealedSession(sending: token.key(.answerer, transcript), receiving: token.key(.caller, transcript)))
  }
}

/// The called side's random bytes; magic and version lead here too.
private struct Challenge {
  let nonce: [UInt8]

  init() { nonce = freshNonce() }

  init(_ bytes: [UInt8]) throws(WireError) {
    var cursor = ByteCursor(bytes)
    guard let magic = try? cursor.bytes(Hello.magic.count), magic == Hello.magic else { throw .notSextant }
    let version = Int(try cursor.integer(UInt16.self))
    guard version == Hello.protocolVersion else { throw .otherVersion(rank: 0, version: version) }
    nonce = try cursor.bytes(Hello.nonceByteCount)
    guard cursor.isAtEnd else { throw .malformed }
  }

  var bytes: [UInt8] { Hello.magic + bigEndianBytes(UInt16(Hello.protocolVersion)) + nonce }
}

/// All that was said before the proofs.
private struct Transcript {
  let bytes: [UInt8]

  init(_ hello: Hello, _ challenge: Challenge) { bytes = hello.bytes + challenge.bytes }
}

/// Who speaks.
private enum Side: String {
  case caller, answerer
}

extension RunToken {
  fileprivate func proof(_ side: Side, _ transcript: Transcript) -> [UInt8] { code("proof", side, transcript) }

  fileprivate func key(_ side: Side, _ transcript: Transcript) -> [UInt8] { code("key", side, transcript) }

  private func code(_ use: String, _ side: Side, _ transcript: Transcript) -> [UInt8] {
    let message = Array("sextant links \(use) \(side.rawValue)\n".utf8) + transcript.bytes
    return Array(HMAC<SHA256>.authenticationCode(for: message, using: SymmetricKey(data: bytes)))
  }

  /// Compares in a time that does not depend on where the codes differ.
  fileprivate func isProof(_ code: [UInt8], _ side: Side, _ transcript: Transcript) -> Bool {
    let message = Array("sextant links proof \(side.rawValue)\n".utf8) + transcript.bytes
    return HMAC<SHA256>.isValidAuthenticationCode(
      code, authenticating: message, using: SymmetricKey(data: bytes))
  }
}
