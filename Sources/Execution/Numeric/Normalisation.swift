/// LayerNorm (Ba et al. 2016) and RMSNorm (Zhang and Sennrich 2019) of every row, with the statistics computed again in
/// backward from the kept input.
struct Normalisation: Sendable {
  /// Weight, one element per column, in the part's flat buffer.
  let weight: Range<Int>
  /// Bias; nil for RMSNorm, which does not subtract the mean either.
  let bias: Range<Int>?

  /// Added to the variance.
  static let epsilon: Float = 1e-5

  func forward(_ input: Matrix, weights: [Float]) -> Matrix {
    precondition(weight.count == input.columnCount, "a norm has one weight per column")
    var output = input
    let width = input.columnCount
    for row in 0..<input.rowCount {
      let start = row * width
      let (mean, scale) = statistics(input, row: row)
      for column in 0..<width {
        var value = (input.elements[start + column] - mean) * scale * weights[weight.lowerBound + column]
        if let bias { value += weights[bias.lowerBound + column] }
        output.elements[start + column] = value
      }
    }
    return output
  }

  /// With x̂ the normalised row, d = dy·w and means over the row: dx = scale·(d − mean(d) − x̂·mean(d·x̂)), without
  /// mean(d) for RMSNorm; dw = Σ dy·x̂, db = Σ dy over the rows.
  /// - Returns: the gradient of `input`.
  func backward(_ outputGradient: Matrix, input: Matrix, weights: [Float], gradient: inout [Float]) -> Matrix {
    let width = input.columnCount
    var inputGradient = input
    var weightSums = [Float](repeating: 0, count: width)
    for row in 0..<input.rowCount {
      let start = row * width
      let (mean, scale) = statistics(input, row: row)
      var sum: Float = 0, product: Float = 0
      for column in 0..<width {
        let normalised = (input.elements[start + column] - mean) * scale
        let upstream = outputGradient.elements[start + column]
        weightSums[column] += upstream * normalised
        let weighted = upstream * weights[weight.lowerBound + column]
        sum += weighted
        product += weighted * normalised
      }
      let meanOfGradient = bias == nil ? 0 : sum / Float(width)
      let meanOfProduct = product / Float(width)
      for column in 0..<width {
        let normalised = (input.elements[start + column] - mean) * scale
        let weighted = outputGradient.elements[start + column] * weights[weight.lowerBound + column]
        inputGradient.elements[start + column] = scale * (weighted - meanOfGradient - normalised * meanOfProduct)
      }
    }
    for column in 0..<width { gradient[weight.lowerBound + column] += weightSums[column] }
    if let bias { outputGradient.addColumnSums(to: &gradient, bias) }
    return inputGradient
  }

  /// Mean, 0 for RMSNorm, and the reciprocal of the standard deviation of a row around it.
  private func statistics(_ input: Matrix, row: Int) -> (mean: Float, scale: Float) {
    let width = input.columnCount
    let start = row * width
    var mean: Float = 0
    if bias != nil {
      for column in 0..<width { mean += input.elements[start + column] }
      mean /= Float(width)
    }
    var squares: Float = 0
    for column in 0..<width {
      let distance = input.elements[start + column] - mean
      squares += distance * distance
    }
    return (mean, 1 / (squares / Float(width) + Self.epsilon).squareRoot())
  }
}
