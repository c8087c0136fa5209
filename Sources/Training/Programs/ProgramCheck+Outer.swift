import Documents

/// Rounds of workers: what is summed when, and what the outer step goes by.
extension ProgramCheck {
  /// Steps of the optimizer and of the outer step come in the order of the round; what workers have moved by is summed beside
  /// all of a round where steps are late, or after it, and waited for.
  ///
  /// How often it is summed, over whom, and by how many workers it is divided, are told of all exchanges and computations.
  func rounds(of program: RankProgram) throws(ProgramDefect) {
    guard shape.strategy.update == .outer else { return }
    let found = program.steps.indices.filter { program.steps[$0].computation?.isOfRounds ?? false }
    let expected = shape.cycle(stretch).compactMap { phase -> Computation? in
      if case .compute(let it) = phase, it.isOfRounds { it } else { nil }
    }
    for position in 0..<max(found.count, expected.count) {
      let wanted = position < expected.count ? expected[position] : nil
      let got = position < found.count ? program.steps[found[position]].computation : nil
      guard wanted == got else {
        throw .round(rank: program.rank, position: position, expected: wanted, found: got)
      }
    }
    func first(_ matches: (Computation) -> Bool) -> Int? {
      // A closure in a closure here ends the optimising compiler (6.3.1).
      for index in found {
        if let computation = program.steps[index].computation, matches(computation) { return index }
      }
      return nil
    }
    let taken = first { $0 == .takeProgress }
    let stepped = first { if case .outerStep = $0 { true } else { false } }
    let firstComputation = program.steps.firstIndex { $0.computation != nil }
    for (index, step) in program.steps.enumerated() where step.isOfProgress {
      if shape.isLate {
        // In flight beside all of the round, it is of what the last one has left; then that is taken anew.
        guard step.stream == .outer, index < firstComputation ?? 0 else { throw .notBeside(place(program, index)) }
        try require(taken ?? stepped ?? index, of: program, after: index)
      } else {
        try require(index, of: program, after: taken)
        try require(stepped ?? index, of: program, after: index)
      }
    }
    // Nothing is gathered between the optimizer's last step and the outer one.
    let last = found.last ?? 0
    let lastUpdate = found.last { program.steps[$0].computation == .updateParameters } ?? 0
    var gather: Int?
    for (index, step) in program.steps.enumerated() where index > lastUpdate && step.gathersUpdatedWeights {
      // Gathers follow each other on their stream.
      if gather == nil { try require(index, of: program, after: last) }
      gather = index
    }
  }
}

extension ProgramStep {
  var computation: Computation? { if case .compute(let it) = operation { it } else { nil } }

  fileprivate var isOfProgress: Bool { content == .progress }

  fileprivate var gathersUpdatedWeights: Bool { content == .updatedWeights }

  private var content: Exchange.Content? {
    guard case .collective(let collective) = operation, case .exchanged(let exchange, _, _) = collective.operand else {
      return nil
    }
    return exchange.content
  }
}

extension Computation {
  /// Whether it is one of those between which a round turns.
  fileprivate var isOfRounds: Bool {
    switch self {
    case .updateParameters, .takeProgress, .returnToAnchor, .outerStep: true
    default: false
    }
  }
}
