/// What the coordinator makes of what it hears.
extension LinkCoordinator {
  /// Hears the next event, if one comes within the time, and tells the nodes that the coordinator is there.
  ///
  /// Every wait of the coordinator goes through here, on the thread that decides: a coordinator that is stopped, or
  /// whose thread hangs, says nothing, and its nodes end.
  func hear(withinSeconds seconds: Double, isEnding: Bool = false) {
    if ContinuousClock.now >= nextBeat {
      // A node has to miss several before it goes.
      nextBeat = .now + .seconds(silenceSeconds / 4)
      for node in nodes where node.isPresent && node.registration != nil { sayAlive(to: node) }
    }
    if let event = mailbox.take(withinSeconds: seconds) { handle(event, isEnding: isEnding) }
  }

  private func sayAlive(to node: Node) { node.connection?.send(.alive(silenceSeconds: silenceSeconds)) }

  /// How long a node hears nothing before it goes.
  private var silenceSeconds: Double { order.settings.stallSeconds + LinkWorker.graceSeconds }

  /// - Parameter isEnding: after the goodbye it is no failure that a node goes.
  func handle(_ event: ControlEvent, isEnding: Bool = false) {
    switch event {
    case .opened(let connection, let rank):
      // Who holds the token says who it is, once for each rank.
      guard nodes.indices.contains(rank), nodes[rank].connection == nil else {
        refusedCount += 1
        connection.close()
        return
      }
      nodes[rank].connection = connection
      ranks[connection] = rank
    case .message(let connection, let message):
      guard let rank = ranks[connection], nodes[rank].connection == connection else { return }
      handle(message, from: rank)
    case .closed(let connection, let reason):
      guard let rank = ranks.removeValue(forKey: connection) else { return }
      if isEnding {
        nodes[rank].connection = nil
      } else {
        drop(rank, "\(reason)")
      }
    case .refused(let rank, let error):
      refusedCount += 1
      // Unproven, so it changes nothing; but if the node never comes, this is why.
      if let rank, nodes.indices.contains(rank) { nodes[rank].suspicion = "\(error)" }
    case .launchFailed(let rank, let reason):
      if nodes.indices.contains(rank), nodes[rank].registration == nil { drop(rank, reason) }
    case .workEnded: break
    }
  }

  private func handle(_ message: ControlMessage, from rank: Int) {
    switch message {
    case .register(let registration) where nodes[rank].registration == nil:
      nodes[rank].registration = registration
      sayAlive(to: nodes[rank])
    case .ready(let link): active[link]?.note(.ready, of: rank)
    case .finished(let link): active[link]?.note(.over(nil), of: rank)
    case .failed(let link, let reason): active[link]?.note(.over(reason), of: rank)
    case .measured(let link, let measurement):
      // Of a link that was given up it comes too late.
      guard let link = active[link] else { return }
      guard let other = link.partner(of: rank) else { return drop(rank, outOfTurn) }
      outcomes[rank][other] = .measured(measurement)
    case .register, .assign, .go, .alive, .goodbye: drop(rank, outOfTurn)
    }
  }

  private var outOfTurn: String { "said something out of turn" }

  /// Does without a node from now on.
  func drop(_ rank: Int, _ reason: String) {
    guard nodes[rank].failure == nil else { return }
    nodes[rank].failure = reason
    nodes[rank].connection?.close()
    for link in active.keys where active[link]?.partner(of: rank) != nil {
      active[link]?.note(.over(reason), of: rank)
    }
  }
}
