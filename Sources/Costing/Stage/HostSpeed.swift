import Documents

/// How fast a node's host serves one of its devices while it serves all of them.
struct HostSpeed: Sendable {
  /// Of the link, one direction.
  let bytesPerSecond: Double
  /// Of the memory that an update reads and writes.
  let updateBytesPerSecond: Double

  init(_ host: ClusterDescription.Host, devicesPerNode: Int) {
    bytesPerSecond = host.bytesPerSecond(devicesPerNode: devicesPerNode)
    updateBytesPerSecond = host.updateBytesPerSecond(devicesPerNode: devicesPerNode)
  }

  /// The host's part of an optimizer's step, seconds: gradients go there, the host updates, weights come back, piece by
  /// piece and so at the pace of the slowest of the three.
  ///
  /// Gradients that are reduced part by part have gone before, weights that stay there do not come.
  ///
  /// - Parameter bytesEach: what an update reads and writes for a parameter.
  func updateSeconds(parameterCount: Int, bytesEach: Double, memory: MemoryModel) -> Double {
    let count = Double(parameterCount)
    let down = memory.sharding.gradientDegree > 1 ? 0 : count * Double(memory.gradientByteCount)
    let up = memory.strategy.hosting.holdsWeights ? 0 : count * Double(memory.weightByteCount)
    return max(count * bytesEach / updateBytesPerSecond, max(down, up) / bytesPerSecond)
  }

  /// Passes of which transfers may take longer than what hides them: both directions run beside computation.
  func withTraffic(_ passes: PassSeconds, _ bytes: HostPassBytes) -> PassSeconds {
    PassSeconds(
      forward: max(passes.forward, Double(max(bytes.forwardUp, bytes.forwardDown)) / bytesPerSecond),
      backward: max(passes.backward, Double(max(bytes.backwardUp, bytes.backwardDown)) / bytesPerSecond))
  }
}

/// Bytes that a part of the model exchanges with the host in a micro-batch's passes, on one rank.
struct HostPassBytes: Sendable, Equatable {
  /// Weights, before the forward pass.
  let forwardUp: Int
  /// Activations, after it.
  let forwardDown: Int
  /// Weights and activations, before the backward pass.
  let backwardUp: Int
  /// The reduced gradient, after it.
  let backwardDown: Int

  /// - Parameters:
  ///   - parameterCount: of the part, all replicas' together.
  ///   - activationBytes: what the part keeps of a micro-batch.
  init(parameterCount: Int, activationBytes: Int, memory: MemoryModel) {
    let hosting = memory.strategy.hosting, sharding = memory.sharding
    func shard(_ degree: Int) -> Int { (parameterCount + degree - 1) / degree }
    let weights = hosting.holdsWeights ? shard(sharding.weightDegree) * memory.weightByteCount : 0
    let activations = hosting.activations.traffic(
      ofBytes: activationBytes, modelLayerCount: memory.modelLayerCount)
    forwardUp = weights
    forwardDown = activations
    backwardUp = weights + activations
    backwardDown =
      sharding.gradientDegree > 1 ? memory.share(of: shard(sharding.gradientDegree)) * memory.weightByteCount : 0
  }
}
