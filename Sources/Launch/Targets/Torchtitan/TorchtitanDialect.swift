import Documents

/// torchtitan's three ways to be told the same, by version.
///
/// 0.2.2 reads TOML. 0.3.0 takes a function of the user's and flags over it, and so does main since 2026-08-20, where
/// batches are counted in tokens.
enum TorchtitanDialect: Sendable {
  case tables, flags, flagsInTokens

  var capabilities: Capabilities { self == .tables ? .torchtitan02 : .torchtitan }

  /// Version and commit whose sources were read.
  var version: String {
    switch self {
    case .tables: "0.2.2"
    case .flags: "0.3.0"
    case .flagsInTokens: "main, b5bcd76c"
    }
  }

  /// The last modules of a model, which no layer is.
  var head: [String] { self == .tables ? ["norm", "output"] : ["norm", "lm_head"] }

  /// The word of a schedule: one of PyTorch's classes.
  static func name(of schedule: Strategy.Schedule) -> String {
    switch schedule {
    case .oneForwardOneBackward, .forwardOnly: "1F1B"
    case .interleaved: "Interleaved1F1B"
    case .zeroBubble: "InterleavedZeroBubble"
    case .zeroBubbleV: "ZBVZeroBubble"
    case .dualPipeV: "DualPipeV"
    }
  }

  /// The modules of every virtual stage of a split.
  func modelParts(of split: Split) -> [[String]] {
    let ranges = split.layerRanges
    return ranges.enumerated().map { part, layers in
      (part == 0 ? ["tok_embeddings"] : []) + layers.map { "layers.\($0)" } + (part == ranges.count - 1 ? head : [])
    }
  }
}

/// The degrees of FSDP and what it does after forward, for a way to divide states.
///
/// `distributed/fsdp.py`: with a pipeline weights stay gathered and gradients whole until the last micro-batch, so that a
/// shard degree divides optimizer states alone; without one it divides all, or all but the weights where they are never
/// resharded.
struct TorchtitanSharding: Equatable {
  var replicate: Int
  /// Ranks that divide states, those that divide a sequence among them.
  var shard: Int
  var reshard: Reshard = .standard

  /// When weights are sharded again.
  enum Reshard: String, CaseIterable {
    case standard = "default"
    case always, never
  }

  init(replicate: Int, shard: Int, reshard: Reshard = .standard) {
    self.replicate = replicate
    self.shard = shard
    self.reshard = reshard
  }

  /// - Precondition: the capabilities offer the strategy's sharding.
  init(_ strategy: Strategy) {
    let sharding = strategy.sharding
    let shard = sharding.optimizerDegree
    let keepsWeights = sharding.weightDegree == 1 && shard > 1 && strategy.pipelineDegree == 1
    self.init(replicate: strategy.replicaCount / shard, shard: shard, reshard: keepsWeights ? .never : .standard)
  }

  /// The sharding of a run with these degrees.
  func sharding(hasPipeline: Bool, notes: inout [String]) -> Sharding {
    guard shard > 1 else { return Sharding(weightDegree: 1, gradientDegree: 1, optimizerDegree: 1) }
    if hasPipeline {
      if reshard == .always {
        notes.append(
          "fsdp_reshard_after_forward always gathers weights for every micro-batch of a pipeline, which is not modelled: they are taken as gathered once"
        )
      }
      return Sharding(weightDegree: 1, gradientDegree: 1, optimizerDegree: shard)
    }
    return Sharding(weightDegree: reshard == .never ? 1 : shard, gradientDegree: shard, optimizerDegree: shard)
  }
}

extension TorchtitanDialect {
  /// Ranks as the mesh [pp, dp_replicate, dp_shard, cp, tp] (`distributed/parallel_dims.py`); replicas are the two in
  /// the middle together.
  static func groups(of configuration: RunConfiguration) -> [String: [[Int]]] {
    let strategy = configuration.strategy
    let shard = strategy.sharding.optimizerDegree
    let ranks = RankArray(axes: [
      ("pp", strategy.pipelineDegree), ("dp_replicate", strategy.replicaCount / shard),
      ("dp_shard", shard / strategy.contextDegree), ("cp", strategy.contextDegree), ("tp", strategy.tensorDegree),
    ])
    var groups = [
      "tensor": ranks.groups(along: ["tp"]), "pipeline": ranks.groups(along: ["pp"]),
      "data": ranks.groups(along: ["dp_replicate", "dp_shard"]),
    ]
    if strategy.contextDegree > 1 { groups["context"] = ranks.groups(along: ["cp"]) }
    return strategy.expertDivision == .none ? groups : groups.merging(expertGroups(of: strategy)) { own, _ in own }
  }

  /// The same ranks as the mesh [pp, dp_replicate, efsdp, ep] and, inside of it in 0.2.2, etp, which is 1 in later versions
  /// where experts are divided at all; without, tensor groups divide the width of experts.
  private static func expertGroups(of strategy: Strategy) -> [String: [[Int]]] {
    let shard = strategy.sharding.optimizerDegree
    let ranks = RankArray(axes: [
      ("pp", strategy.pipelineDegree), ("dp_replicate", strategy.replicaCount / shard),
      ("efsdp", shard * strategy.tensorDegree / (strategy.expertDegree * strategy.expertTensorDegree)),
      ("ep", strategy.expertDegree), ("etp", strategy.expertTensorDegree),
    ])
    return [
      "expert": ranks.groups(along: ["ep"]), "expert_tensor": ranks.groups(along: ["etp"]),
      "expert_data": ranks.groups(along: ["dp_replicate", "efsdp"]),
    ]
  }
}
