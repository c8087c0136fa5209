import Foundation
import Testing

@testable import Profiling

/// What becomes of a node whose coordinator breaks off, falls silent or stops the run.
@Suite(.serialized) struct CoordinatorWatchTests {
  /// A coordinator of one node, which does what a test wants it to.
  private struct Stage {
    let mailbox = Mailbox()
    let listener: ControlListener
    let node: RunningNode
    let connection: ControlConnection
    let streams: Endpoint

    init() throws {
      listener = try ControlListener(
        at: Endpoint(host: "127.0.0.1", port: 0), token: LocalRun.token, connectionLimit: 4, mailbox: mailbox)
      node = RunningNode(rank: 0, endpoint: listener.endpoint, maximumBytesPerSecond: nil)
      guard case .opened(let connection, _) = mailbox.take(withinSeconds: 30),
        case .message(_, .register(let registration)) = mailbox.take(withinSeconds: 30)
      else { throw LinkRunError.coordinator("the node did not come") }
      self.connection = connection
      streams = registration.endpoint
    }

    /// Has the node open the streams of its loopback, until it is ready.
    func assign(slotSeconds: Double) throws {
      let settings = try ProbeSettings(messageBytes: [4_096], streamCounts: [1], slotSeconds: slotSeconds)
      connection.send(
        .assign(.init(link: 7, peerRank: 0, role: .both, endpoint: streams, keepsBusy: true, settings: settings)))
      guard case .message(_, .ready(7)) = mailbox.take(withinSeconds: 30) else {
        throw LinkRunError.coordinator("the node did not get ready")
      }
    }
  }

  private let wentAway = LinkRunError.coordinator("the coordinator went away: the connection was lost")

  @Test func aConnectionThatBreaksBeforeTheGoEndsTheNode() throws {
    let stage = try Stage()
    defer { stage.listener.close() }
    try stage.assign(slotSeconds: 0.1)
    stage.connection.close()
    #expect(stage.node.ending() == wentAway)
  }

  /// A slot of ten minutes, of which there are several: nobody waits for its end.
  @Test func aConnectionThatBreaksEndsAMeasurement() throws {
    let stage = try Stage()
    defer { stage.listener.close() }
    try stage.assign(slotSeconds: 600)
    stage.connection.send(.go(link: 7))
    stage.connection.close()
    #expect(stage.node.ending() == wentAway)
  }

  @Test func aGoodbyeEndsAMeasurement() throws {
    let stage = try Stage()
    defer { stage.listener.close() }
    try stage.assign(slotSeconds: 600)
    stage.connection.send(.go(link: 7))
    stage.connection.send(.goodbye)
    #expect(stage.node.ending() == nil)
  }

  /// As when its process is stopped or its machine has no power: the connection stands, and nothing comes.
  @Test(arguments: [false, true])
  func aSilentCoordinatorEndsTheNode(isMeasuring: Bool) throws {
    let stage = try Stage()
    defer { stage.listener.close() }
    stage.connection.send(.alive(silenceSeconds: 0.5))
    if isMeasuring {
      try stage.assign(slotSeconds: 600)
      stage.connection.send(.go(link: 7))
    }
    #expect(stage.node.ending() == .coordinator("nothing was heard of the coordinator for 0.5 s"))
  }

  @Test func aCoordinatorThatNeverSaysAWordIsNotWaitedForEither() {
    var watch = CoordinatorWatch(Mailbox(), silenceSeconds: 0.3)
    #expect(throws: LinkRunError.coordinator("nothing was heard of the coordinator for 0.3 s")) { try watch.next() }
  }

  /// The nodes wait for longer than a silence may last, since one never comes; none of them goes.
  @Test func whoWaitsForOthersStays() throws {
    var run = LocalRun(nodeCount: 3, settings: try LinkRunTests.settings(stallSeconds: 0.5), joinSeconds: 8)
    run.absent = [2]
    let (survey, endings) = try run.survey()
    #expect(endings == [nil, nil])
    #expect(survey.nodes.map(\.failure) == [nil, nil, "did not come within 8 s"])
  }
}
