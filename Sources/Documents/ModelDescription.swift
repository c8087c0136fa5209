/// A dense transformer decoder (or encoder): shapes and small parts, which its cost follows from, and details.
///
/// Mixture-of-experts, latent-attention and state-space models are not described by it and are refused where they are
/// read.
@usableFromInline package struct ModelDescription: Sendable, Equatable {
  /// The families that differ in what is usual: normalisation, biases and positions, each of which a model may have
  /// otherwise (``Form``).
  package enum Family: String, Sendable, CaseIterable {
    /// LayerNorm, biases in every linear layer, learned positions, dropout while training.
    case gpt
    /// RMSNorm, no biases, rotary positions, no dropout.
    case llama
    /// As ``gpt``, with attention in both directions.
    case bert
  }

  package let name: String
  package let family: Family
  /// Transformer blocks.
  package let layerCount: Int
  /// Width h of the residual stream.
  package let hiddenSize: Int
  /// Query heads.
  package let headCount: Int
  /// Key and value heads; fewer than ``headCount`` under grouped-query attention.
  package let keyValueHeadCount: Int
  /// Width of one head; not always hidden/heads.
  package let headSize: Int
  /// Inner width of the feed-forward part.
  package let feedForwardSize: Int
  /// Tokens of the vocabulary, unpadded.
  package let vocabularySize: Int
  /// Whether the feed-forward part multiplies by a gate (SwiGLU): three matrices, not two.
  package let hasGatedFeedForward: Bool
  /// Whether the output head shares the embedding's matrix.
  package let hasTiedEmbeddings: Bool
  /// Rows of the learned position table; 0 for rotary or no positions.
  package let positionCount: Int
  /// Biases of the query, key and value projections.
  package let hasQueryKeyValueBias: Bool
  /// Bias of the attention's output projection.
  package let hasAttentionOutputBias: Bool
  /// Biases of the feed-forward part.
  package let hasFeedForwardBias: Bool
  /// Whether training drops activations out, so that masks are kept for backward.
  package let hasDropout: Bool
  /// Norms and blocks.
  package let form: Form
  /// What does not bear on cost, but for attention's window.
  package let details: Details
  /// What whoever reads a plan of the model should know of how its file was read.
  package let notes: [String]

  /// - Throws: a sentence when shapes contradict each other.
  package init(
    name: String, family: Family, layerCount: Int, hiddenSize: Int, headCount: Int, keyValueHeadCount: Int? = nil,
    headSize: Int? = nil, feedForwardSize: Int, vocabularySize: Int, hasGatedFeedForward: Bool,
    hasTiedEmbeddings: Bool, positionCount: Int = 0, hasQueryKeyValueBias: Bool? = nil,
    hasAttentionOutputBias: Bool? = nil,
    hasFeedForwardBias: Bool? = nil, hasQueryKeyNorm: Bool = false, hasDropout: Bool? = nil, form: Form? = nil,
    details: Details = Details(), notes: [String] = []
  ) throws(Contradiction) {
    let keyValueHeads = keyValueHeadCount ?? headCount
    guard headCount % keyValueHeads == 0 else {
      throw Contradiction("\(headCount) heads cannot share \(keyValueHeads) key-value heads evenly")
    }
    if headSize == nil, hiddenSize % headCount != 0 {
      throw Contradiction("hidden size \(hiddenSize) does not divide into \(headCount) heads and no head size is given")
    }
    let headSize = headSize ?? hiddenSize / headCount
    guard Bounds.headSize.contains(headSize) else {
      throw Contradiction("heads of \(headSize) are larger than \(Bounds.headSize.upperBound)")
    }
    self.name = name
    self.family = family
    self.layerCount = layerCount
    self.hiddenSize = hiddenSize
    self.headCount = headCount
    self.keyValueHeadCount = keyValueHeads
    self.headSize = headSize
    self.feedForwardSize = feedForwardSize
    self.vocabularySize = vocabularySize
    self.hasGatedFeedForward = hasGatedFeedForward
    self.hasTiedEmbeddings = hasTiedEmbeddings
    self.positionCount = positionCount
    self.hasQueryKeyValueBias = hasQueryKeyValueBias ?? (family != .llama)
    self.hasAttentionOutputBias = hasAttentionOutputBias ?? (family != .llama)
    self.hasFeedForwardBias = hasFeedForwardBias ?? (family != .llama)
    self.hasDropout = hasDropout ?? (family != .llama)
    var form = form ?? Form(of: family, positionCount: positionCount)
    if hasQueryKeyNorm, form.queryKeyNorm == nil { form.queryKeyNorm = .head }
    self.form = form
    self.details = details
    self.notes = notes
  }

  /// Shapes that cannot be together, as a sentence.
  package struct Contradiction: Error, Sendable, Equatable {
    package let sentence: String
    init(_ sentence: String) { self.sentence = sentence }
  }
}

extension ModelDescription {
  /// The bounds of every shape that a document may state. Far beyond any model there is, and low enough that no
  /// product of them that is counted overflows 63 bits.
  enum Bounds {
    static let layers = 1...16_384
    static let hidden = 1...131_072
    static let heads = 1...4_096
    static let headSize = 1...4_096
    static let feedForward = 1...1_048_576
    static let vocabulary = 1...16_777_216
    static let positions = 0...16_777_216
  }

  /// Width of the query projection, heads × head size.
  package var querySize: Int { headCount * headSize }
  /// Width of the key, and of the value, projection.
  package var keyValueSize: Int { keyValueHeadCount * headSize }
}
