import Training

/// Exchanges of as many rows as tokens choose: how many come is known when they have come.
extension NumericMachine {
  /// Sends each rank of the group its rows, and waits for everyone's.
  mutating func advanceRouted(
    _ collective: Collective, _ tensor: RoutedTensor, _ index: Int, of program: PreparedProgram, _ network: Network
  ) throws(ExecutionFailure) -> Bool {
    let step = program.program.steps[index], stream = step.stream.index, group = collective.group
    guard let own = group.firstIndex(of: number) else {
      throw .notAMember(rank: number, step: index, what: step)
    }
    var come: [RoutedRows?]
    if let begun = routed {
      come = begun
    } else {
      let parts = state.loadRouted(tensor, of: collective)
      come = parts.indices.map { $0 == own ? parts[own] : nil }
      for (place, part) in parts.enumerated() where place != own {
        send(
          part.elements, to: group[place], step: index, collective.traffic,
          elementByteCount: collective.elementByteCount, stream: step.stream, rows: part, network)
      }
    }
    for place in group.indices where come[place] == nil {
      guard let message = network.take(at: number, from: group[place], stream: stream) else {
        routed = come
        return false
      }
      try checkMeeting(message, from: group[place], index, of: program)
      guard let rows = message.rows else {
        throw .size(rank: number, step: index, what: step, expected: 0, found: message.elements.count)
      }
      for tag in rows.tags where !state.expects(tag, tensor, of: collective) {
        throw .misrouted(rank: number, step: index, what: step, sender: group[place], experts: tag.experts)
      }
      come[place] = rows
    }
    routed = nil
    state.storeRouted(come.compactMap(\.self), tensor, of: collective)
    return true
  }

  /// The rank whose rows a routed exchange waits for.
  func awaitedSender(of collective: Collective) -> Int? {
    guard let routed, let place = routed.firstIndex(where: { $0 == nil }) else { return nil }
    return collective.group[place]
  }
}
