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

  /// Takes part until the coordinator says goodbye.
  ///
  /// - Throws: ``LinkRunError``: the coordinator was not reached, refused this node or went away; or interrupted.
  package func run(_ invitation: Invitation, isInterrupted: () -> Bool) throws(LinkRunError) {
    let mailbox = Mailbox()
    let caller = ControlCaller()
    defer { caller.close() }
    let (connection, token) = try join(invitation, caller, mailbox, isInterrupted)
    let host = localHost ?? connection.localEndpoint?.host
    guard let host else { throw .network("the address of this side of the control connection is not known") }
    let listener = try StreamListener(host: host, token: token)
    connection.send(
      .register(.init(hostName: hostName, endpoint: listener.endpoint, block: block)))
    while true {
      switch try next(mailbox, withinSeconds: .infinity, isInterrupted) {
      case .goodbye: return
      case .assign(let assignment):
        let desk = Desk(connection: connection, mailbox: mailbox, listener: listener, token: token, host: host)
        if try perform(assignment, desk, isInterrupted) == .goodbye { return }
      default: throw .coordinator("the coordinator said something out of turn")
      }
    }
  }

  /// What the parts of an assignment share.
  private struct Desk {
    let connection: ControlConnection
    let mailbox: Mailbox
    let listener: StreamListener
    let token: RunToken
    let host: String
  }

  /// Calls until somebody answers and the greeting is over.
  private func join(
    _ invitation: Invitation, _ caller: ControlCaller, _ mailbox: Mailbox, _ isInterrupted: () -> Bool
  ) throws(LinkRunError) -> (ControlConnection, RunToken) {
    let end = ContinuousClock.now + .seconds(invitation.joinSeconds)
    var lastReason = "there was no time to call it"
    while ContinuousClock.now < end {
      if isInterrupted() { throw .interrupted }
      // Read every time: rank 0 may be about to write it, or a stale one to be replaced.
      let file = try invitation.runFile?.read()
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

  /// The coordinator's next word.
  private func next(
    _ mailbox: Mailbox, withinSeconds seconds: Double, _ isInterrupted: () -> Bool
  ) throws(LinkRunError) -> ControlMessage {
    let end = ContinuousClock.now + .seconds(min(seconds, 1e9))
    while ContinuousClock.now < end {
      if isInterrupted() { throw .interrupted }
      switch mailbox.take(withinSeconds: 0.1) {
      case .message(_, let message): return message
      case .closed(_, let reason): throw .coordinator("the coordinator went away: \(reason)")
      default: continue
      }
    }
    throw .coordinator("the coordinator did not say to go on within \(short(seconds)) s")
  }

  /// - Returns: what the coordinator said instead of going on, if it did.
  private func perform(
    _ assignment: ControlMessage.Assignment, _ desk: Desk, _ isInterrupted: () -> Bool
  ) throws(LinkRunError) -> ControlMessage? {
    let link = assignment.link
    let deadline = Deadline(seconds: assignment.settings.pairSeconds)
    do throws(LinkFailure) {
      let streams = try open(assignment, desk, deadline)
      desk.connection.send(.ready(link: link))
      // Others of the round may need their time to be ready.
      let said: ControlMessage
      do throws(LinkRunError) {
        said = try next(desk.mailbox, withinSeconds: 2 * assignment.settings.stallSeconds + 10, isInterrupted)
      } catch .interrupted {
        throw .cancelled
      } catch {
        throw .closed
      }
      if said == .goodbye { return said }
      guard said == .go(link: link) else { throw .cancelled }
      try exchange(assignment, desk, streams)
      desk.connection.send(.finished(link: link))
      return nil
    } catch {
      if isInterrupted() { throw .interrupted }
      desk.connection.send(.failed(link: link, reason: "\(error)"))
      return nil
    }
  }

  /// Opens this side's streams, or both sides' for the loopback.
  private func open(
    _ assignment: ControlMessage.Assignment, _ desk: Desk, _ deadline: Deadline
  ) throws(LinkFailure) -> (calling: LinkStreams?, answering: LinkStreams?) {
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
    _ assignment: ControlMessage.Assignment, _ desk: Desk, _ streams: (calling: LinkStreams?, answering: LinkStreams?)
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
