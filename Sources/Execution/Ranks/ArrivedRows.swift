/// Rows that have come to a rank's experts: by expert, then by the rank that has the token, then by token.
struct ArrivedRows: Sendable {
  /// One expert of each row.
  let tags: [RoutedRows.Tag]
  let rows: Matrix
  /// Of each expert that has any, its rows.
  let runs: [Run]

  struct Run: Sendable {
    let expert: Int
    let range: Range<Int>
    /// Of each rank that has sent any, counted from the run's first row.
    let addends: [Range<Int>]
  }

  /// Rows in their order already.
  init(tags: [RoutedRows.Tag], rows: Matrix) {
    self.tags = tags
    self.rows = rows
    var runs: [Run] = []
    var first = 0
    while first < tags.count {
      let expert = tags[first].experts[0]
      var end = first, addends: [Range<Int>] = []
      while end < tags.count, tags[end].experts[0] == expert {
        let start = end
        while end < tags.count, tags[end].experts[0] == expert, tags[end].source == tags[start].source { end += 1 }
        addends.append(start - first..<end - first)
      }
      runs.append(Run(expert: expert, range: first..<end, addends: addends))
      first = end
    }
    self.runs = runs
  }

  /// A row for each of the rank's experts that a row which has come is for.
  init(_ come: RoutedRows, for experts: Range<Int>) {
    var places: [(tag: RoutedRows.Tag, place: Int)] = []
    for (place, tag) in come.tags.enumerated() {
      for expert in tag.experts where experts.contains(expert) {
        places.append((tag.of(expert), place))
      }
    }
    places.sort { ($0.tag.experts[0], $0.tag.source, $0.tag.row) < ($1.tag.experts[0], $1.tag.source, $1.tag.row) }
    self.init(tags: places.map(\.tag), rows: come.matrix.rows(places.map(\.place)))
  }

  /// What each row is multiplied by, out of what has come of that.
  func weights(_ come: RoutedRows) -> [Float] {
    var values: [RoutedRows.Tag: Float] = [:]
    for (index, tag) in come.tags.enumerated() {
      for (expert, value) in zip(tag.experts, come[index]) {
        values[tag.of(expert)] = value
      }
    }
    return tags.map { values[$0] ?? .nan }
  }

  /// Rows that have come, one for each of the given ones; not numbers where none has come.
  static func rows(_ come: RoutedRows, inTheOrderOf tags: [RoutedRows.Tag]) -> Matrix {
    var places: [RoutedRows.Tag: Int] = [:]
    for (place, tag) in come.tags.enumerated() {
      // Of gathered gradients it is not said which experts they are for.
      for key in tag.experts.isEmpty ? [tag] : tag.experts.map(tag.of) { places[key] = place }
    }
    let none = [Float](repeating: .nan, count: come.width)
    return Matrix(
      rowCount: tags.count, columnCount: come.width,
      elements: tags.flatMap { tag in (places[tag] ?? places[tag.ofToken]).map { come[$0] } ?? none[...] })
  }
}
