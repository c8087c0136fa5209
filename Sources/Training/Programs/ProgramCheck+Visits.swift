import Documents

/// What a rank does in an iteration of zeroth-order training: its visits of parts, the steps of their weights, and their ways
/// from the host and back.
extension ProgramCheck {
  /// Everything that is computed in visits, in order; the losses; and then each resident part's step, in any order.
  func visits(of program: RankProgram) throws(ProgramDefect) {
    var due = ArraySlice(expectedVisits(of: program))
    var residents = Set(program.parts.filter { !shape.isHosted($0) })
    var updated: Set<ModelPart> = []
    var summed: Int?, projected: Int?, exchanged: Int?
    for (index, step) in program.steps.enumerated() {
      let here = place(program, index)
      switch step.operation {
      case .compute(.update(let part, let losses)):
        guard program.parts.contains(part) else { throw .foreign(here, part) }
        guard updated.insert(part).inserted else { throw .updatedTwice(here) }
        guard losses == (shape.isHosted(part) ? .ofLastIteration : .ofThisIteration) else { throw .otherLosses(here) }
        if residents.remove(part) != nil {
          guard projected != nil else { throw .notDue(here, due: due.first) }
          continue
        }
      case .compute(.sumLosses): summed = index
      case .compute(.projectGradient):
        // A single rank has nothing to exchange, and exchanges are counted elsewhere.
        if let exchanged { try require(index, of: program, after: exchanged) }
        projected = index
      case .collective(let collective):
        if case .exchanged(let exchange, _, _) = collective.operand, exchange.content == .scalars {
          guard let summed else { throw .notDue(here, due: due.first) }
          try require(index, of: program, after: summed)
          exchanged = index
        }
        guard collective.operand.isOfRecipe else { continue }
      case .compute(.dropWeights(let part)) where !shape.isHosted(part):
        // Gathered weights of a part that stays on the device, counted with their gathers.
        continue
      case .send, .receive, .upload, .offload: continue
      case .compute: break
      }
      guard step.operation == due.first else { throw mistake(here, due: due) }
      due.removeFirst()
    }
    if let next = due.first { throw .undone(next, rank: program.rank) }
    if let part = residents.min() {
      throw .undone(.compute(.update(part, with: .ofThisIteration)), rank: program.rank)
    }
  }

  private func mistake(
    _ place: ProgramDefect.Place, due: ArraySlice<ProgramStep.Operation>
  ) -> ProgramDefect {
    switch (place.what.operation, due.first) {
    case (.collective(let found), .collective(let wanted)?)
    where (found.kind, found.operand) == (wanted.kind, wanted.operand):
      .unlike(place, expected: wanted)
    default: .notDue(place, due: due.first)
    }
  }

  /// What is computed in visits and with their losses, with the collectives of the tensor group.
  private func expectedVisits(of program: RankProgram) -> [ProgramStep.Operation] {
    let group = mesh.group(along: .tensor, containing: program.rank)
    let stage = mesh.coordinate(ofRank: program.rank, along: .pipeline)
    let parts = shape.parts(ofVirtualStage: stage)
    var due: [ProgramStep.Operation] = []
    func evaluate(_ part: ModelPart, _ microBatches: Range<Int>, _ evaluation: ZerothOrder.Evaluation) {
      let usesEmbedding = part == .head && !shape.headOwnsMatrix
      for moved in usesEmbedding ? [.embedding, part] : [part] { due.append(.compute(.perturb(moved, evaluation))) }
      for microBatch in microBatches {
        for step in shape.steps(of: part, .forward) {
          switch step {
          case .piece(let piece, _):
            due.append(.compute(.evaluate(piece, part, microBatch: microBatch, evaluation)))
          case .collective(let it): if group.count > 1 { due.append(.collective(shape.collective(it, over: group))) }
          }
        }
      }
    }
    let passes = shape.schedule.stageCount > 1 ? shape.schedule.steps(ofStage: stage) : []
    for (number, microBatches) in shape.visitedMicroBatches.enumerated() {
      if !passes.isEmpty { due.append(.compute(.beginPass(passes[number]))) }
      for part in parts {
        let isHosted = shape.isHosted(part)
        if isHosted, number == 0 { due.append(.compute(.update(part, with: .ofLastIteration))) }
        for evaluation in shape.evaluations(ofRank: program.rank) { evaluate(part, microBatches, evaluation) }
        if isHosted, number > 0 { due.append(.compute(.dropWeights(part))) }
      }
      if !passes.isEmpty { due.append(.compute(.endPass(passes[number]))) }
    }
    return due + [.compute(.sumLosses), .compute(.projectGradient)]
  }

  // MARK: From the host and back

  /// The steps of one visit of a part that lies on the host, as indices into the program.
  private struct HostedVisit {
    var upload: Int
    var gather: Int?
    var firstComputation: Int?
    var lastComputation: Int?
    var release: Int?
  }

  /// Every visit of a part on the host has its upload before it, when there is a buffer for it; the first is followed by an
  /// offload, and each by whatever frees its weights.
  func hostTransfers(of program: RankProgram) throws(ProgramDefect) {
    var visits: [HostedVisit] = [], current: [ModelPart: Int] = [:], last: [ModelPart: Int] = [:]
    var counts: [ModelPart: (uploads: Int, offloads: Int)] = [:]
    for (index, step) in program.steps.enumerated() {
      switch step.operation {
      case .upload(let it):
        try check(it, of: program, index)
        counts[it.part, default: (0, 0)].uploads += 1
        // One in the air for each part: another may begin when what the last has brought is given up.
        guard current[it.part] == nil else { throw .notDue(place(program, index), due: nil) }
        for earlier in [last[it.part], visits.count - IterationShape.blockBufferCount] {
          if let earlier, earlier >= 0 { try require(index, of: program, after: visits[earlier].release) }
        }
        current[it.part] = visits.count
        last[it.part] = visits.count
        visits.append(HostedVisit(upload: index))
      case .offload(let it):
        try check(it, of: program, index)
        counts[it.part, default: (0, 0)].offloads += 1
        guard let visit = current.removeValue(forKey: it.part) else { throw .notDue(place(program, index), due: nil) }
        try require(index, of: program, after: visits[visit].lastComputation)
        visits[visit].release = index
      case .collective(let collective):
        guard case .exchanged(let exchange, let part?, _) = collective.operand, exchange.content == .weights,
          shape.isHosted(part)
        else { continue }
        guard let visit = current[part] else { throw .notUploaded(place(program, index), part) }
        try require(index, of: program, after: visits[visit].upload)
        visits[visit].gather = index
      case .compute(let computation):
        guard let part = computation.visitedPart, shape.isHosted(part) else { continue }
        guard let visit = current[part] else { throw .notUploaded(place(program, index), part) }
        if visits[visit].firstComputation == nil {
          visits[visit].firstComputation = index
          if shape.sharding.weightDegree > 1, visits[visit].gather == nil {
            throw .notUploaded(place(program, index), part)
          }
          try require(index, of: program, after: visits[visit].gather ?? visits[visit].upload)
        }
        visits[visit].lastComputation = index
        if case .dropWeights = computation {
          visits[visit].release = index
          current[part] = nil
        }
      case .send, .receive: continue
      }
    }
    for part in program.parts where shape.isHosted(part) {
      let found = counts[part] ?? (0, 0), expected = (uploads: shape.visitedMicroBatches.count, offloads: 1)
      guard found == expected else {
        throw .hostTransfers(
          part, rank: program.rank, uploads: found.uploads, offloads: found.offloads,
          expected: expected.uploads)
      }
    }
  }

  /// A transfer is of the rank's slice of a part that lies on the host.
  private func check(_ it: HostTransfer, of program: RankProgram, _ index: Int) throws(ProgramDefect) {
    guard program.parts.contains(it.part) else { throw .foreign(place(program, index), it.part) }
    guard shape.isHosted(it.part) else { throw .notDue(place(program, index), due: nil) }
    let own = shape.hostTransfer(of: it.part, rank: program.rank)
    guard it == own else { throw .elements(place(program, index), expected: own.elementCount) }
  }

  /// A step begins after another one has ended: on the same stream it follows it, otherwise it waits for it or for one that
  /// follows it.
  func require(_ step: Int, of program: RankProgram, after other: Int?) throws(ProgramDefect) {
    guard let other else { throw .notDue(place(program, step), due: nil) }
    let steps = program.steps
    if steps[step].stream == steps[other].stream, step > other { return }
    guard steps[step].waitsFor.contains(where: { $0 >= other && steps[$0].stream == steps[other].stream }) else {
      throw .unordered(place(program, step), after: place(program, other))
    }
  }
}

extension Computation {
  /// The part whose weights a visit works on.
  fileprivate var visitedPart: ModelPart? {
    switch self {
    case .update(let part, _), .perturb(let part, _), .dropWeights(let part): part
    default: nil
    }
  }
}
