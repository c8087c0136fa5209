import Documents

/// What of a rank's states and activations lies in its node's memory, see ``Documents/Hosting``.
extension MemoryModel {
  /// What is taken off one device of a stage, bytes, by kind, and what its host holds instead.
  struct HostedBytes: Sendable, Equatable {
    var weights = 0
    var gradients = 0
    var optimizer = 0
    var activations = 0
    /// Of all of these, as the host keeps them.
    var onHost = 0

    /// More than any host has; as much is counted of one device at most, so that a node's sum can be counted.
    static let mostOnHost = 1 << 50
  }

  /// - Parameters:
  ///   - layers: of the stage.
  ///   - chunkActivationBytes: what the layers of a chunk keep of a micro-batch.
  ///   - passesInFlight: chunk-micro-batches that the stage keeps at its worst moment.
  func hostedBytes(stage: Int, _ layers: LayerCounts, chunkActivationBytes: Int, passesInFlight: Int) -> HostedBytes {
    let hosting = strategy.hosting
    var hosted = HostedBytes()
    if hosting.updatePercent > 0 {
      let updated = updatedCount(stage: stage, layers)
      let count = share(of: updated)
      // Whole states of as many parameters, where all have as many.
      let states =
        optimizer.uniformByteCount.map { $0 * count } ?? share(of: optimizerBytes(stage: stage, layers))
      hosted.optimizer = states - (keepsMastersBesideHost ? count * optimizer.masterByteCount : 0)
      // Gradients that are reduced part by part go to the host as they come; whole ones are kept until the step.
      if sharding.gradientDegree > 1 {
        hosted.gradients =
          share(of: gradientBytes(stage: stage, layers) / gradientByteCount) * gradientByteCount
      }
      // The host has fp32 weights of its own to update, or 16-bit ones, and gradients in fp32.
      hosted.onHost += states + 4 * count
    }
    if hosting.holdsWeights {
      hosted.weights = weightBytes(stage: stage, layers)
      hosted.onHost += hosted.weights
    }
    if hosting.activations != .onDevice {
      hosted.activations =
        passesInFlight
        * hosting.activations.bytes(
          ofChunk: chunkActivationBytes, layerCount: layers.total / strategy.virtualStageCount,
          modelLayerCount: modelLayerCount)
      hosted.onHost += hosted.activations
    }
    hosted.onHost = min(hosted.onHost, HostedBytes.mostOnHost)
    return hosted
  }

  /// The hosted part of what a rank updates, whole.
  func share(of count: Int) -> Int {
    count.share(strategy.hosting.updatePercent, of: 100)
  }
}

extension DeviceProfile.Framework {
  /// Whether master weights stay on the device where the host updates: of Megatron-LM, whose updates by the host save the
  /// two moments and no more (15.3 GB for 1.908e9 parameters a rank, NVIDIA's performance notes of Qwen3-30B).
  package var keepsMastersBesideHost: Bool { Capabilities.megatronLM.coefficientNames.contains(name) }
}
