import Training

/// A rank's program made ready to be run: its streams, what each step is to others, and its own part of every collective.
struct PreparedProgram: Sendable {
  /// One rank's messages of one round of a collective.
  struct Round: Sendable {
    var sends: [(to: Int, range: Range<Int>)] = []
    var receipts: [(from: Int, range: Range<Int>, action: CollectiveTransfer.Action)] = []
    /// Whether everything that is to be added up in the order of ranks has come when the round ends.
    var addsCollected = false
  }

  /// A collective as one rank performs it.
  struct Share: Sendable {
    let rounds: [Round]
    /// The rank's own chunk.
    let chunk: Range<Int>
  }

  let program: RankProgram
  /// Indices of the steps of each stream, in order.
  let streams: [[Int]]
  /// Of each step: steps that belong together, on whatever ranks, have the same number.
  let identities: [Int]
  /// Of each step: its part of a collective.
  let parts: [Share?]
}

extension PreparedProgram {
  /// Makes the programs of all ranks ready.
  static func prepare(_ programs: [RankProgram]) -> [PreparedProgram] {
    var identities = Identities()
    var cache: [CollectiveShape: [Share]] = [:]
    return programs.map { program in
      var streams = [[Int]](repeating: [], count: ProgramStep.Stream.allCases.count)
      var numbers: [Int] = []
      var parts: [Share?] = []
      numbers.reserveCapacity(program.steps.count)
      parts.reserveCapacity(program.steps.count)
      for (index, step) in program.steps.enumerated() {
        streams[step.stream.index].append(index)
        numbers.append(identities.number(of: step.operation, rank: program.rank))
        guard case .collective(let collective) = step.operation,
          let member = collective.group.firstIndex(of: program.rank)
        else {
          parts.append(nil)
          continue
        }
        let shape = CollectiveShape(collective)
        if cache[shape] == nil { cache[shape] = Share.all(of: collective.schedule) }
        parts.append(cache[shape]?[member])
      }
      return PreparedProgram(program: program, streams: streams, identities: numbers, parts: parts)
    }
  }

  /// What a collective's messages depend on.
  private struct CollectiveShape: Hashable {
    let kind: CollectiveKind
    let reduction: Reduction
    let algorithm: CollectiveAlgorithm
    let rankCount: Int
    let elementCount: Int

    init(_ collective: Collective) {
      kind = collective.kind
      reduction = collective.reduction
      algorithm = collective.algorithm
      rankCount = collective.group.count
      elementCount = collective.elementCount
    }
  }

  /// Numbers for operations that meet: a collective is the same on all its ranks, a transfer at both its ends.
  private struct Identities {
    private enum Meeting: Hashable {
      case collective(Collective)
      case transfer(from: Int, to: Int, Transfer)
    }
    private var numbers: [Meeting: Int] = [:]

    /// 0 for what meets nothing.
    mutating func number(of operation: ProgramStep.Operation, rank: Int) -> Int {
      switch operation {
      case .compute: 0
      case .collective(let collective): number(.collective(collective))
      case .send(let transfer): number(.transfer(from: rank, to: transfer.peer, transfer.seen(from: 0)))
      case .receive(let transfer): number(.transfer(from: transfer.peer, to: rank, transfer.seen(from: 0)))
      }
    }

    private mutating func number(_ meeting: Meeting) -> Int {
      if let known = numbers[meeting] { return known }
      numbers[meeting] = numbers.count + 1
      return numbers.count
    }
  }
}

extension Transfer {
  /// The same with another rank at the other end.
  fileprivate func seen(from peer: Int) -> Transfer {
    Transfer(
      peer: peer, source: source, target: target, elementCount: elementCount, elementByteCount: elementByteCount)
  }
}

extension PreparedProgram.Share {
  /// Every rank's part of a collective.
  static func all(of schedule: CollectiveSchedule) -> [Self] {
    let roundCount = (schedule.transfers.last?.stepIndex ?? -1) + 1
    let silent = [PreparedProgram.Round](repeating: PreparedProgram.Round(), count: roundCount)
    var rounds = [[PreparedProgram.Round]](repeating: silent, count: schedule.rankCount)
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

extension ProgramStep.Stream {
  /// Its place among all streams.
  var index: Int {
    switch self {
    case .compute: 0
    case .tensor: 1
    case .pipeline: 2
    case .data: 3
    }
  }
}
