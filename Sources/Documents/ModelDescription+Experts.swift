import JSONText

extension ModelDescription {
  /// The experts of layers that have them: narrow feed-forward parts of which a router chooses a few for every token
  /// (Shazeer et al. 2017; Dai et al. 2024 for shared experts).
  package struct Experts: Sendable, Equatable {
    /// Routed experts of a layer, E.
    package let count: Int
    /// Experts that every token is sent to, k.
    package let perToken: Int
    /// Inner width of each routed expert, f.
    package let feedForwardSize: Int
    /// Inner width of the feed-forward part that every token goes through besides, all shared experts together; 0 without.
    package var sharedFeedForwardSize = 0
    /// Width of what routed experts read and give, which a matrix makes of a token and another makes a token of again; nil where
    /// they read tokens as they are (Nemotron 3).
    package var latentSize: Int?
    /// Whether what shared experts add is weighed by a gate of its own, a vector of the hidden size (Qwen 2).
    package var hasSharedGate = false
    /// Whether the router's product has a bias.
    package var hasRouterBias = false
    /// Whether a number for each expert is added to its score for the choice alone, to balance loads without a loss
    /// (Wang et al. 2024).
    package var hasCorrectionBias = false
    /// Whether both products of routed experts have biases (gpt-oss).
    package var hasBias = false
    /// What makes weights of the router's products.
    package var score = Score.softmax
    /// Whether the weights of a token's experts are made to add up to 1.
    package var normalisesWeights = true
    /// What those weights are multiplied by.
    package var routedScale = 1.0
    /// Groups that a token's experts are from a few of; nil where they may be from any (DeepSeek-AI 2024, section 2.1.2).
    package var groups: Groups?
    /// Layers without experts, counted from 0 and rising: their feed-forward part is as wide as the model's
    /// ``ModelDescription/feedForwardSize``.
    package var denseLayers: [Int] = []

    /// How the router's products become weights.
    package enum Score: String, Sendable, CaseIterable {
      case softmax, sigmoid
    }

    /// Consecutive experts that form groups.
    package struct Groups: Sendable, Equatable {
      /// Groups of a layer.
      package let count: Int
      /// Those that the experts of a token are from.
      package let kept: Int

      package init(count: Int, kept: Int) {
        self.count = count
        self.kept = kept
      }
    }

    package init(count: Int, perToken: Int, feedForwardSize: Int) {
      self.count = count
      self.perToken = perToken
      self.feedForwardSize = feedForwardSize
    }

    /// Why there cannot be such experts in a model of so many layers; nil if there can.
    func contradiction(layerCount: Int) -> String? {
      if perToken > count { return "a token cannot be sent to \(perToken) of \(count) experts" }
      if let groups, count % groups.count != 0 {
        return "\(count) experts do not divide into \(groups.count) groups"
      }
      if let groups, groups.kept > groups.count || groups.kept * (count / groups.count) < perToken {
        return "\(groups.kept) of \(groups.count) groups do not hold the \(perToken) experts of a token"
      }
      if let last = denseLayers.last, last >= layerCount {
        return "layer \(last) is said to be dense, of \(layerCount) layers counted from 0"
      }
      return denseLayers.count == layerCount ? "no layer has experts: all \(layerCount) are said to be dense" : nil
    }
  }
}

// MARK: - In our model document

extension ModelDescription.Experts {
  init(_ field: Field) throws(DocumentError) {
    var fields = try field.fields()
    self.init(
      count: try fields.required("count").integer(in: Bounds.experts),
      perToken: try fields.required("per_token").integer(in: Bounds.experts),
      feedForwardSize: try fields.required("ffn_hidden").integer(in: ModelDescription.Bounds.feedForward))
    sharedFeedForwardSize = try fields.optional("shared_ffn_hidden")?.integer(in: Bounds.shared) ?? 0
    latentSize = try fields.optional("latent")?.integer(in: ModelDescription.Bounds.hidden)
    hasSharedGate = try fields.optional("shared_gate")?.boolean() ?? false
    hasRouterBias = try fields.optional("router_bias")?.boolean() ?? false
    hasCorrectionBias = try fields.optional("correction_bias")?.boolean() ?? false
    hasBias = try fields.optional("bias")?.boolean() ?? false
    score = try fields.optional("score")?.choice(of: Score.self) ?? .softmax
    normalisesWeights = try fields.optional("normalises_weights")?.boolean() ?? true
    routedScale = try fields.optional("routed_scale")?.positiveNumber() ?? 1
    if let field = fields.optional("groups") {
      var members = try field.fields()
      groups = Groups(
        count: try members.required("count").integer(in: Bounds.experts),
        kept: try members.required("kept").integer(in: Bounds.experts))
      try members.finish()
    }
    var dense: Set<Int> = []
    let layers = ModelDescription.Bounds.layers.upperBound
    for layer in try fields.optional("dense_layers")?.array(count: 0...layers) ?? [] {
      dense.insert(try layer.integer(in: 0...layers - 1))
    }
    denseLayers = dense.sorted()
    try fields.finish()
  }

  var json: JSON {
    func flag(_ value: Bool) -> JSON? { value ? .boolean(true) : nil }
    return object(
      ("count", .integer(count)), ("per_token", .integer(perToken)), ("ffn_hidden", .integer(feedForwardSize)),
      ("shared_ffn_hidden", sharedFeedForwardSize > 0 ? .integer(sharedFeedForwardSize) : nil),
      ("latent", latentSize.map(JSON.integer)),
      ("shared_gate", flag(hasSharedGate)), ("router_bias", flag(hasRouterBias)),
      ("correction_bias", flag(hasCorrectionBias)), ("bias", flag(hasBias)),
      ("score", score == .softmax ? nil : .string(score.rawValue)),
      ("normalises_weights", normalisesWeights ? nil : .boolean(false)),
      ("routed_scale", routedScale == 1 ? nil : .number(routedScale)),
      ("groups", groups.map { object(("count", .integer($0.count)), ("kept", .integer($0.kept))) }),
      ("dense_layers", denseLayers.isEmpty ? nil : .integers(denseLayers)))
  }

  enum Bounds {
    static let experts = 1...65_536
    static let shared = 0...ModelDescription.Bounds.feedForward.upperBound
  }
}
