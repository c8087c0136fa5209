import Testing

@testable import Profiling

/// The proof that both sides know the token.
@Suite struct HandshakeTests {
  /// Lets two sides talk; what the server made of the caller, and both sessions.
  private func converse(
    _ callerToken: RunToken, _ answererToken: RunToken
  ) throws -> (hello: Hello, caller: SealedSession, answerer: SealedSession)? {
    var client = ClientHandshake(hello: Hello(rank: 3, purpose: .stream(link: 9, index: 1)), token: callerToken)
    var server = ServerHandshake(token: answererToken)
    guard case .reply(let challenge) = try server.receive(client.hello.bytes),
      case .reply(let proof) = try client.receive(challenge),
      case .accepted(let hello, let reply, let answerer) = try server.receive(proof),
      case .accepted(let caller) = try client.receive(reply)
    else { return nil }
    return (hello, caller, answerer)
  }

  @Test func whoKnowsTheTokenIsAccepted() throws {
    let token = RunToken.generated()
    let accepted = try #require(try converse(token, token))
    #expect(accepted.hello.rank == 3)
    #expect(accepted.hello.purpose == .stream(link: 9, index: 1))
  }

  @Test func whoDoesNotIsRefusedByName() throws {
    #expect(throws: WireError.wrongProof(rank: 3)) { try converse(.generated(), .generated()) }
  }

  @Test func aServerThatDoesNotKnowTheTokenIsRefused() throws {
    let token = RunToken.generated()
    var client = ClientHandshake(hello: Hello(rank: 0, purpose: .control), token: token)
    var stranger = ServerHandshake(token: .generated())
    guard case .reply(let challenge) = try stranger.receive(client.hello.bytes),
      case .reply(let proof) = try client.receive(challenge)
    else { throw WireError.malformed }
    // It cannot make a proof of its own, and the caller's own sent back is none.
    #expect(throws: WireError.wrongProof(rank: 0)) { try client.receive(proof) }
    #expect(throws: WireError.wrongProof(rank: 0)) { try stranger.receive(proof) }
  }

  @Test func aRecordedProofIsOfNoUse() throws {
    let token = RunToken.generated()
    var client = ClientHandshake(hello: Hello(rank: 0, purpose: .control), token: token)
    var first = ServerHandshake(token: token)
    guard case .reply(let challenge) = try first.receive(client.hello.bytes),
      case .reply(let proof) = try client.receive(challenge)
    else { throw WireError.malformed }
    var second = ServerHandshake(token: token)
    _ = try second.receive(client.hello.bytes)
    #expect(throws: WireError.wrongProof(rank: 0)) { try second.receive(proof) }
  }

  @Test func anotherVersionIsNamed() throws {
    var bytes = Hello(rank: 5, purpose: .control).bytes
    bytes[Hello.magic.count + 1] = 9
    var server = ServerHandshake(token: .generated())
    #expect(throws: WireError.otherVersion(rank: 5, version: 9)) { try server.receive(bytes) }
  }

  @Test func sealedMessagesArriveOnceAndInOrder() throws {
    let token = RunToken.generated()
    var (_, caller, answerer) = try #require(try converse(token, token))
    let first = caller.seal([1, 2, 3]), second = caller.seal([])
    #expect(throws: WireError.brokenSeal) { try answerer.open(second) }
    #expect(try answerer.open(first) == [1, 2, 3])
    #expect(throws: WireError.brokenSeal) { try answerer.open(first) }
    #expect(try answerer.open(second) == [])
    var changed = answerer.seal([7])
    changed[0] = 8
    #expect(throws: WireError.brokenSeal) { try caller.open(changed) }
    // What one side said is nothing that it could have been told.
    #expect(throws: WireError.brokenSeal) { try caller.open(caller.seal([1])) }
  }

  @Test func tokensAreLongAndPrintable() throws {
    #expect(RunToken.generated() != RunToken.generated())
    #expect(RunToken.generated().text.count == 64)
    #expect(try RunToken("  0123456789abcdef\n") == RunToken("0123456789abcdef"))
    for text in ["", "short", "0123456789 abcdef", String(repeating: "a", count: 1_025), "0123456789abcdeé"] {
      #expect(throws: LinkRunError.self, "\(text)") { try RunToken(text) }
    }
  }
}
