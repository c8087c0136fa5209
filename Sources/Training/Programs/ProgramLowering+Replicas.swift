import Documents

/// What replicas exchange, and the end of an iteration.
extension ProgramLowering {
  // MARK: Sharded weights come and go

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
    // The first gather of an iteration is of the weights that were updated; after it there are slices nearer by.
    let isFirst = gatheredParts.insert(part).inserted
    let family: Sharding.Family = sharding.secondaryDegree == nil || isFirst ? .weights : .secondary
    // Not before what was computed so far: a gathered part is held from here on.
    gathers[part] = gatherWeights(
      family == .weights ? .weights(part) : .secondaryWeights(part), over: family, elementCount: entry.range.count,
      after: lastComputation)
  }

  /// Appends a gather of weights, quantised where its group leaves the node.
  @discardableResult
  private mutating func gatherWeights(
    _ operand: Operand, over family: Sharding.Family, elementCount: Int, after waits: [Int]
  ) -> Int {
    let group = shape.group(of: family, containing: rank)
    let quantisation = family == .secondary ? nil : shape.weightQuantisation(over: group)
    return dataCollective(
      .allGather, of: operand, over: group,
      elementCount: quantisation?.gatheredWordCount(elementCount: elementCount, rankCount: group.count) ?? elementCount,
      elementByteCount: quantisation == nil ? job.precision.byteCount : Quantisation.wordByteCount, traffic: .data,
      quantisation: quantisation, after: waits)
  }

  mutating func drop(_ part: ModelPart) {
    guard gathersWeights, gathers[part] != nil else { return }
    compute(.dropWeights(part))
    gathers[part] = nil
  }

  /// Keeps slices of what was gathered for the first time.
  mutating func keepSecondary(for part: ModelPart) {
    guard sharding.secondaryDegree != nil else { return }
    for needed in weightsNeeded(by: part) where keptParts.insert(needed).inserted { compute(.keepSecondary(needed)) }
  }

  // MARK: Sharded gradients are reduced in every micro-batch

  /// A part's gradient is written again only when its last one has been taken; and while one part's is reduced only one more
  /// is written, or every part's would be held whole.
  mutating func waitForReduction(of part: ModelPart) {
    waitNext(for: reductions[part])
    waitNext(for: reductionOrder.dropLast().last)
  }

  mutating func reduceGradient(of part: ModelPart) {
    guard !shape.reducesOnce, let entry = parameters.entry(of: part) else { return }
    let partial = shape.partialGradientCount(of: part)
    var waits = lastComputation
    if partial > 0 {
      waits.insert(
        dataCollective(
          .allReduce, of: .replicatedGradientsOf(part), over: tensorGroup, elementCount: partial,
          elementByteCount: job.precision.byteCount, traffic: .tensor, after: waits), at: 0)
    }
    for family in shape.microBatchFamilies {
      reductions[part] = reduceScatter(
        .gradient(part, family), .nodeGradient(part, family), over: family, of: entry.range.count,
        elementByteCount: job.precision.byteCount, after: waits)
    }
    if let last = reductions[part] { reductionOrder.append(last) }
  }

  /// Appends a reduction to shards: exact, or quantised, within the node and then between nodes.
  ///
  /// - Parameter elementCount: of the whole tensor.
  private mutating func reduceScatter(
    _ operand: Operand, _ nodeOperand: Operand, over family: Sharding.Family, of elementCount: Int,
    elementByteCount: Int, after waits: [Int]
  ) -> Int {
    let group = shape.group(of: family, containing: rank)
    let count = shape.elementCount(over: family, rank: rank, of: elementCount)
    guard let exchange = shape.exchange(over: group, elementCount: count) else {
      return dataCollective(
        .reduceScatter, of: operand, over: group, elementCount: count, elementByteCount: elementByteCount,
        traffic: .data, after: waits)
    }
    if exchange.insideCount > 1 {
      dataCollective(
        .allToAll, of: operand, over: exchange.insideGroup(of: rank), elementCount: exchange.insideWordCount,
        elementByteCount: Quantisation.wordByteCount, traffic: .data, quantisation: QuantisedExchange.quantisation,
        after: waits)
    }
    return dataCollective(
      .allToAll, of: nodeOperand, over: exchange.acrossGroup(of: rank), elementCount: exchange.acrossWordCount,
      elementByteCount: Quantisation.wordByteCount, traffic: .data, quantisation: QuantisedExchange.quantisation,
      after: waits)
  }

  // MARK: Once an iteration

  mutating func finishIteration() {
    var done = lastComputation
    if shape.reducesOnce {
      sumPartialGradients(after: &done)
      // The sums of the replicas first, so that both stages add up the same numbers in the same order. With the optimizer
      // sharded nobody holds the whole sum afterwards, and shards of the two stages are not the same elements.
      if sharding.optimizerDegree == 1 { reduceGradients(after: &done) }
      sumTiedMatrix(after: &done)
      if sharding.optimizerDegree > 1 { reduceGradients(after: &done) }
    } else {
      done += reductions.values.sorted()
      for entry in parameters.entries { reduceShard(entry, after: &done) }
    }
    follow(done.last)
    for index in done { waitNext(for: index) }
    if strategy.dataDegree > 1 { compute(.averageGradients(replicaCount: strategy.dataDegree)) }
    shareScalars()
    if shape.maximumGradientNorm != nil { compute(.clipGradients) }
    if sharding.secondaryDegree != nil { compute(.dropSecondary) }
    compute(.updateParameters)
    gatherUpdatedWeights()
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
    guard shape.copiesTiedMatrix, place[.pipeline] == 0 || place[.pipeline] == lastStage else { return }
    let ends = pipelineGroup.part(fromPlace: 0, step: lastStage, count: 2)
    done = [
      dataCollective(
        .allReduce, of: .tiedMatrixGradient, over: ends, elementCount: shape.matrixElementCount,
        elementByteCount: job.gradientByteCount, traffic: .embedding, after: done)
    ]
  }

  /// Everything on the rank at once: to the shards of an optimizer group, and over the groups that hold the same shards.
  private mutating func reduceGradients(after done: inout [Int]) {
    if sharding.optimizerDegree > 1 {
      done = [
        reduceScatter(
          .allGradients, .allNodeGradients, over: .optimizer, of: parameters.count,
          elementByteCount: job.gradientByteCount, after: done)
      ]
    }
    sumReplicas(
      sharding.optimizerDegree > 1 ? .gradientShards : .allGradients, of: parameters.count, after: &done)
  }

  /// What was accumulated of a part: from the gradient's shard to the optimizer's, and over the replicas that hold the same.
  private mutating func reduceShard(_ entry: StageParameters.Entry, after done: inout [Int]) {
    if shape.group(of: .optimizer, containing: rank).count > 1 {
      done.append(
        reduceScatter(
          .gradient(entry.part, .optimizer), .nodeGradient(entry.part, .optimizer), over: .optimizer,
          of: entry.range.count, elementByteCount: job.gradientByteCount, after: done))
    }
    sumReplicas(.gradient(entry.part, .replicas), of: entry.range.count, after: &done)
  }

  /// Sums a shard over the replicas that all hold it.
  private mutating func sumReplicas(_ operand: Operand, of elementCount: Int, after done: inout [Int]) {
    let group = shape.group(of: .replicas, containing: rank)
    guard group.count > 1 else { return }
    done.append(
      dataCollective(
        .allReduce, of: operand, over: group,
        elementCount: shape.elementCount(over: .replicas, rank: rank, of: elementCount),
        elementByteCount: job.gradientByteCount, traffic: .data, after: done))
  }

  private mutating func shareScalars() {
    let summed = compute(.sumScalars)
    guard shape.mesh.worldSize > 1 else { return }
    let reduced = dataCollective(
      .allReduce, of: .scalars, over: shape.mesh.ranks, elementCount: 2,
      elementByteCount: 4, traffic: .control, after: [summed])
    waitNext(for: reduced)
  }

  /// From what each rank has updated to what it keeps of the weights: the outer groups first, so that what crosses the slow
  /// links crosses them once.
  private mutating func gatherUpdatedWeights() {
    guard !shape.reducesOnce else {
      if sharding.optimizerDegree > 1 {
        gatherWeights(.allWeights, over: .optimizer, elementCount: parameters.count, after: lastComputation)
      }
      return
    }
    for entry in parameters.entries {
      for family in [Sharding.Family.optimizer, .gradients]
      where shape.group(of: family, containing: rank).count > 1 {
        gatherWeights(
          .updatedWeights(entry.part, family), over: family,
          elementCount: shape.elementCount(over: family, rank: rank, of: entry.range.count), after: lastComputation)
      }
    }
  }
}
