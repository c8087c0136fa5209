import Foundation
import Synchronization
import Testing

@testable import Profiling

/// Nodes that do not do what they should, and strangers: each costs its own row and no more.
@Suite(.serialized) struct FaultTests {
  /// A run of four nodes of which the last is another one's business.
  private func run(stranger: @escaping @Sendable (Endpoint) -> Void) throws -> LinkSurvey {
    var run = LocalRun(
      nodeCount: 4, settings: try LinkRunTests.settings(stallSeconds: 1), joinSeconds: 2,
      bytesPerSecond: [4e6, 4e6, 4e6, 4e6])
    run.absent = [3]
    let (survey, endings) = try run.survey(stranger: stranger)
    #expect(endings.allSatisfy { $0 == nil }, "\(endings)")
    // The rest is measured.
    for from in 0..<3 {
      for to in 0..<3 where from != to { #expect(survey.bytesPerSecond(from, to) != nil, "\(from) to \(to)") }
    }
    #expect(!survey.isComplete)
    for other in 0..<3 {
      #expect(survey.bytesPerSecond(3, other) == nil && survey.bytesPerSecond(other, 3) == nil)
    }
    return survey
  }

  /// Comes as rank 3, says where it takes streams, and then does something for each order.
  private static func join(
    _ endpoint: Endpoint, streams: Endpoint = Endpoint(host: "127.0.0.1", port: 1),
    then act: (ControlConnection, ControlMessage) -> Void
  ) {
    let mailbox = Mailbox(), caller = ControlCaller()
    defer { caller.close() }
    guard
      (try? caller.call(endpoint, from: nil, rank: 3, token: LocalRun.token, mailbox: mailbox)) != nil,
      case .opened(let connection, _) = mailbox.take(withinSeconds: 5)
    else { return }
    connection.send(.register(.init(hostName: "node-3", endpoint: streams, block: "")))
    while let event = mailbox.take(withinSeconds: 30) {
      switch event {
      case .message(_, .goodbye), .closed: return
      case .message(_, .alive): continue
      case .message(_, let message): act(connection, message)
      default: continue
      }
    }
  }

  /// Sends frames on a plain socket and waits until the other side closes.
  private static func send(_ bytes: [UInt8], to endpoint: Endpoint, greets: Bool = false) {
    let deadline = Deadline(seconds: 20)
    guard
      let socket = try? Socket.connected(to: endpoint, from: nil, stallSeconds: 10, maximumBytesPerSecond: nil)
    else { return }
    if greets {
      try? socket.greet(Hello(rank: 3, purpose: .control), token: LocalRun.token, until: deadline)
    }
    try? socket.send(bytes, until: deadline)
    while (try? socket.receive(count: 1, until: deadline)) != nil {}
  }

  @Test func aNodeThatDiesIsNamed() throws {
    let survey = try run { endpoint in
      Self.join(endpoint) { connection, _ in connection.close() }
    }
    #expect(survey.nodes[3].name == "node-3")
    #expect(survey.nodes[3].failure == "the connection was lost")
    #expect(survey.failure(0, 3) ?? survey.failure(1, 3) ?? survey.failure(2, 3) == "node-3: the connection was lost")
    #expect(survey.shortfall == "1 of 4 nodes are missing or were lost: node-3 the connection was lost")
  }

  @Test func aNodeThatStallsIsDropped() throws {
    let survey = try run { endpoint in Self.join(endpoint) { _, _ in } }
    #expect(survey.nodes[3].failure?.hasPrefix("gave no answer for") == true, "\(survey.nodes[3])")
  }

  @Test func aNodeThatSaysWhatItMustNotIsDropped() throws {
    let survey = try run { endpoint in
      Self.join(endpoint) { connection, _ in connection.send(.goodbye) }
    }
    #expect(survey.nodes[3].failure == "said something out of turn")
  }

  @Test func garbageAfterTheGreetingIsNamed() throws {
    let survey = try run { endpoint in
      Self.send(framed([UInt8](repeating: 7, count: 100)), to: endpoint, greets: true)
    }
    #expect(survey.nodes[3].failure == "sent a frame whose seal does not fit")
  }

  @Test func anotherVersionIsTheReason() throws {
    let survey = try run { endpoint in
      var hello = Hello(rank: 3, purpose: .control).bytes
      hello[Hello.magic.count + 1] = 3
      Self.send(framed(hello), to: endpoint)
    }
    #expect(
      survey.nodes[3].failure
        == "did not come within 2 s; a caller that says it is this node runs version 3 of the protocol, this is version 2"
    )
  }

  @Test func anotherTokenIsTheReason() throws {
    let survey = try run { endpoint in
      let mailbox = Mailbox(), caller = ControlCaller()
      try? caller.call(endpoint, from: nil, rank: 3, token: .generated(), mailbox: mailbox)
      _ = mailbox.take(withinSeconds: 5)
      caller.close()
    }
    #expect(survey.nodes[3].failure?.hasSuffix("could not prove that it knows the run's token") == true)
    #expect(survey.refusedCount >= 1)
  }

  @Test func strangersAreTurnedAway() throws {
    let survey = try run { endpoint in
      Self.send(Array("GET / HTTP/1.1\r\n\r\n".utf8), to: endpoint)
      Self.send([0xFF, 0xFF, 0xFF, 0xFF], to: endpoint)
    }
    #expect(survey.nodes[3].failure == "did not come within 2 s")
    #expect(survey.refusedCount == 2)
  }

  /// Its streams lead to somebody who takes them and says nothing.
  @Test func aPeerThatTakesStreamsAndStallsCostsTheLink() throws {
    let silent = try Socket.listening(host: "127.0.0.1", port: 0, backlog: 16)
    let survey = try run { endpoint in
      Self.join(endpoint, streams: silent.localEndpoint) { connection, message in
        if case .assign(let assignment) = message {
          connection.send(.failed(link: assignment.link, reason: "had no streams"))
        }
      }
    }
    #expect(survey.nodes[3].failure == nil)
    #expect(survey.failure(0, 3) != nil && survey.failure(3, 0) != nil)
  }

  @Test func nothingListensAfterwards() throws {
    let seen = Mutex<Endpoint?>(nil)
    _ = try run { endpoint in seen.withLock { $0 = endpoint } }
    let endpoint = try #require(seen.withLock { $0 })
    #expect(throws: LinkFailure.self) {
      try Socket.connected(to: endpoint, from: nil, stallSeconds: 1, maximumBytesPerSecond: nil)
    }
  }

  @Test func aCoordinatorThatIsNotThereIsAnErrorInTime() {
    let worker = LinkWorker(rank: 1, hostName: "a", block: "", localHost: nil, maximumBytesPerSecond: nil)
    let invitation = LinkWorker.Invitation(
      rendezvous: Endpoint(host: "127.0.0.1", port: 1), token: .generated(), runFile: nil, joinSeconds: 0.3)
    do throws(LinkRunError) {
      try worker.run(invitation)
      Issue.record("it came")
    } catch {
      #expect("\(error)".contains("was not reached within 0.3 s"))
    }
  }
}
