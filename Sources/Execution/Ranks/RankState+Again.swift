import Documents
import Training

/// What is computed again before a block's backward pass: all of it from its input, or single modules from what is kept
/// before them.
extension RankState {
  mutating func recompute(_ piece: ModelPiece, _ part: ModelPart, _ microBatch: Int) {
    guard let index = part.blockIndex else { preconditionFailure("only blocks run again") }
    let bytesBefore = rebuilt.byteCount
    if setting.shape.recomputes(part) {
      layerAgain(piece, part, index, microBatch)
    } else {
      moduleAgain(piece, part, index, microBatch)
    }
    memory.add(rebuilt.byteCount - bytesBefore, .workspace)
  }

  private mutating func layerAgain(_ piece: ModelPiece, _ part: ModelPart, _ index: Int, _ microBatch: Int) {
    if piece == .attentionNorm {
      let input = kept[Visit(part: part, microBatch: microBatch)]?[.attentionNormInput]
      guard let input else { preconditionFailure("\(part) has no kept input") }
      waitingGradient = stream
      stream = input
      rebuilt = SavedActivations()
    }
    var saved = rebuilt
    rebuilt = SavedActivations()
    layerForward(piece, index, microBatch, &saved, keepsCore: true)
    rebuilt = saved
    if piece == .feedForwardOutput { stream = waitingGradient }
  }

  // MARK: Modules

  /// What modules of a part bring back.
  func namesOfModules(_ part: ModelPart) -> Set<SavedActivations.Name> {
    Set(setting.shape.rolesOfModules(part).flatMap(\.namesOfModules))
  }

  /// Whether the core of an attention whose sequences ranks divide is exchanged for and computed again.
  var runsDividedCoreAgain: Bool {
    setting.strategy.recomputesModules && setting.strategy.recomputeModules.contains(.attentionCore)
      && setting.strategy.contextDegree > 1
  }

  /// Lets go of what modules bring back, when the last piece that may read it is over.
  ///
  /// - Returns: what is kept.
  mutating func giveUp(
    _ names: Set<SavedActivations.Name>, of saved: SavedActivations, after piece: ModelPiece
  ) -> SavedActivations {
    let (named, rest) = saved.divided(by: names)
    let left = piece == .feedForwardOutput ? SavedActivations() : named
    memory.add(named.byteCount - passing.byteCount, .workspace)
    memory.add(left.byteCount - named.byteCount, .workspace)
    passing = left
    return rest
  }

  /// One piece of the modules of a block. Pieces that have nothing to compute take up what was kept.
  private mutating func moduleAgain(_ piece: ModelPiece, _ part: ModelPart, _ index: Int, _ microBatch: Int) {
    let visit = Visit(part: part, microBatch: microBatch), names = namesOfModules(part)
    guard var stays = kept[visit] else { preconditionFailure("nothing was kept of \(part), micro-batch \(microBatch)") }
    var saved = rebuilt.completed(by: stays)
    let knownCount = saved.tensors.count
    let layer = layer(index, on: microBatch), weights = weights(part, forward: true)
    switch piece {
    case .attentionNorm, .feedForwardNorm:
      if !layer.hasNormalised(piece.half, in: saved) {
        layer.keepNormalised(piece.half, weights: weights, saved: &saved)
      }
      branch = layer.normalised(piece.half, in: saved)
    case .attentionInput: headsAgain(layer, weights, microBatch, names, &saved)
    case .attentionCore:
      layer.rebuildCore(microBatch: self.microBatch(microBatch), weights: weights, saved: &saved)
    case .experts where !names.contains(.expertRows): activationAgain(&saved)
    default: layerForward(piece, index, microBatch, &saved, keepsCore: true)
    }
    for tensor in saved.tensors[knownCount...] {
      if names.contains(tensor.name) {
        rebuilt.keep(tensor.name, tensor.values, elementByteCount: tensor.elementByteCount)
      } else {
        // Heads as they were exchanged, in place of those that were kept to be exchanged.
        stays.replace(tensor)
      }
    }
    if names.contains(.routerScores) { (rebuilt.choices, rebuilt.taken) = (saved.choices, saved.taken) }
    if names.contains(.expertRows) { rebuilt.routes = saved.routes }
    kept[visit] = stays
  }

  /// Queries, keys and values, made of narrow vectors once more or as they are kept: for backward, or for the core that is
  /// exchanged for and computed again.
  private mutating func headsAgain(
    _ layer: TransformerLayer, _ weights: [Float], _ microBatch: Int, _ names: Set<SavedActivations.Name>,
    _ saved: inout SavedActivations
  ) {
    let made = shard.model.latent.flatMap { latent in
      shard.makesHeadsAgain
        ? layer.attentionInput(
          normalised: layer.inputAgain(latent, normalised: branch, in: saved), weights: weights,
          microBatch: self.microBatch(microBatch)) : nil
    }
    let heads = made ?? (saved[.query], saved[.key], saved[.value])
    if runsDividedCoreAgain {
      attention = DividedAttention(heads)
      return
    }
    for (name, values) in [(SavedActivations.Name.query, heads.query), (.key, heads.key), (.value, heads.value)]
    where names.contains(name) {
      saved.keep(name, values, elementByteCount: shard.elementByteCount)
    }
  }

  /// The activation of experts' rows, from what it has read.
  private func activationAgain(_ saved: inout SavedActivations) {
    var output = FeedForward.activated(
      saved[.expertInput], gatedValue: shard.model.hasGatedFeedForward ? saved[.expertValue] : nil)
    output.scaleRows(by: saved[.expertWeights].elements)
    saved.keep(.expertOutput, shard.rounded(output), elementByteCount: shard.elementByteCount)
  }
}

extension KeptTensor.Role {
  /// What a module that brings it back keeps; nothing of what none gives up.
  fileprivate var namesOfModules: [SavedActivations.Name] {
    switch self {
    case .latentInput: [.attentionNormOutput]
    case .queries: [.query]
    case .keysValues: [.key, .value]
    case .attentionScores: [.logSumExp, .softmax, .softmaxMask, .droppedSoftmax]
    case .attentionOutput: [.attentionContextByHeads]
    case .expertsInput: [.feedForwardNormOutput]
    case .activation: [.activationInput, .gatedValue, .activationOutput]
    case .sharedActivation: [.sharedInput, .sharedValue, .sharedOutput]
    case .routing: [.routerLogits, .routerScores, .routingMap]
    case .expertsLatent: [.narrowExpertsOutput]
    case .expertRows: [.expertRows, .expertWeights]
    case .expertActivation: [.expertInput, .expertValue]
    case .activatedRows: [.expertOutput]
    case .normInput, .columnInput, .narrowVectors, .gatedOutput, .projectionInput, .dropoutMask, .lossSoftmax: []
    }
  }
}
