package import Documents
public import Testing

/// Models of every family and with every small part that a description can switch on, a few numbers wide.
enum SmallModels {
  static func gpt(tied: Bool = true, dropout: Bool = true, headSize: Int = 4) throws -> ModelDescription {
    try ModelDescription(
      name: "gpt", family: .gpt, layerCount: 2, hiddenSize: 16, headCount: 4, headSize: headSize, feedForwardSize: 24,
      vocabularySize: 13, hasGatedFeedForward: false, hasTiedEmbeddings: tied, positionCount: 8, hasDropout: dropout)
  }

  static func llama(headCount: Int = 8, keyValueHeadCount: Int = 4) throws -> ModelDescription {
    try ModelDescription(
      name: "llama", family: .llama, layerCount: 2, hiddenSize: 16, headCount: headCount,
      keyValueHeadCount: keyValueHeadCount, headSize: 4, feedForwardSize: 20, vocabularySize: 14,
      hasGatedFeedForward: true, hasTiedEmbeddings: false)
  }

  static func bert() throws -> ModelDescription {
    try ModelDescription(
      name: "bert", family: .bert, layerCount: 2, hiddenSize: 16, headCount: 4, feedForwardSize: 16,
      vocabularySize: 11, hasGatedFeedForward: false, hasTiedEmbeddings: false, positionCount: 16)
  }

  /// Per-head norms of queries and keys.
  static func qwen3() throws -> ModelDescription {
    try ModelDescription(
      name: "qwen3", family: .llama, layerCount: 2, hiddenSize: 12, headCount: 8, keyValueHeadCount: 4, headSize: 6,
      feedForwardSize: 16, vocabularySize: 16, hasGatedFeedForward: true, hasTiedEmbeddings: true,
      hasQueryKeyNorm: true)
  }

  /// Biases of queries, keys and values alone.
  static func qwen2() throws -> ModelDescription {
    try ModelDescription(
      name: "qwen2", family: .llama, layerCount: 2, hiddenSize: 16, headCount: 4, feedForwardSize: 24,
      vocabularySize: 9, hasGatedFeedForward: true, hasTiedEmbeddings: false, hasQueryKeyValueBias: true)
  }

  /// What no shipped model has: gates with biases, query-key norms with biases and dropout, no positions at all.
  static func unusual() throws -> ModelDescription {
    try ModelDescription(
      name: "unusual", family: .gpt, layerCount: 2, hiddenSize: 8, headCount: 8, keyValueHeadCount: 4, headSize: 3,
      feedForwardSize: 12, vocabularySize: 7, hasGatedFeedForward: true, hasTiedEmbeddings: true,
      hasAttentionOutputBias: false, hasQueryKeyNorm: true)
  }

  static func all() throws -> [ModelDescription] {
    try [gpt(), gpt(tied: false, dropout: false, headSize: 3), llama(), bert(), qwen3(), qwen2(), unusual()]
      + [latent(hasNarrowQueries: true), latent(hasNarrowQueries: false), limited(isChunked: false)]
      + [limited(isChunked: true)] + GatedKind.allCases.map(gatedAttention)
  }

  /// Those with experts, whose blocks are of more parts than one.
  static func mixtures() throws -> [ModelDescription] {
    try expertKinds.map { try mixture($0) } + [mixture(.grouped, count: 8, layerCount: 3)]
      + expertKinds.map { try mixture($0, narrowWidth: 7) }
  }
}

extension SmallModels {
  /// Models that predict further tokens: one or two, tied or not, of blocks of every kind, with dropout and norms with biases.
  static func predicting() throws -> [ModelDescription] {
    try [
      further(llama(), 1), further(llama(), 2), further(qwen3(), 2), further(unusual(), 2),
      further(limited(isChunked: false), 1), further(latent(hasNarrowQueries: true), 1), further(mixture(.plain), 2),
      further(mixture(.latent), 1),
    ]
  }

  /// A model with further predictions.
  static func further(_ model: ModelDescription, _ depth: Int) throws -> ModelDescription {
    try ModelDescription(
      name: "\(model.name) + \(depth)", family: model.family, layerCount: model.layerCount,
      hiddenSize: model.hiddenSize,
      headCount: model.headCount, keyValueHeadCount: model.keyValueHeadCount, headSize: model.headSize,
      feedForwardSize: model.feedForwardSize, vocabularySize: model.vocabularySize,
      hasGatedFeedForward: model.hasGatedFeedForward, hasTiedEmbeddings: model.hasTiedEmbeddings,
      hasQueryKeyValueBias: model.hasQueryKeyValueBias, hasAttentionOutputBias: model.hasAttentionOutputBias,
      hasFeedForwardBias: model.hasFeedForwardBias, hasQueryKeyNorm: model.hasQueryKeyNorm,
      hasDropout: model.hasDropout, latent: model.latent, experts: model.experts, predictionDepth: depth,
      form: model.form, details: model.details)
  }
}

extension ModelDescription: CustomTestStringConvertible {
  /// The name alone, where a test names its arguments.
  package var testDescription: String { name }
}
