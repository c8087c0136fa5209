import JSONText

extension ModelDescription {
  /// Numbers by which single models differ from their families' usual arithmetic, and which cost nothing worth counting.
  ///
  /// A framework that cannot be told one trains another model: its table names those that it can be told
  /// (``Capabilities/Models/particulars``), and a launch with any other is refused.
  package enum Particular: String, Sendable, CaseIterable {
    /// Attention scores are capped by c · tanh(score / c).
    case scoreSoftCap = "score_soft_cap"
    /// Logits are capped likewise.
    case logitSoftCap = "logit_soft_cap"
    /// What attention scores are multiplied by, where that is not 1/√(head size).
    case scoreScale = "score_scale"
    case embeddingScale = "embedding_scale"
    /// What each half of a block is multiplied by before it is added to the residual stream.
    case residualScale = "residual_scale"
    case logitScale = "logit_scale"
    /// What weights of norms are added to before they multiply.
    case normOffset = "norm_offset"
    /// Queries, keys and values are cut off at this size.
    case queryKeyValueClip = "qkv_clip"
    /// Largest slope's bias of linear biases of attention (ALiBi), in place of other positions.
    case linearBias = "linear_bias"
    /// The share of a head's width that is rotated, from its beginning.
    case rotaryFraction = "rotary_fraction"
    /// Every n-th layer has no rotary positions.
    case unrotatedInterval = "unrotated_interval"
    /// Layers without rotary positions, where these are not every n-th.
    case unrotatedCount = "unrotated_count"
    /// The rotary base in the layers with a window of attention, where it is another.
    case windowRotaryBase = "window_rotary_base"
    /// What is added to what a gate multiplies.
    case gateOffset = "gate_offset"
    /// What is gated is cut off at ± this size, and the gate at it, before its activation.
    case gateLimit = "gate_limit"

    /// What it is, in a sentence.
    package var words: String {
      switch self {
      case .scoreSoftCap: "a soft cap on attention scores"
      case .logitSoftCap: "a soft cap on logits"
      case .scoreScale: "a scale of attention scores of its own"
      case .embeddingScale: "scaled embeddings"
      case .residualScale: "scaled residual additions"
      case .logitScale: "scaled logits"
      case .normOffset: "norm weights with an offset"
      case .queryKeyValueClip: "clipped queries, keys and values"
      case .linearBias: "linear biases of attention (ALiBi)"
      case .rotaryFraction: "rotary positions of a part of each head"
      case .unrotatedInterval, .unrotatedCount: "layers without rotary positions"
      case .windowRotaryBase: "a rotary base of its own in layers with windows"
      case .gateOffset, .gateLimit: "a gate with an offset or a limit"
      }
    }
  }
}

extension [ModelDescription.Particular: Double] {
  /// - Parameter field: the object in a model document.
  init(_ field: Field) throws(DocumentError) {
    self.init()
    var fields = try field.fields()
    for particular in ModelDescription.Particular.allCases {
      guard let stated = fields.optional(particular.rawValue) else { continue }
      switch particular {
      case .unrotatedInterval, .unrotatedCount:
        self[particular] = Double(try stated.integer(in: ModelDescription.Bounds.layers))
      default: self[particular] = try stated.positiveNumber()
      }
    }
    try fields.finish()
  }

  /// In the order of the kinds; nil without any.
  var json: JSON? {
    if isEmpty { return nil }
    return .object(
      ModelDescription.Particular.allCases.compactMap { particular in
        self[particular].map { value in
          let isCount = particular == .unrotatedInterval || particular == .unrotatedCount
          return JSONMember(particular.rawValue, isCount ? .integer(Int(value)) : .number(value))
        }
      })
  }
}
