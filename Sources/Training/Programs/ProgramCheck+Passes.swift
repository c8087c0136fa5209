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

  /// What is done once an iteration.
  func ending(of program: RankProgram) throws(ProgramDefect) {
    var averages: [Int] = []
    var sums = 0, clips = 0, updates = 0
    for step in program.steps {
      switch step.operation {
      case .compute(.averageGradients(let count)): averages.append(count)
      case .compute(.sumScalars): sums += 1
      case .compute(.clipGradients): clips += 1
      case .compute(.updateParameters): updates += 1
      default: continue
      }
    }
    let d = mesh.degree(of: .data)
    guard averages == (d > 1 ? [d] : []) else { throw .average(rank: program.rank, expected: d, found: averages) }
    for (what, count, expected) in [
      ("sums the scalars", sums, 1), ("clips the gradient", clips, shape.maximumGradientNorm == nil ? 0 : 1),
      ("updates the parameters", updates, 1),
    ] where count != expected {
      throw .once(what, rank: program.rank, count: count, expected: expected)
    }
  }
}
