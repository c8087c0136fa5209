import Training

/// A collective as one rank performs it on numbers.
struct CollectiveShare: Sendable {
  /// One rank's messages of one round of a collective.
  struct Round: Sendable {
    var sends: [(to: Int, range: Range<Int>)] = []
    var receipts: [(from: Int, range: Range<Int>, action: CollectiveTransfer.Action)] = []
    /// Whether everything that is to be added up in the order of ranks has come when the round ends.
    var addsCollected = false
  }

  let rounds: [Round]
  /// The rank's own chunk.
  let chunk: Range<Int>
}

extension CollectiveShare {
  /// Of every program, by step: its rank's part of the collective; nil where the step
  /// is none, or the rank is not in the group.
  static func shares(of programs: [RankProgram]) -> [[CollectiveShare?]] {
    var known: [CollectiveShape: [CollectiveShare]] = [:]
    return programs.map { program in
      program.steps.map { step in
        guard case .collective(let collective) = step.operation,
          let member = collective.group.firstIndex(of: program.rank)
        else { return nil }
        let shape = CollectiveShape(collective)
        if known[shape] == nil { known[shape] = all(of: collective.schedule) }
        return known[shape]?[member]
      }
    }
  }

  /// What a collective's messages depend on.
  private struct CollectiveShape: Hashable {
    let kind: CollectiveKind
    let reduction: Reduction
    let route: Route
    let rankCount: Int
    let elementCount: Int

    init(_ collective: Collective) {
      kind = collective.kind
      reduction = collective.reduction
      route = collective.route
      rankCount = collective.group.count
      elementCount = collective.elementCount
    }
  }
}

extension CollectiveShare {
  /// Every rank's part of a collective.
  static func all(of schedule: CollectiveSchedule) -> [Self] {
    let roundCount = (schedule.transfers.last?.stepIndex ?? -1) + 1
    let silent = [Round](repeating: Round(), count: roundCount)
    var rounds = [[Round]](repeating: silent, count: schedule.rankCount)
    for transfer in schedule.transfers {
      rounds[transfer.fromRank][transfer.stepIndex].sends.append((transfer.toRank, transfer.elementRange))
      let first = transfer.destinationIndex
      rounds[transfer.toRank][transfer.stepIndex].receipts.append(
        (transfer.fromRank, first..<first + transfer.elementRange.count, transfer.action))
    }
    for step in schedule.additionSteps where step < roundCount {
      for rank in rounds.indices { rounds[rank][step].addsCollected = true }
    }
    return rounds.enumerated().map { rank, rounds in
      // Rounds in which a rank is idle cost it nothing.
      Self(
        rounds: rounds.filter { !$0.sends.isEmpty || !$0.receipts.isEmpty || $0.addsCollected },
        chunk: schedule.chunk(rank))
    }
  }
}
