/// How a model type spells its experts, and what its class says of them that its configuration does not.
struct ExpertRule: Sendable {
  /// Keys of which the first that is stated holds.
  var count = ["num_experts"]
  var perToken = ["num_experts_per_tok"]
  var feedForward = ["moe_intermediate_size"]
  var shared = Shared.none
  var hasSharedGate = false
  var dense = DenseLayers.none
  /// The key of the width of layers without experts, where that is not the model's usual one.
  var denseFeedForward: String?
  var routerBias = Architecture.Fact.never
  var correctionBias = Architecture.Fact.never
  var hasBias = false
  var score = ModelDescription.Experts.Score.softmax
  var scoreKey: String?
  /// Whether the weights of a token's experts are made to add up to 1.
  var normalisesWeights = Architecture.Fact.always
  /// Keys of the number of groups and of those that a token's experts are from.
  var groups: (count: String, kept: String)?

  /// What every token goes through besides.
  enum Shared: Sendable {
    case none
    /// As many experts as a key says, each as wide as a routed one.
    case experts(String)
    /// A part as wide as a key says.
    case width(String)
    /// One expert, as wide as a routed one.
    case one
  }

  /// Layers without experts.
  enum DenseLayers: Sendable {
    case none
    /// The first ones, as many as a key says, and of the others all but every n-th.
    case first
    /// Those that are listed, and all but every n-th.
    case listed
    /// Those before a first and after a last one, and of those between all but every n-th.
    case outside
    /// All that are not listed, or but every n-th.
    case unlisted
  }
}

extension Configuration {
  /// The experts of a model; nil where there is one or none.
  mutating func experts(layerCount: Int) throws(DocumentError) -> ModelDescription.Experts? {
    guard let rule = architecture.experts else { return nil }
    let sizes = ModelDescription.Bounds.feedForward, counts = 0...ModelDescription.Experts.Bounds.experts.upperBound
    guard
      let count = try size(ofFirst: rule.count, in: counts) ?? rule.count.first.flatMap({ architecture.defaults[$0] }),
      count > 1
    else { return nil }
    var experts = ModelDescription.Experts(
      count: count, perToken: try required(rule.perToken, in: 1...count),
      feedForwardSize: try required(rule.feedForward, in: sizes))
    switch rule.shared {
    case .none: break
    case .one: experts.sharedFeedForwardSize = experts.feedForwardSize
    case .experts(let key):
      experts.sharedFeedForwardSize =
        (try size(ofFirst: [key], in: 0...1_024) ?? architecture.defaults[key] ?? 0) * experts.feedForwardSize
    case .width(let key):
      experts.sharedFeedForwardSize =
        try size(ofFirst: [key], in: 0...sizes.upperBound) ?? architecture.defaults[key] ?? 0
    }
    experts.hasSharedGate = rule.hasSharedGate && experts.sharedFeedForwardSize > 0
    experts.hasRouterBias = try has(rule.routerBias)
    experts.hasCorrectionBias = try has(rule.correctionBias)
    experts.hasBias = rule.hasBias
    experts.score = rule.score
    if let key = rule.scoreKey, let field = fields.optional(key) {
      experts.score = try field.choice(of: ModelDescription.Experts.Score.self)
    }
    experts.normalisesWeights = try has(rule.normalisesWeights)
    experts.routedScale = try fields.optional("routed_scaling_factor")?.positiveNumber() ?? 1
    if let keys = rule.groups, let groups = try fields.optional(keys.count)?.integer(in: 1...count), groups > 1 {
      experts.groups = ModelDescription.Experts.Groups(
        count: groups, kept: try fields.required(keys.kept).integer(in: 1...groups))
    }
    experts.denseLayers = try denseLayers(rule.dense, layerCount: layerCount)
    return experts
  }

  /// The inner width of layers without experts.
  ///
  /// - Parameter usual: what the keys of a model without experts say.
  mutating func denseFeedForward(_ usual: Int) throws(DocumentError) -> Int {
    guard let key = architecture.experts?.denseFeedForward else { return usual }
    return try fields.optional(key)?.integer(in: ModelDescription.Bounds.feedForward) ?? architecture.defaults[key]
      ?? usual
  }

  private mutating func denseLayers(_ rule: ExpertRule.DenseLayers, layerCount: Int) throws(DocumentError) -> [Int] {
    let layers = 0...ModelDescription.Bounds.layers.upperBound
    /// A key's number of layers.
    func number(_ key: String, byDefault: Int) throws(DocumentError) -> Int {
      try fields.optional(key)?.integer(in: layers) ?? byDefault
    }
    func interval(_ key: String) throws(DocumentError) -> Int { max(1, try number(key, byDefault: 1)) }
    switch rule {
    case .none: return []
    case .first:
      // Every n-th from layer 0 on, of those that are not the first.
      let first = try number("first_k_dense_replace", byDefault: architecture.defaults["first_k_dense_replace"] ?? 0)
      let every = try interval("moe_layer_freq")
      return (0..<layerCount).filter { $0 < first || $0 % every != 0 }
    case .listed:
      let listed = try listedLayers("mlp_only_layers", layerCount: layerCount) ?? []
      let every = try interval("decoder_sparse_step")
      return (0..<layerCount).filter { listed.contains($0) || ($0 + 1) % every != 0 }
    case .outside:
      let first = try number("moe_layer_start_index", byDefault: 0)
      // −1 is the last layer.
      let stated = try fields.optional("moe_layer_end_index")?.integer(in: -1...layers.upperBound) ?? -1
      let last = stated < 0 ? layerCount - 1 : stated
      let every = try interval("moe_layer_interval")
      return (0..<layerCount).filter { $0 < first || $0 > last || ($0 + 1) % every != 0 }
    case .unlisted:
      let every = try interval("interleave_moe_layer_step")
      let listed = try listedLayers("moe_layers", layerCount: layerCount)
      return (0..<layerCount).filter { layer in listed.map { !$0.contains(layer) } ?? ((layer + 1) % every != 0) }
    }
  }

  /// Layers that a key lists; nil where it is not stated.
  private mutating func listedLayers(_ key: String, layerCount: Int) throws(DocumentError) -> Set<Int>? {
    guard let field = fields.optional(key) else { return nil }
    var layers: Set<Int> = []
    for layer in try field.array(count: 0...layerCount) { layers.insert(try layer.integer(in: 0...layerCount - 1)) }
    return layers
  }

  /// The number at the first of several keys; nil where none is stated. Some files state it once for every layer.
  private mutating func size(ofFirst keys: [String], in range: ClosedRange<Int>) throws(DocumentError) -> Int? {
    guard let field = try first(keys) else { return nil }
    guard field.isArray else { return try field.integer(in: range) }
    let entries = try field.array(count: 1...ModelDescription.Bounds.layers.upperBound)
    let number = try entries[0].integer(in: range)
    for entry in entries where try entry.integer(in: range) != number {
      throw field.conflict("experts that differ from layer to layer are not supported")
    }
    return number
  }

  private mutating func required(_ keys: [String], in range: ClosedRange<Int>) throws(DocumentError) -> Int {
    if let size = try size(ofFirst: keys, in: range) ?? keys.first.flatMap({ architecture.defaults[$0] }) {
      return size
    }
    return try fields.required(keys.last ?? "").integer(in: range)
  }

  /// What queries, keys and values are made of; nil where that is the layer's input.
  mutating func latentAttention() throws(DocumentError) -> ModelDescription.LatentAttention? {
    guard architecture.hasLatentAttention, let narrow = fields.optional("kv_lora_rank") else { return nil }
    let sizes = ModelDescription.Bounds.headSize
    return ModelDescription.LatentAttention(
      queryRank: try fields.optional("q_lora_rank")?.integer(in: ModelDescription.Bounds.hidden),
      keyValueRank: try narrow.integer(in: ModelDescription.Bounds.hidden),
      plainSize: try fields.required("qk_nope_head_dim").integer(in: sizes),
      rotarySize: try fields.required("qk_rope_head_dim").integer(in: sizes),
      valueSize: try fields.required("v_head_dim").integer(in: sizes))
  }
}
