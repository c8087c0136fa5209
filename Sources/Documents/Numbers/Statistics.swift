/// Order statistics: the one definition of median and quantile.
extension [Double] {
  /// The value below which a share of the values lies; nil of none.
  ///
  /// It stands at position share · (n − 1) of the sorted values, between neighbours in proportion: definition 7 of
  /// Hyndman and Fan 1996, "Sample quantiles in statistical packages". Halfway it is exactly the mean of the two.
  ///
  /// - Parameter share: From 0, the least value, to 1, the largest.
  /// - Complexity: O(n log n).
  package func quantile(_ share: Double) -> Double? {
    precondition((0...1).contains(share), "a share is from 0 to 1, found \(share)")
    guard !isEmpty else { return nil }
    let sorted = self.sorted(), position = share * Double(count - 1)
    let index = Int(position), weight = position - Double(index)
    let below = sorted[index], above = sorted[Swift.min(index + 1, count - 1)]
    // Rounding must not carry the value past its neighbours, which may be equal.
    return Swift.min(Swift.max((1 - weight) * below + weight * above, below), above)
  }

  /// The middle value, or the mean of the two in the middle; nil of none.
  package var median: Double? { quantile(0.5) }
}
