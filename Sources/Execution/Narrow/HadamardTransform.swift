/// Hadamard's transform: x · H with entries ±1 / √n, orthogonal, so that a product of two vectors that are both transformed
/// stays what it was, and an outlier is spread over all of its block before that is rounded.
///
/// (Of the operands of weights' gradients in NVFP4: NVIDIA 2025, Pretraining large language models with NVFP4, section 4.2.
/// Signs that would be drawn at random are all positive here.)
enum HadamardTransform {
  /// Transforms runs of a length one after the other, and what is left of a power of two at a time: of 22 numbers in runs of 16
  /// the first 16, then 4, then 2.
  ///
  /// - Parameters:
  ///   - range: of the numbers that are transformed.
  ///   - length: a power of two.
  static func apply(to values: inout [Float], _ range: Range<Int>, length: Int) {
    var first = range.lowerBound, size = length
    while first < range.upperBound {
      while size > range.upperBound - first { size /= 2 }
      transform(&values, first..<first + size)
      first += size
    }
  }

  /// - Precondition: a power of two of numbers.
  private static func transform(_ values: inout [Float], _ range: Range<Int>) {
    var half = 1
    while half < range.count {
      for block in stride(from: range.lowerBound, to: range.upperBound, by: 2 * half) {
        for at in block..<block + half {
          let (left, right) = (values[at], values[at + half])
          values[at] = left + right
          values[at + half] = left - right
        }
      }
      half *= 2
    }
    let norm = 1 / Float(range.count).squareRoot()
    for at in range { values[at] *= norm }
  }
}
