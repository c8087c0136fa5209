/// How many layers there are of each kind of feed-forward part: of a stage, of a chunk, of all.
///
/// Windows of attention make no kinds here: they are priced as the mean of all layers.
@usableFromInline package struct LayerCounts: Sendable, Hashable {
  /// Layers with one feed-forward part for all tokens.
  package var dense: Int
  /// Layers with experts.
  package var experts: Int

  @inline(__always)
  @usableFromInline package init(dense: Int, experts: Int = 0) {
    self.dense = dense
    self.experts = experts
  }

  /// None.
  package static let none = LayerCounts(dense: 0)

  /// All of them.
  @inline(__always)
  @usableFromInline package var total: Int { dense + experts }

  @inline(__always)
  package subscript(kind: ModelDescription.LayerKind.FeedForward) -> Int { kind == .dense ? dense : experts }

  package static func + (left: Self, right: Self) -> Self {
    Self(dense: left.dense + right.dense, experts: left.experts + right.experts)
  }

  package static func - (left: Self, right: Self) -> Self {
    Self(dense: left.dense - right.dense, experts: left.experts - right.experts)
  }

  /// The kinds that a model has.
  package typealias Kind = ModelDescription.LayerKind.FeedForward
}

/// Which layers of a model have experts, so that those of any range can be counted at once.
package struct LayerKinds: Sendable, Hashable {
  /// Layers of the model.
  package let layerCount: Int
  /// Layers with experts before each layer, and in all; empty where none or all have.
  private let expertsBefore: [Int]
  private let allHaveExperts: Bool

  package init(of model: ModelDescription) {
    layerCount = model.layerCount
    let experts = model.expertLayerCount
    allHaveExperts = experts == model.layerCount
    guard experts > 0, experts < model.layerCount else {
      expertsBefore = []
      return
    }
    var before = [0]
    before.reserveCapacity(layerCount + 1)
    for layer in 0..<layerCount {
      before.append(before[layer] + (model.kind(ofLayer: layer).feedForward == .experts ? 1 : 0))
    }
    expertsBefore = before
  }

  /// Whether all layers are of one kind.
  @inline(__always)
  package var areAlike: Bool { expertsBefore.isEmpty }

  /// The layers of a range, by kind.
  @inline(__always)
  package func counts(in range: Range<Int>) -> LayerCounts {
    if expertsBefore.isEmpty {
      return allHaveExperts ? LayerCounts(dense: 0, experts: range.count) : LayerCounts(dense: range.count)
    }
    let experts = expertsBefore[range.upperBound] - expertsBefore[range.lowerBound]
    return LayerCounts(dense: range.count - experts, experts: experts)
  }

  /// All layers, by kind.
  package var counts: LayerCounts { counts(in: 0..<layerCount) }
}
