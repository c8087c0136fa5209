import JSONText

extension ModelDescription {
  /// What bears on the values that a model computes and, but for attention's window, not on what computing them costs; nil
  /// where nobody stated it.
  ///
  /// Planning reads nothing else of it. A launch needs all of it: a model that is trained with another rotary base is another
  /// model.
  package struct Details: Sendable, Equatable {
    /// What the feed-forward part applies to its inner width; under a gate, to the gate.
    package var activation: Activation?
    /// What is added to the variance in every normalisation.
    package var normEpsilon: Double?
    /// Base θ of the rotary positions' frequencies θ^(−2i/d) (Su et al. 2021, section 3.2.2).
    package var rotaryBase: Double?
    /// How those frequencies are stretched for longer sequences; nil also where they are not.
    package var rotaryScaling: RotaryScaling?
    /// The longest sequence that a model with rotary positions is meant for, in tokens.
    package var maximumPositionCount: Int?
    /// Tokens back to which attention sees, its own included; nil where it sees all.
    package var attentionWindow: Int?
    /// Tokens of the runs that attention does not see beyond, where layers have such; nil where none has.
    package var attentionChunk: Int?
    /// Layers without that window, or those runs, counted from 0 and rising; empty where all are.
    package var fullAttentionLayers: [Int]
    /// Standard deviation of freshly initialised weights.
    package var initialisationDeviation: Double?
    /// Shares that are dropped out of the residual stream and of attention's probabilities.
    package var hiddenDropout: Double?
    package var attentionDropout: Double?
    /// Further numbers.
    package var particulars: [Particular: Double]

    package init(
      activation: Activation? = nil, normEpsilon: Double? = nil, rotaryBase: Double? = nil,
      rotaryScaling: RotaryScaling? = nil, maximumPositionCount: Int? = nil, attentionWindow: Int? = nil,
      attentionChunk: Int? = nil, fullAttentionLayers: [Int] = [],
      initialisationDeviation: Double? = nil, hiddenDropout: Double? = nil, attentionDropout: Double? = nil,
      particulars: [Particular: Double] = [:]
    ) {
      self.activation = activation
      self.normEpsilon = normEpsilon
      self.rotaryBase = rotaryBase
      self.rotaryScaling = rotaryScaling
      self.maximumPositionCount = maximumPositionCount
      self.attentionWindow = attentionWindow
      self.attentionChunk = attentionWindow == nil ? attentionChunk : nil
      self.fullAttentionLayers = attentionWindow == nil && attentionChunk == nil ? [] : fullAttentionLayers
      self.initialisationDeviation = initialisationDeviation
      self.hiddenDropout = hiddenDropout
      self.attentionDropout = attentionDropout
      self.particulars = particulars
    }
  }

  /// Activation functions, by what they compute.
  package enum Activation: String, Sendable, CaseIterable {
    /// x · Φ(x), exactly.
    case gelu
    /// The same with Φ approximated by tanh, as GPT-2 has it.
    case geluTanh = "gelu_tanh"
    /// The same with Φ approximated by a sigmoid of 1.702 · x.
    case quickGELU = "quick_gelu"
    case relu
    case squaredReLU = "squared_relu"
    /// x · sigmoid(x); with a gate, SwiGLU.
    case silu
  }

  /// How rotary frequencies are stretched for sequences that are longer than those of the first training.
  package struct RotaryScaling: Sendable, Equatable {
    /// The rules, by the names that Hugging Face configurations give them.
    package enum Kind: String, Sendable, CaseIterable {
      case linear, dynamic, yarn, longrope, llama3
    }

    package let kind: Kind
    /// By how much the longest sequence grows; nil for `longrope`, which states a factor for each frequency.
    package let factor: Double?
    /// Of `llama3`: wavelengths longer than the original positions over this are stretched by the whole factor.
    package let lowFrequencyFactor: Double?
    /// Of `llama3`: wavelengths shorter than the original positions over this are left alone.
    package let highFrequencyFactor: Double?
    /// The longest sequence of the first training, in tokens; stated for `llama3`, and for `yarn` if it is.
    package let originalPositionCount: Int?
    /// Of `yarn`: rotations above which frequencies are left alone, and below which they are stretched wholly.
    package let fastBeta: Double?
    package let slowBeta: Double?
    /// Of `yarn`: what queries' and keys' rotations are multiplied by.
    package let attentionFactor: Double?

    package init(
      _ kind: Kind, factor: Double? = nil, lowFrequencyFactor: Double? = nil, highFrequencyFactor: Double? = nil,
      originalPositionCount: Int? = nil, fastBeta: Double? = nil, slowBeta: Double? = nil,
      attentionFactor: Double? = nil
    ) {
      self.kind = kind
      self.factor = factor
      self.lowFrequencyFactor = lowFrequencyFactor
      self.highFrequencyFactor = highFrequencyFactor
      self.originalPositionCount = originalPositionCount
      self.fastBeta = fastBeta
      self.slowBeta = slowBeta
      self.attentionFactor = attentionFactor
    }
  }

  /// The activation function, where nobody stated it the family's usual one: SiLU under a gate, else GELU.
  package var activation: Activation { details.activation ?? (hasGatedFeedForward ? .silu : .gelu) }
}

// MARK: - In our model document

extension ModelDescription.Details {
  /// - Parameter fields: of a model document.
  init(_ fields: inout Fields) throws(DocumentError) {
    var full: Set<Int> = []
    for layer in try fields.optional("full_attention_layers")?.array(count: 0...Bounds.layers.upperBound + 1) ?? [] {
      full.insert(try layer.integer(in: Bounds.layers))
    }
    self.init(
      activation: try fields.optional("activation")?.choice(of: ModelDescription.Activation.self),
      normEpsilon: try fields.optional("norm_epsilon")?.fractionOrZero(),
      rotaryBase: try fields.optional("rotary_base")?.positiveNumber(),
      rotaryScaling: try fields.optional("rotary_scaling").map { (field) throws(DocumentError) in
        try ModelDescription.RotaryScaling(field)
      },
      maximumPositionCount: try fields.optional("maximum_positions")?.integer(in: Bounds.positions),
      attentionWindow: try fields.optional("attention_window")?.integer(in: Bounds.positions),
      attentionChunk: try fields.optional("attention_chunk")?.integer(in: Bounds.positions),
      fullAttentionLayers: full.sorted(),
      initialisationDeviation: try fields.optional("initialisation_deviation")?.fractionOrZero(),
      hiddenDropout: try fields.optional("hidden_dropout")?.fractionOrZero(),
      attentionDropout: try fields.optional("attention_dropout")?.fractionOrZero(),
      particulars: try fields.optional("particulars").map { (field) throws(DocumentError) in
        try [ModelDescription.Particular: Double](field)
      } ?? [:])
  }

  /// The members of a model document, in order; those that are stated.
  var members: [JSONMember] {
    guard
      case .object(let members) = object(
        ("activation", activation.map { .string($0.rawValue) }), ("norm_epsilon", normEpsilon.map(JSON.number)),
        ("rotary_base", rotaryBase.map(JSON.number)), ("rotary_scaling", rotaryScaling?.json),
        ("maximum_positions", maximumPositionCount.map(JSON.integer)),
        ("attention_window", attentionWindow.map(JSON.integer)),
        ("attention_chunk", attentionChunk.map(JSON.integer)),
        ("full_attention_layers", fullAttentionLayers.isEmpty ? nil : .integers(fullAttentionLayers)),
        ("initialisation_deviation", initialisationDeviation.map(JSON.number)),
        ("hidden_dropout", hiddenDropout.map(JSON.number)), ("attention_dropout", attentionDropout.map(JSON.number)),
        ("particulars", particulars.json))
    else { return [] }
    return members
  }

  enum Bounds {
    static let positions = 1...1_000_000_000_000
    static let layers = 0...ModelDescription.Bounds.layers.upperBound - 1
  }
}

extension ModelDescription.RotaryScaling {
  init(_ field: Field) throws(DocumentError) {
    var fields = try field.fields()
    let kind = try fields.required("kind").choice(of: Kind.self)
    try self.init(kind, in: &fields, keys: .own)
    try fields.finish()
  }

  /// Numbers of a kind: what it cannot be computed without must be there.
  init(_ kind: Kind, in fields: inout Fields, keys: Keys) throws(DocumentError) {
    func number(_ key: String, isNeeded: Bool) throws(DocumentError) -> Double? {
      isNeeded ? try fields.required(key).positiveNumber() : try fields.optional(key)?.positiveNumber()
    }
    let isLlama3 = kind == .llama3
    let original =
      isLlama3 ? try fields.required(keys.originalPositions) : fields.optional(keys.originalPositions)
    self.init(
      kind, factor: try number("factor", isNeeded: kind != .longrope),
      lowFrequencyFactor: try number(keys.lowFrequencyFactor, isNeeded: isLlama3),
      highFrequencyFactor: try number(keys.highFrequencyFactor, isNeeded: isLlama3),
      originalPositionCount: try original?.integer(in: ModelDescription.Details.Bounds.positions),
      fastBeta: try number(keys.fastBeta, isNeeded: false), slowBeta: try number(keys.slowBeta, isNeeded: false),
      attentionFactor: try number("attention_factor", isNeeded: false))
  }

  /// How a kind of document spells the numbers.
  struct Keys {
    let lowFrequencyFactor, highFrequencyFactor, originalPositions, fastBeta, slowBeta: String

    static let own = Keys(
      lowFrequencyFactor: "low_frequency_factor", highFrequencyFactor: "high_frequency_factor",
      originalPositions: "original_positions", fastBeta: "fast_beta", slowBeta: "slow_beta")
    static let huggingFace = Keys(
      lowFrequencyFactor: "low_freq_factor", highFrequencyFactor: "high_freq_factor",
      originalPositions: "original_max_position_embeddings", fastBeta: "beta_fast", slowBeta: "beta_slow")
  }

  var json: JSON {
    object(
      ("kind", .string(kind.rawValue)), ("factor", factor.map(JSON.number)),
      (Keys.own.lowFrequencyFactor, lowFrequencyFactor.map(JSON.number)),
      (Keys.own.highFrequencyFactor, highFrequencyFactor.map(JSON.number)),
      (Keys.own.originalPositions, originalPositionCount.map(JSON.integer)),
      (Keys.own.fastBeta, fastBeta.map(JSON.number)), (Keys.own.slowBeta, slowBeta.map(JSON.number)),
      ("attention_factor", attentionFactor.map(JSON.number)))
  }
}
