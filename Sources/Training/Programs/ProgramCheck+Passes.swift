import Documents

/// What a rank computes, against its schedule.
extension ProgramCheck {
  /// The passes of a rank, in the schedule's order.
  func passes(of program: RankProgram) throws(ProgramDefect) {
    let iteration = shape.schedule.steps(ofStage: mesh.coordinate(ofRank: program.rank, along: .pipeline))
    let expected = (0..<shape.iterationCount(stretch)).flatMap { _ in iteration }
    for isEnd in [false, true] {
      let found = program.steps.compactMap { step -> PipelineStep? in
        switch step.operation {
        case .compute(.beginPass(let pass)): isEnd ? nil : pass
        case .compute(.endPass(let pass)): isEnd ? pass : nil
        default: nil
        }
      }
      for position in 0..<max(expected.count, found.count) {
        let wanted = position < expected.count ? expected[position] : nil
        let got = position < found.count ? found[position] : nil
        guard wanted == got else {
          throw .schedule(rank: program.rank, position: position, expected: wanted, found: got)
        }
      }
    }
  }

  /// The steps of the recipe, pieces and collectives of the tensor group, of every part that the rank holds: each once in
  /// each pass, in the order of the model, inside its pass. A forward pass and one that goes back may run beside each other.
  func recipes(of program: RankProgram) throws(ProgramDefect) {
    let place = mesh.coordinates(ofRank: program.rank)
    var lanes = (forward: Lane(), back: Lane()), isForward = true
    for (index, step) in program.steps.enumerated() {
      if let goesForward = step.computation?.goesForward { isForward = goesForward }
      var (pass, remaining) =
        isForward ? (lanes.forward.pass, lanes.forward.remaining) : (lanes.back.pass, lanes.back.remaining)
      defer {
        let lane = Lane(pass: pass, remaining: remaining)
        if isForward { lanes.forward = lane } else { lanes.back = lane }
      }
      switch step.operation {
      case .compute(.beginPass(let begun)):
        pass = begun
        remaining = ArraySlice(expectedSteps(of: begun, stage: place[.pipeline], rank: program.rank))
      case .compute(.endPass):
        if let next = remaining.first { throw skipped(next, in: pass, at: self.place(program, index)) }
        pass = nil
      case .compute(.forward(_, let part, _)), .compute(.recompute(_, let part, _)),
        .compute(.backward(_, let part, _)), .compute(.inputGradient(_, let part, _)),
        .compute(.weightGradient(_, let part, _)):
        guard program.parts.contains(part) else { throw .foreign(self.place(program, index), part) }
        guard step.operation != remaining.first else {
          remaining.removeFirst()
          continue
        }
        // What was due before is missing if this is still to come.
        guard let next = remaining.first, remaining.contains(step.operation) else {
          throw .repeated(self.place(program, index))
        }
        throw skipped(next, in: pass, at: self.place(program, index))
      case .collective(let collective) where collective.operand.isOfRecipe:
        guard step.operation != remaining.first else {
          remaining.removeFirst()
          continue
        }
        let here = self.place(program, index)
        if case .collective(let due) = remaining.first, (due.kind, due.operand) == (collective.kind, collective.operand)
        {
          throw .unlike(here, expected: due)
        }
        // Collectives of a pass look alike. If the piece that is due still follows, this one is one too many.
        if let next = remaining.first, !program.steps[index...].contains(where: { $0.operation == next }) {
          throw skipped(next, in: pass, at: here)
        }
        throw .notDue(here, due: remaining.first)
      default: continue
      }
    }
  }

  /// What is still to come of the pass that runs forward, or of the one that goes back.
  private struct Lane {
    var pass: PipelineStep?
    var remaining: ArraySlice<ProgramStep.Operation> = []
  }

  /// That a pass went on without a step of the recipe.
  private func skipped(
    _ step: ProgramStep.Operation, in pass: PipelineStep?, at place: ProgramDefect.Place
  ) -> ProgramDefect {
    switch (step, pass) {
    case (.compute(.forward(let piece, let part, _)), let pass?),
      (.compute(.recompute(let piece, let part, _)), let pass?),
      (.compute(.backward(let piece, let part, _)), let pass?),
      (.compute(.inputGradient(let piece, let part, _)), let pass?),
      (.compute(.weightGradient(let piece, let part, _)), let pass?):
      .uncomputed(piece, part, rank: place.rank, pass: pass)
    default: .notDue(place, due: step)
    }
  }

  private func expectedSteps(of pass: PipelineStep, stage: Int, rank: Int) -> [ProgramStep.Operation] {
    let parts = shape.parts(
      ofVirtualStage: shape.schedule.virtualStageIndex(stage: stage, chunk: pass.chunkIndex))
    func steps(_ recipePass: Recipe.Pass, of part: ModelPart) -> [ProgramStep.Operation] {
      shape.steps(of: part, recipePass).map { step in
        switch step {
        case .piece(let piece, _):
          .compute(Computation(recipePass, of: piece, part, microBatch: pass.microBatchIndex))
        case .collective(let it):
          .collective(shape.collective(it, over: it.group(containing: rank, of: shape.strategy)))
        }
      }
    }
    let own: Recipe.Pass
    switch pass.pass {
    case .forward: return parts.flatMap { steps(.forward, of: $0) }
    case .weightGradient: return parts.reversed().flatMap { steps(.weightGradient, of: $0) }
    case .backward: own = .backward
    case .inputGradient: own = .inputGradient
    }
    return parts.reversed().flatMap { part in
      shape.passesBack(through: part, own).flatMap { steps($0, of: part) }
    }
  }

  /// What is computed once an iteration, as often as its cycle says.
  func ending(of program: RankProgram) throws(ProgramDefect) {
    func computations(_ all: [Computation?]) -> [Computation] { all.compactMap(\.self) }
    let expected = computations(shape.cycle(stretch).map { if case .compute(let it) = $0 { it } else { nil } })
    let found = computations(program.steps.map { if case .compute(let it) = $0.operation { it } else { nil } })
    func averages(_ all: [Computation]) -> [Int] {
      all.compactMap { if case .averageGradients(let count) = $0 { count } else { nil } }
    }
    guard averages(found) == averages(expected) else {
      throw .average(rank: program.rank, expected: mesh.replicaCount, found: averages(found))
    }
    func workers(_ all: [Computation]) -> [Int] {
      all.compactMap { if case .outerStep(let count) = $0 { count } else { nil } }
    }
    guard workers(found) == workers(expected) else {
      throw .outerMean(rank: program.rank, expected: workers(expected), found: workers(found))
    }
    for (what, computation) in [
      ("sums the scalars", Computation.sumScalars), ("clips the gradient", .clipGradients),
      ("updates the parameters", .updateParameters), ("takes what its worker has moved by", .takeProgress),
      ("returns to the anchor", .returnToAnchor),
    ] {
      func count(_ all: [Computation]) -> Int { all.count { $0 == computation } }
      guard count(found) == count(expected) else {
        throw .once(what, rank: program.rank, count: count(found), expected: count(expected))
      }
    }
  }
}

extension RoutedTensor {
  /// Whether a forward pass sends it, or what computes one again.
  package var isOfForward: Bool { [.tokens, .weights, .outputs].contains(self) }
}

extension Operand {
  /// Whether collectives of recipes work on it.
  var isOfRecipe: Bool {
    switch self {
    case .stream, .branch, .columnInput, .tokenMaximum, .tokenTarget, .tokenSum, .attention, .routed, .joined, .columns:
      true
    case .arrived, .exchanged: false
    }
  }
}
