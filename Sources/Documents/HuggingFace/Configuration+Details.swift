import JSONText

/// What Hugging Face configurations state beside shapes: keys and defaults of the configuration classes of
/// `transformers` 4 and 5 (`models/*/configuration_*.py`, `modeling_rope_utils.py`).
extension Configuration {
  /// All but rotary positions.
  mutating func details(
    layerCount: Int, headSize: Int, drops: Bool
  ) throws(DocumentError) -> ModelDescription.Details {
    let keys = architecture.keys, dropout = architecture.dropout
    let hidden = try first(dropout.hidden.key.map { [$0] } ?? [])?.fractionOrZero() ?? dropout.hidden.value
    let attention = try fields.optional(dropout.attention.key)?.fractionOrZero() ?? dropout.attention.value
    let window = try window(layerCount: layerCount)
    return ModelDescription.Details(
      activation: try activation(),
      normEpsilon: try first(keys.epsilon)?.fractionOrZero() ?? architecture.epsilon,
      maximumPositionCount: try first(keys.longest)?.integer(in: ModelDescription.Details.Bounds.positions),
      attentionWindow: window.flatMap { $0.isOfChunks ? nil : $0.tokenCount },
      attentionChunk: window.flatMap { $0.isOfChunks ? $0.tokenCount : nil },
      fullAttentionLayers: window?.fullLayers ?? [],
      initialisationDeviation: try first(keys.initialisation)?.fractionOrZero(),
      hiddenDropout: drops ? hidden : nil, attentionDropout: drops ? attention : nil,
      particulars: try particulars(headSize: headSize, hasWindow: window != nil))
  }

  private mutating func activation() throws(DocumentError) -> ModelDescription.Activation {
    guard let field = try first(architecture.keys.activation) else { return architecture.activation }
    switch try field.string() {
    case "gelu", "gelu_python": return architecture.approximatesGELU ? .geluTanh : .gelu
    case "gelu_new", "gelu_fast", "gelu_pytorch_tanh": return .geluTanh
    case "quick_gelu": return .quickGELU
    case "relu": return .relu
    case "relu2": return .squaredReLU
    case "silu", "swish": return .silu
    default:
      throw field.error(
        expected:
          "an activation function that is known (gelu, gelu_new, gelu_pytorch_tanh, quick_gelu, relu, relu2, silu)")
    }
  }

  /// Numbers of single models, those that change nothing left out.
  private mutating func particulars(
    headSize: Int, hasWindow: Bool
  ) throws(DocumentError) -> [ModelDescription.Particular: Double] {
    var particulars: [ModelDescription.Particular: Double] = [:]
    for number in architecture.numbers {
      if number.particular == .windowRotaryBase, !hasWindow { continue }
      // A class's default holds where the key is left out, and not where it is null.
      let stated = try optional(number.key)?.positiveNumber()
      guard let value = stated ?? (fields.states(number.key) ? nil : number.byDefault) else { continue }
      let particular =
        switch number.form {
        case .itself: value
        case .inverse: 1 / value
        case .squareRoot: value.squareRoot()
        case .inverseSquareRoot: 1 / value.squareRoot()
        }
      let isNeutral =
        switch number.particular {
        case .scoreScale: particular == 1 / Double(headSize).squareRoot()
        case .embeddingScale, .residualScale, .logitScale: particular == 1
        default: false
        }
      if !isNeutral { particulars[number.particular] = particular }
    }
    return particulars
  }

  // MARK: Rotary positions

  /// Base, scaling, and what is not rotated.
  mutating func addRotary(
    to details: inout ModelDescription.Details, layerCount: Int, headSize: Int
  ) throws(DocumentError) {
    let keys = architecture.keys
    // Since version 5 base and scaling are one object, or one for each kind of layer.
    let newer = fields.optional("rope_parameters"), older = fields.optional("rope_scaling")
    var base = try first(keys.rotaryBase)?.positiveNumber()
    var fraction = try first(keys.rotaryFraction)?.fraction()
    if let field = newer ?? older {
      var rotary = try field.fields()
      if let full = rotary.optional("full_attention") {
        if details.attentionWindow != nil,
          let windowed = try rotary.optional("sliding_attention")?.fields().base()
        {
          details.particulars[.windowRotaryBase] = windowed
        }
        rotary = try full.fields()
      }
      base = try rotary.optional("rope_theta")?.positiveNumber() ?? base
      fraction = try rotary.optional("partial_rotary_factor")?.fraction() ?? fraction
      details.rotaryScaling = try scaling(&rotary)
      try addScales(rotary, to: &details, headSize: headSize)
    }
    let isGemma3 = architecture.types.contains("gemma3_text")
    details.rotaryBase = base ?? (isGemma3 ? 1_000_000 : 10_000)
    if details.particulars[.windowRotaryBase] == details.rotaryBase { details.particulars[.windowRotaryBase] = nil }
    let share = fraction ?? architecture.rotaryFraction
    if share < 1 { details.particulars[.rotaryFraction] = share }
    try addUnrotatedLayers(to: &details, layerCount: layerCount)
  }

  private mutating func scaling(_ rotary: inout Fields) throws(DocumentError) -> ModelDescription.RotaryScaling? {
    // The key was called "type" at first.
    guard let kind = rotary.optional("rope_type") ?? rotary.optional("type") else { return nil }
    let word = try kind.string()
    // "mrope" turns text by the same position in all its sections: plain rotary positions.
    if word == "default" || word == "mrope" { return nil }
    // Phi-3's first files call it otherwise.
    if architecture.types.contains("phi3"), word == "su" || word == "yarn" {
      return ModelDescription.RotaryScaling(.longrope)
    }
    return try ModelDescription.RotaryScaling(
      kind.choice(of: ModelDescription.RotaryScaling.Kind.self), in: &rotary, keys: .huggingFace)
  }

  /// What YaRN multiplies by where a file says it by two numbers, `mscale` and `mscale_all_dim`, which are no number where
  /// they are 0.
  private func addScales(
    _ rotary: Fields, to details: inout ModelDescription.Details, headSize: Int
  ) throws(DocumentError) {
    guard let scaling = details.rotaryScaling, scaling.kind == .yarn, let factor = scaling.factor else { return }
    var rotary = rotary
    func scale(_ key: String) throws(DocumentError) -> Double? {
      let number = try rotary.optional(key)?.number(in: 0...1e24, expected: "a number from 0 to 1e24") ?? 0
      return number > 0 ? ModelDescription.RotaryScaling.yarnScale(number, factor: factor) : nil
    }
    let own = try scale("mscale"), ofAll = try scale("mscale_all_dim")
    if scaling.attentionFactor == nil, let own, let ofAll {
      details.rotaryScaling = scaling.with(attentionFactor: own / ofAll)
    }
    // Only the classes of latent attention multiply scores by it.
    if architecture.hasLatentAttention, let ofAll {
      details.particulars[.scoreScale] = ofAll * ofAll / Double(headSize).squareRoot()
    }
  }

  private mutating func addUnrotatedLayers(
    to details: inout ModelDescription.Details, layerCount: Int
  ) throws(DocumentError) {
    let layers: [Int]
    switch architecture.unrotated {
    case .none: layers = []
    case .withoutWindow: layers = details.fullAttentionLayers
    case .stated: layers = try unrotatedLayers(layerCount: layerCount)
    }
    guard let first = layers.first else { return }
    let isRegular = layers == Array(stride(from: first, to: layerCount, by: first + 1))
    details.particulars[isRegular ? .unrotatedInterval : .unrotatedCount] = Double(isRegular ? first + 1 : layers.count)
  }

  /// Of SmolLM 3 and Llama 4, some of whose files have an empty list.
  fileprivate mutating func unrotatedLayers(layerCount: Int) throws(DocumentError) -> [Int] {
    guard case .stated(let byDefault) = architecture.unrotated else { return [] }
    guard let field = fields.optional("no_rope_layers"), field.value != .array([]) else {
      let interval = try fields.optional("no_rope_layer_interval")?.integer(in: 1...16_384) ?? byDefault
      return Array(stride(from: interval - 1, to: layerCount, by: interval))
    }
    // A 1 where the layer is rotated.
    var layers: [Int] = []
    for (index, layer) in try field.array(count: layerCount...layerCount).enumerated()
    where try layer.integer(in: 0...1) == 0 {
      layers.append(index)
    }
    return layers
  }
}

// MARK: - Windows

extension Configuration {
  /// Tokens that attention sees in some layers, and the others.
  struct Window {
    let tokenCount: Int
    let fullLayers: [Int]
    /// Whether they are the tokens of a run that attention does not see beyond.
    var isOfChunks = false
  }

  mutating func window(layerCount: Int) throws(DocumentError) -> Window? {
    let uses = try fields.optional("use_sliding_window")?.boolean()
    if uses == false { return nil }
    let full: [Int]
    var byDefault: Int?
    switch architecture.window {
    case .never: return nil
    case .chunksInRotatedLayers(let tokens):
      var full = try unrotatedLayers(layerCount: layerCount)
      if let stated = try layersWithoutWindow(layerCount: layerCount) { full = stated }
      let chunk = try fields.optional("attention_chunk_size")?.integer(in: ModelDescription.Details.Bounds.positions)
      return full.count == layerCount
        ? nil : Window(tokenCount: chunk ?? tokens, fullLayers: full, isOfChunks: true)
    case .inEveryLayer(let tokens): (full, byDefault) = ([], tokens)
    case .exceptEvery(let interval, let key, let tokens):
      // A word such as LLLG is a pattern of that many layers.
      let pattern = fields.optional(key)
      var interval = interval
      if let pattern, pattern.isString {
        let word = try pattern.string()
        guard word.hasSuffix("G"), word.dropLast().allSatisfy({ $0 == "L" }) else {
          throw pattern.error(expected: "a whole number of layers or a word such as \"LLLG\"")
        }
        interval = word.count
      } else if let pattern {
        interval = try pattern.integer(in: 1...16_384)
      }
      full = Array(stride(from: interval - 1, to: layerCount, by: interval))
      byDefault = tokens
    case .fromLayer:
      guard uses == true else { return nil }
      let first = try fields.optional("max_window_layers")?.integer(in: 0...1_000_000) ?? 28
      full = Array(0..<min(first, layerCount))
    case .inUnrotatedLayers:
      guard uses == true else { return nil }
      let unrotated = Set(try unrotatedLayers(layerCount: layerCount))
      full = (0..<layerCount).filter { !unrotated.contains($0) }
    }
    let stated = try fields.optional("sliding_window")?.integer(in: ModelDescription.Details.Bounds.positions)
    guard let tokenCount = stated ?? (fields.states("sliding_window") ? nil : byDefault) else { return nil }
    let layers = try layersWithoutWindow(layerCount: layerCount) ?? full
    return layers.count == layerCount ? nil : Window(tokenCount: tokenCount, fullLayers: layers)
  }

  /// What has to be known of a window that a file turns on and that no layer has.
  mutating func noteOfUnusedWindow(layerCount: Int) throws(DocumentError) -> String? {
    guard case .fromLayer = architecture.window, try window(layerCount: layerCount) == nil,
      try fields.optional("use_sliding_window")?.boolean() == true,
      let window = try fields.optional("sliding_window")?.integer(in: ModelDescription.Details.Bounds.positions)
    else { return nil }
    return "no layer has the window of \(window.grouped) tokens that use_sliding_window turns on (max_window_layers, "
      + "layer_types): full attention is priced"
  }

  /// As newer files state them, layer by layer.
  private mutating func layersWithoutWindow(layerCount: Int) throws(DocumentError) -> [Int]? {
    guard let field = fields.optional("layer_types") else { return nil }
    var layers: [Int] = []
    for (index, kind) in try field.array(count: layerCount...layerCount).enumerated()
    where try kind.string() == "full_attention" {
      layers.append(index)
    }
    return layers
  }
}

extension Fields {
  /// A rotary base.
  fileprivate func base() throws(DocumentError) -> Double? {
    var copy = self
    return try copy.optional("rope_theta")?.positiveNumber()
  }
}
