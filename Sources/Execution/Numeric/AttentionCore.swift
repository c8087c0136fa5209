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
  /// Of whole sequences.
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
  /// Positions of the queries, and of the keys, ascending: all of a sequence, or what there is of it.
  let queryPositions: [Int]
  let keyPositions: [Int]
  /// By query, the keys that it sees: the first so many.
  private let visibleCounts: [Int]

  /// - Parameters:
  ///   - sequenceLength: of whole sequences.
  ///   - queryPositions: nil is all.
  ///   - keyPositions: nil is all.
  init(
    sequences: [Int], sequenceLength: Int, headCount: Int, keyValueHeadCount: Int, headSize: Int, firstHead: Int,
    isCausal: Bool, dropout: Dropout?, arithmetic: Precision, queryPositions: [Int]? = nil, keyPositions: [Int]? = nil
  ) {
    self.sequences = sequences
    self.sequenceLength = sequenceLength
    self.headCount = headCount
    self.keyValueHeadCount = keyValueHeadCount
    self.headSize = headSize
    self.firstHead = firstHead
    self.isCausal = isCausal
    self.dropout = dropout
    self.arithmetic = arithmetic
    let queries = queryPositions ?? Array(0..<sequenceLength), keys = keyPositions ?? Array(0..<sequenceLength)
    self.queryPositions = queries
    self.keyPositions = keys
    visibleCounts = queries.map { query in isCausal ? keys.prefix { $0 <= query }.count : keys.count }
  }

  /// Queries and keys of a sequence.
  var queryCount: Int { queryPositions.count }
  var keyCount: Int { keyPositions.count }

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
  var tileCount: Int { queryCount * keyCount }

  func probabilities(query: Matrix, key: Matrix) -> Probabilities {
    var softmax = Matrix(rowCount: sequences.count * headCount * queryCount, columnCount: keyCount)
    var logSumExp = [Float](repeating: 0, count: queryCount)
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
    var mask = Matrix(rowCount: softmax.rowCount, columnCount: keyCount)
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
    var context = Matrix(rowCount: rowCount, columnCount: headCount * headSize)
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
    var context = Matrix(rowCount: rowCount, columnCount: headCount * headSize)
    var logSumExp = Matrix(rowCount: rowCount, columnCount: headCount)
    var rows = [Float](repeating: 0, count: queryCount)
    withUnsafeTemporaryAllocation(of: Float.self, capacity: 2 * tileCount) { scratch in
      guard let scores = scratch.baseAddress else { return }
      for tile in tiles {
        self.scores(tile, query: query, key: key, into: scores)
        normalise(scores, logSumExp: &rows)
        for position in 0..<queryCount {
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
          queryOperand(query, tile), keyValueOperand(key, tile).transposed, rowCount: queryCount,
          columnCount: keyCount, depth: headSize, into: scores, cRowStride: keyCount)
      }
    }
    let factor = 1 / Float(headSize).squareRoot()
    for index in 0..<tileCount { scores[index] *= factor }
  }

  /// Scores become probabilities; those of keys that a query does not see are zero.
  private func normalise(_ scores: UnsafeMutablePointer<Float>, logSumExp: inout [Float]) {
    for position in 0..<queryCount {
      let row = scores + position * keyCount
      let seen = visibleCount(position)
      guard seen > 0 else {
        for index in 0..<keyCount { row[index] = 0 }
        logSumExp[position] = -.infinity
        continue
      }
      var maximum = row[0]
      for index in 1..<max(1, seen) { maximum = max(maximum, row[index]) }
      var sum: Float = 0
      for index in 0..<seen {
        let exponential = exp(row[index] - maximum)
        row[index] = exponential
        sum += exponential
      }
      for index in 0..<seen { row[index] /= sum }
      for index in seen..<keyCount { row[index] = 0 }
      logSumExp[position] = maximum + log(sum)
    }
  }

  /// Keys that a query sees, by its place.
  func visibleCount(_ query: Int) -> Int { visibleCounts[query] }

  /// Rows of queries: of every position, one of each sequence.
  private var rowCount: Int { queryCount * sequences.count }

  /// Dropout factors of a tile.
  func fillMask(_ tile: Tile, into mask: UnsafeMutablePointer<Float>) {
    guard let dropout else { return }
    let firstFeature = (firstHead + tile.head) * sequenceLength
    // Runs of neighbouring keys, whose features are neighbours.
    var first = 0
    while first < keyCount {
      var end = first + 1
      while end < keyCount, keyPositions[end] == keyPositions[end - 1] + 1 { end += 1 }
      let feature = firstFeature + keyPositions[first]
      for (query, position) in queryPositions.enumerated() {
        dropout.fill(
          mask + query * keyCount + first, sequence: sequences[tile.place], position: position,
          range: feature..<feature + end - first)
      }
      first = end
    }
  }

  /// Context of a tile.
  private func weigh(_ tile: Tile, dropped: UnsafePointer<Float>, value: Matrix, into context: inout Matrix) {
    let stride = context.columnCount * sequences.count
    value.elements.withUnsafeBufferPointer { value in
      context.elements.withUnsafeMutableBufferPointer { context in
        guard let value = value.baseAddress, let context = context.baseAddress else { return }
        MatrixProduct.multiply(
          .init(dropped, rowStride: keyCount), keyValueOperand(value, tile), rowCount: queryCount,
          columnCount: headSize, depth: keyCount, into: context + queryOffset(tile), cRowStride: stride)
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
