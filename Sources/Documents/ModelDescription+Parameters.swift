/// Parameters of one part of a model, split by what tensor and expert parallelism do to them.
package struct ParameterCount: Sendable, Equatable {
  /// Parameters that tensor parallelism divides among the ranks of its group.
  package let sharded: Int
  /// Parameters that every rank of the tensor group holds whole: norms, biases after a reduction, positions, routers.
  package let replicated: Int
  /// Matrices of all routed experts of a layer, and biases that go with their columns: expert parallelism divides them by
  /// experts, expert-tensor parallelism each expert's.
  package let ofExperts: Int
  /// Biases of routed experts that are added after a sum over the expert-tensor group: whole on each of its ranks.
  package let ofExpertOutputs: Int

  package init(sharded: Int, replicated: Int, ofExperts: Int = 0, ofExpertOutputs: Int = 0) {
    self.sharded = sharded
    self.replicated = replicated
    self.ofExperts = ofExperts
    self.ofExpertOutputs = ofExpertOutputs
  }

  /// All of them, once.
  package var total: Int { sharded + replicated + ofExperts + ofExpertOutputs }

  /// What one rank of a tensor group of `degree` holds of all that is not of routed experts.
  /// - Precondition: the degree divides the sharded count, which holds when it divides heads, key-value heads,
  ///   feed-forward width and the padded vocabulary.
  package func perRank(tensorDegree degree: Int) -> Int { sharded / degree + replicated }

  /// What one rank holds of routed experts.
  /// - Precondition: the degrees divide the experts and their width.
  package func ofExpertsPerRank(expertDegree: Int, expertTensorDegree: Int) -> Int {
    ofExperts / (expertDegree * expertTensorDegree) + ofExpertOutputs / expertDegree
  }

  package static func + (left: Self, right: Self) -> Self {
    Self(
      sharded: left.sharded + right.sharded, replicated: left.replicated + right.replicated,
      ofExperts: left.ofExperts + right.ofExperts, ofExpertOutputs: left.ofExpertOutputs + right.ofExpertOutputs)
  }
}

/// Exact parameter counts, as the frameworks allocate them (Megatron-LM's split into column- and row-parallel layers).
extension ModelDescription {
  /// One transformer block of a kind.
  package func layerParameters(_ feedForward: LayerKind.FeedForward) -> ParameterCount {
    let ofHalf = feedForward == .dense ? denseParameters : expertParameters
    return attentionParameters + ofHalf
      + ParameterCount(sharded: 0, replicated: form.block.normCount * normParameterCount)
  }

  /// Of one transformer block, the matrices of its linear layers: those whose products may be in a narrow format, see
  /// ``ProductFormat``. Routers, gates of one number a token, norms and biases are none of them.
  package func layerProductParameters(_ feedForward: LayerKind.FeedForward) -> ParameterCount {
    attentionProducts + (feedForward == .dense ? denseProducts : expertProducts)
  }

  /// The same of a layer that predicts a further token.
  package var predictionProductParameters: ParameterCount {
    layerProductParameters(kind(ofLayer: layerCount - 1).feedForward) + predictionProduct
  }

  /// The matrices of attention.
  private var attentionProducts: ParameterCount {
    let h = hiddenSize, q = querySize
    var sharded = h * (q + 2 * keyValueSize) + q * h
    var replicated = 0
    if let latent {
      // What makes the narrow vectors is whole on every rank.
      let (made, width) = latent.queryRank.map { (h * $0, $0) } ?? (0, h)
      let narrow = latent.keyValueRank
      sharded = width * q + narrow * headCount * (latent.plainSize + latent.valueSize) + contextSize * h
      replicated = made + h * (narrow + latent.rotarySize)
    }
    if form.hasOutputGate { sharded += (latent?.queryRank ?? h) * contextSize }
    return ParameterCount(sharded: sharded, replicated: replicated)
  }

  /// Attention with its biases, the norms of queries and keys and of narrow vectors, and sinks.
  private var attentionParameters: ParameterCount {
    let h = hiddenSize, q = querySize, kv = keyValueSize
    var sharded = 0, replicated = 0
    if let latent { replicated += (latent.queryRank ?? 0) + latent.keyValueRank }
    if form.hasOutputGate, hasQueryKeyValueBias { sharded += contextSize }
    if hasQueryKeyValueBias { sharded += q + 2 * kv }
    // The bias of a row-parallel layer is added after the reduction: every rank holds it whole.
    if hasAttentionOutputBias { replicated += h }
    if form.hasSinks { sharded += headCount }
    // Weights of each head go with the head; a norm over all of them is whole wherever a part of them is normalised.
    switch form.queryKeyNorm {
    case .head: replicated += 2 * headSize
    case .eachHead: sharded += q + kv
    case .allHeads: replicated += q + kv
    case nil: break
    }
    return attentionProducts + ParameterCount(sharded: sharded, replicated: replicated)
  }

  private var denseProducts: ParameterCount {
    ParameterCount(sharded: (hasGatedFeedForward ? 3 : 2) * hiddenSize * feedForwardSize, replicated: 0)
  }

  private var denseParameters: ParameterCount {
    guard hasFeedForwardBias else { return denseProducts }
    let gates = hasGatedFeedForward ? 2 : 1
    return denseProducts + ParameterCount(sharded: gates * feedForwardSize, replicated: hiddenSize)
  }

  /// Routed experts, shared ones, and what makes narrow vectors of tokens, and tokens of those: whole on every rank.
  private var expertProducts: ParameterCount {
    guard let experts else { return ParameterCount(sharded: 0, replicated: 0) }
    let matrices = hasGatedFeedForward ? 3 : 2
    let h = hiddenSize
    return ParameterCount(
      sharded: matrices * h * experts.sharedFeedForwardSize,
      replicated: experts.latentSize.map { 2 * h * $0 } ?? 0,
      ofExperts: experts.count * matrices * (experts.latentSize ?? h) * experts.feedForwardSize)
  }

  /// Router, routed experts and shared ones.
  private var expertParameters: ParameterCount {
    guard let experts else { return ParameterCount(sharded: 0, replicated: 0) }
    let gates = hasGatedFeedForward ? 2 : 1
    let h = hiddenSize, f = experts.feedForwardSize, count = experts.count
    let width = experts.latentSize ?? h
    return expertProducts
      + ParameterCount(
        sharded: 0,
        replicated: count * (h + (experts.hasRouterBias ? 1 : 0) + (experts.hasCorrectionBias ? 1 : 0))
          + (experts.hasSharedGate ? h : 0), ofExperts: experts.hasBias ? count * gates * f : 0,
        ofExpertOutputs: experts.hasBias ? count * width : 0)
  }

  /// One layer that predicts a further token (multi-token prediction, DeepSeek-AI 2024, section 2.2): a block of the last
  /// layer's kind, a matrix that brings two vectors of the hidden size to one, and three norms. Embedding and head are the
  /// model's own.
  package var predictionLayerParameters: ParameterCount {
    layerParameters(kind(ofLayer: layerCount - 1).feedForward) + predictionProduct
      + ParameterCount(sharded: 0, replicated: 3 * normParameterCount)
  }

  /// The matrix of a further prediction that brings two vectors to one.
  private var predictionProduct: ParameterCount {
    ParameterCount(sharded: 2 * hiddenSize * hiddenSize, replicated: 0)
  }

  /// Rows and columns of a matrix.
  package struct MatrixShape: Sendable, Equatable {
    package let rows: Int
    package let columns: Int

    /// Entries.
    package var count: Int { rows * columns }
  }

  /// The matrices of one block as one rank of a tensor group holds them, without routed experts: queries, keys and values
  /// each by itself, and so the gate and what it gates.
  package func layerMatrices(_ feedForward: LayerKind.FeedForward, tensorDegree t: Int) -> [MatrixShape] {
    let h = hiddenSize, q = querySize / t, kv = keyValueSize / t
    let f = (feedForward == .dense ? feedForwardSize : experts?.sharedFeedForwardSize ?? 0) / t
    var shapes = [(q, h), (kv, h), (kv, h), (h, q)]
    if let latent {
      let narrow = latent.keyValueRank
      shapes = latent.queryRank.map { [($0, h), (q, $0)] } ?? [(q, h)]
      shapes += [
        (narrow + latent.rotarySize, h), (headCount / t * (latent.plainSize + latent.valueSize), narrow),
        (h, contextSize / t),
      ]
    }
    if form.hasOutputGate { shapes.append((contextSize / t, latent?.queryRank ?? h)) }
    if feedForward == .experts, let experts {
      shapes.append((experts.count, h))
      if let narrow = experts.latentSize { shapes += [(narrow, h), (h, narrow)] }
    }
    if f > 0 { shapes += (hasGatedFeedForward ? [(f, h)] : []) + [(f, h), (h, f)] }
    return shapes.map { MatrixShape(rows: $0.0, columns: $0.1) }
  }

  /// The token embedding (of a vocabulary padded to `vocabularySize` rows) and the learned positions.
  package func embeddingParameters(vocabularySize: Int) -> ParameterCount {
    ParameterCount(
      sharded: vocabularySize * hiddenSize,
      replicated: positionCount * hiddenSize + (form.hasEmbeddingNorm ? normParameterCount : 0))
  }

  /// The final norm and, when it is a matrix of its own, the output head, with its bias if it has one.
  package func headParameters(vocabularySize: Int) -> ParameterCount {
    ParameterCount(
      sharded: (hasTiedEmbeddings ? 0 : vocabularySize * hiddenSize) + (form.hasHeadBias ? vocabularySize : 0),
      replicated: normParameterCount)
  }

  /// All parameters with the unpadded vocabulary, each counted once: what a model card states. Layers that predict further
  /// tokens are not counted, see ``predictionParameterCount``.
  package var parameterCount: Int {
    denseLayerCount * layerParameters(.dense).total
      + (experts == nil ? 0 : expertLayerCount * layerParameters(.experts).total)
      + embeddingParameters(vocabularySize: vocabularySize).total
      + headParameters(vocabularySize: vocabularySize).total
  }

  /// Parameters of all layers that predict further tokens.
  package var predictionParameterCount: Int {
    predictionDepth == 0 ? 0 : predictionDepth * predictionLayerParameters.total
  }

  /// Those that one token's way goes through: of routed experts as many as it is sent to.
  ///
  /// - Parameter withEmbedding: whether the token table counts, of which a token has one row. Of a tied one, which is the
  ///   output matrix as well, there is no way without. Published figures differ in it.
  package func activeParameterCount(withEmbedding: Bool) -> Int {
    var count = parameterCount
    if let experts {
      let layer = layerParameters(.experts)
      count -=
        expertLayerCount * (layer.ofExperts + layer.ofExpertOutputs) / experts.count
        * (experts.count - experts.perToken)
    }
    return withEmbedding ? count : count - vocabularySize * hiddenSize
  }

  /// The smallest multiple of `multiple` × `tensorDegree` that holds the vocabulary: Megatron-LM pads the embedding so
  /// that every rank of a tensor group has the same number of rows (`--make-vocab-size-divisible-by`).
  @usableFromInline package func paddedVocabularySize(multiple: Int, tensorDegree: Int) -> Int {
    let step = multiple * tensorDegree
    return (vocabularySize + step - 1) / step * step
  }

  /// Of one normalisation of the residual stream.
  private var normParameterCount: Int { form.norm.parameterCount(width: hiddenSize) }

  /// Parameters of the norms of queries and keys that every rank of a tensor group holds whole, and computes gradients of
  /// for its own heads only.
  package var wholeQueryKeyNormCount: Int {
    switch form.queryKeyNorm {
    case .head: 2 * headSize
    case .allHeads: querySize + keyValueSize
    case .eachHead, nil: 0
    }
  }

  /// Pairs of a token and one that its attention scores, as they are counted as work.
  package enum CountedPairs: Sendable {
    /// All of the sequence, seen or not: the convention of Narayanan et al. 2021. Of layers with a window the same share of
    /// it as they see of a causal one.
    case all
    /// Those that are seen, half of the sequence under a causal mask: that of Megatron Core since 2025 (`training.py`).
    case visible
  }

  /// FLOP of the matrix products of one iteration over `sequenceCount` sequences, forward and backward, without
  /// recomputation: what model FLOP utilisation is the share of. Routers, norms and softmax are not counted; of routed
  /// experts those are that a token is sent to, and layers that predict further tokens are, each with a head's product.
  ///
  /// `3 · B · s · 2 · (Σ layers (projections + feed-forward + a·(d_k + d_v)·c) + h · V)`, c the pairs of a token
  /// (Narayanan et al. 2021, equation 3, written for any head count, feed-forward width and kind of layer).
  package func modelFLOP(sequenceLength: Int, sequenceCount: Int, counting pairs: CountedPairs = .all) -> Double {
    let h = Double(hiddenSize), q = Double(querySize), kv = Double(keyValueSize), context = Double(contextSize)
    let gates = hasGatedFeedForward ? 3.0 : 2
    var projections = h * (q + 2 * kv) + q * h
    if let latent {
      let narrow = Double(latent.keyValueRank)
      projections =
        (latent.queryRank.map { h * Double($0) + Double($0) * q } ?? h * q) + h * (narrow + Double(latent.rotarySize))
        + narrow * Double(headCount * (latent.plainSize + latent.valueSize)) + context * h
    }
    if form.hasOutputGate { projections += (latent?.queryRank.map(Double.init) ?? h) * context }
    let feedForward = gates * h * Double(feedForwardSize)
    let ofExperts =
      experts.map { experts -> Double in
        let width = experts.latentSize.map(Double.init) ?? h
        return gates
          * (width * Double(experts.perToken * experts.feedForwardSize)
            + h * Double(experts.sharedFeedForwardSize)) + (experts.latentSize == nil ? 0 : 2 * h * width)
      } ?? 0
    let depth = Double(predictionDepth), vocabulary = h * Double(vocabularySize)
    let ofLast = experts == nil || kind(ofLayer: layerCount - 1).feedForward == .dense ? feedForward : ofExperts
    let weights =
      Double(layerCount) * projections + Double(denseLayerCount) * feedForward + Double(expertLayerCount) * ofExperts
      + vocabulary + depth * (projections + ofLast + 2 * h * h + vocabulary)
    let pairCount = Double(sequenceLength) * (pairs == .visible && family != .bert ? 0.5 : 1)
    let attention =
      2 * pairCount * (q + context) * (Double(layerCount) + depth) * visibleFraction(sequenceLength: sequenceLength)
    return 3 * Double(sequenceCount) * Double(sequenceLength) * (2 * weights + attention)
  }
}
