import Documents

/// Forward and backward passes.
extension ProgramLowering {
  mutating func forwardPass(_ step: PipelineStep) {
    let parts = passParts(step)
    var ahead = ArraySlice(parts)
    receive(step)
    for part in parts {
      gatherAhead(&ahead, of: part)
      keepSecondary(for: part)
      perform([.forward], of: part, in: step)
      drop(part)
      if part == .head, sharesMatrixInPlace { drop(.embedding) }
    }
    send(step)
  }

  mutating func backwardPass(_ step: PipelineStep) {
    let parts = Array(passParts(step).reversed())
    var ahead = ArraySlice(parts)
    receive(step)
    for part in parts {
      gatherAhead(&ahead, of: part)
      waitForReduction(of: part)
      if part == .head, sharesMatrixInPlace { waitForReduction(of: .embedding) }
      perform(shape.recomputes(part) ? [.recompute, .backward] : [.backward], of: part, in: step)
      drop(part)
      if part == .head, sharesMatrixInPlace { drop(.embedding) }
      reduceGradient(of: part)
    }
    send(step)
  }

  /// Appends what is done to a part in a pass of the schedule: as one step, or as the recipe has it, a computation for each
  /// piece and the collectives between them.
  private mutating func perform(_ passes: [Recipe.Pass], of part: ModelPart, in step: PipelineStep) {
    guard grain == .pieces else {
      compute(.pass(part, step))
      return
    }
    for pass in passes {
      for recipeStep in shape.steps(part.kind, pass) {
        switch recipeStep {
        case .piece(let piece, _):
          compute(Computation(pass, of: piece, part, microBatch: step.microBatchIndex))
        case .collective(let it): tensorCollective(it)
        }
      }
    }
  }

  /// The head uses the embedding's own matrix.
  var sharesMatrixInPlace: Bool { job.model.hasTiedEmbeddings && !shape.copiesTiedMatrix }

  private func passParts(_ step: PipelineStep) -> [ModelPart] {
    shape.parts(ofVirtualStage: shape.schedule.virtualStageIndex(stage: place[.pipeline], chunk: step.chunkIndex))
  }

  // MARK: Between stages

  /// The other end of a pass' input or output; nil where the model ends, or where the pass turns round in place.
  private func neighbour(of step: PipelineStep, downstream: Bool) -> (rank: Int, pass: PipelineStep)? {
    let here = shape.schedule.virtualStageIndex(stage: place[.pipeline], chunk: step.chunkIndex)
    return shape.schedule.place(ofVirtualStage: here + (downstream ? 1 : -1)).map { there in
      (
        pipelineGroup.rank(there.stageIndex),
        PipelineStep(pass: step.pass, microBatchIndex: step.microBatchIndex, chunkIndex: there.chunkIndex)
      )
    }
  }

  /// Receives the rank's part of a pass' input, completes it, and takes it up.
  mutating func receive(_ step: PipelineStep) {
    follow(nil)
    guard let source = neighbour(of: step, downstream: step.pass == .backward) else {
      compute(.beginPass(step))
      return
    }
    let received = append(
      .receive(
        Transfer(
          peer: source.rank, source: source.pass, target: step, elementCount: partElementCount,
          elementByteCount: job.precision.byteCount)),
      on: .pipeline, after: [])
    follow(received)
    if !isSequenceParallel, grain == .pieces {
      tensorCollective(
        TensorCollective(
          kind: .allGather, operand: .arrived(step), elementCount: shape.sentElementCount,
          elementByteCount: job.precision.byteCount))
    }
    compute(.beginPass(step))
  }

  /// Sends the rank's part of a pass' output on.
  mutating func send(_ step: PipelineStep) {
    let ended = compute(.endPass(step))
    guard let target = neighbour(of: step, downstream: step.pass == .forward) else { return }
    append(
      .send(
        Transfer(
          peer: target.rank, source: step, target: target.pass, elementCount: partElementCount,
          elementByteCount: job.precision.byteCount)),
      on: .pipeline, after: [ended])
  }

  /// The rank's part of the activations: chunks of a tensor group may differ by an element.
  private var partElementCount: Int {
    CollectiveSchedule.chunk(place[.tensor], of: strategy.tensorDegree, elementCount: shape.sentElementCount)
      .count
  }
}
