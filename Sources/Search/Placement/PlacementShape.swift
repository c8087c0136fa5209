/// Which transfers, ring edges, rows and columns change with the nodes of some neighbouring
/// places: each as two ranges, of which either may be empty.
struct PlacementShape {
  let rowCount: Int
  let columnCount: Int
  let placeCount: Int
  /// By place: the one before it in its column's ring, its row, its column. Divisions
  /// would cost more than all the rest.
  let before: [Int32]
  private let row: [Int32]
  private let column: [Int32]

  init(rowCount: Int, columnCount: Int) {
    self.rowCount = rowCount
    self.columnCount = columnCount
    placeCount = rowCount * columnCount
    let places = 0..<rowCount * columnCount
    before = places.map { Int32($0 % rowCount == 0 ? $0 + rowCount - 1 : $0 - 1) }
    row = places.map { Int32($0 % rowCount) }
    column = places.map { Int32($0 / rowCount) }
  }

  /// The part of some places that is filled.
  @inline(__always)
  private func filled(_ places: Range<Int>) -> Range<Int> {
    min(places.lowerBound, placeCount)..<min(places.upperBound, placeCount)
  }

  /// Places into which a transfer changes: themselves, and those after them in their rows.
  @inline(__always)
  func hops(_ places: Range<Int>) -> (Range<Int>, Range<Int>) {
    let places = filled(places)
    guard !places.isEmpty else { return (places, places) }
    let own = max(places.lowerBound, rowCount)..<max(places.lowerBound, rowCount, places.upperBound)
    let end = min(places.upperBound + rowCount, placeCount)
    return (own, min(end, max(own.upperBound, places.lowerBound + rowCount))..<end)
  }

  /// Places into which a ring's edge changes: themselves, the one after the last, and the first of the first's column
  /// where its last is among them.
  @inline(__always)
  func edges(_ places: Range<Int>) -> (Range<Int>, Range<Int>) {
    let places = filled(places)
    guard !places.isEmpty else { return (places, places) }
    let isColumnEnd = Int(row[places.upperBound - 1]) == rowCount - 1
    let end = isColumnEnd ? places.upperBound : places.upperBound + 1
    let first = places.lowerBound - Int(row[places.lowerBound])
    let isClosed = first < places.lowerBound && places.upperBound >= first + rowCount
    return (places.lowerBound..<end, isClosed ? first..<first + 1 : 0..<0)
  }

  /// Rows that hold some places.
  @inline(__always)
  func rows(_ places: Range<Int>) -> (Range<Int>, Range<Int>) {
    let places = filled(places)
    guard !places.isEmpty else { return (places, places) }
    guard places.count < rowCount else { return (0..<rowCount, 0..<0) }
    let first = Int(row[places.lowerBound])
    let end = first + places.count
    return end <= rowCount ? (first..<end, 0..<0) : (first..<rowCount, 0..<end - rowCount)
  }

  /// Columns that hold some places.
  @inline(__always)
  func columns(_ places: Range<Int>) -> Range<Int> {
    let places = filled(places)
    guard !places.isEmpty else { return 0..<0 }
    return Int(column[places.lowerBound])..<Int(column[places.upperBound - 1]) + 1
  }

  /// Columns into which a transfer changes.
  @inline(__always)
  func columnsReached(_ places: Range<Int>) -> Range<Int> {
    let own = columns(places)
    return own.isEmpty ? own : own.lowerBound..<min(columnCount, own.upperBound + 1)
  }
}
