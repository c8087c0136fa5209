public import Documents

/// Bytes on one device under a strategy: exact counts of what training keeps, as functions of stage and layers.
///
/// Static state after Rajbhandari et al. 2020 (ZeRO), activations after Korthikanti et al. 2022, written out for any
/// head count, feed-forward width and precision. For a GPT block of 16-bit numbers with dropout the two agree:
/// `s·b·h·(10 + 24/t + 5·a·s/(h·t))` bytes without, and `s·b·h/t·(34 + 5·a·s/h)` with sequence parallelism.
public struct MemoryModel: Sendable {
  /// Parameters of one rank.
  struct RankParameters: Sendable {
    let layer: Int
    let embedding: Int
    let head: Int
    /// The output head's matrix, whether it is one of its own or the embedding's.
    let outputMatrix: Int
  }

  let parameters: RankParameters
  let strategy: Strategy
  let microBatchCount: Int
  /// Of one layer and one micro-batch, kept from forward to backward.
  let layerActivationBytes: Int
  /// The embedding's dropout mask, of one micro-batch.
  let embeddingActivationBytes: Int
  /// Inputs of the final norm and of the head, of one micro-batch.
  let headActivationBytes: Int
  /// The loss keeps the softmax of the logits in fp32, of one micro-batch.
  let lossActivationBytes: Int
  /// A whole layer's activations, alive while it is recomputed.
  let recomputeWorkspaceBytes: Int
  let logitsWorkspaceBytes: Int
  let weightByteCount: Int
  let gradientByteCount: Int
  let optimizerByteCount: Int
  let bufferBytesPerParameter: Double
  let memory: DeviceProfile.Memory
  let capacityBytes: Int

  /// Counts what does not depend on the split of layers.
  public init(job: TrainingJob, device: DeviceProfile, framework: DeviceProfile.Framework, strategy: Strategy) {
    let model = job.model
    let t = strategy.tensorDegree
    let vocabulary = model.paddedVocabularySize(multiple: framework.vocabularyMultiple, tensorDegree: t)
    let head = model.headParameters(vocabularySize: vocabulary)
    // A tied head on another stage than the embedding holds a copy of its matrix.
    let outputMatrix = vocabulary / t * model.hiddenSize
    let copy = model.hasTiedEmbeddings && strategy.pipelineDegree > 1 ? outputMatrix : 0
    parameters = RankParameters(
      layer: model.layerParameters.perRank(tensorDegree: t),
      embedding: model.embeddingParameters(vocabularySize: vocabulary).perRank(tensorDegree: t),
      head: head.perRank(tensorDegree: t) + copy, outputMatrix: outputMatrix)
    self.strategy = strategy
    microBatchCount = strategy.microBatchCount(globalBatch: job.globalBatch)
    weightByteCount = job.precision.byteCount
    gradientByteCount = job.gradientByteCount
    optimizerByteCount = job.optimizerByteCount
    bufferBytesPerParameter = framework.bufferBytesPerParameter

    let tokens = strategy.microBatch * job.sequenceLength
    // Along the sequence, the tokens of a rank outside the tensor-parallel parts.
    let sequenceTokens = strategy.usesSequenceParallelism ? tokens / t : tokens
    let e = job.precision.byteCount
    let kept = ActivationBytesPerToken(
      model: model, sequenceLength: job.sequenceLength, elementByteCount: e, tensorDegree: t)
    let whole = { (core: Int) in
      Self.scaled(
        sequenceTokens * kept.alongSequence + tokens * (kept.insideTensorGroup + core), by: framework.activationFactor)
    }
    let core = strategy.usesFlashAttention ? kept.fusedCore : kept.unfusedCore
    switch strategy.recompute {
    case .none: (layerActivationBytes, recomputeWorkspaceBytes) = (whole(core), 0)
    // A fused core keeps its statistics only: there is nothing to recompute.
    case .selective where strategy.usesFlashAttention:
      (layerActivationBytes, recomputeWorkspaceBytes) = (whole(core), 0)
    case .selective: (layerActivationBytes, recomputeWorkspaceBytes) = (whole(0), tokens * core)
    case .full: (layerActivationBytes, recomputeWorkspaceBytes) = (sequenceTokens * model.hiddenSize * e, whole(core))
    }
    embeddingActivationBytes = model.hasDropout ? sequenceTokens * model.hiddenSize : 0
    headActivationBytes = 2 * sequenceTokens * model.hiddenSize * e
    lossActivationBytes = 4 * tokens * (vocabulary / t)
    logitsWorkspaceBytes = Self.scaled(tokens * (vocabulary / t), by: framework.logitsBytesPerEntry)
    memory = device.memory
    capacityBytes = device.datasheet.memoryBytes
  }

  /// Whole bytes of a count times a coefficient; a coefficient of 1 leaves the count as it is.
  private static func scaled(_ count: Int, by factor: Double) -> Int {
    factor == 1 ? count : Int((Double(count) * factor).rounded(.up))
  }

  /// Parameters of one rank of a stage.
  func parameterCount(stage: Int, layerCount: Int) -> Int {
    layerCount * parameters.layer + (stage == 0 ? parameters.embedding : 0)
      + (stage == strategy.pipelineDegree - 1 ? parameters.head : 0)
  }

  /// Parameters of a stage that one data-parallel rank holds the shard of: ZeRO 1 cuts a stage's parameters once, 2 and 3
  /// cut every part by itself, since parts are gathered and reduced one by one.
  func shardCount(stage: Int, layerCount: Int) -> Int {
    let d = strategy.dataDegree
    func shard(_ parameters: Int) -> Int { (parameters + d - 1) / d }
    guard strategy.zeroStage >= .gradients else {
      return shard(parameterCount(stage: stage, layerCount: layerCount))
    }
    return layerCount * shard(parameters.layer) + (stage == 0 ? shard(parameters.embedding) : 0)
      + (stage == strategy.pipelineDegree - 1 ? shard(parameters.head) : 0)
  }

  /// Chunk-micro-batches whose activations a stage keeps at its worst moment.
  func inFlightCount(stage: Int) -> Int {
    let p = strategy.pipelineDegree, v = strategy.virtualStageCount, m = microBatchCount
    guard v > 1 else { return min(p - stage, m) }
    // Interleaved 1F1B warms up with 2(p − i − 1) + (v − 1)p chunk passes before the first backward.
    if m == p { return m * v }
    return min(2 * (p - stage - 1) + (v - 1) * p + 1, m * v)
  }

  /// Micro-batches whose activations the first stage's first chunk keeps at its worst moment.
  private var embeddingInFlightCount: Int {
    // Interleaved, the second p micro-batches enter before the first p have left.
    min((strategy.virtualStageCount > 1 ? 2 : 1) * strategy.pipelineDegree, microBatchCount)
  }

  /// The same of the last stage's last chunk, which runs each backward pass right after the forward pass.
  private var headInFlightCount: Int {
    // Interleaved with as many micro-batches as stages, all forward passes come first.
    strategy.virtualStageCount > 1 && microBatchCount == strategy.pipelineDegree ? microBatchCount : 1
  }

  /// What ZeRO holds, beyond its shards, of a part of the model that runs backward.
  private func unshardedBytes(parameterCount: Int) -> Int {
    guard strategy.dataDegree > 1 else { return 0 }
    return switch strategy.zeroStage {
    case .none, .optimizer: 0
    // The part's gradient before it is reduced to the shard.
    case .gradients: parameterCount * weightByteCount
    // That, the part's gathered weights, and the next layer's on their way.
    case .weights: (2 * parameterCount + parameters.layer) * weightByteCount
    }
  }

  /// Peak bytes of a device of a stage that holds `layerCount` layers in all its chunks.
  public func stageMemory(stage: Int, layerCount: Int) -> Prediction.StageMemory {
    let parameterCount = parameterCount(stage: stage, layerCount: layerCount)
    let shard = shardCount(stage: stage, layerCount: layerCount)
    let isFirst = stage == 0, isLast = stage == strategy.pipelineDegree - 1
    let layersInFlight = inFlightCount(stage: stage) * (layerCount / strategy.virtualStageCount)
    var activations = layersInFlight * layerActivationBytes
    if isFirst { activations += embeddingInFlightCount * embeddingActivationBytes }
    if isLast {
      // The loss of the micro-batch that runs is part of the workspace.
      activations += headInFlightCount * headActivationBytes + (headInFlightCount - 1) * lossActivationBytes
    }

    // Alive while a layer runs backward, or while the head does.
    var workspace = recomputeWorkspaceBytes + unshardedBytes(parameterCount: parameters.layer)
    if isLast {
      workspace = max(workspace, logitsWorkspaceBytes + unshardedBytes(parameterCount: parameters.outputMatrix))
    }
    workspace += Self.scaled(parameterCount, by: bufferBytesPerParameter)
    let weights = (strategy.zeroStage >= .weights ? shard : parameterCount) * weightByteCount
    let gradients = (strategy.zeroStage >= .gradients ? shard : parameterCount) * gradientByteCount
    let optimizer = (strategy.zeroStage >= .optimizer ? shard : parameterCount) * optimizerByteCount
    let counted = weights + gradients + optimizer + activations + workspace
    return Prediction.StageMemory(
      weightBytes: weights, gradientBytes: gradients, optimizerBytes: optimizer, activationBytes: activations,
      workspaceBytes: workspace, reservedBytes: memory.reservedBytes,
      fragmentationBytes: Int((Double(counted) * memory.fragmentationFraction).rounded(.up)))
  }

  /// The largest peak that still has a verdict at least as good, bytes.
  public func limitBytes(_ verdict: Prediction.Verdict) -> Int {
    switch verdict {
    case .fits: Int(Double(capacityBytes) * memory.comfortableFraction)
    case .risky: Int(Double(capacityBytes) * memory.limitFraction)
    case .unfit: .max
    }
  }

  /// What a peak means on this device.
  public func verdict(peakBytes: Int) -> Prediction.Verdict {
    peakBytes <= limitBytes(.fits) ? .fits : peakBytes <= limitBytes(.risky) ? .risky : .unfit
  }

  /// The most layers that a stage can hold within a limit; 0 if not even one, `layerCount` at most.
  ///
  /// - Complexity: O(1): bytes grow with layers along a line, up to rounding, which is then checked.
  func layerCapacity(stage: Int, limitBytes limit: Int, layerCount: Int) -> Int {
    let one = stageMemory(stage: stage, layerCount: 1).peakBytes
    guard one <= limit else { return 0 }
    let all = stageMemory(stage: stage, layerCount: layerCount).peakBytes
    guard all > limit, layerCount > 1 else { return layerCount }
    let slope = Double(all - one) / Double(layerCount - 1)
    var capacity = min(layerCount, max(1, 1 + Int(Double(limit - one) / slope)))
    while capacity > 1, stageMemory(stage: stage, layerCount: capacity).peakBytes > limit { capacity -= 1 }
    while capacity < layerCount, stageMemory(stage: stage, layerCount: capacity + 1).peakBytes <= limit {
      capacity += 1
    }
    return capacity
  }

  /// The most layers each stage can hold within a limit; nil when some stage cannot hold one, or all together not all
  /// layers.
  ///
  /// - Complexity: O(stages).
  public func layerCapacities(limitBytes: Int, layerCount: Int) -> [Int]? {
    let p = strategy.pipelineDegree
    if strategy.virtualStageCount > 1 || p == 1 {
      // Every stage holds the same.
      let each = layerCount / p
      for stage in 0..<p where stageMemory(stage: stage, layerCount: each).peakBytes > limitBytes { return nil }
      return [Int](repeating: each, count: p)
    }
    var capacities: [Int] = []
    capacities.reserveCapacity(p)
    var total = 0
    for stage in 0..<p {
      let capacity = layerCapacity(stage: stage, limitBytes: limitBytes, layerCount: layerCount - (p - 1))
      if capacity == 0 { return nil }
      capacities.append(capacity)
      total += capacity
    }
    return total >= layerCount ? capacities : nil
  }
}

/// What one token of one layer keeps from forward to backward, bytes on one rank.
private struct ActivationBytesPerToken {
  /// Outside the tensor-parallel parts: inputs of the two norms, of the query-key-value and of the first feed-forward
  /// product, and two dropout masks.
  let alongSequence: Int
  /// Inside: queries, keys, values, the output projection's input; the activation's input and output.
  let insideTensorGroup: Int
  /// The attention core when scores are materialised: softmax, its dropout mask and its output.
  let unfusedCore: Int
  /// The fused core's fp32 log-sum-exp.
  let fusedCore: Int

  init(model: ModelDescription, sequenceLength: Int, elementByteCount e: Int, tensorDegree t: Int) {
    alongSequence = (4 * e + (model.hasDropout ? 2 : 0)) * model.hiddenSize
    let attention = 2 * model.querySize + 2 * model.keyValueSize
    // A gated activation keeps gate, value and product; a plain one its input and output.
    let feedForward = (model.hasGatedFeedForward ? 3 : 2) * model.feedForwardSize
    insideTensorGroup = e * (attention + feedForward) / t
    unfusedCore = (model.hasDropout ? 2 * e + 1 : e) * model.headCount / t * sequenceLength
    fusedCore = 4 * model.headCount / t
  }
}
