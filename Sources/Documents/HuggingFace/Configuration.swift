import JSONText

/// A `config.json` and the declaration that it is read by: its shapes.
struct Configuration {
  var fields: Fields
  let architecture: Architecture

  /// Words of `layer_types` that are read.
  static let layerKinds = ["full_attention", "sliding_attention", "chunked_attention"]

  init(_ fields: Fields, by architecture: Architecture) {
    self.fields = fields
    self.architecture = architecture
  }

  /// - Parameter tiesEmbeddings: what a file around this one says; nil where it says nothing.
  mutating func model(name: String, tiesEmbeddings: Bool?, notes: [String]) throws -> ModelDescription {
    let keys = architecture.keys
    let layers = try size(keys.layers, in: ModelDescription.Bounds.layers)
    let hidden = try size(keys.hidden, in: ModelDescription.Bounds.hidden)
    let heads = try size(keys.heads, in: ModelDescription.Bounds.heads)
    let latent = try latentAttention()
    let headSize = try latent?.headSize ?? optionalSize(keys.headSize, in: ModelDescription.Bounds.headSize)
    try refuseProjectedEmbeddings(hidden: hidden)
    let (positionCount, linearBias) = try positions(hidden: hidden)
    let form = ModelDescription.Form(
      norm: architecture.norm, block: try block(),
      queryKeyNorm: try has(architecture.queryKeyNorm) ? architecture.queryKeyNormOver : nil,
      hasRotaryPositions: positionCount == 0 && linearBias == nil, hasEmbeddingNorm: architecture.hasEmbeddingNorm,
      hasHeadBias: try has(architecture.headBias), hasSinks: architecture.hasSinks)
    let drops = try dropsOut()
    var details = try details(layerCount: layers, headSize: headSize ?? hidden / max(1, heads), drops: drops)
    if form.hasRotaryPositions {
      try addRotary(to: &details, layerCount: layers, headSize: headSize ?? hidden / max(1, heads))
    } else {
      details.particulars[.linearBias] = linearBias
    }
    let fact = architecture
    return try ModelDescription(
      name: name, family: fact.family, layerCount: layers, hiddenSize: hidden, headCount: heads,
      keyValueHeadCount: latent == nil ? keyValueHeads() : heads, headSize: headSize,
      feedForwardSize: denseFeedForward(feedForward(hidden: hidden)),
      vocabularySize: size(keys.vocabulary, in: ModelDescription.Bounds.vocabulary),
      hasGatedFeedForward: fact.isGated,
      hasTiedEmbeddings: fields.optional("tie_word_embeddings")?.boolean() ?? tiesEmbeddings ?? fact.tiesEmbeddings,
      positionCount: positionCount, hasQueryKeyValueBias: has(fact.queryKeyValueBias),
      hasAttentionOutputBias: has(fact.attentionOutputBias), hasFeedForwardBias: has(fact.feedForwardBias),
      hasDropout: drops, latent: latent, experts: experts(layerCount: layers),
      predictionDepth: first(["num_nextn_predict_layers", "num_mtp_layers"])?
        .integer(in: ModelDescription.Bounds.predictions) ?? 0,
      form: form, details: details,
      notes: notes + [noteOfUnusedWindow(layerCount: layers)].compactMap { $0 })
  }

  // MARK: Values by key

  /// The field of the first of several keys that is stated.
  mutating func first(_ keys: [String]) throws(DocumentError) -> Field? {
    for key in keys {
      if let field = try optional(key) { return field }
    }
    return nil
  }

  /// The field at a key, which may be one of an object in the file.
  mutating func optional(_ key: String) throws(DocumentError) -> Field? {
    guard let slash = key.firstIndex(of: "/") else { return fields.optional(key) }
    var section = try fields.optional(String(key[..<slash]))?.fields()
    return section?.optional(String(key[key.index(after: slash)...]))
  }

  private mutating func optionalSize(_ keys: [String], in range: ClosedRange<Int>) throws(DocumentError) -> Int? {
    try first(keys)?.integer(in: range) ?? keys.first.flatMap { architecture.defaults[$0] }
  }

  private mutating func size(_ keys: [String], in range: ClosedRange<Int>) throws(DocumentError) -> Int {
    if let size = try optionalSize(keys, in: range) { return size }
    // The complaint names the key that files have.
    return try fields.required(keys.last ?? "").integer(in: range)
  }

  mutating func has(_ fact: Architecture.Fact) throws(DocumentError) -> Bool {
    switch fact {
    case .never: return false
    case .always: return true
    case .stated(let key, let byDefault): return try fields.optional(key)?.boolean() ?? byDefault
    }
  }

  private mutating func flag(_ key: String, byDefault: Bool) throws(DocumentError) -> Bool {
    try has(.stated(key, byDefault: byDefault))
  }

  // MARK: Shapes

  private mutating func block() throws(DocumentError) -> ModelDescription.Block {
    switch architecture.block {
    case .always(let block): return block
    case .stated(let key, let byDefault, let then, let otherwise):
      return try flag(key, byDefault: byDefault) ? then : otherwise
    case .falcon:
      guard try flag("parallel_attn", byDefault: true) else { return .sequential }
      let norms = try fields.optional("num_ln_in_parallel_attn")?.integer(in: 1...2)
      if let norms { return norms == 2 ? .parallel : .parallelOneNorm }
      return try flag("new_decoder_architecture", byDefault: false) ? .parallel : .parallelOneNorm
    }
  }

  private mutating func keyValueHeads() throws(DocumentError) -> Int? {
    let stated = try optionalSize(architecture.keys.keyValueHeads, in: ModelDescription.Bounds.heads)
    switch architecture.keyValueHeads {
    case .stated: return stated
    case .falcon:
      if try flag("new_decoder_architecture", byDefault: false) { return stated }
      return try flag("multi_query", byDefault: true) ? 1 : stated
    }
  }

  private mutating func feedForward(hidden: Int) throws(DocumentError) -> Int {
    let range = ModelDescription.Bounds.feedForward
    guard let factor = architecture.feedForwardFactor else { return try size(architecture.keys.feedForward, in: range) }
    if let stated = try optionalSize(architecture.keys.feedForward, in: range) { return stated }
    guard let key = factor.key, let stated = fields.optional(key) else { return hidden * factor.value }
    return hidden * (try stated.integer(in: 1...8))
  }

  /// OPT's smallest model has embeddings that are narrower than its blocks.
  private mutating func refuseProjectedEmbeddings(hidden: Int) throws(DocumentError) {
    if let projected = fields.optional("word_embed_proj_dim"),
      try projected.integer(in: ModelDescription.Bounds.hidden) != hidden
    {
      throw projected.error(expected: "the hidden size \(hidden) (projected embeddings are not supported)")
    }
  }

  /// Rows of a learned table, or the largest slope's linear bias; 0 and nil under rotary positions.
  private mutating func positions(hidden: Int) throws(DocumentError) -> (count: Int, linearBias: Double?) {
    // Every model with linear biases has slopes down from 2^(−8/heads); MPT's may state another 8.
    let usual = 8.0
    switch architecture.positions {
    case .rotary: return (0, nil)
    case .learned(let key, let byDefault, let offset):
      let range = 0...ModelDescription.Bounds.positions.upperBound - offset
      return ((try fields.optional(key)?.integer(in: range) ?? byDefault) + offset, nil)
    case .linearBiases: return (0, usual)
    case .falcon: return (0, try flag("alibi", byDefault: false) ? usual : nil)
    case .baichuan: return (0, hidden == 4_096 ? nil : usual)
    case .mpt:
      guard var attention = try fields.optional("attn_config")?.fields() else { return (0, usual) }
      if try attention.optional("alibi")?.boolean() ?? true {
        return (0, try attention.optional("alibi_bias_max")?.positiveNumber() ?? usual)
      }
      let range = 1...ModelDescription.Bounds.positions.upperBound
      return (try first(architecture.keys.longest)?.integer(in: range) ?? 2_048, nil)
    }
  }

  private mutating func dropsOut() throws(DocumentError) -> Bool {
    var stated: [Double] = []
    for key in architecture.dropout.keys {
      if let rate = try fields.optional(key)?.fractionOrZero() { stated.append(rate) }
    }
    return stated.isEmpty ? architecture.dropout.byDefault : stated.contains { $0 > 0 }
  }
}
