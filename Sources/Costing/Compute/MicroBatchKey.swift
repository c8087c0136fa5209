package import Documents

/// What the cost of a micro-batch depends on, of the strategies of one mesh.
package struct MicroBatchKey: Sendable, Hashable {
  /// Sequences.
  package let microBatch: Int
  package private(set) var recompute: Strategy.Recompute
  package let usesSequenceParallelism: Bool
  package let usesFlashAttention: Bool
  package let context: Strategy.ContextDivision
  package private(set) var experts: Strategy.ExpertDivision
  /// What selective recomputation computes again; the empty set is what a framework selects by itself.
  package private(set) var modules: Strategy.RecomputeModules
  /// Whether the tensor group's exchanges run beside products where that has to be asked for.
  package let overlapsTensorExchange: Bool

  package init(
    microBatch: Int, recompute: Strategy.Recompute, sequenceParallel: Bool, flashAttention: Bool,
    context: Strategy.ContextDivision = .none, experts: Strategy.ExpertDivision = .none,
    modules: Strategy.RecomputeModules = [], overlapsTensorExchange: Bool = false
  ) {
    self.microBatch = microBatch
    self.recompute = recompute
    usesSequenceParallelism = sequenceParallel
    usesFlashAttention = flashAttention
    self.context = context
    self.experts = experts
    self.modules = modules
    self.overlapsTensorExchange = overlapsTensorExchange
  }

  /// Of a strategy.
  package init(_ strategy: Strategy) {
    self.init(
      microBatch: strategy.microBatch, recompute: strategy.recompute,
      sequenceParallel: strategy.usesSequenceParallelism, flashAttention: strategy.usesFlashAttention,
      context: strategy.contextDivision, experts: strategy.expertDivision, modules: strategy.recomputeModules,
      overlapsTensorExchange: strategy.overlapsTensorExchange)
  }

  /// With nothing recomputed.
  var withoutRecomputation: Self {
    var key = self
    (key.recompute, key.modules) = (.none, [])
    return key
  }

  /// With experts undivided.
  var withoutExperts: Self {
    var key = self
    key.experts = .none
    return key
  }
}
