import Foundation

/// One node's part of a run: comes to the coordinator, opens the streams it is told to, measures and reports.
package struct LinkWorker: Sendable {
  /// Where and how to come to the coordinator.
  package struct Invitation: Sendable {
    /// The coordinator's address; nil to read it from the run file.
    package let rendezvous: Endpoint?
    /// The run's token; nil to read it from the run file.
    package let token: RunToken?
    package let runFile: RunFile?
    /// How long to try.
    package let joinSeconds: Double

    package init(rendezvous: Endpoint?, token: RunToken?, runFile: RunFile?, joinSeconds: Double) {
      self.rendezvous = rendezvous
      self.token = token
      self.runFile = runFile
      self.joinSeconds = joinSeconds
    }
  }

  package let rank: Int
  package let hostName: String
  /// What it shares with the nodes nearest to it, such as its leaf switch; empty when unknown.
  package let block: String
  /// The number of the one address that it listens on and calls from; nil for the one by which it reaches the
  /// coordinator.
  package let localHost: String?
  /// The most this node sends, bytes per second on each stream; nil for what the coordinator says.
  package let maximumBytesPerSecond: Double?

  package init(rank: Int, hostName: String, block: String, localHost: String?, maximumBytesPerSecond: Double?) {
    self.rank = rank
    self.hostName = hostName
    self.block = block
    self.localHost = localHost
    self.maximumBytesPerSecond = maximumBytesPerSecond
  }

  /// Added to the times that the coordinator's side bounds, so that it is always first to give up.
  package static let graceSeconds = 5.0

  /// Takes part until the coordinator says goodbye.
  ///
  /// This thread only listens to the coordinator, and measuring goes on in another: so a goodbye, a connection that
  /// breaks and a coordinator that falls silent end the node in the middle of a measurement, too.
  ///
  /// - Throws: ``LinkRunError``: the coordinator was not reached, refused this node, fell silent or went away.
  package func run(_ invitation: Invitation) throws(LinkRunError) {
    let mailbox = Mailbox()
    let caller = ControlCaller()
    defer { caller.close() }
    let (connection, token) = try join(invitation, caller, mailbox)
    let host = localHost ?? connection.localEndpoint?.host
    guard let host else { throw .network("the address of this side of the control connection is not known") }
    let listener = try StreamListener(host: host, token: token)
    connection.send(
      .register(.init(hostName: hostName, endpoint: listener.endpoint, block: block)))
    // The first word may have to wait until all nodes are started.
    var watch = CoordinatorWatch(mailbox, silenceSeconds: invitation.joinSeconds + Self.graceSeconds)
    let desk = Desk(connection: connection, listener: listener, token: token, host: host)
    while true {
      switch try watch.next() {
      case .goodbye: return
      case .assign(let assignment):
        if try perform(assignment, desk, &watch) == .isOver { return }
      default: throw .outOfTurn
      }
    }
  }

  /// What the parts of an assignment share.
  private struct Desk {
    let connection: ControlConnection
    let listener: StreamListener
    let token: RunToken
    let host: String
  }

  /// Calls until somebody answers and the greeting is over.
  private func join(
    _ invitation: Invitation, _ caller: ControlCaller, _ mailbox: Mailbox
  ) throws(LinkRunError) -> (ControlConnection, RunToken) {
    let end = ContinuousClock.now + .seconds(invitation.joinSeconds)
    var lastReason = "there was no time to call it"
    while ContinuousClock.now < end {
      // Read every time: rank 0 may be about to write it, or a stale one to be replaced.
      let file = try invitation.runFile?.read()
      if invitation.rendezvous == nil, let runFile = invitation.runFile, let file, file.rendezvous == nil {
        throw .noAddress(in: runFile)
      }
      guard let rendezvous = invitation.rendezvous ?? file?.rendezvous, let token = invitation.token ?? file?.token
      else {
        lastReason = "\(invitation.runFile?.path ?? "no run file"): rank 0 has not written its address"
        pause()
        continue
      }
      do throws(LinkRunError) {
        try caller.call(rendezvous, from: localHost, rank: rank, token: token, mailbox: mailbox)
      } catch {
        lastReason = "\(error)"
        pause()
        continue
      }
      switch mailbox.take(withinSeconds: Double(ControlHandler.greetingSeconds) + 1) {
      case .opened(let connection, _): return (connection, token)
      case .refused(_, .otherVersion(_, let version)):
        throw .coordinator(
          "the coordinator at \(rendezvous) runs version \(version) of the protocol, this is version "
            + "\(Hello.protocolVersion)")
      case .refused(_, .refused):
        // Also what a listener does that is about to close, so it is tried again.
        lastReason = "\(rendezvous) closed the connection in the middle of the greeting; is the token the same?"
      case .refused(_, let error): throw .coordinator("what answers at \(rendezvous) \(error)")
      default: lastReason = "\(rendezvous) did not finish the greeting"
      }
      pause()
    }
    throw .coordinator("the coordinator was not reached within \(short(invitation.joinSeconds)) s: \(lastReason)")
  }

  private func pause() { Thread.sleep(forTimeInterval: 0.1) }

  /// How the node goes on after an assignment.
  private enum Sequel {
    case waits
    /// The coordinator has said goodbye.
    case isOver
  }

  private func perform(
    _ assignment: ControlMessage.Assignment, _ desk: Desk, _ watch: inout CoordinatorWatch
  ) throws(LinkRunError) -> Sequel {
    let link = assignment.link, stallSeconds = assignment.settings.stallSeconds
    let deadline = Deadline(seconds: assignment.settings.pairSeconds)
    // However this ends, the other thread does not go on for longer than its call in the system.
    defer { deadline.cancel() }
    func fail(_ failure: LinkFailure) -> Sequel {
      desk.connection.send(.failed(link: link, reason: "\(failure)"))
      return .waits
    }
    let opened = try watch.result(of: { () throws(LinkFailure) in try open(assignment, desk, deadline) })
    let streams: Streams
    switch opened {
    case nil: return .isOver
    case .failure(let failure): return fail(failure)
    case .success(let open): streams = open
    }
    desk.connection.send(.ready(link: link))
    // Others of the round have as long to be ready; who is not by then is dropped, and the rest goes on.
    let readySeconds = stallSeconds + Double(ControlHandler.greetingSeconds) + 2
    switch try watch.next(withinSeconds: readySeconds + stallSeconds + Self.graceSeconds) {
    case .goodbye: return .isOver
    case .go(link): break
    case .go: return fail(.cancelled)
    default: throw .outOfTurn
    }
    switch try watch.result(of: { () throws(LinkFailure) in try exchange(assignment, desk, streams) }) {
    case nil: return .isOver
    case .failure(let failure): return fail(failure)
    case .success:
      desk.connection.send(.finished(link: link))
      return .waits
    }
  }

  /// The streams to which this side calls, and those by which it was called; both for the loopback.
  private typealias Streams = (calling: LinkStreams?, answering: LinkStreams?)

  /// Opens this side's streams, or both sides' for the loopback.
  private func open(
    _ assignment: ControlMessage.Assignment, _ desk: Desk, _ deadline: Deadline
  ) throws(LinkFailure) -> Streams {
    let limits = [maximumBytesPerSecond, assignment.settings.maximumBytesPerSecond].compactMap(\.self)
    let call = { @Sendable () throws(LinkFailure) -> LinkStreams in
      var sockets: [Socket] = []
      for index in 0..<(assignment.settings.streamCounts.last ?? 1) {
        let socket = try Socket.connected(
          to: assignment.endpoint, from: desk.host, stallSeconds: assignment.settings.stallSeconds,
          maximumBytesPerSecond: limits.min())
        let hello = Hello(rank: rank, purpose: .stream(link: assignment.link, index: index))
        try socket.greet(hello, token: desk.token, until: deadline)
        sockets.append(socket)
      }
      return LinkStreams(sockets: sockets, deadline: deadline)
    }
    let answer = { () throws(LinkFailure) -> LinkStreams in
      LinkStreams(
        sockets: try desk.listener.accept(assignment, maximumBytesPerSecond: limits.min(), until: deadline),
        deadline: deadline)
    }
    switch assignment.role {
    case .caller: return (try call(), nil)
    case .answerer: return (nil, try answer())
    case .both:
      let called = InOtherThread(call)
      let answering = try answer()
      return (try called.value(), answering)
    }
  }

  /// Measures both directions, this side's and the peer's; the caller's is first.
  private func exchange(
    _ assignment: ControlMessage.Assignment, _ desk: Desk, _ streams: Streams
  ) throws(LinkFailure) {
    let settings = assignment.settings
    func measure(_ streams: LinkStreams) throws(LinkFailure) {
      let measurement = try streams.measure(settings, keepsBusy: assignment.keepsBusy)
      desk.connection.send(.measured(link: assignment.link, measurement))
    }
    switch streams {
    case (let calling?, let answering?):
      let answered = InOtherThread { () throws(LinkFailure) in try answering.respond(settings) }
      try measure(calling)
      try answered.value()
    case (let calling?, nil):
      try measure(calling)
      try calling.respond(settings)
    case (nil, let answering?):
      try answering.respond(settings)
      try measure(answering)
    case (nil, nil): break
    }
  }
}
