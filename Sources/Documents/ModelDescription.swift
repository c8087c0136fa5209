/// A transformer decoder (or encoder): shapes and small parts, which its cost follows from, and details.
///
/// It is a list of layers, each of a kind (``kind(ofLayer:)``): with experts or without, with a window of attention or
/// without. State-space models and those with linear attention are not described by it and are refused where they are read.
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
  /// Key and value heads; fewer than ``headCount`` under grouped-query attention, as many under latent attention.
  package let keyValueHeadCount: Int
  /// Width of one head's queries and keys, and without latent attention of its values; not always hidden/heads.
  package let headSize: Int
  /// Inner width of the feed-forward part; of the layers without experts, where others have them.
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
  /// What queries, keys and values are made of, where that is narrow vectors; nil where it is the layer's input.
  package let latent: LatentAttention?
  /// The experts of layers that have them; nil for a model without.
  package let experts: Experts?
  /// Layers beside ``layerCount`` that each predict one token further (multi-token prediction), trained with the model.
  package let predictionDepth: Int
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
    hasFeedForwardBias: Bool? = nil, hasQueryKeyNorm: Bool = false, hasDropout: Bool? = nil,
    latent: LatentAttention? = nil, experts: Experts? = nil, predictionDepth: Int = 0, form: Form? = nil,
    details: Details = Details(), notes: [String] = []
  ) throws(Contradiction) {
    let keyValueHeads = keyValueHeadCount ?? headCount
    guard headCount % keyValueHeads == 0 else {
      throw Contradiction("\(headCount) heads cannot share \(keyValueHeads) key-value heads evenly")
    }
    if latent != nil, keyValueHeads != headCount {
      throw Contradiction(
        "latent attention has keys and values for each of its \(headCount) heads, and not \(keyValueHeads)")
    }
    if let sentence = experts?.contradiction(layerCount: layerCount) { throw Contradiction(sentence) }
    let stated = latent?.headSize ?? headSize
    if stated == nil, hiddenSize % headCount != 0 {
      throw Contradiction("hidden size \(hiddenSize) does not divide into \(headCount) heads and no head size is given")
    }
    let headSize = stated ?? hiddenSize / headCount
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
    self.latent = latent
    self.experts = experts
    self.predictionDepth = predictionDepth
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
    static let predictions = 0...16
  }

  /// Width of the query projection, heads × head size.
  package var querySize: Int { headCount * headSize }
  /// Width of the key projection, and but for latent attention of the value projection.
  package var keyValueSize: Int { keyValueHeadCount * headSize }
}
