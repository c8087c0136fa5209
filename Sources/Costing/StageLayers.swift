package import Documents

/// Layers that a stage may have, in their order: what it takes to say which of them are recomputed.
package struct StageLayers: Sendable {
  /// Of all its chunks, by kind.
  package let counts: LayerCounts
  /// Chunks that they make up.
  private let chunkCount: Int
  /// Whether these may differ in how many they have.
  private let isOpen: Bool
  /// The first layers by kind, as many as are asked for; of layers that are alike nobody has to look.
  private let order: Order

  private enum Order: Sendable {
    /// All of one kind first.
    case kindFirst(LayerCounts.Kind)
    /// Those of a model from a layer on.
    case of(LayerKinds, from: Int)
    /// Of each chunk.
    case ofChunks(Split, stage: Int, LayerKinds)
  }

  /// Layers of which those of one kind are the first.
  ///
  /// - Parameter isOpen: whether chunks may differ in how many they have.
  init(counts: LayerCounts, startsWith kind: LayerCounts.Kind, chunkCount: Int, isOpen: Bool) {
    self.counts = counts
    self.chunkCount = chunkCount
    self.isOpen = isOpen
    order = .kindFirst(kind)
  }

  /// A run of a model's layers; of several chunks where all layers are alike.
  package init(_ range: Range<Int>, of kinds: LayerKinds, chunkCount: Int = 1) {
    counts = kinds.counts(in: range)
    self.chunkCount = chunkCount
    isOpen = false
    order = .of(kinds, from: range.lowerBound)
  }

  /// A stage of a split.
  package init(of split: Split, stage: Int, _ kinds: LayerKinds) {
    counts = split.stage(stage, of: kinds).layers
    chunkCount = split.chunkCount
    isOpen = false
    order = .ofChunks(split, stage: stage, kinds)
  }

  /// Layers of the longest chunk.
  package var longestChunk: Int {
    if case .ofChunks(let split, let stage, _) = order { return split.longestChunk(ofStage: stage) }
    return (counts.total + chunkCount - 1) / chunkCount
  }

  /// The first layers alone.
  func first(_ count: Int) -> StageLayers {
    guard case .kindFirst(let kind) = order else { return self }
    let own = min(count, counts[kind])
    let rest = count - own
    return StageLayers(
      counts: kind == .dense ? LayerCounts(dense: own, experts: rest) : LayerCounts(dense: rest, experts: own),
      startsWith: kind, chunkCount: chunkCount, isOpen: isOpen)
  }

  /// As the content of a stage that chooses so.
  @inline(__always)
  package func content(_ choice: StageChoice?) -> Split.Stage {
    if case .ofChunks(let split, let stage, let kinds) = order {
      let choices = choice.map { [StageChoice](repeating: $0, count: split.stageCount) }
      return split.with(choices: choices).stage(stage, of: kinds)
    }
    let chunks: Split.Stage.Chunks? = isOpen ? .open(endCount: nil) : nil
    guard let choice else { return Split.Stage(layers: counts, recomputed: nil, choice: nil, chunks: chunks) }
    let count = min(choice.recomputedLayerCount * chunkCount, counts.total)
    let recomputed: LayerCounts =
      switch order {
      case .of(let kinds, let from): kinds.counts(in: from..<from + count)
      case .kindFirst, .ofChunks: first(count).counts
      }
    return Split.Stage(layers: counts, recomputed: recomputed, choice: choice, chunks: chunks)
  }
}
