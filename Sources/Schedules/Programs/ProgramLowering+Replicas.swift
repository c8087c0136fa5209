import Documents

/// What replicas exchange, and the end of an iteration.
extension ProgramLowering {
  // MARK: ZeRO 3: weights come and go

  /// Lets the gathers of a part and of the one after it begin, and the next computation wait for the part's own.
  ///
  /// - Parameter ahead: parts of the pass that were not gathered yet; those that were are taken off.
  mutating func gatherAhead(_ ahead: inout ArraySlice<ModelPart>, of part: ModelPart) {
    guard gathersWeights else { return }
    if ahead.first == part { gatherNext(&ahead) }
    for needed in weightsNeeded(by: part) { waitNext(for: gathers[needed]) }
    gatherNext(&ahead)
  }

  private mutating func gatherNext(_ ahead: inout ArraySlice<ModelPart>) {
    guard let next = ahead.popFirst() else { return }
    for needed in weightsNeeded(by: next) { gather(needed) }
  }

  /// A tied head on the embedding's stage uses the embedding's matrix.
  private func weightsNeeded(by part: ModelPart) -> [ModelPart] {
    part == .head && sharesMatrixInPlace ? [.embedding, .head] : [part]
  }

  private mutating func gather(_ part: ModelPart) {
    guard let entry = parameters.entry(of: part) else { return }
    // Not before what was computed so far: a gathered part is held from here on.
    gathers[part] = dataCollective(
      .allGather, of: .weights(part), over: dataGroup, elementCount: entry.range.count,
      elementByteCount: job.precision.byteCount, traffic: .data,
      after: lastComputation)
  }

  mutating func drop(_ part: ModelPart) {
    guard gathersWeights, gathers[part] != nil else { return }
    compute(.dropWeights(part))
    gathers[part] = nil
  }

  // MARK: ZeRO 2 and 3: gradients are reduced in every micro-batch

  /// A part's gradient is written again only when its last one has been taken.
  mutating func waitForReduction(of part: ModelPart) { waitNext(for: reductions[part]) }

  mutating func reduceGradient(of part: ModelPart) {
    guard reducesEveryMicroBatch, let entry = parameters.entry(of: part) else { return }
    let partial = shape.partialGradientCount(of: part)
    var waits = lastComputation
    if partial > 0 {
      waits = [
        dataCollective(
          .allReduce, of: .replicatedGradientsOf(part), over: tensorGroup, elementCount: partial,
          elementByteCount: job.precision.byteCount, traffic: .tensor, after: waits)
      ]
    }
    reductions[part] = dataCollective(
      .reduceScatter, of: .gradient(part), over: dataGroup, elementCount: entry.range.count,
      elementByteCount: job.precision.byteCount, traffic: .data,
      after: waits + lastComputation)
  }

  // MARK: Once an iteration

  mutating func finishIteration() {
    var done = lastComputation
    if !reducesEveryMicroBatch {
      sumPartialGradients(after: &done)
      // The sums of the replicas first, so that both stages add up the same numbers in the same order. With the optimizer
      // sharded nobody holds the whole sum afterwards, and shards of the two stages are not the same elements.
      if strategy.zeroStage == .none { reduceGradients(after: &done) }
      sumTiedMatrix(after: &done)
      if strategy.zeroStage == .optimizer { reduceGradients(after: &done) }
    } else {
      done += reductions.values.sorted()
    }
    follow(done.last)
    for index in done { waitNext(for: index) }
    if strategy.dataDegree > 1 { compute(.averageGradients(replicaCount: strategy.dataDegree)) }
    shareScalars()
    if shape.maximumGradientNorm != nil { compute(.clipGradients) }
    compute(.updateParameters)
    if strategy.dataDegree > 1, [.optimizer, .gradients].contains(strategy.zeroStage) { gatherUpdatedWeights() }
  }

  private mutating func sumPartialGradients(after done: inout [Int]) {
    let count = parameters.entries.reduce(0) { $0 + shape.partialGradientCount(of: $1.part) }
    guard count > 0 else { return }
    done = [
      dataCollective(
        .allReduce, of: .replicatedGradients, over: tensorGroup, elementCount: count,
        elementByteCount: job.gradientByteCount, traffic: .tensor, after: done)
    ]
  }

  private mutating func sumTiedMatrix(after done: inout [Int]) {
    let lastStage = strategy.pipelineDegree - 1
    guard shape.copiesTiedMatrix, place.stage == 0 || place.stage == lastStage else { return }
    let ends = [pipelineGroup[0], pipelineGroup[lastStage]]
    done = [
      dataCollective(
        .allReduce, of: .tiedMatrixGradient, over: ends, elementCount: shape.matrixElementCount,
        elementByteCount: job.gradientByteCount, traffic: .embedding, after: done)
    ]
  }

  private mutating func reduceGradients(after done: inout [Int]) {
    guard strategy.dataDegree > 1 else { return }
    done = [
      dataCollective(
        strategy.zeroStage == .none ? .allReduce : .reduceScatter, of: .allGradients, over: dataGroup,
        elementCount: parameters.count, elementByteCount: job.gradientByteCount, traffic: .data, after: done)
    ]
  }

  private mutating func shareScalars() {
    let summed = compute(.sumScalars)
    guard shape.layout.worldSize > 1 else { return }
    let reduced = dataCollective(
      .allReduce, of: .scalars, over: Array(0..<shape.layout.worldSize), elementCount: 2, elementByteCount: 4,
      traffic: .control, after: [summed])
    waitNext(for: reduced)
  }

  private mutating func gatherUpdatedWeights() {
    if strategy.zeroStage == .optimizer {
      dataCollective(
        .allGather, of: .allWeights, over: dataGroup, elementCount: parameters.count,
        elementByteCount: job.precision.byteCount, traffic: .data, after: lastComputation)
    } else {
      for entry in parameters.entries {
        dataCollective(
          .allGather, of: .weights(entry.part), over: dataGroup, elementCount: entry.range.count,
          elementByteCount: job.precision.byteCount, traffic: .data,
          after: lastComputation)
      }
    }
  }
}
