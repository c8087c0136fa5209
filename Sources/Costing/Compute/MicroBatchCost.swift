import Documents

/// Seconds of one micro-batch on one rank, by part of the model and by cause.
///
/// Depends on tensor degree, micro-batch, recomputation, sequence parallelism and attention kernel only, so it is
/// computed once for the many strategies that share those.
package struct MicroBatchCost: Sendable {
  /// A forward and a backward pass of one part of the model, by cause.
  package struct Passes: Sendable, Equatable {
    /// Computation of the forward pass.
    package var forwardComputeSeconds = 0.0
    /// Exposed collectives of the tensor group, forward.
    package var forwardTensorSeconds = 0.0
    /// Computation of the backward pass, without what is recomputed.
    package var backwardComputeSeconds = 0.0
    /// Exposed collectives of the tensor group, backward, those of recomputation included.
    package var backwardTensorSeconds = 0.0
    /// Computation that backward repeats.
    package var recomputeSeconds = 0.0

    /// The forward pass.
    package var forwardSeconds: Double { forwardComputeSeconds + forwardTensorSeconds }
    /// The backward pass.
    package var backwardSeconds: Double { backwardComputeSeconds + backwardTensorSeconds + recomputeSeconds }
  }

  /// One transformer block.
  package let layer: Passes
  /// The same of a block that is not recomputed where others are, in full.
  package let keptLayer: Passes
  /// Embedding look-up, on the first stage.
  package let embedding: Passes
  /// Final norm, output head and loss, on the last stage.
  package let head: Passes

  init(
    job: TrainingJob, device: DeviceSpeed, framework: DeviceProfile.Framework, tensorGroup: CommunicationGroup,
    tensorDegree: Int, microBatch: Int, recompute: Strategy.Recompute, sequenceParallel: Bool, flashAttention: Bool
  ) {
    let shape = LayerShape(
      job: job, tensorDegree: tensorDegree, microBatch: microBatch, sequenceParallel: sequenceParallel,
      flashAttention: flashAttention)
    let model = job.model
    let vocabulary = model.paddedVocabularySize(multiple: framework.vocabularyMultiple, tensorDegree: tensorDegree)
    // Adding a gradient reads it, and reads and writes what it is added to.
    let bytesEach = Double(job.precision.byteCount + 2 * job.gradientByteCount) * framework.gradientAccumulationFactor
    let accumulation = { (parameters: ParameterCount) in
      Double(parameters.perRank(tensorDegree: tensorDegree)) * bytesEach * device.secondsPerMemoryByte
    }
    func layer(_ recompute: Strategy.Recompute) -> Passes {
      var layer = Self.layer(
        shape, device: device, framework: framework, group: tensorGroup, recompute: recompute,
        sequenceParallel: sequenceParallel)
      layer.backwardComputeSeconds += accumulation(model.layerParameters)
      return layer
    }
    self.layer = layer(recompute)
    keptLayer = recompute == .full ? layer(.none) : self.layer
    embedding = Self.embedding(shape, device: device, group: tensorGroup, sequenceParallel: sequenceParallel)
    var head = Self.head(
      shape, vocabularyShard: Double(vocabulary / tensorDegree), device: device, framework: framework,
      group: tensorGroup, sequenceParallel: sequenceParallel)
    // Whether it is the embedding's or its own, the head's matrix gets a gradient as large as itself.
    head.backwardComputeSeconds += accumulation(ParameterCount(sharded: vocabulary * model.hiddenSize, replicated: 0))
    self.head = head
  }

  private static func layer(
    _ shape: LayerShape, device: DeviceSpeed, framework: DeviceProfile.Framework, group: CommunicationGroup,
    recompute: Strategy.Recompute, sequenceParallel: Bool
  ) -> Passes {
    let compute = LayerComputeSeconds(shape, on: device, elementWiseFactor: framework.elementWiseFactor)
    let activationBytes = shape.tokens * shape.hidden * shape.elementByteCount
    // Attention and feed-forward each sum once forward and once backward (Shoeybi et al. 2019, figure 4); under sequence
    // parallelism each sum is a gather and a scatter, and backward gathers the inputs of the two column-parallel layers
    // once more, under the product that does not need them (Korthikanti et al. 2022, section 4.2.2).
    var passes = Passes()
    let constant = group.rankCount > 1 ? framework.tensorCollectiveSeconds : 0
    // A share of the rate: the bytes that would take as long at the full one.
    let tensorBytes = activationBytes / framework.tensorRateFraction
    // What a framework runs beside its products hides for a share.
    func exposed(_ seconds: Double, under computation: Double) -> Double {
      seconds - framework.tensorOverlapFraction * min(seconds, computation)
    }
    if sequenceParallel {
      let gather = group.allGatherSeconds(byteCount: tensorBytes)
      let pair = gather + group.reduceScatterSeconds(byteCount: tensorBytes)
      passes.forwardTensorSeconds = exposed(2 * pair, under: compute.forward) + 4 * constant
      let regather = max(0, 2 * gather - compute.columnInputGradient)
      passes.backwardTensorSeconds = exposed(2 * pair + regather, under: compute.backward) + 6 * constant
    } else {
      let sums = 2 * group.allReduceSeconds(byteCount: tensorBytes)
      passes.forwardTensorSeconds = exposed(sums, under: compute.forward) + 2 * constant
      passes.backwardTensorSeconds = exposed(sums, under: compute.backward) + 2 * constant
    }
    passes.forwardComputeSeconds = compute.forward
    passes.backwardComputeSeconds = compute.backward
    switch recompute {
    case .none: break
    case .selective: passes.recomputeSeconds = shape.usesFlashAttention ? 0 : compute.attentionCore
    case .full:
      passes.recomputeSeconds = passes.forwardComputeSeconds
      passes.backwardTensorSeconds += passes.forwardTensorSeconds
    }
    return passes
  }

  private static func embedding(
    _ shape: LayerShape, device: DeviceSpeed, group: CommunicationGroup, sequenceParallel: Bool
  ) -> Passes {
    let tensorBytes = shape.tokens * shape.hidden * shape.elementByteCount
    var passes = Passes()
    // Rows in, rows out; backward reads the gradient and adds it to fp32 rows.
    passes.forwardComputeSeconds = 2 * tensorBytes * device.secondsPerMemoryByte
    passes.backwardComputeSeconds =
      (tensorBytes + 8 * shape.tokens * shape.hidden) * device.secondsPerMemoryByte
    // Each rank looks up its part of the vocabulary, the sum completes the rows.
    passes.forwardTensorSeconds =
      sequenceParallel
      ? group.reduceScatterSeconds(byteCount: tensorBytes) : group.allReduceSeconds(byteCount: tensorBytes)
    passes.backwardTensorSeconds = sequenceParallel ? group.allGatherSeconds(byteCount: tensorBytes) : 0
    return passes
  }

  private static func head(
    _ shape: LayerShape, vocabularyShard: Double, device: DeviceSpeed, framework: DeviceProfile.Framework,
    group: CommunicationGroup, sequenceParallel: Bool
  ) -> Passes {
    let T = shape.tokens, h = shape.hidden
    let tensorBytes = T * h * shape.elementByteCount
    let logits = T * vocabularyShard
    var passes = Passes()
    let lossPass = logits * framework.logitsTrafficBytesPerEntry * device.secondsPerMemoryByte
    let norm = 2 * tensorBytes * shape.sequenceShare * device.secondsPerMemoryByte
    passes.forwardComputeSeconds = device.gemmSeconds(T, vocabularyShard, h) + lossPass + norm
    passes.backwardComputeSeconds =
      device.gemmSeconds(T, h, vocabularyShard) + device.gemmSeconds(h, vocabularyShard, T) + lossPass + 2 * norm
    // The loss of a divided vocabulary sums three fp32 numbers a token: maximum, target logit, sum of exponentials.
    let lossSums = 3 * group.allReduceSeconds(byteCount: 4 * T)
    if sequenceParallel {
      passes.forwardTensorSeconds = group.allGatherSeconds(byteCount: tensorBytes) + lossSums
      passes.backwardTensorSeconds =
        group.reduceScatterSeconds(byteCount: tensorBytes) + group.allGatherSeconds(byteCount: tensorBytes)
    } else {
      passes.forwardTensorSeconds = lossSums
      passes.backwardTensorSeconds = group.allReduceSeconds(byteCount: tensorBytes)
    }
    return passes
  }
}
