/// Rows × columns of fp32 numbers, row by row: activations are tokens × features, weights are outputs × inputs.
package struct Matrix: Sendable, Equatable {
  package let rowCount: Int
  package let columnCount: Int
  /// Element (r, c) is at `r * columnCount + c`.
  package var elements: [Float]

  /// - Precondition: there are rows × columns elements.
  package init(rowCount: Int, columnCount: Int, elements: [Float]) {
    precondition(elements.count == rowCount * columnCount, "a matrix has rows × columns elements")
    self.rowCount = rowCount
    self.columnCount = columnCount
    self.elements = elements
  }

  /// All zero.
  package init(rowCount: Int, columnCount: Int) {
    self.init(
      rowCount: rowCount, columnCount: columnCount, elements: [Float](repeating: 0, count: rowCount * columnCount))
  }

  package subscript(row: Int, column: Int) -> Float {
    get { elements[row * columnCount + column] }
    set { elements[row * columnCount + column] = newValue }
  }

  /// Some of the rows, as what a rank holds of a tensor divided along its rows.
  func rows(_ range: Range<Int>) -> Matrix {
    Matrix(
      rowCount: range.count, columnCount: columnCount,
      elements: Array(elements[range.lowerBound * columnCount..<range.upperBound * columnCount]))
  }

  /// The rows of all parts, one part after the other: what an all-gather along the rows gives.
  /// - Precondition: there is a part, and all are of the same width.
  init(concatenating parts: [Matrix]) {
    precondition(!parts.isEmpty, "nothing to concatenate")
    self.init(
      rowCount: parts.reduce(0) { $0 + $1.rowCount }, columnCount: parts[0].columnCount,
      elements: parts.flatMap(\.elements))
  }

  /// Element by element.
  static func += (left: inout Matrix, right: Matrix) {
    precondition(
      left.rowCount == right.rowCount && left.columnCount == right.columnCount, "only matrices of one shape are added")
    left.elements.withUnsafeMutableBufferPointer { sum in
      right.elements.withUnsafeBufferPointer { addend in
        for index in sum.indices { sum[index] += addend[index] }
      }
    }
  }

  /// x·Wᵀ: a linear layer.
  /// - Parameters:
  ///   - buffer: holds the weight, outputs × inputs, at `range`.
  /// - Returns: rows × outputs.
  package func timesTransposed(_ buffer: [Float], _ range: Range<Int>) -> Matrix {
    let outputCount = range.count / columnCount
    precondition(
      range.count == outputCount * columnCount && range.upperBound <= buffer.count, "the weight does not fit")
    var result = Matrix(rowCount: rowCount, columnCount: outputCount)
    withPointers(elements, buffer, &result.elements) { x, weights, result in
      MatrixProduct.multiply(
        .init(x, rowStride: columnCount), .init(weights + range.lowerBound, rowStride: columnCount).transposed,
        rowCount: rowCount, columnCount: outputCount, depth: columnCount, into: result, cRowStride: outputCount)
    }
    return result
  }

  /// d·W: the gradient of a linear layer's input.
  /// - Parameter buffer: holds the weight, outputs × inputs, at `range`; this matrix is rows × outputs.
  /// - Returns: rows × inputs.
  package func times(_ buffer: [Float], _ range: Range<Int>) -> Matrix {
    let inputCount = range.count / columnCount
    precondition(
      range.count == inputCount * columnCount && range.upperBound <= buffer.count, "the weight does not fit")
    var result = Matrix(rowCount: rowCount, columnCount: inputCount)
    withPointers(elements, buffer, &result.elements) { d, weights, result in
      MatrixProduct.multiply(
        .init(d, rowStride: columnCount), .init(weights + range.lowerBound, rowStride: inputCount), rowCount: rowCount,
        columnCount: inputCount, depth: columnCount, into: result, cRowStride: inputCount)
    }
    return result
  }

  /// Adds dᵀ·x, the gradient of a linear layer's weight, as one addend.
  /// - Parameters:
  ///   - input: x, rows × inputs; this matrix is d, rows × outputs.
  ///   - gradient: holds the weight's gradient, outputs × inputs, at `range`.
  package func addTransposedProduct(with input: Matrix, to gradient: inout [Float], _ range: Range<Int>) {
    precondition(
      rowCount == input.rowCount && range.count == columnCount * input.columnCount
        && range.upperBound <= gradient.count, "the weight's gradient does not fit")
    withPointers(elements, input.elements, &gradient) { d, x, gradient in
      MatrixProduct.multiply(
        MatrixProduct.Operand(d, rowStride: columnCount).transposed, .init(x, rowStride: input.columnCount),
        rowCount: columnCount, columnCount: input.columnCount, depth: rowCount, into: gradient + range.lowerBound,
        cRowStride: input.columnCount, accumulating: true)
    }
  }

  /// Adds the sum of each column, the gradient of a bias, as one addend.
  func addColumnSums(to gradient: inout [Float], _ range: Range<Int>) {
    precondition(range.count == columnCount, "a bias has one element per column")
    var sums = [Float](repeating: 0, count: columnCount)
    for row in 0..<rowCount {
      for column in 0..<columnCount { sums[column] += elements[row * columnCount + column] }
    }
    for column in 0..<columnCount { gradient[range.lowerBound + column] += sums[column] }
  }

  /// Adds a bias to every row.
  mutating func addToRows(_ buffer: [Float], _ range: Range<Int>) {
    precondition(range.count == columnCount, "a bias has one element per column")
    for row in 0..<rowCount {
      for column in 0..<columnCount { elements[row * columnCount + column] += buffer[range.lowerBound + column] }
    }
  }
}

/// Pointers to two inputs and an output, none of them empty.
private func withPointers(
  _ first: [Float], _ second: [Float], _ result: inout [Float],
  _ body: (UnsafePointer<Float>, UnsafePointer<Float>, UnsafeMutablePointer<Float>) -> Void
) {
  first.withUnsafeBufferPointer { first in
    second.withUnsafeBufferPointer { second in
      result.withUnsafeMutableBufferPointer { result in
        guard let first = first.baseAddress, let second = second.baseAddress, let result = result.baseAddress else {
          return
        }
        body(first, second, result)
      }
    }
  }
}
