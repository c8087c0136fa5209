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
      left.rowCount == right.rowCount && left.columnCount == right.columnCount, "matrices of different shapes are added")
    left.elements.withUnsafeMutableBufferPointer { sum in
      right.elements.withUnsafeBufferPointer { addend in
        for index in sum.indices { sum[index] += addend[index] }
      }
    }
  }
}
