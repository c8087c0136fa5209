import Documents

/// Relative errors of a set of predictions, summed up.
package struct ErrorSummary: Sendable, Equatable {
  package let count: Int
  /// Median of the absolute errors, a share.
  package let medianAbsolute: Double
  /// Mean of the absolute errors, a share.
  package let meanAbsolute: Double
  /// Median of the signed errors: negative when predictions are too small.
  package let bias: Double
  /// Spearman's rank correlation of predicted and measured; nil for fewer than three.
  package let rankCorrelation: Double?

  /// - Parameters:
  ///   - errors: predicted / measured − 1.
  ///   - predicted: in the order of the errors; `measured` likewise.
  package init(errors: [Double], predicted: [Double], measured: [Double]) {
    count = errors.count
    medianAbsolute = errors.map(abs).median ?? 0
    meanAbsolute = errors.isEmpty ? 0 : errors.reduce(0) { $0 + abs($1) } / Double(errors.count)
    bias = errors.median ?? 0
    rankCorrelation = spearman(predicted, measured)
  }
}

/// Spearman's rank correlation, ties sharing their mean rank; nil for fewer than three pairs or constant values.
func spearman(_ left: [Double], _ right: [Double]) -> Double? {
  guard left.count > 2, left.count == right.count else { return nil }
  let x = ranks(left), y = ranks(right)
  let meanX = x.reduce(0, +) / Double(x.count), meanY = y.reduce(0, +) / Double(y.count)
  var product = 0.0, squareX = 0.0, squareY = 0.0
  for (a, b) in zip(x, y) {
    product += (a - meanX) * (b - meanY)
    squareX += (a - meanX) * (a - meanX)
    squareY += (b - meanY) * (b - meanY)
  }
  guard squareX > 0, squareY > 0 else { return nil }
  return product / (squareX * squareY).squareRoot()
}

/// The rank of each value, from 0; ties share the mean of theirs.
private func ranks(_ values: [Double]) -> [Double] {
  let order = values.indices.sorted { (values[$0], $0) < (values[$1], $1) }
  var ranks = [Double](repeating: 0, count: values.count)
  var start = 0
  while start < order.count {
    var end = start
    while end + 1 < order.count, values[order[end + 1]] == values[order[start]] { end += 1 }
    for place in start...end { ranks[order[place]] = Double(start + end) / 2 }
    start = end + 1
  }
  return ranks
}
