import Glibc

extension AttentionCore {
  /// Gradients of what the core was given, of their shapes.
  struct Gradients: Sendable {
    var query: Matrix
    var key: Matrix
    var value: Matrix
    /// By query head, of ``AttentionCore/sinks``.
    var sinks: [Float] = []
  }

  /// Unfused backward, from kept or rebuilt probabilities.
  func backward(
    contextGradient: Matrix, query: Matrix, key: Matrix, value: Matrix, probabilities: Probabilities
  ) -> Gradients {
    var gradients = zeroGradients(query: query, key: key, value: value)
    withUnsafeTemporaryAllocation(of: Float.self, capacity: tileCount) { scratch in
      probabilities.softmax.elements.withUnsafeBufferPointer { softmax in
        probabilities.dropped.elements.withUnsafeBufferPointer { dropped in
          guard let work = scratch.baseAddress, let softmax = softmax.baseAddress, let dropped = dropped.baseAddress
          else { return }
          for (index, tile) in tiles.enumerated() {
            let first = index * tileCount
            valueBackward(tile, dropped: dropped + first, contextGradient: contextGradient, into: &gradients.value)
            probabilityGradient(tile, contextGradient: contextGradient, value: value, into: work)
            if let mask = probabilities.mask {
              for at in 0..<tileCount { work[at] *= mask.elements[first + at] }
            }
            for position in 0..<queryCount {
              let row = position * keyCount
              var sum: Float = 0
              for at in row..<row + keyCount { sum += softmax[first + at] * work[at] }
              if !sinks.isEmpty {
                // What the keys leave is the sink's.
                var rest: Float = 1
                for at in row..<row + keyCount { rest -= softmax[first + at] }
                gradients.sinks[tile.head] -= rest * sum
              }
              for at in row..<row + keyCount { work[at] = softmax[first + at] * (work[at] - sum) }
            }
            scoreBackward(tile, scoreGradient: work, query: query, key: key, into: &gradients)
          }
        }
      }
    }
    return gradients
  }

  /// Fused backward: probabilities are exp(score − log-sum-exp), and Σ P·dP of a row is dO·O.
  /// - Parameters:
  ///   - context: the kept output O.
  ///   - logSumExp: kept, tokens × heads.
  func fusedBackward(
    contextGradient: Matrix, query: Matrix, key: Matrix, value: Matrix, context: Matrix, logSumExp: Matrix
  ) -> Gradients {
    var gradients = zeroGradients(query: query, key: key, value: value)
    withUnsafeTemporaryAllocation(of: Float.self, capacity: 4 * tileCount) { scratch in
      guard let softmax = scratch.baseAddress else { return }
      let mask = softmax + tileCount, dropped = mask + tileCount, work = dropped + tileCount
      for tile in tiles {
        scores(tile, query: query, key: key, into: softmax)
        for position in 0..<queryCount {
          let row = softmax + position * keyCount
          let logSum = logSumExp[position * sequences.count + tile.place, tile.head]
          let seen = visibleKeys(position)
          for at in seen { row[at] = exp(row[at] - logSum) }
          for at in 0..<seen.lowerBound { row[at] = 0 }
          for at in seen.upperBound..<keyCount { row[at] = 0 }
        }
        if dropout == nil {
          for at in 0..<tileCount { dropped[at] = softmax[at] }
        } else {
          fillMask(tile, into: mask)
          for at in 0..<tileCount { dropped[at] = softmax[at] * mask[at] }
        }
        valueBackward(tile, dropped: dropped, contextGradient: contextGradient, into: &gradients.value)
        probabilityGradient(tile, contextGradient: contextGradient, value: value, into: work)
        if dropout != nil {
          for at in 0..<tileCount { work[at] *= mask[at] }
        }
        for position in 0..<queryCount {
          let start = contextOffset(tile) + position * headCount * valueSize * sequences.count
          var sum: Float = 0
          for at in start..<start + valueSize { sum += contextGradient.elements[at] * context.elements[at] }
          if !sinks.isEmpty {
            let logSum = logSumExp[position * sequences.count + tile.place, tile.head]
            gradients.sinks[tile.head] -= exp(sinks[tile.head] - logSum) * sum
          }
          let row = position * keyCount
          for at in row..<row + keyCount { work[at] = softmax[at] * (work[at] - sum) }
        }
        scoreBackward(tile, scoreGradient: work, query: query, key: key, into: &gradients)
      }
    }
    return gradients
  }

  private func zeroGradients(query: Matrix, key: Matrix, value: Matrix) -> Gradients {
    Gradients(
      query: Matrix(rowCount: query.rowCount, columnCount: query.columnCount),
      key: Matrix(rowCount: key.rowCount, columnCount: key.columnCount),
      value: Matrix(rowCount: value.rowCount, columnCount: value.columnCount),
      sinks: [Float](repeating: 0, count: sinks.count))
  }

  /// dV += P̃ᵀ·dO; query heads that share a value head add in their order.
  private func valueBackward(
    _ tile: Tile, dropped: UnsafePointer<Float>, contextGradient: Matrix, into gradient: inout Matrix
  ) {
    let stride = gradient.columnCount * sequences.count
    contextGradient.elements.withUnsafeBufferPointer { upstream in
      gradient.elements.withUnsafeMutableBufferPointer { gradient in
        guard let upstream = upstream.baseAddress, let gradient = gradient.baseAddress else { return }
        MatrixProduct.multiply(
          MatrixProduct.Operand(dropped, rowStride: keyCount).transposed, contextOperand(upstream, tile),
          rowCount: keyCount, columnCount: valueSize, depth: queryCount,
          into: gradient + valueOffset(tile), cRowStride: stride, accumulating: true)
      }
    }
  }

  /// dP̃ = dO·Vᵀ.
  private func probabilityGradient(
    _ tile: Tile, contextGradient: Matrix, value: Matrix, into gradient: UnsafeMutablePointer<Float>
  ) {
    contextGradient.elements.withUnsafeBufferPointer { upstream in
      value.elements.withUnsafeBufferPointer { value in
        guard let upstream = upstream.baseAddress, let value = value.baseAddress else { return }
        MatrixProduct.multiply(
          contextOperand(upstream, tile), valueOperand(value, tile).transposed, rowCount: queryCount,
          columnCount: keyCount, depth: valueSize, into: gradient, cRowStride: keyCount)
      }
    }
  }

  /// dQ = dS·K/√d and dK += dSᵀ·Q/√d. `scoreGradient` is used up.
  private func scoreBackward(
    _ tile: Tile, scoreGradient: UnsafeMutablePointer<Float>, query: Matrix, key: Matrix,
    into gradients: inout Gradients
  ) {
    let factor = 1 / Float(headSize).squareRoot()
    for at in 0..<tileCount { scoreGradient[at] *= factor }
    let scores = MatrixProduct.Operand(scoreGradient, rowStride: keyCount)
    let queryStride = query.columnCount * sequences.count, keyStride = key.columnCount * sequences.count
    key.elements.withUnsafeBufferPointer { key in
      gradients.query.elements.withUnsafeMutableBufferPointer { gradient in
        guard let key = key.baseAddress, let gradient = gradient.baseAddress else { return }
        MatrixProduct.multiply(
          scores, keyOperand(key, tile), rowCount: queryCount, columnCount: headSize, depth: keyCount,
          into: gradient + queryOffset(tile), cRowStride: queryStride)
      }
    }
    query.elements.withUnsafeBufferPointer { query in
      gradients.key.elements.withUnsafeMutableBufferPointer { gradient in
        guard let query = query.baseAddress, let gradient = gradient.baseAddress else { return }
        MatrixProduct.multiply(
          scores.transposed, queryOperand(query, tile), rowCount: keyCount, columnCount: headSize,
          depth: queryCount, into: gradient + keyOffset(tile), cRowStride: keyStride, accumulating: true)
      }
    }
  }
}
