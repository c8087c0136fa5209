import Testing

@testable import Execution

@Suite struct MatrixProductTests {
  /// Every remainder of a tile, in all three forms: the bits of sums in ascending order.
  @Test func productsAreSumsInOrder() {
    for rows in [1, 2, 3, 4, 5, 7, 8, 11] {
      for columns in [1, 3, 7, 8, 9, 16, 19] {
        for depth in [1, 2, 5, 12] {
          let x = Self.matrix(rows, depth, 1), weight = Self.matrix(columns, depth, 2)
          let product = x.timesTransposed(weight.elements, 0..<columns * depth)
          let expected = Self.product(rows, columns, depth) { x[$0, $2] * weight[$1, $2] }
          #expect(product == expected)
          let inner = Self.matrix(depth, columns, 3)
          #expect(
            x.times(inner.elements, 0..<columns * depth)
              == Self.product(rows, columns, depth) { x[$0, $2] * inner[$2, $1] })
          let left = Self.matrix(depth, rows, 4)
          var gradient = [Float](repeating: 0.5, count: rows * columns + 3)
          left.addTransposedProduct(with: inner, to: &gradient, 2..<rows * columns + 2)
          let sums = Self.product(rows, columns, depth) { left[$2, $0] * inner[$2, $1] }
          #expect(gradient == [0.5, 0.5] + sums.elements.map { 0.5 + $0 } + [0.5])
        }
      }
    }
  }

  @Test func rowsAndColumnsAloneHaveTheBitsOfTheWhole() {
    let x = Self.matrix(12, 33, 5), weight = Self.matrix(21, 33, 6)
    let whole = x.timesTransposed(weight.elements, 0..<21 * 33)
    let half = x.rows(3..<9).timesTransposed(weight.elements, 7 * 33..<18 * 33)
    for row in 0..<6 {
      for column in 0..<11 { #expect(half[row, column] == whole[row + 3, column + 7]) }
    }
  }

  private static func matrix(_ rows: Int, _ columns: Int, _ seed: UInt64) -> Matrix {
    let hash = CounterHash(seed: seed)
    return Matrix(
      rowCount: rows, columnCount: columns,
      elements: (0..<rows * columns).map { hash.appending($0).unitInterval - 0.5 })
  }

  private static func product(
    _ rows: Int, _ columns: Int, _ depth: Int, _ term: (Int, Int, Int) -> Float
  ) -> Matrix {
    var product = Matrix(rowCount: rows, columnCount: columns)
    for row in 0..<rows {
      for column in 0..<columns {
        for index in 0..<depth { product[row, column] += term(row, column, index) }
      }
    }
    return product
  }
}
