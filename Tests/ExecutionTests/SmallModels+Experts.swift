import Documents

extension SmallModels {
  /// What routers and experts differ in.
  enum ExpertKind: String, Sendable, CaseIterable {
    /// Softmax, weights that add up to 1, no shared experts (Mixtral).
    case plain
    /// Sigmoid, correction of the choice, groups, shared experts, a dense first layer (DeepSeek-V3, but for its attention).
    case grouped
    /// A gate of shared experts, weights as they are (Qwen 2).
    case gated
    /// Biases of routers and experts (gpt-oss, but for its sinks).
    case biased
    /// The grouped kind with latent attention (DeepSeek-V3).
    case latent
  }

  static let latentAttention = ModelDescription.LatentAttention(
    queryRank: 5, keyValueRank: 6, plainSize: 3, rotarySize: 4, valueSize: 5)

  static let expertKinds = ExpertKind.allCases

  static func experts(_ kind: ExpertKind, count: Int, perToken: Int = 2) -> ModelDescription.Experts {
    var experts = ModelDescription.Experts(count: count, perToken: perToken, feedForwardSize: 48)
    switch kind {
    case .plain: break
    case .grouped, .latent:
      experts.score = .sigmoid
      experts.hasCorrectionBias = true
      experts.routedScale = 2.5
      experts.sharedFeedForwardSize = 64
      if count % 4 == 0, count / 2 >= perToken { experts.groups = .init(count: 4, kept: 2) }
      experts.denseLayers = [0]
    case .gated:
      experts.sharedFeedForwardSize = 64
      experts.hasSharedGate = true
      experts.normalisesWeights = false
    case .biased:
      experts.hasRouterBias = true
      experts.hasBias = true
    }
    return experts
  }

  /// - Parameters:
  ///   - layerCount: the first of which is dense in a model of the grouped kind.
  ///   - narrowWidth: of what experts read; nil where they read tokens as they are.
  static func mixture(
    _ kind: ExpertKind, count: Int = 4, layerCount: Int = 2, hiddenSize: Int = 12, narrowWidth: Int? = nil
  ) throws -> ModelDescription {
    var experts = experts(kind, count: count)
    experts.latentSize = narrowWidth
    return try ModelDescription(
      name: narrowWidth == nil ? kind.rawValue : "\(kind.rawValue), narrow", family: .llama, layerCount: layerCount,
      hiddenSize: hiddenSize, headCount: 4,
      keyValueHeadCount: 4, headSize: 4, feedForwardSize: 16, vocabularySize: 14, hasGatedFeedForward: true,
      hasTiedEmbeddings: false, latent: kind == .latent ? latentAttention : nil, experts: experts)
  }

  /// Latent attention, with narrow queries and without.
  static func latent(hasNarrowQueries: Bool) throws -> ModelDescription {
    try ModelDescription(
      name: hasNarrowQueries ? "latent" : "latent but for queries", family: .llama, layerCount: 2, hiddenSize: 10,
      headCount: 4, feedForwardSize: 16, vocabularySize: 14, hasGatedFeedForward: true, hasTiedEmbeddings: false,
      latent: .init(
        queryRank: hasNarrowQueries ? latentAttention.queryRank : nil, keyValueRank: latentAttention.keyValueRank,
        plainSize: latentAttention.plainSize, rotarySize: latentAttention.rotarySize,
        valueSize: latentAttention.valueSize))
  }

  /// What heads are made of where their outputs are gated.
  enum GatedKind: String, CaseIterable {
    /// Heads that share keys, with biases and sinks.
    case grouped
    /// Narrow vectors, or those for keys and values alone.
    case latent, latentButQueries
  }

  static func gatedAttention(_ kind: GatedKind) throws -> ModelDescription {
    var form = ModelDescription.Form(norm: .rms, hasRotaryPositions: true, hasSinks: kind == .grouped)
    form.hasOutputGate = true
    let latent = kind == .grouped ? nil : latentAttention
    return try ModelDescription(
      name: "gated \(kind.rawValue)", family: .llama, layerCount: 2, hiddenSize: 12,
      headCount: kind == .grouped ? 8 : 4, keyValueHeadCount: 4, headSize: kind == .grouped ? 4 : nil,
      feedForwardSize: 16,
      vocabularySize: 14, hasGatedFeedForward: true, hasTiedEmbeddings: false,
      hasQueryKeyValueBias: kind == .grouped,
      latent: latent.map {
        .init(
          queryRank: kind == .latent ? $0.queryRank : nil, keyValueRank: $0.keyValueRank, plainSize: $0.plainSize,
          rotarySize: $0.rotarySize, valueSize: $0.valueSize)
      }, form: form)
  }

  /// Sinks, and a window or runs in every second layer.
  static func limited(isChunked: Bool) throws -> ModelDescription {
    try ModelDescription(
      name: isChunked ? "runs" : "windows", family: .llama, layerCount: 2, hiddenSize: 16, headCount: 8,
      keyValueHeadCount: 4, headSize: 4, feedForwardSize: 16, vocabularySize: 14, hasGatedFeedForward: true,
      hasTiedEmbeddings: true,
      form: .init(norm: .rms, hasRotaryPositions: true, hasSinks: true),
      details: .init(
        attentionWindow: isChunked ? nil : 2, attentionChunk: isChunked ? 2 : nil, fullAttentionLayers: [1]))
  }
}
