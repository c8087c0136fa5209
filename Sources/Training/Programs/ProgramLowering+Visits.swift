import Documents

/// Zeroth-order training: a part's weights come, are brought up to date, perturbed for one loss after the other, and leave.
extension ProgramLowering {
  /// Visits every part with every micro-batch.
  mutating func visits() {
    let parts = parameters.entries.map(\.part)
    upload(visitsAhead)
    guard shape.schedule.stageCount > 1 else {
      for (number, microBatches) in shape.visitedMicroBatches.enumerated() {
        visit(parts, microBatches, isFirst: number == 0)
      }
      return
    }
    for (number, step) in shape.schedule.steps(ofStage: place[.pipeline]).enumerated() {
      receive(step)
      compute(.beginPass(step))
      visit(parts, step.microBatchIndex..<step.microBatchIndex + 1, isFirst: number == 0)
      send(step, after: compute(.endPass(step)))
    }
  }

  private mutating func visit(_ parts: [ModelPart], _ microBatches: Range<Int>, isFirst: Bool) {
    var ahead = ArraySlice(parts)
    for part in parts {
      gatherAhead(&ahead, of: part, .forward)
      if gathers[part] == nil { waitNext(for: uploads[part]) }
      if isFirst, shape.isHosted(part) { compute(.update(part, with: .ofLastIteration)) }
      for evaluation in shape.evaluations(ofRank: rank) {
        for needed in weightsNeeded(by: part, .forward) { compute(.perturb(needed, evaluation)) }
        evaluate(part, microBatches, evaluation)
      }
      leave(part, isFirst: isFirst)
    }
  }

  private mutating func evaluate(_ part: ModelPart, _ microBatches: Range<Int>, _ evaluation: ZerothOrder.Evaluation) {
    guard grain == .pieces else {
      compute(.evaluatePart(part, microBatches: microBatches, evaluation))
      return
    }
    for microBatch in microBatches {
      for step in shape.steps(of: part, .forward) {
        switch step {
        case .piece(let piece, _): compute(.evaluate(piece, part, microBatch: microBatch, evaluation))
        case .collective(let it): tensorCollective(it)
        }
      }
    }
  }

  /// The step of what stays on the device.
  mutating func updateResident() {
    for entry in parameters.entries where !shape.isHosted(entry.part) {
      compute(.update(entry.part, with: .ofThisIteration))
    }
  }

  // MARK: Weights from the host and back

  private var hostedParts: [ModelPart] { parameters.entries.map(\.part).filter(shape.isHosted) }

  /// How many visits of parts from the host one upload is ahead of at most: there are so many buffers, and a part cannot
  /// come again before it has left.
  private var visitsAhead: Int { min(IterationShape.blockBufferCount, hostedParts.count) }

  /// Appends the uploads up to those of a number of visits: each when there is a buffer for it, and when what the last visit
  /// of the same part has left is there.
  private mutating func upload(_ visitCount: Int) {
    let hosted = hostedParts, all = hosted.count * shape.visitedMicroBatches.count
    while uploadCount < min(visitCount, all) {
      let part = hosted[uploadCount % hosted.count]
      let before = [uploadCount - IterationShape.blockBufferCount, uploadCount - hosted.count].filter { $0 >= 0 }
      uploads[part] = append(
        .upload(shape.hostTransfer(of: part, rank: rank)), on: .upload, after: before.map { releases[$0] })
      uploadCount += 1
    }
  }

  /// Gives a part's weights up: to the host, where they have changed.
  private mutating func leave(_ part: ModelPart, isFirst: Bool) {
    if shape.isHosted(part) {
      releases.append(
        isFirst
          ? append(.offload(shape.hostTransfer(of: part, rank: rank)), on: .offload, after: lastComputation)
          : compute(.dropWeights(part)))
      gathers[part] = nil
      upload(releases.count + visitsAhead)
    } else {
      dropWeights(after: part, .forward)
    }
  }
}
