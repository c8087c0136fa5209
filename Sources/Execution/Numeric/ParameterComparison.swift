import Training

/// Full tensors from the shards of a tensor group, and how far two sets of numbers are apart.
enum ParameterComparison {
  /// The full part, in the layout of tensor degree 1, from the flat buffers of all ranks of a tensor group.
  ///
  /// Replicated tensors are those of the first rank. Rows of the padded vocabulary beyond those of `full` are left out.
  /// - Parameters:
  ///   - shards: layout and buffer of every rank, in the group's order.
  ///   - full: layout of the part at tensor degree 1.
  static func assembled(shards: [(layout: ParameterLayout, values: [Float])], as full: ParameterLayout) -> [Float] {
    var values = [Float](repeating: 0, count: full.count)
    for target in full.tensors {
      for (index, shard) in shards.enumerated() {
        guard let source = shard.layout.tensors.first(where: { $0.name == target.name && $0.expert == target.expert })
        else {
          preconditionFailure("a shard of \(full.part) has no \(target.name)")
        }
        if source.division == .none, index > 0 { continue }
        let firstRow = source.division == .rows ? index * source.rowCount : 0
        let firstColumn = source.division == .columns ? index * source.columnCount : 0
        for row in 0..<source.rowCount where firstRow + row < target.rowCount {
          let from = source.offset + row * source.columnCount
          let to = target.offset + (firstRow + row) * target.columnCount + firstColumn
          for column in 0..<source.columnCount { values[to + column] = shard.values[from + column] }
        }
      }
    }
    return values
  }

  /// Largest difference over the largest magnitude of the reference: 0 for the same numbers, not finite if one is not.
  static func relativeError(_ values: [Float], reference: [Float]) -> Double {
    precondition(values.count == reference.count, "only as many numbers can be compared")
    var difference = 0.0, magnitude = 0.0
    for (value, expected) in zip(values, reference) {
      guard value.isFinite, expected.isFinite else { return .infinity }
      difference = max(difference, abs(Double(value) - Double(expected)))
      magnitude = max(magnitude, abs(Double(expected)))
    }
    return difference == 0 ? 0 : difference / magnitude
  }
}
