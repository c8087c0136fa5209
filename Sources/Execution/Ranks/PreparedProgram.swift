import Training

/// A rank's program made ready to be run: its streams, and what each step is to others.
struct PreparedProgram: Sendable {
  let program: RankProgram
  /// Indices of the steps of each stream, in order.
  let streams: [[Int]]
  /// Of each step: steps that belong together, on whatever ranks, have the same number.
  let identities: [Int]
}

extension PreparedProgram {
  /// Makes programs ready that are run together.
  static func prepare(_ programs: [RankProgram]) -> [PreparedProgram] {
    var identities = Identities()
    return programs.map { program in
      var streams = [[Int]](repeating: [], count: ProgramStep.Stream.allCases.count)
      var numbers: [Int] = []
      numbers.reserveCapacity(program.steps.count)
      for (index, step) in program.steps.enumerated() {
        streams[step.stream.index].append(index)
        numbers.append(identities.number(of: step.operation, rank: program.rank))
      }
      return PreparedProgram(program: program, streams: streams, identities: numbers)
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
      case .compute, .upload, .offload: 0
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

extension ProgramStep.Stream {
  /// Its place among all streams.
  var index: Int {
    switch self {
    case .compute: 0
    case .tensor: 1
    case .pipeline: 2
    case .data: 3
    case .upload: 4
    case .offload: 5
    case .outer: 6
    case .gradients: 7
    case .context: 8
    case .experts: 9
    }
  }
}
