import Documents

/// The mixtures of experts among torchtitan's own models (`models/qwen3` and `models/deepseek_v3`, 0.2.2 and 0.3.0).
extension TorchtitanFlavour {
  /// A mixture by its family and size; nil where the size is none of one.
  static func mixture(_ size: String, of family: String) -> ModelDescription? {
    switch (family, size) {
    case ("qwen3", "30B-A3B"): qwen(size, layers: 48, hidden: 2_048, heads: 32, expert: 768, rotaryBase: 1_000_000)
    case ("qwen3", "235B-A22B"): qwen(size, layers: 94, hidden: 4_096, heads: 64, expert: 1_536, rotaryBase: 5_000_000)
    case ("deepseek_v3", "16B"):
      deepSeek(
        size, layers: 27, hidden: 2_048, heads: 16, feedForward: 10_944, vocabulary: 102_400, queryRank: nil,
        mscale: 0.7, experts: deepSeekExperts(64, 6, width: 1_408, shared: 2, dense: 1))
    case ("deepseek_v3", "236B"):
      deepSeek(
        size, layers: 60, hidden: 5_120, heads: 128, feedForward: 12_288, vocabulary: 102_400, queryRank: 1_536,
        mscale: 1,
        experts: deepSeekExperts(160, 6, width: 1_536, shared: 2, dense: 1, groups: (8, 3), scale: 16))
    case ("deepseek_v3", "671B"):
      deepSeek(
        size, layers: 61, hidden: 7_168, heads: 128, feedForward: 18_432, vocabulary: 129_280, queryRank: 1_536,
        mscale: 1,
        experts: deepSeekExperts(
          256, 8, width: 2_048, shared: 1, dense: 3, groups: (8, 4), scale: 2.5, score: .sigmoid))
    default: nil
    }
  }

  private static func qwen(
    _ size: String, layers: Int, hidden: Int, heads: Int, expert: Int, rotaryBase: Double
  ) -> ModelDescription? {
    try? ModelDescription(
      name: "qwen3-\(size)", family: .llama, layerCount: layers, hiddenSize: hidden, headCount: heads,
      keyValueHeadCount: 4, headSize: 128, feedForwardSize: 3 * hidden, vocabularySize: 151_936,
      hasGatedFeedForward: true, hasTiedEmbeddings: false, hasQueryKeyNorm: true,
      experts: ModelDescription.Experts(count: 128, perToken: 8, feedForwardSize: expert),
      details: ModelDescription.Details(
        activation: .silu, normEpsilon: 1e-6, rotaryBase: rotaryBase, maximumPositionCount: 40_960))
  }

  private static func deepSeekExperts(
    _ count: Int, _ perToken: Int, width: Int, shared: Int, dense: Int, groups: (count: Int, kept: Int)? = nil,
    scale: Double = 1, score: ModelDescription.Experts.Score = .softmax
  ) -> ModelDescription.Experts {
    var experts = ModelDescription.Experts(count: count, perToken: perToken, feedForwardSize: width)
    experts.sharedFeedForwardSize = shared * width
    experts.score = score
    // Loads are balanced by a number for each expert that is added for the choice (`load_balance_coeff`), beside either
    // score; of softmax it is left out here, which bears on no cost.
    experts.hasCorrectionBias = score == .sigmoid
    experts.normalisesWeights = score == .sigmoid
    experts.routedScale = scale
    experts.groups = groups.map { ModelDescription.Experts.Groups(count: $0.count, kept: $0.kept) }
    experts.denseLayers = Array(0..<dense)
    return experts
  }

  private static func deepSeek(
    _ size: String, layers: Int, hidden: Int, heads: Int, feedForward: Int, vocabulary: Int, queryRank: Int?,
    mscale: Double, experts: ModelDescription.Experts
  ) -> ModelDescription? {
    var details = ModelDescription.Details(
      activation: .silu, normEpsilon: 1e-5, rotaryBase: 10_000,
      rotaryScaling: ModelDescription.RotaryScaling(
        .yarn, factor: 40, originalPositionCount: 4_096, fastBeta: 32, slowBeta: 1, attentionFactor: 1),
      maximumPositionCount: 16_384)
    details.particulars[.scoreScale] = TorchtitanModel.scoreScale(number: mscale, factor: 40, headSize: 192)
    return try? ModelDescription(
      name: "deepseek_v3-\(size)", family: .llama, layerCount: layers, hiddenSize: hidden, headCount: heads,
      keyValueHeadCount: heads, headSize: 192, feedForwardSize: feedForward, vocabularySize: vocabulary,
      hasGatedFeedForward: true, hasTiedEmbeddings: false,
      latent: ModelDescription.LatentAttention(
        queryRank: queryRank, keyValueRank: 512, plainSize: 128, rotarySize: 64, valueSize: 128),
      experts: experts, details: details)
  }
}
