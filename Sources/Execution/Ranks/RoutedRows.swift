/// Rows on their way between ranks that have tokens and ranks that have their experts, each with what it is.
///
/// Real ranks know what comes from counts that they exchange beforehand; here every row says it. Bytes are counted of rows
/// alone.
struct RoutedRows: Sendable {
  /// What a row is.
  struct Tag: Sendable, Hashable {
    /// The rank that has the token.
    let source: Int
    /// Its place among the rank's tokens.
    let row: Int
    /// The experts that the row is for, or has come from, ascending: one, or all of the token's where it is sent once.
    let experts: [Int]

    /// The token alone.
    var ofToken: Tag { Tag(source: source, row: row, experts: []) }

    /// The token on its way through one expert.
    func of(_ expert: Int) -> Tag { Tag(source: source, row: row, experts: [expert]) }
  }

  /// Numbers of a row.
  let width: Int
  private(set) var tags: [Tag] = []
  private(set) var elements: [Float] = []

  init(width: Int) { self.width = width }

  init(_ tags: [Tag], _ rows: Matrix) {
    self.init(width: rows.columnCount, tags, rows.elements)
  }

  init(width: Int, _ tags: [Tag], _ elements: [Float]) {
    self.width = width
    self.tags = tags
    self.elements = elements
  }

  var count: Int { tags.count }

  /// The rows as a matrix.
  var matrix: Matrix { Matrix(rowCount: count, columnCount: width, elements: elements) }

  subscript(index: Int) -> ArraySlice<Float> { elements[index * width..<(index + 1) * width] }

  mutating func append(_ tag: Tag, _ row: ArraySlice<Float>) {
    tags.append(tag)
    elements += row
  }

  mutating func append(_ other: RoutedRows) {
    tags += other.tags
    elements += other.elements
  }

  /// Rows of the same token, of the experts that a rank or a node has of it, as one row: their sum, in their order.
  ///
  /// - Parameter tag: what the sum is.
  func summed(_ tag: (Tag) -> Tag) -> RoutedRows {
    var sum = RoutedRows(width: width)
    var places: [Tag: Int] = [:]
    for index in tags.indices {
      let whole = tag(tags[index])
      guard let place = places[whole] else {
        places[whole] = sum.count
        sum.append(whole, self[index])
        continue
      }
      for column in 0..<width { sum.elements[place * width + column] += elements[index * width + column] }
    }
    return sum
  }

  /// Every number through a function.
  func mapped(_ function: (Float) -> Float) -> RoutedRows {
    var copy = self
    copy.elements = elements.map(function)
    return copy
  }
}
