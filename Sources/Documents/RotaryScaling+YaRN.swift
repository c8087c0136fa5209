import Foundation

extension ModelDescription.RotaryScaling {
  /// What YaRN multiplies rotated queries and keys by, as files of models and frameworks generalise it by a number m:
  /// 0.1 · m · ln(factor) + 1, which for m = 1 is YaRN's own proposal (Peng et al. 2023, equation 22).
  ///
  /// Two such numbers go together (DeepSeek-AI 2024): cosines and sines are multiplied by the scale of `mscale` over that of
  /// `mscale_all_dim`, and under latent attention all scores by the square of the latter.
  package static func yarnScale(_ mscale: Double, factor: Double) -> Double {
    factor > 1 ? 0.1 * mscale * log(factor) + 1 : 1
  }

  /// The number whose scale is a given one; 0 where the factor is 1, when all have the same.
  package static func yarnNumber(ofScale scale: Double, factor: Double) -> Double {
    factor > 1 ? (scale - 1) / (0.1 * log(factor)) : 0
  }

  /// The same with another factor of rotations.
  func with(attentionFactor: Double?) -> Self {
    Self(
      kind, factor: factor, lowFrequencyFactor: lowFrequencyFactor, highFrequencyFactor: highFrequencyFactor,
      originalPositionCount: originalPositionCount, fastBeta: fastBeta, slowBeta: slowBeta,
      attentionFactor: attentionFactor)
  }
}
