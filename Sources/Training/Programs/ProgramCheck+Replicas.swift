import Documents

/// What ranks exchange, with whom, of what size and how often, against the strategy.
extension ProgramCheck {
  /// Collectives run over the groups of their kind, and are of their tensors' sizes.
  func groups(of program: RankProgram) throws(ProgramDefect) {
    let tensorGroup = mesh.group(along: .tensor, containing: program.rank).ranks
    for (index, step) in program.steps.enumerated() {
      guard case .collective(let collective) = step.operation else { continue }
      guard collective.group.contains(program.rank) else { throw .notAMember(place(program, index)) }
      let group: [Int], elements: Int
      switch collective.operand {
      case .arrived: (group, elements) = (tensorGroup, shape.sentElementCount)
      // What heads are made of is as wide as the recipe says.
      case .branch where shape.job.model.latent != nil: continue
      case .stream, .branch, .columnInput: (group, elements) = (tensorGroup, shape.activationElementCount)
      // Group and size are compared with the recipe's.
      case .attention, .routed, .joined, .columns: continue
      case .tokenMaximum, .tokenTarget, .tokenSum: (group, elements) = (tensorGroup, shape.tokenCount)
      case .exchanged(let exchange, let part, _):
        let own = shape.collectives(of: exchange, part: part, rank: program.rank).first {
          $0.operand == collective.operand && $0.quantisation == collective.quantisation
        }
        // Which of them there should be is counted below.
        guard let own else { continue }
        (group, elements) = (own.group, own.elementCount)
      }
      guard collective.group == group else { throw .noGroup(place(program, index), group: collective.group) }
      guard collective.elementCount == elements else { throw .elements(place(program, index), expected: elements) }
    }
  }

  // MARK: How often

  /// Gradients and weights are exchanged as often as the strategy says, in the way it says.
  func exchanges(of program: RankProgram) throws(ProgramDefect) {
    var found: [Way: Int] = [:]
    for step in program.steps {
      guard case .collective(let collective) = step.operation, case .exchanged = collective.operand else { continue }
      found[Way(collective), default: 0] += 1
    }
    let expected = expectedExchanges(rank: program.rank)
    // In an order of their own: that of a set differs from run to run.
    for way in Set(found.keys).union(expected.keys).sorted(by: { "\($0)" < "\($1)" }) {
      let wanted = expected[way] ?? 0, got = found[way] ?? 0
      if wanted != got {
        throw .exchanges(way.operand, way.kind, way.quantisation, rank: program.rank, expected: wanted, found: got)
      }
    }
  }

  /// What is exchanged, and how.
  private struct Way: Hashable {
    let operand: Operand
    let kind: CollectiveKind
    let quantisation: Quantisation?

    init(_ collective: Collective) {
      operand = collective.operand
      kind = collective.kind
      quantisation = collective.quantisation
    }
  }

  private func expectedExchanges(rank: Int) -> [Way: Int] {
    let held = shape.parameters(ofRank: rank).entries.map(\.part)
    var expected: [Way: Int] = [:]
    for moment in Moment.allCases {
      let times = shape.count(of: moment, in: stretch)
      guard times > 0 else { continue }
      for exchange in shape.exchanges(at: moment) {
        for part in shape.parts(of: exchange, held: held) {
          for collective in shape.collectives(of: exchange, part: part, rank: rank) {
            expected[Way(collective), default: 0] += (part.map { shape.count(of: moment, $0) } ?? 1) * times
          }
        }
      }
    }
    return expected
  }

  // MARK: The secondary copy

  /// Slices of the secondary copy are kept once of every part in an iteration, after its first gather and before any gather
  /// from them, and dropped once, before the parameters change and after the last.
  func secondary(of program: RankProgram) throws(ProgramDefect) {
    let hasSecondary = shape.sharding.secondaryDegree != nil
    var gathered: Set<ModelPart> = [], kept: Set<ModelPart> = []
    var drops = 0, keptCount = 0
    for (index, step) in program.steps.enumerated() {
      switch step.operation {
      case .compute(.keepSecondary(let part)):
        guard gathered.contains(part), drops == 0, kept.insert(part).inserted else {
          throw .secondary(place(program, index))
        }
      case .compute(.dropSecondary):
        guard hasSecondary else { throw .secondary(place(program, index)) }
        drops += 1
      case .compute(.updateParameters):
        guard drops == (hasSecondary ? 1 : 0) else { throw .secondary(place(program, index)) }
        keptCount += kept.count
        (gathered, kept, drops) = ([], [], 0)
      case .collective(let collective):
        guard hasSecondary, case .exchanged(let exchange, let part?, _) = collective.operand,
          exchange.content == .weights
        else { continue }
        let fits = exchange.family == .secondary ? kept.contains(part) && drops == 0 : gathered.insert(part).inserted
        guard fits else { throw .secondary(place(program, index)) }
      default: continue
      }
    }
    let stage = mesh.coordinate(ofRank: program.rank, along: .pipeline)
    let expected = hasSecondary ? shape.parameters(ofStage: stage).entries.count * shape.iterationCount(stretch) : 0
    keptCount += kept.count
    guard keptCount == expected, drops == 0 else {
      throw .once("keeps secondary slices", rank: program.rank, count: keptCount, expected: expected)
    }
  }
}
