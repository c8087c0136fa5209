import Documents

extension TransformerLayer {
  /// Queries, keys and values of this rank's heads, the core, and the output projection.
  /// - Parameter input: what heads are made of: the normalised input, or under latent attention what is made of it.
  func attentionProduct(
    input: Matrix, weights: [Float], microBatch: MicroBatch, keepsCore: Bool, saved: inout SavedActivations
  ) -> Matrix {
    let width = shard.elementByteCount
    let core = core(microBatch, weights)
    if let latent = shard.model.latent { keepNarrow(input, latent, saved: &saved) }
    let heads = attentionInput(normalised: input, weights: weights, microBatch: microBatch)
    let query = heads.query, key = heads.key, value = heads.value
    saved.keep(.query, query, elementByteCount: width)
    saved.keep(.key, key, elementByteCount: width)
    saved.keep(.value, value, elementByteCount: width)
    var context: Matrix
    if shard.usesFlashAttention {
      let fused = core.fusedContext(query: query, key: key, value: value)
      context = fused.context
      saved.keep(.logSumExp, fused.logSumExp, elementByteCount: 4)
    } else {
      let probabilities = core.probabilities(query: query, key: key)
      context = core.context(probabilities, value: value)
      if keepsCore { keep(probabilities, in: &saved) }
    }
    context = gated(
      shard.arithmetic.rounded(context), by: attentionGate(input: input, weights: weights), saved: &saved)
    return linear(.attentionOutputWeight).output(context, weights: weights)
  }

  /// Queries, keys and values of this rank's heads and tokens.
  func attentionInput(
    normalised: Matrix, weights: [Float], microBatch: MicroBatch
  ) -> (query: Matrix, key: Matrix, value: Matrix) {
    if let latent = shard.model.latent {
      return latentHeads(normalised, latent, weights: weights, microBatch: microBatch)
    }
    let cast = linear(.queryWeight).cast(normalised, .input)
    let projections = Projection.allCases.map { projection in
      var heads = projected(projection, cast: cast, weights: weights)
      if let norm = headNorm(projection) { heads = norm.forwardPerHead(heads, weights: weights) }
      if projection != .value { rotary?.rotate(&heads, sequenceCount: microBatch.sequences.count) }
      return shard.arithmetic.rounded(heads)
    }
    return (projections[0], projections[1], projections[2])
  }

  /// - Parameter input: all tokens × hidden, the kept norm output.
  /// - Returns: this rank's addend of the gradient of what heads are made of.
  func attentionProductBackward(
    sumGradient: Matrix, input: Matrix, weights: [Float], microBatch: MicroBatch, saved: SavedActivations,
    gradient: inout [Float], weightGradients: inout WeightGradients
  ) -> Matrix {
    let core = core(microBatch, weights)
    let query = saved[.query], key = saved[.key], value = saved[.value]
    let upstream = gatedBackward(
      attentionProjectionBackward(
        sumGradient: sumGradient, context: saved[.attentionContext], weights: weights, gradient: &gradient,
        weightGradients: &weightGradients), saved: saved)
    let gradients =
      shard.usesFlashAttention
      ? core.fusedBackward(
        contextGradient: upstream.context, query: query, key: key, value: value, context: coreOutput(in: saved),
        logSumExp: saved[.logSumExp])
      : core.backward(
        contextGradient: upstream.context, query: query, key: key, value: value,
        probabilities: probabilities(in: saved) ?? core.probabilities(query: query, key: key))
    return attentionInputBackward(
      gradients, gate: upstream.gate,
      normalised: shard.model.latent.map { keptInput($0, normalised: input, in: saved) } ?? input, weights: weights,
      microBatch: microBatch, gradient: &gradient, weightGradients: &weightGradients)
  }

  /// Of the output projection.
  /// - Parameter context: what it has read.
  /// - Returns: the gradient of that.
  func attentionProjectionBackward(
    sumGradient: Matrix, context: Matrix, weights: [Float], gradient: inout [Float],
    weightGradients: inout WeightGradients
  ) -> Matrix {
    let layer = linear(.attentionOutputWeight)
    weightGradients.add(layer, sumGradient, with: context, to: &gradient)
    return layer.inputGradient(sumGradient, weights: weights)
  }

  /// Of queries, keys and values, and of what gates heads' outputs.
  /// - Returns: this rank's addend of the gradient of `normalised`.
  func attentionInputBackward(
    _ gradients: AttentionCore.Gradients, gate: Matrix?, normalised: Matrix, weights: [Float], microBatch: MicroBatch,
    gradient: inout [Float], weightGradients: inout WeightGradients
  ) -> Matrix {
    if let sinks = layout.range(of: .sinks) {
      // Of the rank's own heads, or of those that it has in exchange.
      let first = sinks.lowerBound + shard.context.headIndex * gradients.sinks.count
      for (head, value) in gradients.sinks.enumerated() { gradient[first + head] += value }
    }
    let ofGate = attentionGateBackward(
      gate, input: normalised, weights: weights, gradient: &gradient, weightGradients: &weightGradients)
    if let latent = shard.model.latent {
      return latentHeadsBackward(
        gradients, ofGate: ofGate, normalised, latent, weights: weights, microBatch: microBatch, gradient: &gradient,
        weightGradients: &weightGradients)
    }
    let alongTokens = linear(.queryWeight).cast(normalised, .inputAlongTokens)
    var normalisedGradient = ofGate ?? Matrix(rowCount: normalised.rowCount, columnCount: normalised.columnCount)
    for (projection, upstream) in zip(Projection.allCases, [gradients.query, gradients.key, gradients.value]) {
      var upstream = upstream
      if projection != .value {
        rotary?.rotate(&upstream, sequenceCount: microBatch.sequences.count, backward: true)
      }
      if let norm = headNorm(projection) {
        // The norm's input is not kept: it is the projection once more.
        let cast = linear(.queryWeight).cast(normalised, .input)
        let input = projected(projection, cast: cast, weights: casts?.forwardWeights ?? weights)
        upstream = norm.backwardPerHead(upstream, input: input, weights: weights, gradient: &gradient)
      }
      weightGradients.add(linear(projection.weight), upstream, withCast: alongTokens, to: &gradient)
      if let bias = layout.range(of: projection.bias) { upstream.addColumnSums(to: &gradient, bias) }
      normalisedGradient += linear(projection.weight).inputGradient(upstream, weights: weights)
    }
    return normalisedGradient
  }

  /// Keeps what backward needs of the attention core of kept queries, keys and values once more: what selective recompute
  /// holds while the layer runs backward. Does nothing where that was kept.
  func rebuildCore(microBatch: MicroBatch, weights: [Float], saved: inout SavedActivations) {
    let core = core(microBatch, weights)
    if shard.usesFlashAttention {
      guard !saved.contains(.logSumExp) else { return }
      let fused = core.fusedContext(query: saved[.query], key: saved[.key], value: saved[.value])
      saved.keep(.logSumExp, fused.logSumExp, elementByteCount: 4)
    } else if !saved.contains(.softmax) {
      keep(core.probabilities(query: saved[.query], key: saved[.key]), in: &saved)
    }
  }

  /// The three column-parallel products of attention.
  private enum Projection: CaseIterable {
    case query, key, value

    var weight: ParameterName {
      switch self {
      case .query: .queryWeight
      case .key: .keyWeight
      case .value: .valueWeight
      }
    }

    var bias: ParameterName {
      switch self {
      case .query: .queryBias
      case .key: .keyBias
      case .value: .valueBias
      }
    }
  }

  private func projected(_ projection: Projection, cast normalised: Matrix, weights: [Float]) -> Matrix {
    var heads = linear(projection.weight).output(ofCast: normalised, weights: weights)
    if let bias = layout.range(of: projection.bias) { heads.addToRows(weights, bias) }
    return heads
  }

  /// The per-head norm of queries or keys (RMSNorm, one weight for all heads; Qwen3); nil where there is none.
  private func headNorm(_ projection: Projection) -> Normalisation? {
    let weight: Range<Int>? =
      switch projection {
      case .query: layout.range(of: .queryNormWeight)
      case .key: layout.range(of: .keyNormWeight)
      case .value: nil
      }
    return weight.map { Normalisation(weight: $0, bias: nil) }
  }

  private func core(_ microBatch: MicroBatch, _ weights: [Float]) -> AttentionCore {
    AttentionCore(
      sequences: microBatch.sequences, sequenceLength: shard.sequenceLength, headCount: shard.headCount,
      keyValueHeadCount: shard.keyValueHeadCount, headSize: shard.model.headSize,
      valueSize: shard.model.valueHeadSize, firstHead: shard.tensorIndex * shard.headCount,
      isCausal: shard.model.family != .bert,
      dropout: shard.hasDropout
        ? Dropout(seed: shard.seed, step: microBatch.step, layer: index, site: .attentionCore) : nil,
      arithmetic: shard.arithmetic, reach: reach, sinks: layout.range(of: .sinks).map { Array(weights[$0]) } ?? [])
  }

  /// How far back the layer's tokens see.
  var reach: ModelDescription.LayerKind.Reach { shard.model.kind(ofLayer: index).reach }

  private func keep(_ probabilities: AttentionCore.Probabilities, in saved: inout SavedActivations) {
    saved.keep(.softmax, probabilities.softmax, elementByteCount: shard.elementByteCount)
    guard let mask = probabilities.mask else { return }
    saved.keep(.softmaxMask, mask, elementByteCount: 1)
    saved.keep(.droppedSoftmax, probabilities.dropped, elementByteCount: shard.elementByteCount)
  }

  private func probabilities(in saved: SavedActivations) -> AttentionCore.Probabilities? {
    guard saved.contains(.softmax) else { return nil }
    let softmax = saved[.softmax]
    guard shard.hasDropout else { return .init(softmax: softmax, mask: nil, dropped: softmax) }
    return .init(softmax: softmax, mask: saved[.softmaxMask], dropped: saved[.droppedSoftmax])
  }
}

extension Normalisation {
  /// The norm of every head of every row: tokens × (heads · head size), the weight's count being the head size.
  fileprivate func forwardPerHead(_ heads: Matrix, weights: [Float]) -> Matrix {
    forward(heads.reshaped(columnCount: weight.count), weights: weights).reshaped(columnCount: heads.columnCount)
  }

  fileprivate func backwardPerHead(
    _ outputGradient: Matrix, input: Matrix, weights: [Float], gradient: inout [Float]
  ) -> Matrix {
    backward(
      outputGradient.reshaped(columnCount: weight.count), input: input.reshaped(columnCount: weight.count),
      weights: weights, gradient: &gradient
    ).reshaped(columnCount: input.columnCount)
  }
}

extension Matrix {
  /// The same elements in rows of another width.
  fileprivate func reshaped(columnCount: Int) -> Matrix {
    Matrix(rowCount: elements.count / columnCount, columnCount: columnCount, elements: elements)
  }
}
