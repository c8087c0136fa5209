import Documents

extension Precision {
  /// The value of this format nearest to `value`, ties to even: what remains of a number that is stored or sent in it.
  func rounded(_ value: Float) -> Float {
    switch storage {
    case .bf16:
      guard value.isFinite else { return value }
      // The upper 16 bits of an fp32 number, after adding just less than half of what
      // is cut off, or half to make it even.
      let bits = value.bitPattern
      return Float(bitPattern: (bits &+ 0x7fff &+ (bits >> 16 & 1)) & 0xffff_0000)
    case .fp16: return Float(Float16(value))
    // What matrix units make of fp32 numbers leaves these what they are.
    default: return value
    }
  }

  /// By how much rounding to this format changes a number at most, as a part of it.
  var unitRoundoff: Double {
    switch storage {
    case .fp16: 0x1p-11
    case .bf16: 0x1p-8
    default: 0x1p-24
    }
  }
}

extension Precision {
  /// Every element rounded to this format.
  func rounded(_ matrix: Matrix) -> Matrix {
    guard is16Bit else { return matrix }
    return Matrix(rowCount: matrix.rowCount, columnCount: matrix.columnCount, elements: matrix.elements.map(rounded))
  }
}
