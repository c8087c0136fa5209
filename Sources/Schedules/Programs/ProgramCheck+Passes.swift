import Documents

/// What a rank computes and exchanges, against its schedule and strategy.
extension ProgramCheck {
  /// The passes of a rank, in the schedule's order.
  func passes(of program: RankProgram) throws(ProgramDefect) {
    let expected = shape.schedule.steps(ofStage: layout.coordinates(ofRank: program.rank).stage)
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
    let stage = layout.coordinates(ofRank: program.rank).stage
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
    guard pass.pass == .backward else {
      return parts.flatMap { part in part.pieces.map { .forward($0, part, microBatch: microBatch) } }
    }
    return parts.reversed().flatMap { part -> [Computation] in
      var again: [Computation] = []
      if shape.recomputes(part) {
        again = part.pieces.map { .recompute($0, part, microBatch: microBatch) }
      }
      return again + part.backwardPieces.map { .backward($0, part, microBatch: microBatch) }
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
    let d = layout.dataDegree
    guard averages == (d > 1 ? [d] : []) else { throw .average(rank: program.rank, expected: d, found: averages) }
    for (what, count, expected) in [
      ("sums the scalars", sums, 1), ("clips the gradient", clips, shape.maximumGradientNorm == nil ? 0 : 1),
      ("updates the parameters", updates, 1),
    ] where count != expected {
      throw .once(what, rank: program.rank, count: count, expected: expected)
    }
  }

  /// Gradients and weights are exchanged as often as the ZeRO stage says, in the way it says.
  func exchanges(of program: RankProgram) throws(ProgramDefect) {
    var found: [Exchange: Int] = [:]
    for step in program.steps {
      guard case .collective(let it) = step.operation, it.operand.isOfParameters else { continue }
      found[Exchange(operand: it.operand, kind: it.kind), default: 0] += 1
    }
    let expected = expectedExchanges(rank: program.rank)
    // In an order of their own: that of a set differs from run to run.
    for exchange in Set(found.keys).union(expected.keys).sorted(by: { "\($0)" < "\($1)" }) {
      let wanted = expected[exchange] ?? 0, got = found[exchange] ?? 0
      if wanted != got {
        throw .exchanges(exchange.operand, exchange.kind, rank: program.rank, expected: wanted, found: got)
      }
    }
  }

  private struct Exchange: Hashable {
    let operand: Operand
    let kind: CollectiveKind
  }

  private func expectedExchanges(rank: Int) -> [Exchange: Int] {
    let stage = layout.coordinates(ofRank: rank).stage, strategy = shape.strategy
    let m = shape.schedule.microBatchCount, isReplicated = layout.dataDegree > 1
    let parts = shape.parameters(ofStage: stage).entries.map(\.part)
    var expected: [Exchange: Int] = [:]
    func add(_ operand: Operand, _ kind: CollectiveKind, _ count: Int) {
      expected[Exchange(operand: operand, kind: kind), default: 0] += count
    }
    if layout.worldSize > 1 { add(.scalars, .allReduce, 1) }
    guard strategy.zeroStage >= .gradients else {
      if parts.contains(where: { shape.partialGradientCount(of: $0) > 0 }) { add(.replicatedGradients, .allReduce, 1) }
      if shape.copiesTiedMatrix, stage == 0 || stage == layout.pipelineDegree - 1 {
        add(.tiedMatrixGradient, .allReduce, 1)
      }
      if isReplicated {
        add(.allGradients, strategy.zeroStage == .none ? .allReduce : .reduceScatter, 1)
        if strategy.zeroStage == .optimizer { add(.allWeights, .allGather, 1) }
      }
      return expected
    }
    for part in parts {
      if shape.partialGradientCount(of: part) > 0 { add(.replicatedGradientsOf(part), .allReduce, m) }
      add(.gradient(part), .reduceScatter, m)
      guard isReplicated else { continue }
      // Forward and backward; a tied head on the embedding's stage needs the embedding's matrix as well.
      let sharesMatrix = part == .embedding && !shape.headOwnsMatrix
      add(.weights(part), .allGather, strategy.zeroStage == .weights ? m * (sharesMatrix ? 4 : 2) : 1)
    }
    return expected
  }
}

extension ModelPart {
  /// The part's pieces, in the order of a forward pass.
  var pieces: [ModelPiece] {
    switch self {
    case .embedding: [.embeddingRows, .embeddingOutput]
    case .layer:
      [.attentionNorm, .attentionCore, .attentionOutput, .feedForwardNorm, .feedForwardCore, .feedForwardOutput]
    case .head: [.finalNorm, .logits, .exponentials, .loss]
    }
  }

  /// Those that run backward, in that order; the exponentials go with the loss.
  var backwardPieces: [ModelPiece] { pieces.reversed().filter { $0 != .exponentials } }
}

extension Operand {
  /// Whether it is of parameters or of the iteration, and not of a pass.
  fileprivate var isOfParameters: Bool {
    switch self {
    case .stream, .branch, .columnInput, .tokenMaximum, .tokenTarget, .tokenSum, .arrived: false
    default: true
    }
  }
}
