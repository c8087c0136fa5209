package import Documents

/// What zeroth-order training makes of an iteration: which parts lie on the host, who evaluates what, and with how many
/// micro-batches at once parts are visited.
extension IterationShape {
  /// Whether weights move by losses alone.
  package var isZerothOrder: Bool { strategy.update == .zerothOrder }

  /// Whole parts that a stage with weights on the host has room for on the device: one that comes, one that is worked on,
  /// one that leaves (ZO2, Wang et al. 2025, figure 3).
  package static let blockBufferCount = 3

  /// Whether a part's weights lie on the host between visits: of a stage's layers as many as it says, evenly spread;
  /// embedding and head never do.
  ///
  /// Under first-order training nothing does that is executed.
  package func isHosted(_ part: ModelPart) -> Bool {
    guard isZerothOrder, case .layer(let layer) = part else { return false }
    for (stage, layers) in split.layerRanges.enumerated() where layers.contains(layer) {
      return Hosting.isSpread(
        layer - layers.lowerBound, count: split.stage(stage, of: kinds).hostedLayerCount(strategy.hosting),
        of: layers.count)
    }
    return false
  }

  /// Micro-batches of the visits of a part in an iteration: a stage that is all of the model takes each of its parts once
  /// with everything; of several stages every one hands each micro-batch on.
  package var visitedMicroBatches: [Range<Int>] {
    let count = schedule.microBatchCount, together = strategy.visitMicroBatchCount(of: count)
    return stride(from: 0, to: count, by: together).map { $0..<$0 + together }
  }

  /// The losses that a rank evaluates.
  package func evaluations(ofRank rank: Int) -> [ZerothOrder.Evaluation] {
    strategy.evaluations(ofReplica: mesh.coordinate(ofRank: rank, along: .data), job: job)
  }

  /// Elements that a micro-batch sends from stage to stage, whole: its activations, of every loss that a rank evaluates.
  package var sentElementCount: Int {
    activationElementCount * (isZerothOrder ? strategy.evaluationCount(job) : 1)
  }

  /// What a rank moves of a part between host and device.
  package func hostTransfer(of part: ModelPart, rank: Int) -> HostTransfer {
    let slice = sharding.ranges(
      ofReplica: mesh.replica(ofRank: rank), replicaCount: strategy.replicaCount,
      elementCount: parameterCount(of: part)
    ).weights
    return HostTransfer(part: part, elementCount: slice.count, elementByteCount: job.precision.byteCount)
  }
}
