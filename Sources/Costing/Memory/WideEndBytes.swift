import Documents
import Training

/// What layers at the ends of a model that multiply as they are stored keep beyond what others keep: they are counted as these,
/// and what is more with the embedding and the head.
struct WideEndBytes {
  /// Kept of one micro-batch from forward to backward, by all of an end. Under full recomputation a layer keeps its input alone,
  /// whatever it multiplies in; stages may choose to keep all, and are counted so.
  let activations: (first: Int, last: Int)
  /// Of one that runs backward.
  let workspace: (first: Int, last: Int)

  /// None where all layers multiply alike.
  init(_ kept: KeptActivations, _ recompute: Strategy.Recompute, _ framework: DeviceProfile.Framework.Memory) {
    guard let wide = kept.wide else {
      (activations, workspace) = ((0, 0), (0, 0))
      return
    }
    func scaled(_ count: Int) -> Int { MemoryModel.scaled(count, by: framework.activationFactor) }
    func keptBytes(_ block: KeptActivations.Block) -> Int {
      scaled(recompute == .full ? block.wholeBytes : block.bytes)
    }
    func workspaceBytes(_ block: KeptActivations.Block) -> Int {
      let whole = scaled(block.wholeBytes)
      return (recompute == .full ? whole : block.recomputedBytes)
        + MemoryModel.scaled(whole, by: framework.backwardWorkspaceFactor)
    }
    func added(_ bytes: (KeptActivations.Block) -> Int) -> ByKind<Int> {
      ByKind(
        dense: max(0, bytes(wide.blocks.dense) - bytes(kept.blocks.dense)),
        experts: max(0, bytes(wide.blocks.experts) - bytes(kept.blocks.experts)))
    }
    let ofLayer = added(keptBytes), ofWorkspace = added(workspaceBytes)
    activations = (ofLayer.sum(wide.ends.first), ofLayer.sum(wide.ends.last))
    workspace = (
      wide.ends.first.total == 0 ? 0 : ofWorkspace.most(among: wide.ends.first) { $0 },
      wide.ends.last.total == 0 ? 0 : ofWorkspace.most(among: wide.ends.last) { $0 }
    )
  }
}
