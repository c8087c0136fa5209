import Documents

/// What YaRN multiplies by, in Megatron-LM's words: `--mscale` and `--mscale-all-dim`
/// (`core/models/common/embeddings/yarn_rotary_pos_embedding.py` and `core/transformer/multi_latent_attention.py`, d98e8a64).
/// Megatron-LM's own are 1 and 0, what YaRN itself proposes.
struct MegatronYaRN: Equatable {
  var mscale = 1.0
  /// Bears on the scores of latent attention; on others by what it divides ``mscale`` by.
  var mscaleOfAll = 0.0

  private typealias Scaling = ModelDescription.RotaryScaling

  init(mscale: Double, mscaleOfAll: Double) {
    self.mscale = mscale
    self.mscaleOfAll = mscaleOfAll
  }

  /// - Parameters:
  ///   - attentionFactor: what rotations are multiplied by; nil for YaRN's own.
  ///   - scoreScale: what scores are multiplied by; nil for 1/√(head size).
  init(factor: Double, attentionFactor: Double?, scoreScale: Double?, headSize: Int) {
    let scaleOfAll = scoreScale.map { ($0 * Double(headSize).squareRoot()).squareRoot() } ?? 1
    let scale = (attentionFactor ?? Scaling.yarnScale(1, factor: factor)) * scaleOfAll
    // Short of the noise of the computation: the numbers that people write have few digits.
    func rounded(_ number: Double) -> Double { (number * 1e9).rounded() / 1e9 }
    if attentionFactor != nil || scoreScale != nil {
      mscale = rounded(Scaling.yarnNumber(ofScale: scale, factor: factor))
    }
    mscaleOfAll = rounded(Scaling.yarnNumber(ofScale: scaleOfAll, factor: factor))
  }

  var words: [String] {
    (mscale == 1 ? [] : ["--mscale", "\(mscale)"]) + (mscaleOfAll == 0 ? [] : ["--mscale-all-dim", "\(mscaleOfAll)"])
  }

  /// What rotations are multiplied by; nil for YaRN's own.
  func attentionFactor(factor: Double) -> Double? {
    guard factor > 1, mscale != 1 || mscaleOfAll != 0 else { return nil }
    return Scaling.yarnScale(mscale, factor: factor) / Scaling.yarnScale(mscaleOfAll, factor: factor)
  }

  /// What scores of latent attention are multiplied by; nil for 1/√(head size).
  func scoreScale(factor: Double, headSize: Int) -> Double? {
    guard factor > 1, mscaleOfAll != 0 else { return nil }
    let scale = Scaling.yarnScale(mscaleOfAll, factor: factor)
    return scale * scale / Double(headSize).squareRoot()
  }
}
