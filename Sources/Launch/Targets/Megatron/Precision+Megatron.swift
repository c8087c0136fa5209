import Documents

extension Precision {
  /// Megatron-LM's names of Transformer Engine's FP8 recipes.
  static let megatronFP8Recipes: [(word: String, precision: Precision)] = [
    ("delayed", .fp8Delayed), ("tensorwise", .fp8Current), ("blockwise", .fp8Blockwise), ("mxfp8", .mxfp8),
  ]

  /// Flags of what blocks multiply in; none where that is what is stored.
  ///
  /// Scales of a tensor want E5M2 for gradients, whose range they cannot cover otherwise; where few numbers share one, E4M3
  /// does for all.
  var megatronRecipe: [String] {
    if self == .nvfp4 { return ["--fp4-format", "e2m1", "--fp4-recipe", "nvfp4"] }
    guard let recipe = Self.megatronFP8Recipes.first(where: { $0.precision == self }) else { return [] }
    let format = self == .fp8Delayed || self == .fp8Current ? "hybrid" : "e4m3"
    return ["--fp8-format", format, "--fp8-recipe", recipe.word]
  }

  /// Flags of weights that lie in that alone; none where products are in what is stored.
  ///
  /// Weights of MXFP8, which have scales of both directions, fit in no buffer of parameters and are gathered through that of
  /// gradients.
  var megatronNarrowWeights: [String] {
    switch self {
    case .fp32, .fp16, .bf16, .tf32: []
    case .nvfp4: ["--fp4-param-gather"]
    case .mxfp8: ["--fp8-param-gather", Self.megatronGradientBufferFlag]
    case .fp8Delayed, .fp8Current, .fp8Blockwise: ["--fp8-param-gather"]
    }
  }

  static let megatronHeadFlag = "--fp8-output-proj"
  static let megatronGradientBufferFlag = "--reuse-grad-buf-for-mxfp8-param-ag"
}

extension WideLayers {
  static let megatronFlag = "--first-last-layers-bf16"
  static let megatronFirstFlag = "--num-layers-at-start-in-bf16"
  static let megatronLastFlag = "--num-layers-at-end-in-bf16"

  /// Flags of layers whose products are in bf16; none where there are none.
  var megatronArguments: [String] {
    self == .none
      ? [] : [Self.megatronFlag, Self.megatronFirstFlag, "\(first)", Self.megatronLastFlag, "\(last)"]
  }
}
