import Costing
import Documents

/// Recomputation of single modules: which sets of them are looked at.
extension Lattice {
  /// Sets of modules that could pay for a model, from what frees most for its time to what frees most.
  ///
  /// Each set has all that is before it but for what it does whole: what costs little for what it frees, activations and norms
  /// of experts and products of narrow vectors; then feed-forward parts; then the way of tokens. A fused attention core frees
  /// nothing, and is looked at where it is fixed. Whoever fixes another kind of recomputation has none of them, nor has who
  /// asks for no framework: there they are priced where they are fixed.
  static func searchedModules(
    _ model: CostModel, _ capabilities: Capabilities?, pattern: StrategyPattern
  ) -> [Strategy.RecomputeModules] {
    guard let offered = capabilities?.recomputeModules, pattern.recompute ?? .selective == .selective,
      model.framework.memory.selective == .attentionCore
    else { return [] }
    let job = model.job
    var cheap: Strategy.RecomputeModules = []
    if job.model.experts != nil { cheap.formUnion([.expertActivation, .norms]) }
    if job.model.latent != nil { cheap.formUnion([.latentProjections, .norms]) }
    var feedForward = cheap
    if job.model.denseLayerCount > 0 { feedForward.formUnion(.feedForward) }
    if job.model.experts?.sharedFeedForwardSize ?? 0 > 0 { feedForward.formUnion(.sharedExperts) }
    var all = feedForward
    if job.model.experts != nil {
      all.formUnion(.experts)
      all.subtract([.expertActivation, .sharedExperts])
    }
    // An attention core that is not fused keeps most of all.
    let core: Strategy.RecomputeModules = pattern.usesFlashAttention ?? model.hasFlashAttention ? [] : .attentionCore
    var sets: [Strategy.RecomputeModules] = []
    for set in [cheap, feedForward, all].map({ $0.union(core).intersection(offered) })
    where !set.subtracting(core).isEmpty && !sets.contains(set) {
      sets.append(set)
    }
    return sets
  }
}
