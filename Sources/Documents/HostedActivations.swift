package import JSONText

/// Of which layers a host has, between forward and backward passes, what they keep.
///
/// Documents write `false`, `true` or the number of layers.
@usableFromInline package enum HostedActivations: Sendable, Hashable, StrategyValue {
  /// Of no layer: all of it stays on the device.
  case onDevice
  /// Of so many of the model's, spread evenly over them: a copy has the time of the layers between two of them (Transformer
  /// Engine's `cpu_offload`, Megatron-LM's `--cpu-offloading-num-layers`).
  case layers(Int32)
  /// Of all but a chunk's last, whose backward pass comes at once.
  case allButLast

  package init?(scalar: JSON) {
    switch scalar {
    case .boolean(let flag): self = flag ? .allButLast : .onDevice
    case .integer(let count):
      guard let count = Int32(exactly: count), count > 0 else { return nil }
      self = .layers(count)
    default: return nil
    }
  }

  package var scalar: JSON {
    switch self {
    case .onDevice: .boolean(false)
    case .layers(let count): .integer(Int(count))
    case .allButLast: .boolean(true)
    }
  }

  /// Whether it is a number of layers.
  package var isOfSomeLayers: Bool { if case .layers = self { true } else { false } }

  /// Whether the other has at least as much.
  func isPart(of other: Self) -> Bool {
    switch (self, other) {
    case (.onDevice, _), (_, .allButLast): true
    case (.layers(let count), .layers(let more)): count <= more
    case (.layers, .onDevice), (.allButLast, .onDevice), (.allButLast, .layers): false
    }
  }

  /// The part of what alike layers keep that goes to the host and comes back, of a model's layers on average.
  package func traffic(ofBytes bytes: Int, modelLayerCount: Int) -> Int {
    switch self {
    case .onDevice: 0
    case .layers(let count): bytes.share(min(Int(count), modelLayerCount), of: modelLayerCount)
    case .allButLast: bytes
    }
  }

  /// What of a chunk's activations the host has, where the device still has the last layer's.
  ///
  /// - Parameter layerCount: of the chunk.
  package func bytes(ofChunk bytes: Int, layerCount: Int, modelLayerCount: Int) -> Int {
    min(
      traffic(ofBytes: bytes, modelLayerCount: modelLayerCount), bytes - bytes / max(1, layerCount))
  }

  /// What is tried where nobody states it.
  ///
  /// - Parameter counts: whether numbers of layers are told apart; up to 32 of them are looked at, evenly.
  package static func searched(modelLayerCount: Int, counts: Bool) -> [Self] {
    // Of all layers but the last two: the last one's are needed at once, and of all but that there is a word.
    let most = counts ? max(0, modelLayerCount - 2) : 0, steps = min(32, most)
    return [.onDevice] + (0..<steps).map { .layers(Int32(most * ($0 + 1) / steps)) } + [.allButLast]
  }
}
