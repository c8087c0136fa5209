import Synchronization

/// The largest magnitudes of tensors in earlier iterations, by which delayed scaling casts them in this one, and those seen so far
/// in this one.
///
/// A tensor's largest is over all its parts, wherever they are: at the end of an iteration ranks tell each other what they have seen, so
/// that all cast by the same scale. Before anything was seen the scale is 1 (Transformer Engine's delayed scaling, history of
/// 1024, by its largest).
final class ScaleHistory: Sendable {
  /// A tensor: an input, a weight or a gradient of an output of one linear layer.
  struct Tensor: Hashable, Sendable {
    let part: Int
    let name: Int
    let operand: Int
  }

  /// How many iterations are looked back on.
  static let length = 1024

  private struct State {
    var earlier: [Tensor: [Float]] = [:]
    /// Of all of those.
    var largest: [Tensor: Float] = [:]
    var seen: [Tensor: Float] = [:]
  }

  private let state = Mutex(State())

  init() {}

  /// The largest magnitude in earlier iterations: 0 where there is none yet, no number where one was none.
  func largest(of tensor: Tensor) -> Float {
    state.withLock { $0.largest[tensor] ?? 0 }
  }

  func see(_ magnitude: Float, of tensor: Tensor) {
    state.withLock { $0.seen[tensor] = Self.larger($0.seen[tensor] ?? 0, magnitude) }
  }

  /// What has been seen in this iteration.
  var seen: [Tensor: Float] { state.withLock { $0.seen } }

  /// Ends an iteration.
  ///
  /// - Parameter all: what all ranks have seen together, of tensors of which this one may have seen nothing.
  func endIteration(_ all: [Tensor: Float]) {
    state.withLock { state in
      for (tensor, magnitude) in all {
        let earlier = ((state.earlier[tensor] ?? []) + [magnitude]).suffix(Self.length)
        state.earlier[tensor] = Array(earlier)
        state.largest[tensor] = earlier.reduce(0, Self.larger)
      }
      state.seen = [:]
    }
  }

  /// What is no number is larger than all numbers.
  static func larger(_ left: Float, _ right: Float) -> Float { left.isNaN || left > right ? left : right }
}
