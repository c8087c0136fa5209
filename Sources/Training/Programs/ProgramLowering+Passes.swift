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
      switch part {
      case .embedding: forwardEmbedding(step.microBatchIndex)
      case .layer: layerForward(part, step.microBatchIndex, again: false)
      case .head: forwardHead(step.microBatchIndex)
      }
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
      switch part {
      case .embedding: backwardEmbedding(step.microBatchIndex)
      case .layer:
        if shape.recomputes(part) { layerForward(part, step.microBatchIndex, again: true) }
        backwardLayer(part, step.microBatchIndex)
      case .head: backwardHead(step.microBatchIndex)
      }
      drop(part)
      if part == .head, sharesMatrixInPlace { drop(.embedding) }
      reduceGradient(of: part)
    }
    send(step)
  }

  /// The head uses the embedding's own matrix.
  var sharesMatrixInPlace: Bool { job.model.hasTiedEmbeddings && !shape.copiesTiedMatrix }

  private func passParts(_ step: PipelineStep) -> [ModelPart] {
    shape.parts(ofVirtualStage: shape.schedule.virtualStageIndex(stage: place[.pipeline], chunk: step.chunkIndex))
  }

  // MARK: Between stages

  /// The other end of a pass' input or output; nil where the model ends, or where the pass turns round in place.
  private func neighbour(of step: PipelineStep, downstream: Bool) -> (rank: Int, pass: PipelineStep)? {
    let p = shape.schedule.stageCount
    let here = shape.schedule.virtualStageIndex(stage: place[.pipeline], chunk: step.chunkIndex)
    let there = here + (downstream ? 1 : -1)
    guard shape.split.layerCounts.indices.contains(there) else { return nil }
    return (
      pipelineGroup.rank(there % p),
      PipelineStep(pass: step.pass, microBatchIndex: step.microBatchIndex, chunkIndex: there / p)
    )
  }

  /// Receives the rank's part of a pass' input, completes it, and takes it up.
  private mutating func receive(_ step: PipelineStep) {
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
    if !isSequenceParallel {
      tensorCollective(
        .allGather, of: .arrived(step), elementCount: shape.activationElementCount,
        elementByteCount: job.precision.byteCount)
    }
    compute(.beginPass(step))
  }

  /// Sends the rank's part of a pass' output on.
  private mutating func send(_ step: PipelineStep) {
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
    CollectiveSchedule.chunk(place[.tensor], of: strategy.tensorDegree, elementCount: shape.activationElementCount)
      .count
  }

  // MARK: Embedding

  private mutating func forwardEmbedding(_ microBatch: Int) {
    compute(.forward(.embeddingRows, .embedding, microBatch: microBatch))
    completeSum(of: .branch)
    compute(.forward(.embeddingOutput, .embedding, microBatch: microBatch))
  }

  private mutating func backwardEmbedding(_ microBatch: Int) {
    compute(.backward(.embeddingOutput, .embedding, microBatch: microBatch))
    gatherRows(of: .branch)
    compute(.backward(.embeddingRows, .embedding, microBatch: microBatch))
  }

  // MARK: Layers

  private static let halves: [(norm: ModelPiece, core: ModelPiece, output: ModelPiece)] = [
    (.attentionNorm, .attentionCore, .attentionOutput), (.feedForwardNorm, .feedForwardCore, .feedForwardOutput),
  ]

  private mutating func layerForward(_ part: ModelPart, _ microBatch: Int, again: Bool) {
    func computation(_ piece: ModelPiece) -> Computation {
      again ? .recompute(piece, part, microBatch: microBatch) : .forward(piece, part, microBatch: microBatch)
    }
    for half in Self.halves {
      compute(computation(half.norm))
      gatherRows(of: .branch)
      compute(computation(half.core))
      completeSum(of: .branch)
      compute(computation(half.output))
    }
  }

  private mutating func backwardLayer(_ part: ModelPart, _ microBatch: Int) {
    for half in Self.halves.reversed() {
      compute(.backward(half.output, part, microBatch: microBatch))
      gatherRows(of: .branch)
      gatherRows(of: .columnInput)
      compute(.backward(half.core, part, microBatch: microBatch))
      completeSum(of: .branch)
      compute(.backward(half.norm, part, microBatch: microBatch))
    }
  }

  // MARK: Head

  private mutating func forwardHead(_ microBatch: Int) {
    compute(.forward(.finalNorm, .head, microBatch: microBatch))
    gatherRows(of: .branch)
    compute(.forward(.logits, .head, microBatch: microBatch))
    sumTokens(.tokenMaximum, .maximum)
    compute(.forward(.exponentials, .head, microBatch: microBatch))
    sumTokens(.tokenTarget)
    sumTokens(.tokenSum)
    compute(.forward(.loss, .head, microBatch: microBatch))
  }

  /// One fp32 number a token.
  private mutating func sumTokens(_ operand: Operand, _ reduction: Reduction = .sum) {
    tensorCollective(
      .allReduce, of: operand, elementCount: shape.tokenCount, elementByteCount: 4, reduction: reduction)
  }

  private mutating func backwardHead(_ microBatch: Int) {
    compute(.backward(.loss, .head, microBatch: microBatch))
    gatherRows(of: .columnInput)
    compute(.backward(.logits, .head, microBatch: microBatch))
    completeSum(of: .branch)
    compute(.backward(.finalNorm, .head, microBatch: microBatch))
  }
}
