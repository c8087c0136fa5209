import Documents

/// What a rank computes, against its schedule.
extension ProgramCheck {
  /// The passes of a rank, in the schedule's order.
  func passes(of program: RankProgram) throws(ProgramDefect) {
    let expected = shape.schedule.steps(ofStage: mesh.coordinate(ofRank: program.rank, along: .pipeline))
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

  /// Every piece of every part that the rank holds once in each pass, in the order of the model, inside its pass.
  func pieces(of program: RankProgram) throws(ProgramDefect) {
    let stage = mesh.coordinate(ofRank: program.rank, along: .pipeline)
    var pass: PipelineStep?
    var remaining: ArraySlice<Computation> = []
    for (index, step) in program.steps.enumerated() {
      guard case .compute(let computation) = step.operation else { continue }
      switch computation {
      case .beginPass(let begun):
        pass = begun
        remaining = ArraySlice(expectedPieces(of: begun, stage: stage))
      case .endPass:
        if let pass, let left = remaining.first { throw uncomputed(left, program.rank, pass) }
        pass = nil
      case .forward(_, let part, _), .recompute(_, let part, _), .backward(_, let part, _):
        guard program.parts.contains(part) else { throw .foreign(place(program, index), part) }
        guard let pass, let next = remaining.first else { throw .repeated(place(program, index)) }
        if computation != next {
          // What was due before is missing if this is still to come.
          throw remaining.contains(computation)
            ? uncomputed(next, program.rank, pass) : .repeated(place(program, index))
        }
        remaining.removeFirst()
      default: continue
      }
    }
  }

  private func uncomputed(_ computation: Computation, _ rank: Int, _ pass: PipelineStep) -> ProgramDefect {
    switch computation {
    case .forward(let piece, let part, _), .recompute(let piece, let part, _), .backward(let piece, let part, _):
      .uncomputed(piece, part, rank: rank, pass: pass)
    default: .schedule(rank: rank, position: 0, expected: pass, found: nil)
    }
  }

  private func expectedPieces(of pass: PipelineStep, stage: Int) -> [Computation] {
    let microBatch = pass.microBatchIndex
    let parts = shape.parts(
      ofVirtualStage: shape.schedule.virtualStageIndex(stage: stage, chunk: pass.chunkIndex))
    func pieces(_ pass: Recipe.Pass, of part: ModelPart) -> [Computation] {
      shape.steps(part.kind, pass).compactMap { step in
        guard case .piece(let piece, _) = step else { return nil }
        return Computation(pass, of: piece, part, microBatch: microBatch)
      }
    }
    guard pass.pass == .backward else { return parts.flatMap { pieces(.forward, of: $0) } }
    return parts.reversed().flatMap { part in
      (shape.recomputes(part) ? pieces(.recompute, of: part) : []) + pieces(.backward, of: part)
    }
  }

  /// What is computed once an iteration, as often as its cycle says.
  func ending(of program: RankProgram) throws(ProgramDefect) {
    func computations(_ all: [Computation?]) -> [Computation] { all.compactMap(\.self) }
    let expected = computations(shape.cycle.map { if case .compute(let it) = $0 { it } else { nil } })
    let found = computations(program.steps.map { if case .compute(let it) = $0.operation { it } else { nil } })
    func averages(_ all: [Computation]) -> [Int] {
      all.compactMap { if case .averageGradients(let count) = $0 { count } else { nil } }
    }
    guard averages(found) == averages(expected) else {
      throw .average(rank: program.rank, expected: mesh.degree(of: .data), found: averages(found))
    }
    for (what, computation) in [
      ("sums the scalars", Computation.sumScalars), ("clips the gradient", .clipGradients),
      ("updates the parameters", .updateParameters),
    ] {
      func count(_ all: [Computation]) -> Int { all.count { $0 == computation } }
      guard count(found) == count(expected) else {
        throw .once(what, rank: program.rank, count: count(found), expected: count(expected))
      }
    }
  }
}
