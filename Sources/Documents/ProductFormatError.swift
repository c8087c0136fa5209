import Foundation

/// What a cast to a narrow format of products does to a tensor: the relative L2 error ‖x̂ − x‖ / ‖x‖, in expectation, of
/// numbers that are normally distributed.
///
/// It is the root of the mean square of what rounding changes, over that of the numbers, and of the tensors that a recipe
/// casts the largest such error counts: inputs, weights, gradients of outputs. It is of one cast of one tensor, not of a
/// product or of a training, and activations with outliers, which a scale for a whole tensor serves badly, are not normal:
/// a tolerance is of this figure, and no guarantee. `ProductFormatErrorTests` compares it with the casts that dry-runs
/// execute.
package enum ProductFormatError {
  /// Of E4M3, whatever shares a scale.
  package static let e4m3 = ofFloatingPoint(fractionBitCount: 3)
  /// Of E5M2.
  package static let e5m2 = ofFloatingPoint(fractionBitCount: 2)
  /// Of E2M1 in blocks of 16, to the nearest.
  package static let e2m1 = ofE2M1(blockLength: 16, isStochastic: false)
  /// Of E2M1 in squares of 16 × 16, as weights are.
  package static let e2m1Squares = ofE2M1(blockLength: 256, isStochastic: false)
  /// Of E2M1 in blocks of 16, up or down by chance, as gradients are.
  package static let e2m1ByChance = ofE2M1(blockLength: 16, isStochastic: true)

  /// `2⁻ᶠ / √(32 · ln 2)`, f bits of the fraction.
  ///
  /// A number m · 2ᵏ with 1 ≤ m < 2 is rounded to a multiple of 2ᵏ⁻ᶠ, so that its error's mean square is 2²ᵏ⁻²ᶠ/12, or
  /// 2⁻²ᶠ/(12·m²) of its own. Where powers of two lie among the numbers follows from the scale; over all scales alike m has the density
  /// 1/(m · ln 2), and the mean of 1/m² is 3/(8 · ln 2). Numbers below the normal range, 2⁻¹⁴ and less of the largest in E4M3,
  /// count for nothing.
  private static func ofFloatingPoint(fractionBitCount: Int) -> Double {
    1 / Double(1 << fractionBitCount) / (32 * log(2.0)).squareRoot()
  }

  /// Numbers of E2M1 that are not negative.
  private static let e2m1Numbers = [0, 0.5, 1, 1.5, 2, 3, 4, 6]
  /// Steps of an integral over significands of scales.
  private static let significandCount = 32

  /// √(E‖x̂ − x‖² / E‖x‖²) of one cast to E2M1. Its range is so short that what is below its normal numbers counts, and so
  /// does where a block's largest is: it is gone through as by ``QuantisationError``.
  ///
  /// The largest magnitude A of n numbers has the distribution (2Φ(a) − 1)ⁿ, the others are normal within it. The block's
  /// scale is A/6 rounded to E4M3, whose significands m are spread as 1/m: it is r · A/6 with r = rint(8·m)/(8·m), and what is
  /// beyond six times that is clipped.
  ///
  /// - Parameters:
  ///   - blockLength: numbers that share a scale.
  ///   - isStochastic: whether a number becomes its lower or upper neighbour by chance, right on average.
  private static func ofE2M1(blockLength: Int, isStochastic: Bool) -> Double {
    let n = Double(blockLength)
    let ratios = (0..<significandCount).map { index in
      let m = exp2((Double(index) + 0.5) / Double(significandCount))
      return (8 * m).rounded() / (8 * m)
    }
    var squares = 0.0
    LargestMagnitude.forEach(of: blockLength, stepsPerUnit: 16) { largest, share, inside in
      for ratio in ratios {
        let scale = ratio * largest / 6
        let own = castError(of: largest / scale, isStochastic: isStochastic) * scale * scale
        let others = squaredErrors(below: largest, scale: scale, isStochastic: isStochastic) / inside
        squares += share / Double(significandCount) * (own + (n - 1) * others)
      }
    }
    return (squares / n).squareRoot()
  }

  /// The mean square by which a number of no less than zero is changed.
  private static func castError(of number: Double, isStochastic: Bool) -> Double {
    let upper = e2m1Numbers.firstIndex { $0 >= number } ?? e2m1Numbers.count
    guard upper > 0 else { return 0 }
    let low = e2m1Numbers[upper - 1]
    guard upper < e2m1Numbers.count else { return (number - low) * (number - low) }
    let high = e2m1Numbers[upper]
    if isStochastic { return (number - low) * (high - number) }
    let distance = min(number - low, high - number)
    return distance * distance
  }

  /// Twice ∫ of the mean square change times the normal density, from zero to a block's largest.
  private static func squaredErrors(below largest: Double, scale: Double, isStochastic: Bool) -> Double {
    var sum = 0.0
    for (low, high) in zip(e2m1Numbers, e2m1Numbers.dropFirst()) {
      let from = min(low * scale, largest), to = min(high * scale, largest)
      if isStochastic {
        // (x − a)·(b − x) is (a + b)·x − x² − a·b.
        let moments = NormalMoments(from: from, to: to), a = low * scale, b = high * scale
        sum += (a + b) * moments.first - moments.second - a * b * moments.mass
      } else {
        let middle = min((low + high) / 2 * scale, largest)
        sum += NormalMoments(from: from, to: middle).squaredDistance(to: low * scale)
        sum += NormalMoments(from: middle, to: to).squaredDistance(to: high * scale)
      }
    }
    return 2 * (sum + NormalMoments(from: min(6 * scale, largest), to: largest).squaredDistance(to: 6 * scale))
  }
}

extension Precision {
  /// The relative error of what products multiply, of the operand that is changed most, see ``ProductFormatError``; 0 where
  /// products are of what is stored.
  package var productError: Double {
    switch self {
    case .fp32, .fp16, .bf16, .tf32: 0
    // Gradients are in E5M2.
    case .fp8Delayed, .fp8Current: ProductFormatError.e5m2
    case .fp8Blockwise, .mxfp8: ProductFormatError.e4m3
    case .nvfp4:
      max(ProductFormatError.e2m1, ProductFormatError.e2m1Squares, ProductFormatError.e2m1ByChance)
    }
  }
}
