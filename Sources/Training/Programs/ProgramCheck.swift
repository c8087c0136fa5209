import Documents

extension IterationShape {
  /// The first thing that is wrong with the programs of all ranks; nil if nothing was found.
  ///
  /// Who holds what, who takes part in which collective in which order and of which size, which sends meet which
  /// receives, which passes run in which order and of which steps: everything that can be told without computing. What
  /// cannot, such as a piece that adds a tensor twice, shows in the numbers.
  ///
  /// - Parameter stretch: what the programs cover.
  /// - Complexity: O(steps).
  package func defect(in programs: [RankProgram], _ stretch: Stretch = .usual) -> ProgramDefect? {
    guard programs.map(\.rank) == Array(0..<mesh.worldSize) else {
      return .ranks(expected: mesh.worldSize, found: programs.map(\.rank))
    }
    let check = ProgramCheck(shape: self, programs: programs, stretch: stretch)
    do {
      try check.ownership()
      try check.expertOwnership()
      for program in programs {
        try check.waits(of: program)
        try check.groups(of: program)
        if !isZerothOrder { try check.passes(of: program) }
        try check.ending(of: program)
        try check.exchanges(of: program)
        try check.rounds(of: program)
        try check.secondary(of: program)
      }
      try check.collectivesMeet()
      try check.transfersMeet()
      // After those: where the ranks of a group differ, that is the better reason.
      for program in programs {
        if isZerothOrder {
          try check.visits(of: program)
          try check.hostTransfers(of: program)
        } else {
          try check.recipes(of: program)
        }
      }
    } catch {
      return error
    }
    return nil
  }
}

/// Rank programs against the shape that they were lowered from.
struct ProgramCheck {
  let shape: IterationShape
  let programs: [RankProgram]
  let stretch: Stretch

  var mesh: Mesh { shape.mesh }

  func place(_ program: RankProgram, _ step: Int) -> ProgramDefect.Place {
    ProgramDefect.Place(rank: program.rank, step: step, what: program.steps[step])
  }

  /// Every part of the model on exactly one stage of every replica and tensor index, the one that the ranges say.
  func ownership() throws(ProgramDefect) {
    var stages: [ModelPart: Int] = [:]
    for stage in 0..<mesh.degree(of: .pipeline) {
      for entry in shape.parameters(ofStage: stage).entries where !entry.part.isOfExperts {
        stages[entry.part] = stage
      }
    }
    var holders: [ModelPart: [Int: Int]] = [:]
    for program in programs {
      for part in program.parts where !part.isOfExperts {
        // Ranks that differ in nothing but the stage.
        let column = mesh.group(along: .pipeline, containing: program.rank).first
        if let other = holders[part]?[column] { throw .ownedTwice(part, ranks: [other, program.rank]) }
        holders[part, default: [:]][column] = program.rank
      }
    }
    for (part, stage) in stages.sorted(by: { $0.key < $1.key }) {
      for column in mesh.groups(along: .pipeline).map(\.first) {
        guard let rank = holders[part]?[column] else {
          let place = mesh.coordinates(ofRank: column)
          throw .unowned(part, replica: place[.data], tensorIndex: place[.tensor])
        }
        let found = mesh.coordinate(ofRank: rank, along: .pipeline)
        guard found == stage else {
          throw .wrongStage(part, rank: rank, stage: found, expected: stage)
        }
      }
    }
  }

  func waits(of program: RankProgram) throws(ProgramDefect) {
    for (index, step) in program.steps.enumerated() {
      for wait in step.waitsFor
      where !(0..<index).contains(wait) || program.steps[wait].stream == step.stream {
        throw .wait(place(program, index), waitsFor: wait)
      }
    }
  }

  // MARK: Counterparts

  /// On all ranks of a group the same collectives in the same order: those of one stream cannot overtake each other.
  func collectivesMeet() throws(ProgramDefect) {
    var expected: [Queue: (rank: Int, steps: [Int])] = [:]
    for program in programs {
      var queues: [Queue: [Int]] = [:]
      for (index, step) in program.steps.enumerated() {
        guard case .collective(let collective) = step.operation else { continue }
        queues[Queue(group: collective.group, stream: step.stream), default: []].append(index)
      }
      for (queue, steps) in queues.sorted(by: { $0.value[0] < $1.value[0] }) {
        guard let first = expected[queue] else {
          expected[queue] = (program.rank, steps)
          continue
        }
        try compare(steps, of: program, with: first.steps, of: programs[first.rank])
      }
      // A rank that calls for none of a group's collectives.
      for (queue, first) in inOrder(expected) where queue.group.contains(program.rank) && queues[queue] == nil {
        throw .missing(place(programs[first.rank], first.steps[0]), onRank: program.rank)
      }
    }
    for (queue, first) in inOrder(expected) {
      for rank in queue.group where rank < first.rank {
        throw .missing(place(programs[first.rank], first.steps[0]), onRank: rank)
      }
    }
  }

  /// Collectives of a group on a stream, as one rank calls for them.
  private struct Queue: Hashable {
    let group: [Int]
    let stream: ProgramStep.Stream
  }

  /// By rank and step: the order of a dictionary differs from run to run.
  private func inOrder(
    _ queues: [Queue: (rank: Int, steps: [Int])]
  ) -> [(key: Queue, value: (rank: Int, steps: [Int]))] {
    queues.sorted { ($0.value.rank, $0.value.steps[0]) < ($1.value.rank, $1.value.steps[0]) }
  }

  private func compare(
    _ steps: [Int], of program: RankProgram, with others: [Int], of other: RankProgram
  ) throws(ProgramDefect) {
    for (mine, theirs) in zip(steps, others) {
      let here = place(program, mine), there = place(other, theirs)
      guard here.what.operation != there.what.operation else { continue }
      guard case .collective(let left) = here.what.operation, case .collective(let right) = there.what.operation,
        left.kind == right.kind, left.operand == right.operand, left.elementCount != right.elementCount
      else { throw .order(there, other: here) }
      throw .size(there, other: here)
    }
    if steps.count > others.count { throw .missing(place(program, steps[others.count]), onRank: other.rank) }
    if steps.count < others.count { throw .missing(place(other, others[steps.count]), onRank: program.rank) }
  }

  /// Between two ranks, sends and receives are the same messages in the same order.
  func transfersMeet() throws(ProgramDefect) {
    struct Pair: Hashable {
      let from: Int
      let to: Int
      let stream: ProgramStep.Stream
    }
    var sends: [Pair: [Int]] = [:], receives: [Pair: [Int]] = [:]
    for program in programs {
      for (index, step) in program.steps.enumerated() {
        switch step.operation {
        case .send(let it):
          try checkPeer(it, of: place(program, index), downstream: it.source.pass == .forward, from: it.source)
          sends[Pair(from: program.rank, to: it.peer, stream: step.stream), default: []].append(index)
        case .receive(let it):
          try checkPeer(it, of: place(program, index), downstream: it.target.pass != .forward, from: it.target)
          receives[Pair(from: it.peer, to: program.rank, stream: step.stream), default: []].append(index)
        case .compute, .collective, .upload, .offload: continue
        }
      }
    }
    for (pair, steps) in sends.sorted(by: {
      ($0.key.from, $0.key.to, $0.key.stream.rawValue) < ($1.key.from, $1.key.to, $1.key.stream.rawValue)
    }) {
      let waits = receives.removeValue(forKey: pair) ?? []
      for (position, step) in steps.enumerated() {
        let sent = place(programs[pair.from], step)
        guard waits.indices.contains(position) else { throw .unreceived(sent) }
        let received = place(programs[pair.to], waits[position])
        guard case .send(let left) = sent.what.operation, case .receive(let right) = received.what.operation else {
          continue
        }
        if left.source != right.source || left.target != right.target { throw .unsent(received) }
        if left.elementCount != right.elementCount || left.elementByteCount != right.elementByteCount {
          throw .size(sent, other: received)
        }
      }
      if waits.count > steps.count { throw .unsent(place(programs[pair.to], waits[steps.count])) }
    }
    if let (pair, steps) = receives.min(by: {
      ($0.key.to, $0.key.from, $0.key.stream.rawValue) < ($1.key.to, $1.key.from, $1.key.stream.rawValue)
    }) {
      throw .unsent(place(programs[pair.to], steps[0]))
    }
  }

  /// The other end is the same place of the next or the previous virtual stage.
  private func checkPeer(
    _ transfer: Transfer, of place: ProgramDefect.Place, downstream: Bool, from pass: PipelineStep
  ) throws(ProgramDefect) {
    let group = mesh.group(along: .pipeline, containing: place.rank)
    let stage = mesh.coordinate(ofRank: place.rank, along: .pipeline)
    let here = shape.schedule.virtualStageIndex(stage: stage, chunk: pass.chunkIndex)
    let there = shape.schedule.place(ofVirtualStage: here + (downstream ? 1 : -1))
    let expected = group.rank(there?.stageIndex ?? (downstream ? 0 : group.count - 1))
    guard there != nil, transfer.peer == expected else {
      throw .neighbour(place, expected: expected)
    }
  }
}
