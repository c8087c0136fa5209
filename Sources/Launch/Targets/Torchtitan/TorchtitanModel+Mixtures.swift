import Documents
import JSONText

/// Experts, latent attention and scaled rotations of a launch's `model.json`, both ways.
extension TorchtitanModel {
  private typealias Scaling = ModelDescription.RotaryScaling

  // MARK: Rotations

  /// Llama 3.1's stretching, or YaRN's under latent attention, by torchtitan's names (`models/common/rope.py`).
  var scalingJSON: JSON? {
    guard let scaling else { return nil }
    let original = scaling.originalPositionCount.map { ("original_max_position_embeddings", JSON.integer($0)) }
    return latent == nil
      ? object(
        ("factor", .number(scaling.factor ?? 8)), ("low_freq_factor", .number(scaling.lowFrequencyFactor ?? 1)),
        ("high_freq_factor", .number(scaling.highFrequencyFactor ?? 4)),
        original ?? ("original_max_position_embeddings", .integer(8_192)))
      : object(
        ("factor", .number(scaling.factor ?? 1)), ("beta_fast", .number(scaling.fastBeta ?? 32)),
        ("beta_slow", .number(scaling.slowBeta ?? 1)),
        original ?? ("original_max_position_embeddings", .integer(positions)))
  }

  static func rotaryScaling(_ field: Field, isLatent: Bool) throws(DocumentError) -> ModelDescription.RotaryScaling {
    var numbers = try field.fields()
    let factor = try numbers.required("factor").positiveNumber()
    let original = try numbers.required("original_max_position_embeddings").integer(in: 1...1_000_000_000)
    if isLatent {
      return Scaling(
        .yarn, factor: factor, originalPositionCount: original,
        fastBeta: try numbers.required("beta_fast").positiveNumber(),
        slowBeta: try numbers.required("beta_slow").positiveNumber(), attentionFactor: 1)
    }
    return Scaling(
      .llama3, factor: factor, lowFrequencyFactor: try numbers.required("low_freq_factor").positiveNumber(),
      highFrequencyFactor: try numbers.required("high_freq_factor").positiveNumber(), originalPositionCount: original)
  }

  // MARK: Latent attention

  /// DeepSeek V3's `mscale`: scores are multiplied by the square of YaRN's scale of this number, over √(head size)
  /// (`models/deepseek_v3/model.py`).
  static func scoreScaleNumber(of model: ModelDescription) -> Double {
    guard let scale = model.details.particulars[.scoreScale], let factor = model.details.rotaryScaling?.factor else {
      return 0
    }
    let number = Scaling.yarnNumber(
      ofScale: (scale * Double(model.headSize).squareRoot()).squareRoot(), factor: factor)
    // Short of the noise of the computation: the numbers that people write have few digits.
    return (number * 1e9).rounded() / 1e9
  }

  /// What scores are multiplied by; nil for 1/√(head size).
  static func scoreScale(number: Double, factor: Double, headSize: Int) -> Double? {
    guard number != 0, factor > 1 else { return nil }
    let scale = Scaling.yarnScale(number, factor: factor)
    return scale * scale / Double(headSize).squareRoot()
  }

  var latentJSON: JSON? {
    latent.map {
      object(
        ("query_rank", $0.queryRank.map(JSON.integer) ?? .null), ("kv_rank", .integer($0.keyValueRank)),
        ("plain_head_dim", .integer($0.plainSize)), ("rotary_head_dim", .integer($0.rotarySize)),
        ("value_head_dim", .integer($0.valueSize)), ("mscale", .number(scoreScaleNumber)))
    }
  }

  static func latentAttention(
    _ field: Field
  ) throws(DocumentError) -> (attention: ModelDescription.LatentAttention, scoreScaleNumber: Double) {
    let bounds = 1...1_048_576
    var fields = try field.fields()
    let attention = ModelDescription.LatentAttention(
      queryRank: try fields.optional("query_rank")?.integer(in: bounds),
      keyValueRank: try fields.required("kv_rank").integer(in: bounds),
      plainSize: try fields.required("plain_head_dim").integer(in: bounds),
      rotarySize: try fields.required("rotary_head_dim").integer(in: bounds),
      valueSize: try fields.required("value_head_dim").integer(in: bounds))
    return (attention, try fields.required("mscale").number(in: 0...1e6, expected: "a number from 0 to 1000000"))
  }

  // MARK: Experts

  var expertsJSON: JSON? {
    experts.map {
      object(
        ("count", .integer($0.count)), ("per_token", .integer($0.perToken)),
        ("ffn_hidden", .integer($0.feedForwardSize)), ("shared_ffn_hidden", .integer($0.sharedFeedForwardSize)),
        ("score", .string($0.score.rawValue)), ("normalises_weights", .boolean($0.normalisesWeights)),
        ("routed_scale", .number($0.routedScale)),
        (
          "groups",
          $0.groups.map { object(("count", .integer($0.count)), ("kept", .integer($0.kept))) } ?? .null
        ),
        ("correction_bias", .boolean($0.hasCorrectionBias)), ("dense_layers", .integers($0.denseLayers)),
        ("dispatcher", .string(TorchtitanDispatcher(dispatcher).rawValue)))
    }
  }

  static func experts(
    _ field: Field
  ) throws(DocumentError) -> (experts: ModelDescription.Experts, dispatcher: Strategy.Dispatcher) {
    var fields = try field.fields()
    let count = try fields.required("count").integer(in: 1...65_536)
    var experts = ModelDescription.Experts(
      count: count, perToken: try fields.required("per_token").integer(in: 1...count),
      feedForwardSize: try fields.required("ffn_hidden").integer(in: 1...1_048_576))
    experts.sharedFeedForwardSize = try fields.required("shared_ffn_hidden").integer(in: 0...1_048_576)
    experts.score = try fields.required("score").choice(of: ModelDescription.Experts.Score.self)
    experts.normalisesWeights = try fields.required("normalises_weights").boolean()
    experts.routedScale = try fields.required("routed_scale").positiveNumber()
    if let groups = fields.optional("groups") {
      var members = try groups.fields()
      experts.groups = ModelDescription.Experts.Groups(
        count: try members.required("count").integer(in: 1...count),
        kept: try members.required("kept").integer(in: 1...count))
    }
    experts.hasCorrectionBias = try fields.required("correction_bias").boolean()
    var dense: Set<Int> = []
    for layer in try fields.required("dense_layers").array(count: 0...16_384) {
      dense.insert(try layer.integer(in: 0...16_383))
    }
    experts.denseLayers = dense.sorted()
    return (experts, try fields.required("dispatcher").choice(of: TorchtitanDispatcher.self).dispatcher)
  }
}

/// How tokens reach experts, by torchtitan's `moe_comm_backend` (`models/common/config_utils.py`); in 0.2.2 the flag
/// `expert_parallel_comm_backend`.
enum TorchtitanDispatcher: String, CaseIterable {
  case standard
  case deepEP = "deepep"
  case hybridEP = "hybridep"

  /// Where tensor groups gather all tokens nothing is sent, and the standard one only puts them in order.
  init(_ dispatcher: Strategy.Dispatcher) {
    switch dispatcher {
    case .allToAll, .allGather: self = .standard
    case .deepEP: self = .deepEP
    case .hybridEP: self = .hybridEP
    }
  }

  /// Between ranks that divide experts.
  var dispatcher: Strategy.Dispatcher {
    switch self {
    case .standard: .allToAll
    case .deepEP: .deepEP
    case .hybridEP: .hybridEP
    }
  }
}

/// What blocks multiply in, by the converters of torchtitan (`components/quantization`).
enum TorchtitanProducts: String, CaseIterable {
  case float8
  case mxfp8

  /// Nil where products are in what is stored.
  init?(_ precision: Precision) {
    switch precision {
    case .fp8Current: self = .float8
    case .mxfp8: self = .mxfp8
    default: return nil
    }
  }

  var precision: Precision {
    switch self {
    case .float8: .fp8Current
    case .mxfp8: .mxfp8
    }
  }
}
