import Documents

/// Forward and backward passes.
extension ProgramLowering {
  mutating func forwardPass(_ step: PipelineStep) {
    receive(step)
    compute(.beginPass(step))
    goForward(step)
    send(step, after: compute(.endPass(step)))
  }

  private mutating func goForward(_ step: PipelineStep) {
    let parts = passParts(step)
    var ahead = ArraySlice(parts)
    for part in parts {
      gatherAhead(&ahead, of: part, .forward)
      keepSecondary(for: part)
      perform([.forward], of: part, in: step)
      dropWeights(after: part, .forward)
    }
  }

  mutating func backwardPass(_ step: PipelineStep) {
    receive(step)
    compute(.beginPass(step))
    goBackward(step)
    send(step, after: compute(.endPass(step)))
  }

  private mutating func goBackward(_ step: PipelineStep) {
    let parts = Array(passParts(step).reversed())
    var ahead = ArraySlice(parts)
    for part in parts {
      gatherAhead(&ahead, of: part, .backward)
      waitForReductions(before: part)
      perform(shape.passesBack(through: part), of: part, in: step)
      dropWeights(after: part, .backward)
      reduceGradient(of: part)
    }
  }

  // MARK: Split backward passes, whose weights are whole and whose gradients are reduced once

  mutating func inputGradientPass(_ step: PipelineStep) {
    receive(step)
    compute(.beginPass(step))
    for part in passParts(step).reversed() {
      perform(shape.passesBack(through: part, .inputGradient), of: part, in: step)
    }
    send(step, after: compute(.endPass(step)))
  }

  mutating func weightGradientPass(_ step: PipelineStep) {
    compute(.beginPass(step))
    for part in passParts(step).reversed() { perform([.weightGradient], of: part, in: step) }
    compute(.endPass(step))
  }

  /// A forward and a backward pass that run together: they begin when both have what they need, and what they give goes out
  /// when both are done.
  mutating func pair(_ forward: PipelineStep, with backward: PipelineStep) {
    let arrivals = [receive(forward), receive(backward)]
    follow(nil)
    for arrival in arrivals { waitNext(for: arrival) }
    if strategy.overlapsExperts {
      combine(forward, with: backward)
      return
    }
    compute(.beginPass(forward))
    goForward(forward)
    compute(.endPass(forward))
    compute(.beginPass(backward))
    goBackward(backward)
    let ended = compute(.endPass(backward))
    send(forward, after: ended)
    send(backward, after: ended)
  }

  /// Appends what is done to a part in a pass of the schedule: as one step, or as the recipe has it, a computation for each
  /// piece and the collectives between them.
  mutating func perform(_ passes: [Recipe.Pass], of part: ModelPart, in step: PipelineStep) {
    guard grain == .pieces else {
      compute(.pass(part, step))
      return
    }
    for pass in passes { perform(shape.steps(of: part, pass), pass, of: part, in: step) }
  }

  mutating func perform(
    _ recipeSteps: some Sequence<Recipe.Step>, _ pass: Recipe.Pass, of part: ModelPart, in step: PipelineStep
  ) {
    for recipeStep in recipeSteps {
      switch recipeStep {
      case .piece(let piece, _):
        waitForKeys(piece)
        compute(Computation(pass, of: piece, part, microBatch: step.microBatchIndex))
      case .collective(let it): recipeCollective(it)
      }
    }
  }

  func passParts(_ step: PipelineStep) -> [ModelPart] {
    shape.parts(ofVirtualStage: shape.schedule.virtualStageIndex(stage: place[.pipeline], chunk: step.chunkIndex))
  }

  // MARK: Between stages

  /// The other end of a pass' input or output; nil where the model ends, where the pass turns round in place, and where a stage
  /// hands on to itself.
  private func neighbour(of step: PipelineStep, downstream: Bool) -> (rank: Int, pass: PipelineStep)? {
    let here = shape.schedule.virtualStageIndex(stage: place[.pipeline], chunk: step.chunkIndex)
    guard step.pass != .weightGradient,
      let pass = shape.schedule.neighbour(of: step, atVirtualStage: here, downstream: downstream),
      let there = shape.schedule.place(ofVirtualStage: here + (downstream ? 1 : -1)),
      there.stageIndex != place[.pipeline]
    else { return nil }
    return (pipelineGroup.rank(there.stageIndex), pass)
  }

  /// Activations and gradients that cross the same boundary have streams of their own where their orders differ.
  private func stream(of step: PipelineStep) -> ProgramStep.Stream {
    strategy.schedule.splitsBackward && step.pass != .forward ? .gradients : .pipeline
  }

  /// Receives the rank's part of a pass' input and completes it, for the next computation to take up.
  ///
  /// - Returns: the last step of it; nil where there is nothing to receive.
  @discardableResult
  mutating func receive(_ step: PipelineStep) -> Int? {
    follow(nil)
    guard let source = neighbour(of: step, downstream: step.pass.givesInputGradient) else { return nil }
    var received = append(
      .receive(
        Transfer(
          peer: source.rank, source: source.pass, target: step, elementCount: partElementCount,
          elementByteCount: job.precision.byteCount)),
      on: stream(of: step), after: [])
    follow(received)
    if !isSequenceParallel, grain == .pieces {
      tensorCollective(
        TensorCollective(
          kind: .allGather, operand: .arrived(step), elementCount: shape.sentElementCount,
          elementByteCount: job.precision.byteCount))
      received = steps.count - 1
    }
    return received
  }

  /// Sends the rank's part of a pass' output on, when a step is over.
  mutating func send(_ step: PipelineStep, after ended: Int) {
    guard let target = neighbour(of: step, downstream: step.pass == .forward) else { return }
    append(
      .send(
        Transfer(
          peer: target.rank, source: step, target: target.pass, elementCount: partElementCount,
          elementByteCount: job.precision.byteCount)),
      on: stream(of: step), after: [ended])
  }

  /// The rank's part of the activations: chunks of a tensor group may differ by an element.
  private var partElementCount: Int {
    CollectiveSchedule.chunk(place[.tensor], of: strategy.tensorDegree, elementCount: shape.sentElementCount)
      .count
  }
}
