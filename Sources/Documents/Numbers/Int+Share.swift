extension Int {
  /// So many of a whole number of equal parts of it, rounded down, without a product that could not be counted.
  package func share(_ parts: Int, of whole: Int) -> Int {
    self / whole * parts + self % whole * parts / whole
  }
}
