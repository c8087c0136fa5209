import Documents
import Glibc

/// Softmax(Q·Kᵀ/√d)·V of every sequence and head of a rank, with dropout of the probabilities.
///
/// *Unfused* keeps the probabilities; *fused* keeps the log-sum-exp of each row and computes the probabilities again in
/// backward (Dao et al. 2022, algorithms 1 and 4; here a head at a time, since it is what is kept that matters).
/// Query heads share key-value heads in blocks (Ainslie et al. 2023).
struct AttentionCore: Sendable {
  /// Global indices of the micro-batch's sequences.
  let sequences: [Int]
  let sequenceLength: Int
  /// Query heads of this rank.
  let headCount: Int
  let keyValueHeadCount: Int
  let headSize: Int
  /// Index of the rank's first head in the model.
  let firstHead: Int
  /// Whether a token sees none after it.
  let isCausal: Bool
  let dropout: Dropout?
  /// Format of what is kept.
  let arithmetic: Precision

  /// The probabilities of all heads, rows (sequence, head, query position) × key positions.
  struct Probabilities: Sendable {
    let softmax: Matrix
    /// Nil without dropout.
    let mask: Matrix?
    /// What multiplies the values: softmax × mask.
    let dropped: Matrix
  }

  /// A head of a sequence.
  struct Tile {
    /// Place of the sequence in the micro-batch.
    let place: Int
    /// Query head on this rank.
    let head: Int
  }

  /// Sequence by sequence, head by head.
  var tiles: [Tile] {
    sequences.indices.flatMap { place in (0..<headCount).map { Tile(place: place, head: $0) } }
  }

  /// Elements of a tile of probabilities.
  var tileCount: Int { sequenceLength * sequenceLength }

  func probabilities(query: Matrix, key: Matrix) -> Probabilities {
    var softmax = Matrix(rowCount: sequences.count * headCount * sequenceLength, columnCount: sequenceLength)
    var logSumExp = [Float](repeating: 0, count: sequenceLength)
    softmax.elements.withUnsafeMutableBufferPointer { elements in
      guard let base = elements.baseAddress else { return }
      for (index, tile) in tiles.enumerated() {
        let scores = base + index * tileCount
        self.scores(tile, query: query, key: key, into: scores)
        normalise(scores, logSumExp: &logSumExp)
      }
    }
    softmax = arithmetic.rounded(softmax)
    guard dropout != nil else { return Probabilities(softmax: softmax, mask: nil, dropped: softmax) }
    var mask = Matrix(rowCount: softmax.rowCount, columnCount: sequenceLength)
    mask.elements.withUnsafeMutableBufferPointer { elements in
      guard let base = elements.baseAddress else { return }
      for (index, tile) in tiles.enumerated() { fillMask(tile, into: base + index * tileCount) }
    }
    var dropped = softmax
    dropped *= mask
    return Probabilities(softmax: softmax, mask: mask, dropped: arithmetic.rounded(dropped))
  }

  /// - Returns: tokens × (heads · head size).
  func context(_ probabilities: Probabilities, value: Matrix) -> Matrix {
    var context = Matrix(rowCount: value.rowCount, columnCount: headCount * headSize)
    probabilities.dropped.elements.withUnsafeBufferPointer { dropped in
      guard let base = dropped.baseAddress else { return }
      for (index, tile) in tiles.enumerated() {
        weigh(tile, dropped: base + index * tileCount, value: value, into: &context)
      }
    }
    return context
  }

  /// Fused forward.
  /// - Returns: tokens × (heads · head size), and the log-sum-exp of tokens × heads.
  func fusedContext(query: Matrix, key: Matrix, value: Matrix) -> (context: Matrix, logSumExp: Matrix) {
    var context = Matrix(rowCount: value.rowCount, columnCount: headCount * headSize)
    var logSumExp = Matrix(rowCount: value.rowCount, columnCount: headCount)
    var rows = [Float](repeating: 0, count: sequenceLength)
    withUnsafeTemporaryAllocation(of: Float.self, capacity: 2 * tileCount) { scratch in
      guard let scores = scratch.baseAddress else { return }
      for tile in tiles {
        self.scores(tile, query: query, key: key, into: scores)
        normalise(scores, logSumExp: &rows)
        for position in 0..<sequenceLength {
          logSumExp[position * sequences.count + tile.place, tile.head] = rows[position]
        }
        if dropout != nil {
          let mask = scores + tileCount
          fillMask(tile, into: mask)
          for index in 0..<tileCount { scores[index] *= mask[index] }
        }
        weigh(tile, dropped: scores, value: value, into: &context)
      }
    }
    return (context, logSumExp)
  }

  /// Q·Kᵀ/√d of a tile, query positions × key positions.
  func scores(_ tile: Tile, query: Matrix, key: Matrix, into scores: UnsafeMutablePointer<Float>) {
    query.elements.withUnsafeBufferPointer { query in
      key.elements.withUnsafeBufferPointer { key in
        guard let query = query.baseAddress, let key = key.baseAddress else { return }
        MatrixProduct.multiply(
          queryOperand(query, tile), keyValueOperand(key, tile).transposed, rowCount: sequenceLength,
          columnCount: sequenceLength, depth: headSize, into: scores, cRowStride: sequenceLength)
      }
    }
    let factor = 1 / Float(headSize).squareRoot()
    for index in 0..<tileCount { scores[index] *= factor }
  }

  /// Scores become probabilities; those of keys that a query does not see are zero.
  private func normalise(_ scores: UnsafeMutablePointer<Float>, logSumExp: inout [Float]) {
    for position in 0..<sequenceLength {
      let row = scores + position * sequenceLength
      let seen = visibleCount(position)
      var maximum = row[0]
      for index in 1..<max(1, seen) { maximum = max(maximum, row[index]) }
      var sum: Float = 0
      for index in 0..<seen {
        let exponential = exp(row[index] - maximum)
        row[index] = exponential
        sum += exponential
      }
      for index in 0..<seen { row[index] /= sum }
      for index in seen..<sequenceLength { row[index] = 0 }
      logSumExp[position] = maximum + log(sum)
    }
  }

  /// Keys that the query at a position sees.
  func visibleCount(_ position: Int) -> Int { isCausal ? position + 1 : sequenceLength }

  /// Dropout factors of a tile.
  func fillMask(_ tile: Tile, into mask: UnsafeMutablePointer<Float>) {
    guard let dropout else { return }
    let firstFeature = (firstHead + tile.head) * sequenceLength
    for position in 0..<sequenceLength {
      dropout.fill(
        mask + position * sequenceLength, sequence: sequences[tile.place], position: position,
        range: firstFeature..<firstFeature + sequenceLength)
    }
  }

  /// Context of a tile.
  private func weigh(_ tile: Tile, dropped: UnsafePointer<Float>, value: Matrix, into context: inout Matrix) {
    let stride = context.columnCount * sequences.count
    value.elements.withUnsafeBufferPointer { value in
      context.elements.withUnsafeMutableBufferPointer { context in
        guard let value = value.baseAddress, let context = context.baseAddress else { return }
        MatrixProduct.multiply(
          .init(dropped, rowStride: sequenceLength), keyValueOperand(value, tile), rowCount: sequenceLength,
          columnCount: headSize, depth: sequenceLength, into: context + queryOffset(tile), cRowStride: stride)
      }
    }
  }

  /// First element of a tile's query head, in a matrix of tokens × (heads · head size).
  func queryOffset(_ tile: Tile) -> Int { (tile.place * headCount + tile.head) * headSize }

  /// First element of the key-value head that a tile's query head shares.
  func keyValueOffset(_ tile: Tile) -> Int {
    (tile.place * keyValueHeadCount + tile.head / (headCount / keyValueHeadCount)) * headSize
  }

  /// A tile's query head, positions × head size.
  func queryOperand(_ base: UnsafePointer<Float>, _ tile: Tile) -> MatrixProduct.Operand {
    MatrixProduct.Operand(base + queryOffset(tile), rowStride: headCount * headSize * sequences.count)
  }

  /// A tile's key or value head, positions × head size.
  func keyValueOperand(_ base: UnsafePointer<Float>, _ tile: Tile) -> MatrixProduct.Operand {
    MatrixProduct.Operand(base + keyValueOffset(tile), rowStride: keyValueHeadCount * headSize * sequences.count)
  }
}
