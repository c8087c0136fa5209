import Documents
import Training

/// Computations of forward and backward passes.
extension RankState {
  mutating func perform(_ computation: Computation) {
    if let goesForward = computation.goesForward, goesForward == resting.isForward { changePass() }
    switch computation {
    case .beginPass(let pass):
      guard let input = arrived.removeValue(forKey: pass) ?? takeFromOwnChunk(for: pass) else { return }
      if isZerothOrder { putTravelling(input, microBatch: pass.microBatchIndex) } else { stream = input }
    case .endPass(let pass):
      if pass.pass == .weightGradient { return }
      outgoing[pass] = isZerothOrder ? takeTravelling(microBatch: pass.microBatchIndex) : stream
    case .forward(let piece, let part, let microBatch): forward(piece, part, microBatch)
    case .recompute(let piece, let part, let microBatch): recompute(piece, part, microBatch)
    case .backward(let piece, let part, let microBatch): backward(piece, part, microBatch)
    case .inputGradient(let piece, let part, let microBatch):
      backward(piece, part, microBatch, isSplit: true)
    case .weightGradient(let piece, let part, let microBatch): weightGradient(piece, part, microBatch)
    case .pass(let part, _), .evaluatePart(let part, _, _):
      preconditionFailure("numbers are computed piece by piece, not \(part) at once")
    case .dropWeights(let part): dropWeights(part)
    case .keepSecondary(let part): keepSecondary(part)
    case .dropSecondary: dropSecondary()
    case .averageGradients(let count): averageGradients(replicaCount: count)
    case .sumScalars: sumScalars()
    case .clipGradients:
      clippingScale = OptimizerState.clippingScale(norm: Double(scalars[0]).squareRoot(), settings: setting.optimizer)
    case .updateParameters: updateParameters()
    case .takeProgress: takeProgress()
    case .returnToAnchor: returnToAnchor()
    case .outerStep(let count): outerStep(workerCount: count)
    case .update(let part, let losses): update(part, with: losses)
    case .perturb(let part, let evaluation): perturb(part, evaluation)
    case .evaluate(let piece, let part, let microBatch, let evaluation): evaluate(piece, part, microBatch, evaluation)
    case .sumLosses: sumLosses()
    case .projectGradient: projectGradient()
    }
  }

  /// Takes up what the pass of the other direction has left.
  private mutating func changePass() {
    swap(&stream, &resting.stream)
    swap(&branch, &resting.branch)
    swap(&columnInput, &resting.columnInput)
    resting.isForward.toggle()
  }

  // MARK: Forward

  private mutating func forward(_ piece: ModelPiece, _ part: ModelPart, _ microBatch: Int) {
    let visit = Visit(part: part, microBatch: microBatch)
    var saved = kept.removeValue(forKey: visit) ?? SavedActivations()
    let bytesBefore = saved.byteCount
    let givenUp = piece.isOfBlock ? namesOfModules(part) : []
    if !givenUp.isEmpty { saved = saved.completed(by: passing) }
    switch part {
    case .embedding: embeddingForward(piece, microBatch, &saved)
    case .layer(let layer): layerForward(piece, layer, microBatch, &saved, keepsCore: !recomputesCore)
    case .experts: preconditionFailure("\(part) are gone through in their block")
    case .head: if let loss = headForward(piece, visit, &saved) { take(loss, of: microBatch) }
    case .prediction:
      let loss = predictionForward(piece, visit, &saved, keepsCore: !recomputesCore)
      if let loss { take(loss, of: microBatch) }
    }
    if !givenUp.isEmpty { saved = giveUp(givenUp, of: saved, after: piece) }
    if setting.shape.recomputes(part), piece.isOfBlock {
      // Alive while the layer runs; its input alone is kept.
      memory.add(saved.byteCount - bytesBefore, .workspace)
      if piece == .feedForwardOutput {
        let whole = saved
        saved = saved.layerInputOnly()
        let input = saved.byteCount(of: .attentionNormInput)
        memory.add(saved.byteCount - whole.byteCount - input, .workspace)
        memory.add(input, .activations)
      }
    } else {
      let softmaxBytes = piece == .loss ? saved.byteCount - bytesBefore : 0
      memory.add(saved.byteCount - bytesBefore - softmaxBytes, .activations)
      memory.add(softmaxBytes, .workspace)
    }
    kept[visit] = saved
  }

  /// Adds up the losses of a pass, and keeps its softmax: one that is older is kept beside it.
  private mutating func take(_ loss: Double, of microBatch: Int) {
    if let older = newestLoss, older != microBatch {
      let softmaxes = ([.head] + setting.shape.predictions).reduce(0) {
        $0 + (kept[Visit(part: $1, microBatch: older)]?.byteCount(of: .lossSoftmax) ?? 0)
      }
      memory.add(-softmaxes, .workspace)
      memory.add(softmaxes, .activations)
    }
    newestLoss = microBatch
    // All ranks of the tensor group know it; one counts it.
    if place[.tensor] == 0 { lossSum += loss }
  }

  /// Whether an attention core that is not fused is made once more within its backward piece.
  private var recomputesCore: Bool {
    setting.strategy.recompute == .selective && !setting.strategy.recomputesModules
  }

  /// The weights that a pass works on.
  private mutating func passWeights(_ part: ModelPart) -> [Float] {
    visits.perturbed[part] ?? weights(part, forward: true)
  }

  mutating func embeddingForward(_ piece: ModelPiece, _ microBatch: Int, _ saved: inout SavedActivations) {
    let weights = passWeights(.embedding)
    switch piece {
    case .embeddingRows: branch = embedding.lookUp(weights: weights, microBatch: self.microBatch(microBatch))
    case .embeddingOutput:
      stream = embedding.finish(
        sum: branch, weights: weights, microBatch: self.microBatch(microBatch), saved: &saved)
    default: preconditionFailure("\(piece) is no piece of the embedding")
    }
  }

  mutating func layerForward(
    _ piece: ModelPiece, _ index: Int, _ microBatch: Int, _ saved: inout SavedActivations, keepsCore: Bool
  ) {
    let layer = layer(index, on: microBatch)
    let weights = passWeights(.block(index, of: setting.job.model))
    switch piece {
    case .attentionNorm, .feedForwardNorm:
      branch = layer.normalise(piece.half, input: stream, weights: weights, saved: &saved)
    case .attentionCore, .feedForwardCore:
      branch = layer.product(
        piece.half, normalised: branch, weights: weights, microBatch: self.microBatch(microBatch),
        keepsCore: keepsCore, saved: &saved)
    case .attentionInput, .attentionFirst, .attentionNext, .attentionProjection:
      dividedForward(piece, layer, weights: weights, microBatch: self.microBatch(microBatch), saved: &saved)
    case .attentionOutput, .feedForwardOutput:
      stream = layer.finish(
        piece.half, sum: branch, input: stream, weights: weights, microBatch: self.microBatch(microBatch),
        saved: &saved)
    case .router, .experts, .expertsOutput, .sharedExperts:
      expertsForward(piece, layer, weights: weights, microBatch: microBatch, saved: &saved)
    default: preconditionFailure("\(piece) is no piece of a layer")
    }
  }

  /// - Returns: after the last piece, the sum of the tokens' losses.
  mutating func headForward(_ piece: ModelPiece, _ visit: Visit, _ saved: inout SavedActivations) -> Double? {
    let head = head(of: visit.part)
    switch piece {
    case .finalNorm:
      branch = head.normalise(input: stream, weights: passWeights(visit.part), saved: &saved)
      if isFollowed(visit.part) { stream = branch }
    case .logits:
      let matrix = outputMatrix
      logits = head.logits(
        normalised: branch, buffer: passWeights(parts[matrix.part].part), offset: matrix.offset)
      tokenMaxima = head.maxima(logits)
    case .exponentials:
      tokenTargets = head.targetLogits(logits, maxima: tokenMaxima, microBatch: microBatch(visit.microBatch))
      tokenSums = head.exponentialSums(&logits, maxima: tokenMaxima)
    case .loss:
      defer { logits = Matrix(rowCount: 0, columnCount: 0) }
      return head.loss(
        exponentials: logits, exponentialSums: tokenSums, targetLogits: tokenTargets, saved: &saved)
    default: preconditionFailure("\(piece) is no piece of the head")
    }
    return nil
  }

  /// Where the output matrix lies: in the head's own buffer, or in the embedding's.
  private var outputMatrix: (part: Int, offset: Int) {
    let part = setting.shape.headOwnsMatrix ? ModelPart.head : .embedding
    let name = setting.shape.headOwnsMatrix ? ParameterName.outputMatrix : .tokenEmbedding
    let index = index(of: part)
    return (index, parts[index].layout.range(of: name)?.lowerBound ?? 0)
  }

  // MARK: Backward

  /// - Parameter isSplit: whether gradients of linear layers' weights are put off.
  private mutating func backward(_ piece: ModelPiece, _ part: ModelPart, _ microBatch: Int, isSplit: Bool = false) {
    openGradient(of: part)
    let visit = Visit(part: part, microBatch: microBatch)
    guard let saved = kept[visit] else { preconditionFailure("nothing was kept of \(part), micro-batch \(microBatch)") }
    var weights = awaiting.removeValue(forKey: visit)?.weights ?? WeightGradients(isPutOff: isSplit)
    switch part {
    case .embedding: embeddingBackward(piece, microBatch, saved)
    case .layer(let index): layerBackward(piece, index, visit, saved, &weights)
    case .experts: preconditionFailure("\(part) are gone through in their block")
    case .head: headBackward(piece, visit, saved, &weights)
    case .prediction: predictionBackward(piece, visit, saved, &weights)
    }
    if isSplit {
      awaiting[visit] = (weights, piece.isLastOfBackward(of: part) ? holdForWeights(visit) : 0)
    } else if piece.isLastOfBackward(of: part) {
      forget(visit)
    }
  }

  /// Ends a part's input gradient: what has been computed again stays, and the gradient of the logits takes the softmax' place.
  ///
  /// - Returns: bytes that are held for the weight gradient beside what forward has kept.
  private mutating func holdForWeights(_ visit: Visit) -> Int {
    var byteCount = rebuilt.byteCount
    memory.add(-byteCount, .workspace)
    memory.add(byteCount, .activations)
    rebuilt = SavedActivations()
    guard visit.part == .head, let saved = kept[visit] else { return byteCount }
    let softmax = saved.byteCount(of: .lossSoftmax)
    memory.add(-softmax, visit.microBatch == newestLoss ? .workspace : .activations)
    if visit.microBatch == newestLoss { newestLoss = nil }
    // The softmax is of fp32 numbers.
    let gradient = softmax / 4 * setting.job.precision.byteCount
    memory.add(gradient, .activations)
    byteCount += gradient
    kept[visit] = saved.withoutSoftmax()
    return byteCount
  }

  /// The rest of a split backward pass. The embedding has nothing else, and works on what the pass before has left.
  private mutating func weightGradient(_ piece: ModelPiece, _ part: ModelPart, _ microBatch: Int) {
    openGradient(of: part)
    let visit = Visit(part: part, microBatch: microBatch)
    switch part {
    case .embedding:
      guard let saved = kept[visit] else { preconditionFailure("nothing was kept of micro-batch \(microBatch)") }
      if piece == .embeddingOutput {
        let gradient = PipelineStep(pass: .inputGradient, microBatchIndex: microBatch)
        guard let waiting = outgoing.removeValue(forKey: gradient) else {
          preconditionFailure("the embedding's gradient of micro-batch \(microBatch) is not there yet")
        }
        stream = waiting
      }
      embeddingBackward(piece, microBatch, saved)
      if piece.isLastOfBackward(of: part) { forget(visit) }
    case .layer, .head, .experts, .prediction:
      // All products of a part are in one list, which its first piece works off.
      guard let waiting = awaiting.removeValue(forKey: visit) else { return }
      let buffer = part == .head ? outputMatrix.part : index(of: part)
      openGradient(of: parts[buffer].part)
      waiting.weights.addPutOff(to: &parts[buffer].gradient)
      memory.add(-waiting.byteCount, .activations)
      forget(visit)
    }
  }

  /// What a stage hands on to itself at the bottom of a V.
  private mutating func takeFromOwnChunk(for pass: PipelineStep) -> Matrix? {
    let schedule = setting.shape.schedule, stage = place[.pipeline]
    let here = schedule.virtualStageIndex(stage: stage, chunk: pass.chunkIndex)
    let downstream = pass.pass.givesInputGradient
    guard pass.pass != .weightGradient,
      schedule.place(ofVirtualStage: here + (downstream ? 1 : -1))?.stageIndex == stage,
      let source = schedule.neighbour(of: pass, atVirtualStage: here, downstream: downstream)
    else { return nil }
    return outgoing.removeValue(forKey: source)
  }

  /// Gives back what a visit kept.
  private mutating func forget(_ visit: Visit) {
    guard let saved = kept.removeValue(forKey: visit) else { return }
    if visit.microBatch == newestLoss {
      let softmax = saved.byteCount(of: .lossSoftmax)
      memory.add(-softmax, .workspace)
      memory.add(softmax - saved.byteCount, .activations)
      if visit.part == .head { newestLoss = nil }
    } else {
      memory.add(-saved.byteCount, .activations)
    }
    if rebuilt.byteCount > 0 {
      memory.add(-rebuilt.byteCount, .workspace)
      rebuilt = SavedActivations()
    }
  }

  private mutating func embeddingBackward(_ piece: ModelPiece, _ microBatch: Int, _ saved: SavedActivations) {
    let part = index(of: .embedding)
    switch piece {
    case .embeddingOutput:
      branch = embedding.finishBackward(
        outputGradient: stream, microBatch: self.microBatch(microBatch), saved: saved, gradient: &parts[part].gradient)
    case .embeddingRows:
      embedding.lookUpBackward(
        sumGradient: branch, microBatch: self.microBatch(microBatch), gradient: &parts[part].gradient)
    default: preconditionFailure("\(piece) is no piece of the embedding")
    }
  }

  mutating func layerBackward(
    _ piece: ModelPiece, _ index: Int, _ visit: Visit, _ kept: SavedActivations,
    _ weightGradients: inout WeightGradients
  ) {
    let layer = layer(index, on: visit.microBatch, backward: true)
    let part = self.index(of: visit.part), weights = weights(visit.part, forward: false)
    var saved = rebuilt.completed(by: kept)
    switch piece {
    case .attentionOutput, .feedForwardOutput:
      branch = layer.finishBackward(
        piece.half, outputGradient: stream, microBatch: microBatch(visit.microBatch), saved: saved,
        gradient: &parts[part].gradient)
      columnInput = layer.normalised(piece.half, in: saved)
    case .attentionCore, .feedForwardCore:
      var coreBytes = 0
      if piece == .attentionCore, recomputesCore, !setting.strategy.usesFlashAttention {
        layer.rebuildCore(
          microBatch: microBatch(visit.microBatch), weights: weights, saved: &saved)
        coreBytes = saved.byteCount - kept.byteCount
      }
      memory.add(coreBytes, .workspace)
      branch = layer.productBackward(
        piece.half, sumGradient: branch, normalised: columnInput, weights: weights,
        microBatch: microBatch(visit.microBatch), saved: saved, gradient: &parts[part].gradient,
        weightGradients: &weightGradients)
      memory.add(-coreBytes, .workspace)
    case .attentionInput, .attentionFirst, .attentionNext, .attentionProjection:
      // Taken out, since attention is in the rank's own hands.
      var gradient: [Float] = []
      swap(&gradient, &parts[part].gradient)
      dividedBackward(
        piece, layer, weights: weights, microBatch: microBatch(visit.microBatch), saved: saved,
        gradient: &gradient, weightGradients: &weightGradients)
      swap(&gradient, &parts[part].gradient)
    case .router, .experts, .expertsOutput, .sharedExperts:
      var gradient: [Float] = []
      swap(&gradient, &parts[part].gradient)
      expertsBackward(
        piece, layer, weights: weights, microBatch: visit.microBatch, saved: saved, gradient: &gradient,
        weightGradients: &weightGradients)
      swap(&gradient, &parts[part].gradient)
    case .attentionNorm, .feedForwardNorm:
      if piece == .feedForwardNorm { addHeldGradient() }
      stream = layer.normaliseBackward(
        piece.half, normalisedGradient: branch, outputGradient: stream, weights: weights, saved: saved,
        gradient: &parts[part].gradient, weightGradients: &weightGradients)
    default: preconditionFailure("\(piece) is no piece of a layer")
    }
  }

  mutating func headBackward(
    _ piece: ModelPiece, _ visit: Visit, _ saved: SavedActivations, _ weights: inout WeightGradients
  ) {
    let head = head(of: visit.part)
    switch piece {
    case .loss: columnInput = saved[.finalNormOutput]
    case .logits:
      let matrix = outputMatrix
      openGradient(of: parts[matrix.part].part)
      branch = head.lossBackward(
        scale: gradientScale, normalised: columnInput, buffer: parts[matrix.part].weights, offset: matrix.offset,
        microBatch: microBatch(visit.microBatch), saved: saved, gradient: &parts[matrix.part].gradient,
        weightGradients: &weights)
    case .finalNorm:
      let part = index(of: visit.part)
      var normalisedGradient = branch
      if isFollowed(visit.part) {
        normalisedGradient += stream
        normalisedGradient = shard.rounded(normalisedGradient)
      }
      stream = head.normaliseBackward(
        normalisedGradient: normalisedGradient, weights: parts[part].weights, saved: saved,
        gradient: &parts[part].gradient)
    default: preconditionFailure("\(piece) is no piece of the head")
    }
  }

  /// Each replica's gradient is of the mean over its own tokens, times the scale of the loss; the mean over replicas
  /// follows when they are summed.
  private var gradientScale: Float {
    shard.lossScale / Float(setting.job.globalBatch / setting.strategy.batchDegree * shard.positions.count)
  }
}

extension ModelPiece {
  /// The half of a block that the piece is of.
  var half: TransformerLayer.Half {
    switch self {
    case .attentionNorm, .attentionCore, .attentionOutput: .attention
    default: .feedForward
    }
  }

  /// Whether a part's backward ends with it.
  fileprivate func isLastOfBackward(of part: ModelPart) -> Bool {
    if case .prediction = part { return self == .predictionEmbedding }
    return [.embeddingRows, .attentionNorm, .finalNorm].contains(self)
  }
}
