import JSONText

/// How a model's blocks are put together: what their cost and their parameters depend on beside shapes.
extension ModelDescription {
  /// The norms of a model, where they stand, and what else surrounds its layers.
  package struct Form: Sendable, Equatable {
    package var norm: Norm
    package var block: Block
    /// Normalisation of queries and keys; nil for none.
    package var queryKeyNorm: QueryKeyNorm?
    /// Whether queries and keys are rotated by their positions (Su et al. 2021).
    package var hasRotaryPositions: Bool
    /// Whether embeddings are normalised before the first block (BLOOM).
    package var hasEmbeddingNorm: Bool
    /// Whether the output head has a bias.
    package var hasHeadBias: Bool
    /// Whether each head has a learned number among its scores that attends to nothing (gpt-oss).
    package var hasSinks: Bool
    /// Whether what each head gives is multiplied by the sigmoid of a vector as wide, which the layer's input makes beside the
    /// queries (Qwen 3 Next).
    package var hasOutputGate = false

    package init(
      norm: Norm, block: Block = .sequential, queryKeyNorm: QueryKeyNorm? = nil, hasRotaryPositions: Bool,
      hasEmbeddingNorm: Bool = false, hasHeadBias: Bool = false, hasSinks: Bool = false
    ) {
      self.norm = norm
      self.block = block
      self.queryKeyNorm = queryKeyNorm
      self.hasRotaryPositions = hasRotaryPositions
      self.hasEmbeddingNorm = hasEmbeddingNorm
      self.hasHeadBias = hasHeadBias
      self.hasSinks = hasSinks
    }

    /// What a family has unless something else is stated.
    package init(of family: Family, positionCount: Int) {
      self.init(
        norm: family == .llama ? .rms : .layerNorm, hasRotaryPositions: family == .llama && positionCount == 0)
    }
  }

  /// Normalisations, by what they learn.
  package enum Norm: String, Sendable, CaseIterable {
    /// RMSNorm, a weight.
    case rms
    /// LayerNorm, a weight and a bias.
    case layerNorm = "layer_norm"
    case layerNormWithoutBias = "layer_norm_without_bias"
    case layerNormWithoutWeights = "layer_norm_without_weights"

    /// Parameters of a norm over a given width.
    func parameterCount(width: Int) -> Int {
      switch self {
      case .rms, .layerNormWithoutBias: width
      case .layerNorm: 2 * width
      case .layerNormWithoutWeights: 0
      }
    }
  }

  /// Where a block's norms stand, and whether its halves follow each other.
  package enum Block: String, Sendable, CaseIterable {
    /// A norm before attention and one before the feed-forward part.
    case sequential
    /// A norm after each instead, before the addition (OLMo 2).
    case normsAfter = "norms_after"
    /// Both (Gemma 2 and 3, GLM-4).
    case normsAround = "norms_around"
    /// Attention and feed-forward part side by side, a norm before each (GPT-NeoX).
    case parallel
    /// The same with one norm for both (Cohere, Falcon 7B).
    case parallelOneNorm = "parallel_one_norm"

    /// Norms of a block.
    package var normCount: Int {
      switch self {
      case .sequential, .normsAfter, .parallel: 2
      case .normsAround: 4
      case .parallelOneNorm: 1
      }
    }
  }

  /// What a norm of queries and keys learns; none of them has a bias.
  package enum QueryKeyNorm: String, Sendable, CaseIterable {
    /// A weight of one head's width that all heads share (Qwen 3, Gemma 3).
    case head
    /// A weight for each head (Cohere, StableLM).
    case eachHead = "each_head"
    /// One norm over all heads together (OLMo 2).
    case allHeads = "all_heads"
  }

  /// Whether queries and keys are normalised.
  package var hasQueryKeyNorm: Bool { form.queryKeyNorm != nil }
}

// MARK: - In our model document

extension ModelDescription.Form {
  /// - Parameter fields: of a model document, whose family and positions decide what is not stated.
  init(_ fields: inout Fields) throws(DocumentError) {
    let family = try fields.required("family").choice(of: ModelDescription.Family.self)
    let positions = try fields.optional("positions")?.integer(in: ModelDescription.Bounds.positions) ?? 0
    self.init(of: family, positionCount: positions)
    norm = try fields.optional("norm")?.choice(of: ModelDescription.Norm.self) ?? norm
    block = try fields.optional("block")?.choice(of: ModelDescription.Block.self) ?? block
    hasRotaryPositions = try fields.optional("rotary")?.boolean() ?? hasRotaryPositions
    hasEmbeddingNorm = try fields.optional("embedding_norm")?.boolean() ?? false
    hasHeadBias = try fields.optional("head_bias")?.boolean() ?? false
    hasSinks = try fields.optional("sinks")?.boolean() ?? false
    hasOutputGate = try fields.optional("attention_output_gate")?.boolean() ?? false
    let hasNorm = try fields.optional("qk_norm")?.boolean()
    if let field = fields.optional("qk_norm_over") {
      guard hasNorm != false else { throw field.conflict("qk_norm_over is stated, but qk_norm is false") }
      queryKeyNorm = try field.choice(of: ModelDescription.QueryKeyNorm.self)
    } else if hasNorm == true {
      queryKeyNorm = .head
    }
  }
}

extension ModelDescription {
  /// The members of a model document that state what is not the family's usual form.
  var formMembers: [JSONMember] {
    let usual = Form(of: family, positionCount: positionCount)
    let stated = object(
      ("norm", form.norm == usual.norm ? nil : .string(form.norm.rawValue)),
      ("block", form.block == usual.block ? nil : .string(form.block.rawValue)),
      ("rotary", form.hasRotaryPositions == usual.hasRotaryPositions ? nil : .boolean(form.hasRotaryPositions)),
      ("qk_norm_over", form.queryKeyNorm.flatMap { $0 == .head ? nil : .string($0.rawValue) }),
      ("embedding_norm", form.hasEmbeddingNorm ? .boolean(true) : nil),
      ("head_bias", form.hasHeadBias ? .boolean(true) : nil), ("sinks", form.hasSinks ? .boolean(true) : nil),
      ("attention_output_gate", form.hasOutputGate ? .boolean(true) : nil))
    if case .object(let members) = stated { return members } else { return [] }
  }
}
