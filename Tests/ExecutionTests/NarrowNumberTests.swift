import Testing

@testable import Execution

/// Formats of 8 and 4 bits, and the scales that go with them.
@Suite struct NarrowNumberTests {
  /// All finite numbers of a format that are not negative, ascending, from their bits: exponent field e of a bias, fraction f of n bits:
  /// f · 2^(1 − bias − n) where e is 0, otherwise (1 + f / 2ⁿ) · 2^(e − bias).
  static func numbers(_ format: NarrowNumber) -> [Float] {
    let (exponentBits, fractionBits, bias, endings) =
      switch format {
      // All ones is no number in E4M3, of E5M2 the whole last exponent is infinities and what is no number.
      case .e4m3: (4, 3, 7, 1)
      case .e5m2: (5, 2, 15, 4)
      default: (2, 1, 1, 0)
      }
    return (0..<(1 << (exponentBits + fractionBits)) - endings).map { code in
      let exponent = code >> fractionBits, fraction = Float(code & (1 << fractionBits - 1))
      let unit = Float(sign: .plus, exponent: -fractionBits, significand: 1)
      return exponent == 0
        ? fraction * unit * Float(sign: .plus, exponent: 1 - bias, significand: 1)
        : (1 + fraction * unit) * Float(sign: .plus, exponent: exponent - bias, significand: 1)
    }
  }

  @Test func formatsHaveTheNumbersOfTheirDefinition() {
    #expect(Self.numbers(.e2m1) == [0, 0.5, 1, 1.5, 2, 3, 4, 6])
    for (format, count, largest, smallest) in [
      (NarrowNumber.e4m3, 127, Float(448), Float(0x1p-9)), (.e5m2, 124, 57_344, 0x1p-16), (.e2m1, 8, 6, 0.5),
    ] {
      let numbers = Self.numbers(format)
      #expect(numbers.count == count)
      #expect(numbers.last == largest && format.largest == largest)
      #expect(numbers[1] == smallest)
    }
  }

  /// Every number is itself; between two neighbours the nearer, in the middle the one of even fraction; beyond the last the last.
  @Test(arguments: NarrowNumber.allCases)
  func roundingIsToTheNearestAndInTheMiddleToEven(format: NarrowNumber) {
    let numbers = Self.numbers(format)
    for sign: Float in [1, -1] {
      for (index, number) in numbers.enumerated() {
        #expect(format.rounded(sign * number) == sign * number)
        #expect(format.rounded(sign * number, chance: 0.999) == sign * number)
        guard index + 1 < numbers.count else { continue }
        let next = numbers[index + 1], middle = (number + next) / 2
        #expect(
          format.rounded(sign * middle) == sign * (index % 2 == 0 ? number : next), "between \(number) and \(next)")
        #expect(format.rounded(sign * middle.nextDown) == sign * number)
        #expect(format.rounded(sign * middle.nextUp) == sign * next)
        #expect(format.step(at: sign * middle) == next - number)
      }
      #expect(format.rounded(sign * 1e30) == sign * format.largest)
      #expect(format.rounded(sign * format.largest * 1.2) == sign * format.largest)
    }
    #expect(format.rounded(.infinity).isNaN && format.rounded(.nan).isNaN)
    #expect(format.rounded(-.infinity, chance: 0).isNaN)
  }

  /// |Q(x) − x| ≤ u·|x| of normal numbers, u = 2⁻⁴, 2⁻³ and 2⁻²; half a step of those below.
  @Test(arguments: zip(NarrowNumber.allCases, [0x1p-4, 0x1p-3, 0x1p-2] as [Float]))
  func everyNumberIsWithinTheUnitOfItsRounding(format: NarrowNumber, unit: Float) {
    #expect(format.unitRoundoff == unit)
    let smallestNormal = Float(sign: .plus, exponent: format.smallestExponent, significand: 1)
    let lowestStep = Self.numbers(format)[1]
    let hash = CounterHash(seed: 3)
    var largestShare: Float = 0
    for index in 0..<20_000 {
      let spread = hash.appending(index)
      let exponent = spread.appending(0).integer(below: 40) - 25
      let value = Float(sign: .plus, exponent: exponent, significand: 1 + spread.appending(1).unitInterval)
      guard value <= format.largest else { continue }
      let error = abs(format.rounded(value) - value)
      #expect(error <= (value < smallestNormal ? lowestStep / 2 : unit * value), "\(value)")
      if value >= smallestNormal { largestShare = max(largestShare, error / value) }
    }
    // The bound is no wider than it must be.
    #expect(largestShare > 0.9 * unit / (1 + unit))
  }

  /// By chance a number becomes one of its two neighbours, and on average itself.
  @Test(arguments: NarrowNumber.allCases)
  func roundingByChanceIsRightOnAverage(format: NarrowNumber) {
    let count = 20_000
    for value: Float in [0.3, 0.7, 1.1, 1.75, 2.6, 5.2, -1.3, -5.9, -0.01] {
      let hash = CounterHash(seed: 9).appending(Int(value * 1000))
      var sum = 0.0
      let step = format.step(at: value)
      for index in 0..<count {
        let rounded = format.rounded(value, chance: hash.appending(index).unitInterval)
        #expect(abs(rounded - value) < step)
        #expect(rounded == format.rounded(rounded))
        sum += Double(rounded)
      }
      // Five standard deviations of a mean of so many, each at most half a step from it.
      #expect(
        abs(sum / Double(count) - Double(value)) <= 5 * 0.5 * Double(step) / Double(count).squareRoot(), "\(value)")
    }
  }

  // MARK: Scales

  /// The exponent is the smallest that clips nothing: at the largest number itself the format's own.
  @Test(arguments: NarrowNumber.allCases)
  func powersOfTwoClipNothingAndAreNotLargerThanTheyMustBe(format: NarrowNumber) {
    for largest: Float in [format.largest, format.largest.nextUp, format.largest.nextDown, 1, 1e-5, 3e4, 0.9, 0x1p-120]
    {
      let exponent = BlockScale.exponent(of: largest, format)
      let power = Double(sign: .plus, exponent: exponent, significand: 1)
      #expect(Double(largest) <= Double(format.largest) * power, "\(largest)")
      #expect(Double(largest) > Double(format.largest) * power / 2, "\(largest)")
    }
    #expect(BlockScale.exponent(of: format.largest, format) == 0)
    #expect(BlockScale.exponent(of: format.largest.nextUp, format) == 1)
    let scale = BlockScale(exponent: 5)
    #expect(scale.factor == 0x1p-5 && scale.inverse == 0x1p5)
  }

  @Test func exactScalesBringTheLargestToTheEndOfTheRange() {
    for format in NarrowNumber.allCases {
      for largest: Float in [1, 0.37, 1e-6, 2.5e7] {
        let scale = BlockScale(exactOf: largest, format)
        #expect(format.rounded(largest * scale.factor) == format.largest)
        #expect(abs(format.largest * scale.inverse - largest) <= 0x1p-22 * largest)
      }
      #expect(BlockScale(exactOf: 0, format) == .one)
      #expect(BlockScale(exactOf: .nan, format).factor.isNaN)
      #expect(BlockScale(exactOf: .leastNonzeroMagnitude, format).factor.isFinite)
    }
  }

  /// The block with a tensor's largest has the largest scale that E4M3 has, and one that is nothing beside it becomes zero.
  @Test func scalesInE4M3ArePartsOfTheirTensors() {
    let tensor = BlockScale.ofTensor(12, .e2m1)
    #expect(tensor == Float(12) / 2688)
    let largest = BlockScale(code: 448, ofTensor: tensor)
    #expect(abs(largest.inverse * 6 - 12) <= 0x1p-20)
    #expect(BlockScale(code: 0, ofTensor: tensor).inverse == 0)
    #expect(BlockScale.ofTensor(0, .e2m1) == 1 && BlockScale.ofTensor(.nan, .e2m1).isNaN)
  }

  // MARK: Hadamard's transform

  @Test func transformsKeepProductsAndSpreadOutliers() {
    let hash = CounterHash(seed: 5)
    for count in [16, 22, 7, 32, 1] {
      let left = (0..<count).map { 2 * hash.appending($0).unitInterval - 1 }
      let right = (0..<count).map { 2 * hash.appending(1000 + $0).unitInterval - 1 }
      var (a, b) = (left, right)
      HadamardTransform.apply(to: &a, 0..<count, length: 16)
      HadamardTransform.apply(to: &b, 0..<count, length: 16)
      let before = zip(left, right).reduce(Float(0)) { $0 + $1.0 * $1.1 }
      let after = zip(a, b).reduce(Float(0)) { $0 + $1.0 * $1.1 }
      #expect(abs(before - after) < 1e-5)
      var twice = a
      HadamardTransform.apply(to: &twice, 0..<count, length: 16)
      #expect(zip(twice, left).allSatisfy { abs($0 - $1) < 1e-6 }, "it is its own inverse")
    }
    var outlier = [Float](repeating: 0, count: 16)
    outlier[3] = 8
    HadamardTransform.apply(to: &outlier, 0..<16, length: 16)
    #expect(outlier.allSatisfy { abs($0) == 2 })
    var four: [Float] = [1, 2, 3, 4]
    HadamardTransform.apply(to: &four, 0..<4, length: 16)
    #expect(four == [5, -1, -2, 0])
  }
}
