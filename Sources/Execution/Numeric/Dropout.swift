import Documents

/// Dropout with masks that depend on what is dropped, not on who drops it (Srivastava et al. 2014; here from a hash of
/// coordinates), so that every layout, the serial reference and a recomputation drop the same elements.
struct Dropout: Sendable {
  /// Where in the model elements are dropped.
  enum Site: Int, Sendable { case embedding, attentionCore, attention, feedForward }

  /// Probability that an element is dropped, of all sites.
  static let rate: Float = 0.1
  /// What a kept element is multiplied by.
  static let keptFactor = 1 / (1 - rate)

  private let hash: CounterHash

  /// - Parameter layer: 0 for the embedding.
  init(seed: UInt64, step: Int, layer: Int, site: Site) {
    hash = CounterHash(seed: seed).appending(Self.stream).appending(step).appending(layer).appending(site.rawValue)
  }

  /// First coordinate, apart from those of data and parameters.
  private static let stream = 3

  /// Factors of the features `range` of a token: 0 or 1 / (1 − p).
  /// - Parameters:
  ///   - sequence: index in the global batch.
  ///   - position: of the token.
  ///   - range: features of the full tensor.
  func fill(
    _ factors: UnsafeMutablePointer<Float>, sequence: Int, position: Int, range: Range<Int>
  ) {
    let token = hash.appending(sequence).appending(position)
    for index in 0..<range.count {
      let stays = token.appending(range.lowerBound + index).unitInterval >= Self.rate
      factors[index] = stays ? Self.keptFactor : 0
    }
  }

  /// Factors of all features of local rows of a micro-batch.
  func mask(shard: ModelShard, microBatch: MicroBatch) -> Matrix {
    let rows = shard.localRows(microBatch)
    var mask = Matrix(rowCount: rows.count, columnCount: shard.model.hiddenSize)
    let width = mask.columnCount
    mask.elements.withUnsafeMutableBufferPointer { factors in
      guard let base = factors.baseAddress else { return }
      for (index, row) in rows.enumerated() {
        let (position, place) = row.quotientAndRemainder(dividingBy: microBatch.sequences.count)
        fill(
          base + index * width, sequence: microBatch.sequences[place], position: shard.positions[position],
          range: 0..<width)
      }
    }
    return mask
  }
}

extension Matrix {
  /// Element by element.
  static func *= (left: inout Matrix, right: Matrix) {
    precondition(
      left.rowCount == right.rowCount && left.columnCount == right.columnCount, "matrices of two shapes are multiplied")
    left.elements.withUnsafeMutableBufferPointer { product in
      right.elements.withUnsafeBufferPointer { factors in
        for index in product.indices { product[index] *= factors[index] }
      }
    }
  }
}
