/// Normally distributed numbers from hashes, the same bits on every machine: made of additions, products, quotients and square
/// roots of 64-bit numbers, which IEEE 754 rounds alike everywhere, and of no library's functions, which it does not.
enum NormalNumber {
  /// The number below which a normally distributed one stays with a probability of the hash's upper 53 bits, in the middle of
  /// its step of 2⁻⁵³: one number for each hash, none beyond ±8.3.
  static func of(_ hash: CounterHash) -> Float {
    Float(quantile((Double(hash.bits >> 11) + 0.5) * 0x1p-53))
  }

  /// The inverse of the normal distribution function, by three rational approximations, good to 16 digits (Wichura 1988,
  /// algorithm AS 241, PPND16).
  ///
  /// - Parameter probability: more than 0, less than 1.
  static func quantile(_ probability: Double) -> Double {
    let fromHalf = probability - 0.5
    if abs(fromHalf) <= 0.425 { return fromHalf * center.value(at: 0.180625 - fromHalf * fromHalf) }
    let tail = (-logarithm(of: fromHalf < 0 ? probability : 1 - probability)).squareRoot()
    let value = tail <= 5 ? flank.value(at: tail - 1.6) : end.value(at: tail - 5)
    return fromHalf < 0 ? -value : value
  }

  /// The natural logarithm of a positive normal number: x = m · 2ᵉ with m from √½ to √2, and
  /// ln m = 2 · (s + s³/3 + s⁵/5 + …) with s = (m − 1) / (m + 1), |s| < 0.172, to s²¹.
  static func logarithm(of number: Double) -> Double {
    var exponent = Double(number.exponent), mantissa = number.significand
    if mantissa > 1.414_213_562_373_095 {
      mantissa /= 2
      exponent += 1
    }
    let s = (mantissa - 1) / (mantissa + 1), square = s * s
    var sum = 0.0
    for odd in stride(from: 21.0, through: 1, by: -2) { sum = sum * square + 1 / odd }
    return 2 * s * sum + exponent * 0.693_147_180_559_945_3
  }

  /// A quotient of two polynomials of degree 7, coefficients from the highest down.
  private struct Quotient {
    let above: [Double]
    let below: [Double]

    func value(at x: Double) -> Double {
      var numerator = 0.0, denominator = 0.0
      for index in 0..<8 {
        numerator = numerator * x + above[index]
        denominator = denominator * x + below[index]
      }
      return numerator / denominator
    }
  }

  private static let center = Quotient(
    above: [
      2.509_080_928_730_122_672_7e+3, 3.343_057_558_358_812_810_5e+4, 6.726_577_092_700_870_085_3e+4,
      4.592_195_393_154_987_145_7e+4, 1.373_169_376_550_946_112_5e+4, 1.971_590_950_306_551_442_7e+3,
      1.331_416_678_917_843_774_5e+2, 3.387_132_872_796_366_608_0,
    ],
    below: [
      5.226_495_278_852_854_561_0e+3, 2.872_908_573_572_194_267_4e+4, 3.930_789_580_009_271_061_0e+4,
      2.121_379_430_158_659_586_7e+4, 5.394_196_021_424_751_107_7e+3, 6.871_870_074_920_579_083_0e+2,
      4.231_333_070_160_091_125_2e+1, 1,
    ])

  private static let flank = Quotient(
    above: [
      7.745_450_142_783_414_076_40e-4, 2.272_384_498_926_918_458_33e-2, 2.417_807_251_774_506_117_70e-1,
      1.270_458_252_452_368_382_58, 3.647_848_324_763_204_605_04, 5.769_497_221_460_691_405_50,
      4.630_337_846_156_545_295_90, 1.423_437_110_749_683_577_34,
    ],
    below: [
      1.050_750_071_644_416_843_24e-9, 5.475_938_084_995_344_946_00e-4, 1.519_866_656_361_645_719_66e-2,
      1.481_039_764_274_800_745_90e-1, 6.897_673_349_851_000_045_50e-1, 1.676_384_830_183_803_849_40,
      2.053_191_626_637_758_821_87, 1,
    ])

  private static let end = Quotient(
    above: [
      2.010_334_399_292_288_132_65e-7, 2.711_555_568_743_487_578_15e-5, 1.242_660_947_388_078_438_60e-3,
      2.653_218_952_657_612_309_30e-2, 2.965_605_718_285_048_912_30e-1, 1.784_826_539_917_291_335_80,
      5.463_784_911_164_114_369_90, 6.657_904_643_501_103_777_20,
    ],
    below: [
      2.044_263_103_389_939_785_64e-15, 1.421_511_758_316_445_888_70e-7, 1.846_318_317_510_054_681_80e-5,
      7.868_691_311_456_132_591_00e-4, 1.487_536_129_085_061_485_25e-2, 1.369_298_809_227_358_053_10e-1,
      5.998_322_065_558_879_376_90e-1, 1,
    ])
}
