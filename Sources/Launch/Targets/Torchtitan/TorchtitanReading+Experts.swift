import Documents
import JSONText

/// How ranks divide experts, and what blocks multiply in.
extension TorchtitanReading {
  /// - Parameter strategy: with all other degrees.
  func experts(of strategy: Strategy) throws(DocumentError) -> Strategy.ExpertDivision {
    let field = settings.field("parallelism.expert_parallel_degree")
    let expert = try degree("expert_parallel_degree") ?? standard.expertDegree
    // A configuration that is not known may be of any model.
    guard let count = model == nil ? Int.max : model?.experts?.count else { return .none }
    guard expert > 1 else {
      // Nobody has experts of their own: tensor groups divide every one's width and gather all of their tokens.
      guard count < .max, strategy.tensorDegree > 1 else { return .none }
      return Strategy.ExpertDivision(
        expertDegree: 1, tensorDegree: strategy.tensorDegree, dispatcher: .allGather)
    }
    let tensor = settings.hasTables ? try degree("expert_tensor_parallel_degree") ?? 1 : 1
    guard tensor == 1 || tensor == strategy.tensorDegree else {
      throw (settings.field("parallelism.expert_tensor_parallel_degree") ?? settings.whole).conflict(
        "expert_tensor_parallel_degree is 1 or tensor_parallel_degree, not \(tensor)")
    }
    let ranks = strategy.sharding.optimizerDegree * strategy.tensorDegree
    guard ranks % (expert * tensor) == 0 else {
      throw (field ?? settings.whole).conflict(
        "expert_parallel_degree \(expert)\(tensor > 1 ? " × expert_tensor_parallel_degree \(tensor)" : "") does not divide the \(ranks) ranks of dp_shard · cp · tp"
      )
    }
    guard count == .max || count % expert == 0 else {
      throw (field ?? settings.whole).conflict("\(count) experts do not divide among \(expert) ranks")
    }
    let stated = try settings.field("parallelism.expert_parallel_comm_backend")?.choice(of: TorchtitanDispatcher.self)
    return Strategy.ExpertDivision(
      expertDegree: expert, tensorDegree: tensor,
      dispatcher: (stated ?? planned?.dispatcher.map(TorchtitanDispatcher.init) ?? standard.dispatcher).dispatcher)
  }

  mutating func precision() throws(DocumentError) -> Precision {
    let products = try products()
    guard try !keepsAllInBF16() else { return products?.precision ?? .bf16 }
    guard let field = settings.field("training.mixed_precision_param") else { return products?.precision ?? .bf16 }
    guard try field.place(among: [.string("bfloat16"), .string("float32")]) == 0 else { return .fp32 }
    return products?.precision ?? .bf16
  }

  /// What converters make blocks multiply in: 0.2's names of them, and in later versions those of a configuration function;
  /// nil without any.
  private mutating func products() throws(DocumentError) -> TorchtitanProducts? {
    if let planned, !settings.hasTables { return planned.products }
    guard let field = settings.field("model.converters") else { return standard.products }
    var names: [String] = []
    if case .array = field.value {
      for name in try field.array(count: 0...64) { names.append(try name.string()) }
    } else {
      names = try field.string().split(separator: ",").map(String.init)
    }
    var found: TorchtitanProducts?
    for name in names {
      switch name {
      case "float8", "quantize.linear.float8", "quantize.grouped_mm.float8", "quantize.dense.float8",
        "quantize.moe.float8":
        found = .float8
      case "mx", "quantize.linear.mx", "quantize.grouped_mm.mx", "quantize.dense.mx", "quantize.moe.mx":
        found = .mxfp8
      default: notes.append("the converter \(name.oneLine) is not modelled")
      }
    }
    return found
  }

  /// Whether shards are cast before they are gathered: FSDP's, of one scale a tensor, which no recipe names in 0.2.2
  /// (`components/quantization/float8.py`).
  mutating func holdsNarrowWeights(_ strategy: Strategy, _ precision: Precision) throws(DocumentError) -> Bool {
    let table = "quantize.linear.float8.", key = "enable_fsdp_float8_all_gather"
    guard precision == .fp8Current, let field = settings.field(table + key), try field.boolean() else { return false }
    // Routed experts are of another converter, whose weights are gathered as they are stored.
    if model?.experts != nil {
      notes.append("\(key) of a mixture is not modelled: weights are taken as gathered in bf16")
      return false
    }
    if settings.field(table + "recipe_name") != nil {
      throw field.conflict("\(key) goes with no recipe_name")
    }
    return strategy.zeroStage > .none
  }
}
