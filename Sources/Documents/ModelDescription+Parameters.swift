/// Parameters of one part of a model, split by what tensor parallelism does to them.
package struct ParameterCount: Sendable, Equatable {
  /// Parameters that tensor parallelism divides among the ranks of its group.
  package let sharded: Int
  /// Parameters that every rank of the tensor group holds whole: norms, biases after a reduction, positions.
  package let replicated: Int

  package init(sharded: Int, replicated: Int) {
    self.sharded = sharded
    self.replicated = replicated
  }

  /// All of them, once.
  package var total: Int { sharded + replicated }

  /// What one rank of a tensor group of `degree` holds.
  /// - Precondition: the degree divides the sharded count, which holds when it divides heads, key-value heads,
  ///   feed-forward width and the padded vocabulary.
  package func perRank(tensorDegree degree: Int) -> Int { sharded / degree + replicated }

  package static func + (left: Self, right: Self) -> Self {
    Self(sharded: left.sharded + right.sharded, replicated: left.replicated + right.replicated)
  }
}

/// Exact parameter counts, as the frameworks allocate them (Megatron-LM's split into column- and row-parallel layers).
extension ModelDescription {
  /// One transformer block.
  package var layerParameters: ParameterCount {
    let gates = hasGatedFeedForward ? 2 : 1
    let h = hiddenSize, q = querySize, kv = keyValueSize, f = feedForwardSize
    var sharded = h * (q + 2 * kv) + q * h + gates * h * f + f * h
    var replicated = form.block.normCount * normParameterCount
    if hasQueryKeyValueBias { sharded += q + 2 * kv }
    // The bias of a row-parallel layer is added after the reduction: every rank holds it whole.
    if hasAttentionOutputBias { replicated += h }
    if hasFeedForwardBias {
      sharded += gates * f
      replicated += h
    }
    // Weights of each head go with the head; a norm over all of them is whole wherever a part of them is normalised.
    switch form.queryKeyNorm {
    case .head: replicated += 2 * headSize
    case .eachHead: sharded += q + kv
    case .allHeads: replicated += q + kv
    case nil: break
    }
    return ParameterCount(sharded: sharded, replicated: replicated)
  }

  /// Rows and columns of a matrix.
  package struct MatrixShape: Sendable, Equatable {
    package let rows: Int
    package let columns: Int

    /// Entries.
    package var count: Int { rows * columns }
  }

  /// The matrices of one block as one rank of a tensor group holds them: queries, keys and values each by itself, and so
  /// the gate and what it gates.
  package func layerMatrices(tensorDegree t: Int) -> [MatrixShape] {
    let h = hiddenSize, q = querySize / t, kv = keyValueSize / t, f = feedForwardSize / t
    let inputs = [q, kv, kv, f] + (hasGatedFeedForward ? [f] : [])
    return inputs.map { MatrixShape(rows: $0, columns: h) } + [q, f].map { MatrixShape(rows: h, columns: $0) }
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

  /// All parameters with the unpadded vocabulary, each counted once: what a model card states.
  package var parameterCount: Int {
    layerCount * layerParameters.total + embeddingParameters(vocabularySize: vocabularySize).total
      + headParameters(vocabularySize: vocabularySize).total
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

  /// FLOP of the matrix products of one iteration over `sequenceCount` sequences, forward and backward, without
  /// recomputation and with full (not causal) attention, of layers with a window the same share of it as they see of a
  /// causal one: the convention of model FLOP utilisation.
  ///
  /// `3 · B · s · (2 · (L · (projections + feed-forward) + h · V) + 4 · s · heads · d · L)`
  /// (Narayanan et al. 2021, equation 3, written for any head count and feed-forward width).
  package func modelFLOP(sequenceLength: Int, sequenceCount: Int) -> Double {
    let h = Double(hiddenSize), q = Double(querySize), kv = Double(keyValueSize), f = Double(feedForwardSize)
    let projections = h * (q + 2 * kv) + q * h
    let feedForward = (hasGatedFeedForward ? 3 : 2) * h * f
    let weights = Double(layerCount) * (projections + feedForward) + h * Double(vocabularySize)
    let attention =
      4 * Double(sequenceLength) * q * Double(layerCount) * visibleFraction(sequenceLength: sequenceLength)
    return 3 * Double(sequenceCount) * Double(sequenceLength) * (2 * weights + attention)
  }
}
