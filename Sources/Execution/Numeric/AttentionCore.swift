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
  /// Width of a head's queries and keys, and of its values.
  let headSize: Int
  let valueSize: Int
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
  /// By query, the keys that it sees.
  private let visibleRanges: [Range<Int>]
  /// By query head of the rank, a number among its scores that attends to nothing (gpt-oss); empty without.
  let sinks: [Float]

  /// - Parameters:
  ///   - sequenceLength: of whole sequences.
  ///   - valueSize: nil is as wide as keys.
  ///   - reach: how far back a token sees.
  ///   - queryPositions: nil is all.
  ///   - keyPositions: nil is all.
  init(
    sequences: [Int], sequenceLength: Int, headCount: Int, keyValueHeadCount: Int, headSize: Int,
    valueSize: Int? = nil, firstHead: Int, isCausal: Bool, dropout: Dropout?, arithmetic: Precision,
    reach: ModelDescription.LayerKind.Reach = .full, sinks: [Float] = [], queryPositions: [Int]? = nil,
    keyPositions: [Int]? = nil
  ) {
    self.sequences = sequences
    self.sequenceLength = sequenceLength
    self.headCount = headCount
    self.keyValueHeadCount = keyValueHeadCount
    self.headSize = headSize
    self.valueSize = valueSize ?? headSize
    self.firstHead = firstHead
    self.isCausal = isCausal
    self.dropout = dropout
    self.arithmetic = arithmetic
    let queries = queryPositions ?? Array(0..<sequenceLength), keys = keyPositions ?? Array(0..<sequenceLength)
    self.queryPositions = queries
    self.keyPositions = keys
    self.sinks = sinks
    visibleRanges = queries.map { query in
      let end = isCausal ? keys.prefix { $0 <= query }.count : keys.count
      let first =
        switch reach {
        case .full: 0
        case .window(let size): query - size + 1
        case .chunk(let size): query / size * size
        }
      return min(end, keys.prefix { $0 < first }.count)..<end
    }
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
        normalise(scores, head: tile.head, logSumExp: &logSumExp)
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

  /// - Returns: tokens × (heads · value size).
  func context(_ probabilities: Probabilities, value: Matrix) -> Matrix {
    var context = Matrix(rowCount: rowCount, columnCount: headCount * valueSize)
    probabilities.dropped.elements.withUnsafeBufferPointer { dropped in
      guard let base = dropped.baseAddress else { return }
      for (index, tile) in tiles.enumerated() {
        weigh(tile, dropped: base + index * tileCount, value: value, into: &context)
      }
    }
    return context
  }

  /// Fused forward.
  /// - Returns: tokens × (heads · value size), and the log-sum-exp of tokens × heads.
  func fusedContext(query: Matrix, key: Matrix, value: Matrix) -> (context: Matrix, logSumExp: Matrix) {
    var context = Matrix(rowCount: rowCount, columnCount: headCount * valueSize)
    var logSumExp = Matrix(rowCount: rowCount, columnCount: headCount)
    var rows = [Float](repeating: 0, count: queryCount)
    withUnsafeTemporaryAllocation(of: Float.self, capacity: 2 * tileCount) { scratch in
      guard let scores = scratch.baseAddress else { return }
      for tile in tiles {
        self.scores(tile, query: query, key: key, into: scores)
        normalise(scores, head: tile.head, logSumExp: &rows)
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
          queryOperand(query, tile), keyOperand(key, tile).transposed, rowCount: queryCount,
          columnCount: keyCount, depth: headSize, into: scores, cRowStride: keyCount)
      }
    }
    let factor = 1 / Float(headSize).squareRoot()
    for index in 0..<tileCount { scores[index] *= factor }
  }

  /// Scores become probabilities; those of keys that a query does not see are zero.
  private func normalise(_ scores: UnsafeMutablePointer<Float>, head: Int, logSumExp: inout [Float]) {
    for position in 0..<queryCount {
      let row = scores + position * keyCount
      let seen = visibleKeys(position)
      guard !seen.isEmpty else {
        for index in 0..<keyCount { row[index] = 0 }
        logSumExp[position] = -.infinity
        continue
      }
      var maximum = sinks.isEmpty ? row[seen.lowerBound] : max(sinks[head], row[seen.lowerBound])
      for index in seen { maximum = max(maximum, row[index]) }
      var sum: Float = 0
      for index in seen {
        let exponential = exp(row[index] - maximum)
        row[index] = exponential
        sum += exponential
      }
      if !sinks.isEmpty { sum += exp(sinks[head] - maximum) }
      for index in seen { row[index] /= sum }
      for index in 0..<seen.lowerBound { row[index] = 0 }
      for index in seen.upperBound..<keyCount { row[index] = 0 }
      logSumExp[position] = maximum + log(sum)
    }
  }

  /// Keys that a query sees, by its place.
  func visibleKeys(_ query: Int) -> Range<Int> { visibleRanges[query] }

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
          .init(dropped, rowStride: keyCount), valueOperand(value, tile), rowCount: queryCount,
          columnCount: valueSize, depth: keyCount, into: context + contextOffset(tile), cRowStride: stride)
      }
    }
  }

  /// First element of a tile's query head, in a matrix of tokens × (heads · head size), and of what it gives.
  func queryOffset(_ tile: Tile) -> Int { (tile.place * headCount + tile.head) * headSize }
  func contextOffset(_ tile: Tile) -> Int { (tile.place * headCount + tile.head) * valueSize }

  /// First element of the key head, and of the value head, that a tile's query head shares.
  func keyOffset(_ tile: Tile) -> Int { sharedHead(tile) * headSize }
  func valueOffset(_ tile: Tile) -> Int { sharedHead(tile) * valueSize }

  private func sharedHead(_ tile: Tile) -> Int {
    tile.place * keyValueHeadCount + tile.head / (headCount / keyValueHeadCount)
  }

  /// A tile's query head, positions × head size.
  func queryOperand(_ base: UnsafePointer<Float>, _ tile: Tile) -> MatrixProduct.Operand {
    MatrixProduct.Operand(base + queryOffset(tile), rowStride: headCount * headSize * sequences.count)
  }

  /// What a tile's query head gives, or its gradient, positions × value size.
  func contextOperand(_ base: UnsafePointer<Float>, _ tile: Tile) -> MatrixProduct.Operand {
    MatrixProduct.Operand(base + contextOffset(tile), rowStride: headCount * valueSize * sequences.count)
  }

  /// A tile's key head, positions × head size.
  func keyOperand(_ base: UnsafePointer<Float>, _ tile: Tile) -> MatrixProduct.Operand {
    MatrixProduct.Operand(base + keyOffset(tile), rowStride: keyValueHeadCount * headSize * sequences.count)
  }

  /// A tile's value head, positions × value size.
  func valueOperand(_ base: UnsafePointer<Float>, _ tile: Tile) -> MatrixProduct.Operand {
    MatrixProduct.Operand(base + valueOffset(tile), rowStride: keyValueHeadCount * valueSize * sequences.count)
  }
}
