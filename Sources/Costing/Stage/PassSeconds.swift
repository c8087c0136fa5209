/// Seconds of a forward and of a backward pass of one micro-batch, communication included.
package struct PassSeconds: Sendable, Equatable {
  /// Seconds of the forward pass.
  package var forward: Double
  /// Seconds of the backward pass, recomputation included.
  package var backward: Double

  /// Both passes.
  package var sum: Double { forward + backward }

  /// Makes both passes take `factor` times as long.
  mutating func slow(by factor: Double) {
    forward *= factor
    backward *= factor
  }
}

/// One layer on a stage: all a stage grows by for each layer that it holds.
struct LayerSeconds: Sendable, Equatable {
  /// On the device, with the data-parallel group's traffic of a micro-batch; the mean of an iteration's micro-batches.
  let device: PassSeconds
  /// The host needs this to launch the layer's kernels, forward and backward: no stage is faster.
  let launchFloorSeconds: Double
  /// On a stage without head, waiting for launches included.
  let launched: PassSeconds
}
