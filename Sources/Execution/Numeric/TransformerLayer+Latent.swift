import Documents

/// Latent attention (DeepSeek-AI 2024, section 2.1): narrow vectors of every token on every rank, and of them each rank's heads.
///
/// What goes through the tensor group between the two is one matrix of tokens: what queries are made of (the narrow vector,
/// normalised, or the layer's normalised input), what keys and values are, normalised, and the part of the keys that all
/// heads share.
extension TransformerLayer {
  /// What heads are made of, of the rank's own rows. Keeps the narrow vectors as they are made.
  /// - Parameter normalised: local rows × hidden.
  func narrowed(
    _ normalised: Matrix, _ latent: ModelDescription.LatentAttention, weights: [Float], saved: inout SavedActivations
  ) -> Matrix {
    let width = shard.elementByteCount
    let made = shard.rounded(linear(.keyValueDownWeight).output(normalised, weights: weights))
    let split = made.columns([latent.keyValueRank, latent.rotarySize])
    let keysValues = shard.rounded(narrowNorm(.keyValueDownNormWeight).forward(split[0], weights: weights))
    var queries = normalised
    if latent.queryRank != nil {
      let narrow = shard.rounded(linear(.queryDownWeight).output(normalised, weights: weights))
      saved.keep(.narrowQueries, narrow, elementByteCount: width)
      queries = shard.rounded(narrowNorm(.queryDownNormWeight).forward(narrow, weights: weights))
    }
    saved.keep(.narrowKeysValues, made, elementByteCount: width)
    return Matrix(besides: [queries, keysValues, split[1]])
  }

  /// - Parameter gradient: of what heads are made of, local rows, summed over the tensor group.
  /// - Returns: local rows × hidden, the gradient of `normalised`.
  func narrowedBackward(
    _ upstream: Matrix, _ normalised: Matrix, _ latent: ModelDescription.LatentAttention, weights: [Float],
    saved: SavedActivations, gradient: inout [Float], weightGradients: inout WeightGradients
  ) -> Matrix {
    let parts = upstream.columns(inputWidths(latent))
    let made = saved[.narrowKeysValues].columns([latent.keyValueRank, latent.rotarySize])
    let ofKeysValues = narrowNorm(.keyValueDownNormWeight).backward(
      parts[1], input: made[0], weights: weights, gradient: &gradient)
    let ofMade = Matrix(besides: [ofKeysValues, parts[2]])
    weightGradients.add(linear(.keyValueDownWeight), ofMade, with: normalised, to: &gradient)
    var inputGradient = linear(.keyValueDownWeight).inputGradient(ofMade, weights: weights)
    if latent.queryRank == nil {
      inputGradient += parts[0]
    } else {
      let ofNarrow = narrowNorm(.queryDownNormWeight).backward(
        parts[0], input: saved[.narrowQueries], weights: weights, gradient: &gradient)
      weightGradients.add(linear(.queryDownWeight), ofNarrow, with: normalised, to: &gradient)
      inputGradient += linear(.queryDownWeight).inputGradient(ofNarrow, weights: weights)
    }
    return shard.rounded(inputGradient)
  }

  /// Keeps what this rank's heads are made of, all tokens.
  func keepNarrow(_ input: Matrix, _ latent: ModelDescription.LatentAttention, saved: inout SavedActivations) {
    let parts = input.columns(inputWidths(latent))
    if latent.queryRank != nil {
      saved.keep(.gatheredQueries, parts[0], elementByteCount: shard.elementByteCount)
    }
    saved.keep(.gatheredKeysValues, parts[1], elementByteCount: shard.elementByteCount)
    if shard.makesHeadsAgain, shard.usesSequenceParallelism {
      saved.keep(.gatheredSharedKeys, parts[2], elementByteCount: shard.elementByteCount)
    }
  }

  /// What heads are made of once more, of what is kept.
  /// - Parameter normalised: all tokens × hidden, where queries are made of them.
  func inputAgain(
    _ latent: ModelDescription.LatentAttention, normalised: Matrix, in saved: SavedActivations
  ) -> Matrix {
    // Each rank has its own rows of what keys and values are made of, unless the group divides the sequence.
    let shared =
      shard.usesSequenceParallelism
      ? saved[.gatheredSharedKeys] : saved[.narrowKeysValues].columns([latent.keyValueRank, latent.rotarySize])[1]
    return Matrix(besides: [
      latent.queryRank == nil ? normalised : saved[.gatheredQueries], saved[.gatheredKeysValues], shared,
    ])
  }

  /// What heads were made of, of what is kept; but the keys' shared part, whose gradient needs no value.
  /// - Parameter normalised: all tokens × hidden, where queries are made of them.
  func keptInput(
    _ latent: ModelDescription.LatentAttention, normalised: Matrix, in saved: SavedActivations
  ) -> Matrix {
    let keysValues = saved[.gatheredKeysValues]
    let shared = Matrix(rowCount: keysValues.rowCount, columnCount: latent.rotarySize)
    return Matrix(besides: [latent.queryRank == nil ? normalised : saved[.gatheredQueries], keysValues, shared])
  }

  /// Queries, keys and values of this rank's heads, all tokens.
  func latentHeads(
    _ input: Matrix, _ latent: ModelDescription.LatentAttention, weights: [Float], microBatch: MicroBatch
  ) -> (query: Matrix, key: Matrix, value: Matrix) {
    let parts = input.columns(inputWidths(latent)), count = microBatch.sequences.count
    var query = linear(.queryWeight).output(parts[0], weights: weights)
    rotary?.rotate(&query, sequenceCount: count)
    var shared = parts[2]
    sharedRotary(latent)?.rotate(&shared, sequenceCount: count)
    let (n, r, v) = (latent.plainSize, latent.rotarySize, latent.valueSize)
    let made = linear(.keyValueUpWeight).output(parts[1], weights: weights)
    var key = Matrix(rowCount: made.rowCount, columnCount: shard.headCount * (n + r))
    var value = Matrix(rowCount: made.rowCount, columnCount: shard.headCount * v)
    for row in 0..<made.rowCount {
      for head in 0..<shard.headCount {
        for at in 0..<n { key[row, head * (n + r) + at] = made[row, head * (n + v) + at] }
        for at in 0..<r { key[row, head * (n + r) + n + at] = shared[row, at] }
        for at in 0..<v { value[row, head * v + at] = made[row, head * (n + v) + n + at] }
      }
    }
    return (shard.rounded(query), shard.rounded(key), shard.rounded(value))
  }

  /// - Parameter ofGate: the gradient of what queries are made of, as far as it is of what gates heads' outputs.
  /// - Returns: all tokens, this rank's addend of the gradient of `input`.
  func latentHeadsBackward(
    _ gradients: AttentionCore.Gradients, ofGate: Matrix?, _ input: Matrix, _ latent: ModelDescription.LatentAttention,
    weights: [Float], microBatch: MicroBatch, gradient: inout [Float], weightGradients: inout WeightGradients
  ) -> Matrix {
    let parts = input.columns(inputWidths(latent)), count = microBatch.sequences.count
    let (n, r, v) = (latent.plainSize, latent.rotarySize, latent.valueSize)
    var query = gradients.query
    rotary?.rotate(&query, sequenceCount: count, backward: true)
    weightGradients.add(linear(.queryWeight), query, with: parts[0], to: &gradient)
    var ofQueries = linear(.queryWeight).inputGradient(query, weights: weights)
    if let ofGate { ofQueries += ofGate }
    var shared = Matrix(rowCount: input.rowCount, columnCount: r)
    var made = Matrix(rowCount: input.rowCount, columnCount: shard.headCount * (n + v))
    for row in 0..<input.rowCount {
      for head in 0..<shard.headCount {
        for at in 0..<n { made[row, head * (n + v) + at] = gradients.key[row, head * (n + r) + at] }
        for at in 0..<r { shared[row, at] += gradients.key[row, head * (n + r) + n + at] }
        for at in 0..<v { made[row, head * (n + v) + n + at] = gradients.value[row, head * v + at] }
      }
    }
    sharedRotary(latent)?.rotate(&shared, sequenceCount: count, backward: true)
    weightGradients.add(linear(.keyValueUpWeight), made, with: parts[1], to: &gradient)
    return Matrix(besides: [ofQueries, linear(.keyValueUpWeight).inputGradient(made, weights: weights), shared])
  }

  /// Widths of what queries, and keys and values, are made of, and of the keys' shared part.
  func inputWidths(_ latent: ModelDescription.LatentAttention) -> [Int] {
    [latent.queryRank ?? shard.model.hiddenSize, latent.keyValueRank, latent.rotarySize]
  }

  private func narrowNorm(_ name: ParameterName) -> Normalisation { Normalisation(weight: layout[name], bias: nil) }

  /// Turns the keys' shared part, which is one head of its own.
  private func sharedRotary(_ latent: ModelDescription.LatentAttention) -> RotaryPositions? {
    rotary == nil ? nil : RotaryPositions(headSize: latent.rotarySize, positions: shard.positions)
  }
}

extension Matrix {
  /// The columns of all parts side by side.
  /// - Precondition: there is a part, and all have as many rows.
  init(besides parts: [Matrix]) {
    let width = parts.reduce(0) { $0 + $1.columnCount }
    var elements: [Float] = []
    elements.reserveCapacity(parts[0].rowCount * width)
    for row in 0..<parts[0].rowCount {
      for part in parts { elements += part.elements[row * part.columnCount..<(row + 1) * part.columnCount] }
    }
    self.init(rowCount: parts[0].rowCount, columnCount: width, elements: elements)
  }

  /// Runs of columns of the given widths, one after the other.
  func columns(_ widths: [Int]) -> [Matrix] {
    var first = 0
    return widths.map { width in
      defer { first += width }
      return Matrix(
        rowCount: rowCount, columnCount: width,
        elements: (0..<rowCount).flatMap { elements[$0 * columnCount + first..<$0 * columnCount + first + width] })
    }
  }
}
