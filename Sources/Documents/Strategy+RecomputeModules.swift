package import JSONText

extension Strategy {
  /// Parts of a layer that selective recomputation computes again, by the names that Megatron Core gives them
  /// (`transformer_config.py`, `recompute_modules`). What each of them gives up and runs again is said in
  /// `Recipe+Modules.swift`.
  @usableFromInline package struct RecomputeModules: OptionSet, Sendable, Hashable, StrategyValue {
    @usableFromInline package let rawValue: UInt8

    @usableFromInline package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// The attention core, fused or not.
    package static let attentionCore = RecomputeModules(rawValue: 1 << 0)
    /// What experts' activation gives.
    package static let expertActivation = RecomputeModules(rawValue: 1 << 1)
    /// What norms give that are kernels of their own.
    package static let norms = RecomputeModules(rawValue: 1 << 2)
    /// Queries, keys and values that are made of narrow vectors.
    package static let latentProjections = RecomputeModules(rawValue: 1 << 3)
    /// The feed-forward part of layers that have one for all tokens.
    package static let feedForward = RecomputeModules(rawValue: 1 << 4)
    /// Experts that all tokens go through.
    package static let sharedExperts = RecomputeModules(rawValue: 1 << 5)
    /// The whole feed-forward part of layers with experts: router, both ways of tokens, all experts.
    package static let experts = RecomputeModules(rawValue: 1 << 6)

    /// All of them, in the order in which they are written, with their names.
    private static let named: [(module: RecomputeModules, name: String)] = [
      (.attentionCore, "core_attn"), (.expertActivation, "moe_act"), (.norms, "layernorm"),
      (.latentProjections, "mla_up_proj"), (.feedForward, "mlp"), (.sharedExperts, "shared_experts"),
      (.experts, "moe"),
    ]

    /// Every name.
    package static let allNames = named.map(\.name)
    /// Every module.
    package static let all = RecomputeModules(named.map(\.module))

    /// The names of those that are in it, in the order in which they are written.
    @usableFromInline package var names: [String] { Self.named.filter { contains($0.module) }.map(\.name) }

    /// As a phrase and a command line have it: `moe_act+layernorm`.
    package var words: String { names.joined(separator: "+") }

    /// With those that are parts of one that is in it.
    package var covered: RecomputeModules { contains(.experts) ? union([.expertActivation, .sharedExperts]) : self }

    /// Those that have the names; nil if any is no module.
    package init?(names: [String]) {
      self = []
      for name in names {
        guard let known = Self.named.first(where: { $0.name == name }) else { return nil }
        formUnion(known.module)
      }
    }

    package init?(scalar: JSON) {
      guard case .array(let members) = scalar else { return nil }
      let names = members.compactMap(String.init(scalar:))
      guard names.count == members.count else { return nil }
      self.init(names: names)
    }

    package var scalar: JSON { .array(names.map(JSON.string)) }
  }
}

/// Why modules cannot be recomputed: facts, and a sentence.
package enum RecomputeModulesViolation: Sendable, Hashable {
  /// They are named beside another recomputation than the selective one.
  case otherRecomputation(String)
  /// The model has none.
  case modelHasNo(module: String, what: String)
  /// Beside another method.
  case beside(what: String)

  /// The violation with its numbers.
  package var description: String {
    switch self {
    case .otherRecomputation(let recompute):
      "recompute_modules are of recompute=selective, not of recompute=\(recompute)"
    case .modelHasNo(let module, let what): "recompute_modules has \(module), but the model has no \(what)"
    case .beside(let what): "recompute_modules do not go with \(what)"
    }
  }

  /// The rule that is broken, without its numbers.
  package var rule: String {
    switch self {
    case .otherRecomputation: "modules beside another recomputation"
    case .modelHasNo(let module, _): "recomputation of \(module) without it"
    case .beside(let what): "recomputation of modules with \(what)"
    }
  }
}

extension Strategy {
  /// Whether single modules are computed again, and not what a framework selects by itself.
  package var recomputesModules: Bool { recompute == .selective && !recomputeModules.isEmpty }

  /// The rule of modules that the strategy breaks for a job; nil if it keeps all.
  func recomputeModulesViolation(_ job: TrainingJob) -> RecomputeModulesViolation? {
    guard !recomputeModules.isEmpty else { return nil }
    guard recompute == .selective else { return .otherRecomputation(recompute.rawValue) }
    let model = job.model
    if recomputeModules.contains(.latentProjections), model.latent == nil {
      return .modelHasNo(module: "mla_up_proj", what: "latent attention")
    }
    if model.experts == nil, let module = recomputeModules.intersection([.experts, .expertActivation]).names.first {
      return .modelHasNo(module: module, what: "experts")
    }
    if recomputeModules.contains(.sharedExperts), model.experts?.sharedFeedForwardSize ?? 0 == 0 {
      return .modelHasNo(module: "shared_experts", what: "shared experts")
    }
    return schedule.splitsBackward ? .beside(what: "split backward passes") : nil
  }
}
