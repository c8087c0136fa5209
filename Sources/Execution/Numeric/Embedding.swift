import Documents
import Training

/// Token embedding divided along the vocabulary, learned positions and dropout, as pieces between collectives.
struct Embedding: Sendable {
  let shard: ModelShard
  let layout: ParameterLayout

  init(shard: ModelShard) {
    self.shard = shard
    layout = ParameterLayout(.embedding, shard: shard)
  }

  /// Rows of the tokens that this rank's part of the vocabulary holds, zero for others.
  /// - Returns: all tokens × hidden, one addend of the sum over the tensor group (all-reduce; reduce-scatter under
  ///   sequence parallelism).
  func lookUp(weights: [Float], microBatch: MicroBatch) -> Matrix {
    shard.rows(of: shard.data.tokens(microBatch), in: weights, at: layout[.tokenEmbedding])
  }

  /// Positions and dropout. Keeps the mask.
  /// - Parameter sum: local rows × hidden.
  /// - Returns: local rows × hidden, the first layer's input.
  func finish(sum: Matrix, weights: [Float], microBatch: MicroBatch, saved: inout SavedActivations) -> Matrix {
    var output = sum
    if let table = layout.range(of: .positionEmbedding) {
      let width = output.columnCount
      for (index, row) in shard.localRows(microBatch).enumerated() {
        let source = table.lowerBound + positionRow(row, microBatch) * width
        for column in 0..<width { output.elements[index * width + column] += weights[source + column] }
      }
    }
    if shard.hasDropout {
      let dropout = Dropout(seed: shard.seed, step: microBatch.step, layer: 0, site: .embedding)
      let mask = dropout.mask(shard: shard, microBatch: microBatch)
      saved.keep(.embeddingDropoutMask, mask, elementByteCount: 1)
      output *= mask
    }
    return shard.arithmetic.rounded(output)
  }

  /// Of positions and dropout.
  /// - Returns: local rows × hidden, the gradient of `sum`; to be gathered under sequence parallelism.
  func finishBackward(
    outputGradient: Matrix, microBatch: MicroBatch, saved: SavedActivations, gradient: inout [Float]
  ) -> Matrix {
    var sumGradient = outputGradient
    if shard.hasDropout { sumGradient *= saved[.embeddingDropoutMask] }
    if let table = layout.range(of: .positionEmbedding) {
      // Summed apart, so that a micro-batch is one addend of the gradient.
      var sums = [Float](repeating: 0, count: table.count)
      let width = sumGradient.columnCount
      for (index, row) in shard.localRows(microBatch).enumerated() {
        let target = positionRow(row, microBatch) * width
        for column in 0..<width { sums[target + column] += sumGradient.elements[index * width + column] }
      }
      for index in sums.indices { gradient[table.lowerBound + index] += sums[index] }
    }
    return shard.arithmetic.rounded(sumGradient)
  }

  /// Of the rows looked up.
  /// - Parameter sumGradient: all tokens × hidden.
  func lookUpBackward(sumGradient: Matrix, microBatch: MicroBatch, gradient: inout [Float]) {
    shard.addRows(sumGradient, of: shard.data.tokens(microBatch), to: &gradient, at: layout[.tokenEmbedding])
  }

  /// The row of the position table that a row of the micro-batch uses; a sequence longer than the table starts over.
  private func positionRow(_ row: Int, _ microBatch: MicroBatch) -> Int {
    shard.positions[row / microBatch.sequences.count] % shard.model.positionCount
  }
}

extension ModelShard {
  /// Rows of a token table, those of tokens that this rank's part of the vocabulary holds, zero for others.
  ///
  /// - Parameter table: where it lies in a buffer.
  func rows(of tokens: [Int], in buffer: [Float], at table: Range<Int>) -> Matrix {
    let range = vocabularyRange, width = model.hiddenSize
    var rows = Matrix(rowCount: tokens.count, columnCount: width)
    for (row, token) in tokens.enumerated() where range.contains(token) {
      let source = table.lowerBound + (token - range.lowerBound) * width
      for column in 0..<width { rows.elements[row * width + column] = buffer[source + column] }
    }
    return arithmetic.rounded(rows)
  }

  /// Adds gradients of such rows to the table's, as one addend.
  func addRows(_ rowGradient: Matrix, of tokens: [Int], to gradient: inout [Float], at table: Range<Int>) {
    let range = vocabularyRange, width = model.hiddenSize
    var sums = [Float](repeating: 0, count: table.count)
    for (row, token) in tokens.enumerated() where range.contains(token) {
      let target = (token - range.lowerBound) * width
      for column in 0..<width { sums[target + column] += rowGradient.elements[row * width + column] }
    }
    for index in sums.indices { gradient[table.lowerBound + index] += sums[index] }
  }
}
