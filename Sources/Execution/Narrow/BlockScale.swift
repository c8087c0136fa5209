/// What a block of numbers is multiplied by before it is rounded to a narrow format, and divided by afterwards.
///
/// | kind | the largest magnitude A of a block becomes |
/// |---|---|
/// | ``Kind/earlier`` | what its tensor's largest of earlier iterations would have become M by; what is larger is clipped |
/// | ``Kind/exact`` | the format's largest number M: A / M in fp32 |
/// | ``Kind/powerOfTwo`` | M or less: the smallest power of two that is not less than A / M |
/// | ``Kind/e4m3`` | about M: A / M in E4M3 of a scale in fp32 of the whole tensor, which is its own A / (448 · M) |
///
/// The second is that of MXFP8, a byte of exponent (E8M0), and of blocks of 128. OCP's own rule for the exponent,
/// ⌊log₂ A⌋ − 8, clips numbers from 448 to 512 times the scale; rounded up as here, and as Transformer Engine's kernels do it,
/// nothing is clipped, and numbers have up to half of the format's range less. Of the third a block's largest may be clipped by what rounding
/// of its scale takes away, 2⁻⁴ of it.
struct BlockScale: Sendable, Equatable {
  enum Kind: Sendable, Hashable {
    case earlier
    case exact
    case powerOfTwo
    case e4m3
  }

  /// What numbers are multiplied by.
  let factor: Float
  /// What their codes are multiplied by to have them back.
  let inverse: Float

  /// Of a block without any number but zero.
  static let one = BlockScale(factor: 1, inverse: 1)

  private init(factor: Float, inverse: Float) {
    self.factor = factor
    self.inverse = inverse
  }

  /// A / M.
  ///
  /// - Parameter largest: the block's largest magnitude; not finite: nothing of the block is a number.
  init(exactOf largest: Float, _ number: NarrowNumber) {
    guard largest > 0 else {
      self = largest == 0 ? .one : BlockScale(factor: .nan, inverse: .nan)
      return
    }
    // Where a block is nearly nothing its factor would be infinite.
    let factor = min(number.largest / largest, .greatestFiniteMagnitude)
    self.init(factor: factor, inverse: 1 / factor)
  }

  /// A power of two.
  init(exponent: Int) {
    let exponent = min(max(exponent, -126), 126)
    self.init(
      factor: Float(bitPattern: UInt32(127 - exponent) << 23), inverse: Float(bitPattern: UInt32(127 + exponent) << 23))
  }

  /// The exponent of the smallest power of two that brings a block into a format's range.
  ///
  /// - Parameter largest: the block's largest magnitude, greater than zero and finite.
  static func exponent(of largest: Float, _ number: NarrowNumber) -> Int {
    // Exponents of fp32, whose fractions are below twice their powers of two; the first may be of less than normal numbers.
    let guess = Int(largest.bitPattern >> 23) - Int(number.largest.bitPattern >> 23)
    return largest.bitPattern & 0x7f_ffff <= number.largest.bitPattern & 0x7f_ffff ? guess : guess + 1
  }

  /// - Parameters:
  ///   - code: the block's scale, a number of E4M3.
  ///   - tensor: what it is a part of.
  init(code: Float, ofTensor tensor: Float) {
    let inverse = code * tensor
    guard inverse > 0 else {
      // The block is nothing beside the rest of its tensor.
      self = inverse == 0 ? BlockScale(factor: 0, inverse: 0) : BlockScale(factor: .nan, inverse: .nan)
      return
    }
    self.init(factor: 1 / inverse, inverse: inverse)
  }

  /// The scale of a whole tensor whose blocks have scales in E4M3.
  static func ofTensor(_ largest: Float, _ number: NarrowNumber) -> Float {
    largest > 0 ? largest / (NarrowNumber.e4m3.largest * number.largest) : largest == 0 ? 1 : .nan
  }
}
