/// Which of a part's weights have a scale together, and the scales of what ranks have cast of them.
struct WeightBlocks: Sendable {
  /// By element of the part's buffer its block; −1 of what is no weight of a product.
  private let blocks: [Int]
  /// Those of each tensor of weights, in the order of the layout.
  let ranges: [Range<Int>]
  let number: NarrowNumber
  /// By block.
  var scales: [BlockScale] = []

  /// - Parameter rule: of weights.
  init(_ layout: ParameterLayout, _ rule: CastRule) {
    var blocks = [Int](repeating: -1, count: layout.count), ranges: [Range<Int>] = []
    for tensor in layout.narrowTensors {
      let (along, across) = rule.block.lengths(along: tensor.columnCount, across: tensor.rowCount)
      let perLine = (tensor.columnCount + along - 1) / along, first = ranges.last?.upperBound ?? 0
      for row in 0..<tensor.rowCount {
        for column in 0..<tensor.columnCount {
          blocks[tensor.offset + row * tensor.columnCount + column] = first + row / across * perLine + column / along
        }
      }
      ranges.append(first..<first + perLine * ((tensor.rowCount + across - 1) / across))
    }
    self.blocks = blocks
    self.ranges = ranges
    number = rule.number
  }

  /// How many there are.
  var count: Int { ranges.last?.upperBound ?? 0 }

  /// By block the largest magnitude among some elements; 0 where there is none of them, no number where one is none.
  func largest(of values: some Sequence<(element: Int, value: Float)>) -> [Float] {
    var largest = [Float](repeating: 0, count: count)
    for (element, value) in values {
      let block = blocks[element]
      largest[block] = ScaleHistory.larger(largest[block], value.isFinite ? abs(value) : .nan)
    }
    return largest
  }

  /// Bits of the number of the format that an element was cast to.
  func code(of value: Float, at element: Int) -> UInt8 {
    number.code(of: number.rounded(value * scales[blocks[element]].factor))
  }

  func value(ofCode code: UInt8, at element: Int) -> Float {
    number.value(ofCode: code) * scales[blocks[element]].inverse
  }
}

extension CastRule.Block {
  /// Numbers of a block along lines and across them, of a matrix of so many.
  func lengths(along: Int, across: Int) -> (along: Int, across: Int) {
    switch self {
    case .tensor: (along, across)
    case .run(let count): (count, 1)
    case .square(let count): (count, count)
    }
  }
}

extension NarrowNumber {
  /// The bits of a number of the format: its sign before its magnitude, in as few as the largest number takes; what is no number
  /// is one more than that, where there is such a code.
  func code(of value: Float) -> UInt8 {
    guard value.isFinite else { return min(UInt8(magnitudeCode(of: largest)) + 1, signBit - 1) }
    return UInt8(magnitudeCode(of: abs(value))) | (value.sign == .minus ? signBit : 0)
  }

  func value(ofCode code: UInt8) -> Float {
    let magnitude = Int(code & (signBit - 1)), fraction = magnitude & (1 << fractionBitCount - 1)
    let exponent = magnitude >> fractionBitCount
    let steps = exponent == 0 ? fraction : fraction + 1 << fractionBitCount
    let value =
      Float(sign: .plus, exponent: smallestExponent + max(exponent, 1) - 1 - fractionBitCount, significand: 1)
      * Float(steps)
    guard value <= largest else { return .nan }
    return code & signBit == 0 ? value : -value
  }

  /// The bit above those of magnitudes.
  private var signBit: UInt8 {
    let code = magnitudeCode(of: largest)
    return 1 << UInt8(Int.bitWidth - code.leadingZeroBitCount)
  }

  /// Steps below the smallest normal number, and then as many for each power of two.
  private func magnitudeCode(of magnitude: Float) -> Int {
    let step = step(at: magnitude)
    return (Int(step.exponent) - smallestExponent + fractionBitCount) << fractionBitCount + Int(magnitude / step)
  }
}
