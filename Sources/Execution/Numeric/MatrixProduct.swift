/// Matrix products, C = A·B in fp32, with the operands read as they are or transposed.
///
/// Blocked as by Goto and van de Geijn 2008 (Anatomy of high-performance matrix multiplication): tiles of C in
/// registers over packed panels of A and B. Every element of C is the sum of its products in ascending order of the
/// inner index, a multiplication and an addition each, whatever the sizes: rows and columns computed alone have the
/// same bits as in the whole. Depth is not blocked, since the shapes of a miniature stay in the cache.
enum MatrixProduct {
  /// Where the elements of an operand lie: element (i, j) at `base + i * rowStride + j * columnStride`.
  struct Operand {
    let base: UnsafePointer<Float>
    let rowStride: Int
    let columnStride: Int

    init(_ base: UnsafePointer<Float>, rowStride: Int, columnStride: Int = 1) {
      self.base = base
      self.rowStride = rowStride
      self.columnStride = columnStride
    }

    /// The same elements with rows and columns exchanged.
    var transposed: Operand { Operand(base, rowStride: columnStride, columnStride: rowStride) }
  }

  /// Rows of C in a tile.
  private static let tileRowCount = 4
  /// Columns of C in a tile.
  private static let tileColumnCount = 8

  /// C = A·B, or C += A·B where the whole sum of products is one addend.
  /// - Parameters:
  ///   - a: rows × depth.
  ///   - b: depth × columns.
  ///   - c: rows × columns, with `cRowStride` elements from row to row; not overlapping A or B.
  static func multiply(
    _ a: Operand, _ b: Operand, rowCount: Int, columnCount: Int, depth: Int, into c: UnsafeMutablePointer<Float>,
    cRowStride: Int, accumulating: Bool = false
  ) {
    let rowPanelCount = (rowCount + tileRowCount - 1) / tileRowCount
    let columnPanelCount = (columnCount + tileColumnCount - 1) / tileColumnCount
    withUnsafeTemporaryAllocation(of: SIMD4<Float>.self, capacity: max(1, rowPanelCount * depth)) { packedA in
      withUnsafeTemporaryAllocation(of: SIMD8<Float>.self, capacity: max(1, depth)) { packedB in
        guard let panelsOfA = packedA.baseAddress, let panelOfB = packedB.baseAddress else { return }
        pack(a, rowCount: rowCount, depth: depth, into: panelsOfA)
        for columnPanel in 0..<columnPanelCount {
          let column = columnPanel * tileColumnCount
          let width = min(tileColumnCount, columnCount - column)
          pack(b, column: column, width: width, depth: depth, into: panelOfB)
          for rowPanel in 0..<rowPanelCount {
            let row = rowPanel * tileRowCount
            let tile = Tile(panelsOfA + rowPanel * depth, panelOfB, depth: depth)
            tile.store(
              into: c + row * cRowStride + column, rowStride: cRowStride, height: min(tileRowCount, rowCount - row),
              width: width, accumulating: accumulating)
          }
        }
      }
    }
  }

  /// Panels of four rows: for each inner index its four elements, missing rows zero.
  private static func pack(_ a: Operand, rowCount: Int, depth: Int, into panels: UnsafeMutablePointer<SIMD4<Float>>) {
    var target = panels
    var row = 0
    while row < rowCount {
      let height = min(tileRowCount, rowCount - row)
      let rows = a.base + row * a.rowStride
      if height == tileRowCount {
        let second = rows + a.rowStride, third = second + a.rowStride, fourth = third + a.rowStride
        for inner in 0..<depth {
          let at = inner * a.columnStride
          (target + inner).initialize(to: SIMD4(rows[at], second[at], third[at], fourth[at]))
        }
      } else {
        for inner in 0..<depth {
          var four = SIMD4<Float>()
          for index in 0..<height { four[index] = rows[index * a.rowStride + inner * a.columnStride] }
          (target + inner).initialize(to: four)
        }
      }
      target += depth
      row += tileRowCount
    }
  }

  /// A panel of eight columns: for each inner index its eight elements, missing columns zero.
  private static func pack(
    _ b: Operand, column: Int, width: Int, depth: Int, into panel: UnsafeMutablePointer<SIMD8<Float>>
  ) {
    let columns = b.base + column * b.columnStride
    if width == tileColumnCount, b.columnStride == 1 {
      for inner in 0..<depth {
        let source = UnsafeRawPointer(columns + inner * b.rowStride)
        (panel + inner).initialize(to: source.loadUnaligned(as: SIMD8<Float>.self))
      }
    } else {
      let target = UnsafeMutableRawPointer(panel).assumingMemoryBound(to: Float.self)
      for index in 0..<tileColumnCount {
        let source = columns + index * b.columnStride
        if index < width {
          for inner in 0..<depth { target[inner * tileColumnCount + index] = source[inner * b.rowStride] }
        } else {
          for inner in 0..<depth { target[inner * tileColumnCount + index] = 0 }
        }
      }
    }
  }

  /// Four rows by eight columns of C.
  private struct Tile {
    var row0 = SIMD8<Float>(), row1 = SIMD8<Float>(), row2 = SIMD8<Float>(), row3 = SIMD8<Float>()

    @inline(__always)
    init(_ a: UnsafePointer<SIMD4<Float>>, _ b: UnsafePointer<SIMD8<Float>>, depth: Int) {
      for inner in 0..<depth {
        let left = a[inner], right = b[inner]
        row0 += left[0] * right
        row1 += left[1] * right
        row2 += left[2] * right
        row3 += left[3] * right
      }
    }

    @inline(__always)
    func store(
      into c: UnsafeMutablePointer<Float>, rowStride: Int, height: Int, width: Int, accumulating: Bool
    ) {
      for index in 0..<height {
        let row = index == 0 ? row0 : index == 1 ? row1 : index == 2 ? row2 : row3
        let target = c + index * rowStride
        if width == tileColumnCount {
          let raw = UnsafeMutableRawPointer(target)
          let sum = accumulating ? raw.loadUnaligned(as: SIMD8<Float>.self) + row : row
          raw.storeBytes(of: sum, as: SIMD8<Float>.self)
        } else {
          for column in 0..<width { target[column] = accumulating ? target[column] + row[column] : row[column] }
        }
      }
    }
  }
}
