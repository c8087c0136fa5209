package import Documents
import Training

/// Bytes on one device under a strategy: exact counts of what training keeps, as functions of stage and layers, and what
/// a framework and the allocator add (``DeviceProfile/Framework/Memory``, ``DeviceProfile/Memory``).
///
/// Static state after Rajbhandari et al. 2020 (ZeRO), activations after Korthikanti et al. 2022, written out for any
/// head count, feed-forward width and precision. For a GPT block of 16-bit numbers with dropout the two agree:
/// `s·b·h·(10 + 24/t + 5·a·s/(h·t))` bytes without, and `s·b·h/t·(34 + 5·a·s/h)` with sequence parallelism.
///
/// A reference, since the stages of a strategy and its price share it, and it is large.
package final class MemoryModel: Sendable {
  /// Parameters of one rank.
  struct RankParameters: Sendable {
    /// Of a layer, without its routed experts.
    let layers: ByKind<Int>
    /// Routed experts of a layer that has them.
    let routed: Int
    let embedding: Int
    /// Of all that the last stage has beside its layers: the head's part, and every further prediction's without its routed
    /// experts.
    let head: Int
    /// Of one further prediction, and its routed experts; 0 without.
    let prediction: Int
    let predictionRouted: Int
    /// Further predictions.
    let predictionDepth: Int
    /// The output head's matrix, whether it is one of its own or the embedding's.
    let outputMatrix: Int

    /// Of a layer with one feed-forward part for all tokens.
    var layer: Int { layers.dense }

    /// Of the head's own part: what is gathered and reduced at once.
    var headPart: Int { head - predictionDepth * prediction }
    /// Routed experts of what the last stage has beside its layers.
    var headRouted: Int { predictionDepth * predictionRouted }

    /// Adds up something of the parameters of each part that the last stage has beside its layers.
    @inline(__always)
    func sumOfHead(_ value: (Int) -> Int) -> Int {
      predictionDepth == 0 ? value(head) : value(headPart) + predictionDepth * value(prediction)
    }
  }

  /// Those of them that are weights of products; none where these are in what is stored.
  struct RankProducts: Sendable {
    /// Of a layer, without its routed experts.
    var layers = ByKind(0)
    /// Routed experts of a layer that has them.
    var routed = 0
    /// Of one further prediction, and its routed experts.
    var prediction = 0
    var predictionRouted = 0
    /// Those of layers at either end of the model that multiply as they are stored, without their routed experts and of these: they
    /// are in no narrow format.
    var wideFirst = (shared: 0, routed: 0)
    var wideLast = (shared: 0, routed: 0)

    /// None.
    init() {}

    init(of job: TrainingJob, _ strategy: Strategy) {
      let model = job.model, t = strategy.tensorDegree
      func routed(_ count: ParameterCount) -> Int { MemoryModel.routedPerRank(count, strategy) }
      let ofKinds = ByKind(
        dense: model.layerProductParameters(.dense), experts: model.layerProductParameters(.experts))
      layers = ofKinds.map { $0.perRank(tensorDegree: t) }
      self.routed = routed(ofKinds.experts)
      if let ends = Recipe.WideEnds(of: job) {
        func sum(_ layers: LayerCounts) -> (Int, Int) { (self.layers.sum(layers), layers.experts * self.routed) }
        (wideFirst, wideLast) = (sum(ends.first), sum(ends.last))
      }
      guard model.predictionDepth > 0 else { return }
      prediction = model.predictionProductParameters.perRank(tensorDegree: t)
      predictionRouted = routed(model.predictionProductParameters)
    }
  }

  let parameters: RankParameters
  let products: RankProducts
  /// The format in which weights of products are gathered; nil where they are as all others.
  let gatheredFormat: ProductFormat?
  let strategy: Strategy
  /// The strategy's stage with the head: asked for several times a peak, of which there are millions.
  let headStage: Int
  /// How replicas divide weights, gradients and optimizer states.
  let sharding: Sharding
  /// How those divide them that hold the same routed experts.
  let expertSharding: Sharding
  /// What exchanges hold beside shards.
  let buffers: ExchangeBuffers
  let microBatchCount: Int
  /// Layers of the whole model.
  let modelLayerCount: Int
  /// Chunk-micro-batches whose activations stages keep at their worst moment.
  let inFlight: PassesInFlight
  /// Of one layer and one micro-batch, kept from forward to backward.
  let layerActivationBytes: ByKind<Int>
  /// The same of a layer that is not recomputed where others are, in full.
  let keptLayerActivationBytes: ByKind<Int>
  /// Of what a layer with experts keeps, what it keeps when these are done: where a backward pass runs beside, after that has
  /// given up a layer's.
  let lateLayerBytes: Int
  /// The embedding's dropout mask, of one micro-batch.
  let embeddingActivationBytes: Int
  /// Inputs of the final norm and of the head, of one micro-batch.
  let headActivationBytes: Int
  /// The softmax of the logits in fp32, which the loss keeps of one micro-batch, and those of further predictions; part of the
  /// workspace in a pipeline, since the backward pass follows at once.
  let lossActivationBytes: Int
  /// Of these, what is kept while the last of them is computed, or the last block of a further prediction runs backward.
  let earlierLossBytes: Int
  /// Of one layer and one micro-batch between its input and its weight gradient, beside what forward has kept: what was
  /// computed again. Of the rest, gradients of outputs take the place of what the input gradient has used up.
  let awaitingLayerBytes: ByKind<Int>
  /// The gradient of the logits, between input and weight gradient of a micro-batch.
  let logitsGradientBytes: Int
  /// A layer that runs backward: its activations, while they are recomputed, and its gradients and temporaries.
  let layerWorkspaceBytes: ByKind<Int>
  /// The same on a stage that recomputes nothing where others do, in full.
  let keptLayerWorkspaceBytes: ByKind<Int>
  /// What it takes more of a layer at either end that multiplies as it is stored.
  let wideWorkspaceBytes: (first: Int, last: Int)
  let logitsWorkspaceBytes: Int
  /// Buffers of a tensor group's gathers, alive throughout.
  let tensorBufferBytes: Int
  /// Of one layer and one micro-batch, done with but not free yet.
  let pendingLayerBytes: Double
  /// Losses that a rank evaluates under zeroth-order training; 0 where weights move by gradients.
  let evaluationCount: Int
  /// What a rank holds of one micro-batch's activations between layers.
  let streamByteCount: Int
  /// A micro-batch's logits, in the precision of the weights.
  let logitsByteCount: Int
  let weightByteCount: Int
  /// Bytes that a weight of a product takes in the narrow format that it is multiplied in, beside those that it was gathered
  /// or stored in, or in their place; 0 where there is none.
  let narrowWeightBytes: Double
  /// The same of all weights of the output head; 0 where it multiplies as it is stored.
  let narrowHeadBytes: Int
  let gradientByteCount: Int
  let optimizer: OptimizerStates
  /// Whether master weights stay on the device where the host updates.
  let keepsMastersBesideHost: Bool
  let framework: DeviceProfile.Framework.Memory
  let memory: DeviceProfile.Memory
  let capacityBytes: Int
  /// Shares of the capacity between which a peak is risky under the framework.
  let comfortableFraction: Double
  let limitFraction: Double
  let isFragile: Bool
  /// Whether chunks may differ in their layers.
  let laysOutChunks: Bool
  /// What outer steps keep of a parameter that a rank updates, bytes; 0 without.
  let outerByteCount: Int

  /// Counts what does not depend on the split of layers.
  ///
  /// - Parameter deviceBoundShare: how far the device and not its host sets the pace of a layer, 0…1, see
  ///   ``Documents/DeviceProfile/Framework/deviceBoundShare(device:host:)``. 1 asks for the most memory.
  /// - Parameter isFragile: whether the framework often fails with the strategy whatever memory it needs: it then never
  ///   simply fits.
  /// - Parameter devicesPerNode: groups that stay inside a given number of consecutive ranks quantise nothing.
  package convenience init(
    job: TrainingJob, device: DeviceProfile, framework: DeviceProfile.Framework, strategy: Strategy,
    deviceBoundShare: Double = 1, isFragile: Bool = false, devicesPerNode: Int = .max
  ) {
    self.init(
      job: job, device: device, framework: framework, strategy: strategy, deviceBoundShare: deviceBoundShare,
      isFragile: isFragile,
      buffers: ExchangeBuffers(strategy.sharding, in: strategy.mesh, devicesPerNode: devicesPerNode),
      kept: KeptActivations(Recipe(job: job, strategy: strategy, framework: framework)))
  }

  /// - Parameters:
  ///   - buffers: the strategy's own, which all strategies of a mesh with the same sharding share.
  ///   - kept: of the strategy's recipe, which all strategies share that agree in their micro-batches.
  init(
    job: TrainingJob, device: DeviceProfile, framework: DeviceProfile.Framework, strategy: Strategy,
    deviceBoundShare: Double, isFragile: Bool, buffers: ExchangeBuffers, kept: KeptActivations
  ) {
    let model = job.model
    let t = strategy.tensorDegree
    let vocabulary = model.paddedVocabularySize(multiple: framework.vocabularyMultiple, tensorDegree: t)
    let head = model.headParameters(vocabularySize: vocabulary)
    let outputMatrix = vocabulary / t * model.hiddenSize
    let copy = strategy.copiesTokenTable(of: model) ? outputMatrix : 0
    let layers = ByKind(dense: model.layerParameters(.dense), experts: model.layerParameters(.experts))
    func routed(_ count: ParameterCount) -> Int { Self.routedPerRank(count, strategy) }
    let prediction = model.predictionDepth == 0 ? nil : model.predictionLayerParameters
    let ofPrediction = prediction?.perRank(tensorDegree: t) ?? 0
    parameters = RankParameters(
      layers: layers.map { $0.perRank(tensorDegree: t) }, routed: routed(layers.experts),
      embedding: model.embeddingParameters(vocabularySize: vocabulary).perRank(tensorDegree: t),
      head: head.perRank(tensorDegree: t) + copy + model.predictionDepth * ofPrediction, prediction: ofPrediction,
      predictionRouted: prediction.map(routed) ?? 0, predictionDepth: model.predictionDepth, outputMatrix: outputMatrix)
    products = job.precision.products == nil ? RankProducts() : RankProducts(of: job, strategy)
    gatheredFormat = strategy.gatheredFormat(job)
    self.strategy = strategy
    headStage = strategy.headStage
    sharding = strategy.sharding
    expertSharding = strategy.expertSharding
    self.buffers = buffers
    microBatchCount = strategy.microBatchCount(globalBatch: job.globalBatch)
    modelLayerCount = model.layerCount
    inFlight = strategy.schedule.passesInFlight(
      stageCount: strategy.pipelineDegree, microBatchCount: microBatchCount, combines: strategy.overlapsExperts)
    weightByteCount = job.precision.byteCount
    narrowWeightBytes =
      job.precision.products.map { format in
        let copies = format.weightCopyBytes(on: device.datasheet)
        guard strategy.holdsNarrowWeights else { return copies }
        // What is gathered for a use is one of the copies; what stays lies in all of them, and not as it is stored.
        return copies
          - (strategy.sharding.weightDegree > 1
            ? Double(format.gatheredWeightBitCount ?? 0) / 8 : Double(job.precision.byteCount))
      } ?? 0
    narrowHeadBytes =
      job.headProducts.map { Int((Double(outputMatrix) * $0.weightCopyBytes(on: device.datasheet)).rounded(.up)) } ?? 0
    evaluationCount = strategy.update == .zerothOrder ? strategy.evaluationCount(job) : 0
    streamByteCount =
      strategy.tokenCount(job) * model.hiddenSize * job.precision.byteCount
      / (strategy.usesSequenceParallelism ? t : 1)
    logitsGradientBytes = strategy.tokenCount(job) * (vocabulary / t) * job.precision.byteCount
    logitsByteCount = strategy.tokenCount(job) * (vocabulary / t) * job.precision.byteCount
    gradientByteCount = job.gradientByteCount
    optimizer = OptimizerStates(job: job, vocabularySize: vocabulary, parameters: parameters, tensorDegree: t)
    keepsMastersBesideHost = framework.keepsMastersBesideHost
    outerByteCount = strategy.update == .outer ? strategy.outer.byteCount(job.outer) : 0
    self.framework = framework.memory

    let tokens = strategy.tokenCount(job)
    let whole = kept.blocks.map { Self.scaled($0.wholeBytes, by: framework.memory.activationFactor) }
    let recomputed: ByKind<Int>
    switch strategy.recompute {
    case .none, .selective:
      layerActivationBytes = kept.blocks.map { Self.scaled($0.bytes, by: framework.memory.activationFactor) }
      recomputed = kept.blocks.map(\.recomputedBytes)
    // Of the input alone there is one copy.
    case .full: (layerActivationBytes, recomputed) = (kept.blocks.map(\.bytes), whole)
    }
    lateLayerBytes = Self.scaled(kept.blocks.experts.lateBytes, by: framework.memory.activationFactor)
    // Scores that are computed again are used up by the input gradient.
    let dropsScores = strategy.recompute == .selective && framework.memory.selective == .attentionCore
    awaitingLayerBytes = dropsScores ? ByKind(0) : recomputed
    let backward = whole.map {
      Self.scaled($0, by: framework.memory.backwardWorkspaceFactor) + kept.contextWorkspaceBytes
    }
    layerWorkspaceBytes = ByKind(
      dense: recomputed.dense + backward.dense, experts: recomputed.experts + backward.experts)
    keptLayerWorkspaceBytes = strategy.recompute == .full ? backward : layerWorkspaceBytes
    keptLayerActivationBytes = strategy.recompute == .full ? whole : layerActivationBytes
    let wide = WideEndBytes(kept, strategy.recompute, framework.memory)
    wideWorkspaceBytes = wide.workspace
    embeddingActivationBytes = kept.embeddingBytes + wide.activations.first
    headActivationBytes = kept.headBytes + wide.activations.last
    lossActivationBytes = (1 + model.predictionDepth) * kept.lossBytes
    earlierLossBytes = model.predictionDepth * kept.lossBytes
    logitsWorkspaceBytes = Self.scaled(tokens * (vocabulary / t), by: framework.memory.logitsBytesPerEntry)
    let gathered = t > 1 ? tokens * model.hiddenSize * job.precision.byteCount : 0
    tensorBufferBytes =
      Self.scaled(gathered, by: framework.memory.tensorBufferCount)
      + framework.tensorOverlapBufferCount(isAsked: strategy.overlapsTensorExchange) * gathered
    // A pipeline makes the host wait for the device at every transfer; it runs ahead only between a backward pass and the
    // forward pass after it, and only while the device is the slower of the two.
    let runsAhead =
      strategy.pipelineDegree == 1 ? 1 : microBatchCount > strategy.pipelineDegree ? deviceBoundShare : 0
    pendingLayerBytes = Double(gathered) * framework.memory.pendingActivationFactor * runsAhead
    self.isFragile = isFragile
    laysOutChunks = strategy.laysOutChunks(of: model)
    memory = framework.memory.growsSegments ? device.memory.withGrowingSegments : device.memory
    capacityBytes = device.datasheet.memoryBytes
    comfortableFraction = device.comfortableFraction(of: framework)
    limitFraction = device.limitFraction(of: framework)
  }

  /// Bytes of an element on the wire where nothing is quantised, see ``Training/Exchange``.
  func byteCount(_ format: Exchange.Format) -> Int {
    switch format {
    case .weights: weightByteCount
    case .accumulatedGradients: gradientByteCount
    case .fp32: 4
    case .bf16: 2
    }
  }

  /// Bytes on the wire of elements of an exchange where nothing is quantised.
  ///
  /// - Parameter narrowCount: those of them that are weights of products.
  func byteCount(of exchange: Exchange, elementCount: Int, narrowCount: Int) -> Int {
    exchange.byteCount(
      elementCount: elementCount, elementByteCount: byteCount(exchange.format), narrowCount: narrowCount,
      format: gatheredFormat)
  }

  /// Routed experts' part of a count that one rank has.
  private static func routedPerRank(_ count: ParameterCount, _ strategy: Strategy) -> Int {
    count.ofExpertsPerRank(expertDegree: strategy.expertDegree, expertTensorDegree: strategy.expertTensorDegree)
  }

  /// Whole bytes of a count times a coefficient; a coefficient of 1 leaves the count as it is.
  static func scaled(_ count: Int, by factor: Double) -> Int {
    factor == 1 ? count : Int((Double(count) * factor).rounded(.up))
  }

  /// Parameters of one rank of a stage, without routed experts.
  func parameterCount(stage: Int, _ layers: LayerCounts) -> Int {
    parameters.layers.sum(layers) + (stage == 0 ? parameters.embedding : 0)
      + (stage == headStage ? parameters.head : 0)
  }

  /// Routed experts' parameters of one rank of a stage.
  func routedCount(stage: Int, _ layers: LayerCounts) -> Int {
    layers.experts * parameters.routed + (stage == headStage ? parameters.headRouted : 0)
  }

  /// Parameters of a stage that one rank holds of what `degree` ranks divide, the largest shard: where gradients are
  /// whole a stage's parameters are cut once, otherwise every part by itself, since parts are gathered and reduced one by
  /// one.
  ///
  /// Nested divisions, each with its longer shards first, leave ⌈⌈n/a⌉/b⌉ = ⌈n/(ab)⌉.
  func shardCount(stage: Int, _ layers: LayerCounts, degree: Int) -> Int {
    func shard(_ parameters: Int) -> Int { (parameters + degree - 1) / degree }
    guard degree > 1, sharding.gradientDegree > 1 else { return shard(parameterCount(stage: stage, layers)) }
    return parameters.layers.map(shard).sum(layers) + (stage == 0 ? shard(parameters.embedding) : 0)
      + (stage == headStage ? parameters.sumOfHead(shard) : 0)
  }

  /// The same of routed experts, which `degree` ranks that hold the same ones divide.
  func routedShardCount(stage: Int, _ layers: LayerCounts, degree: Int) -> Int {
    func shard(_ parameters: Int) -> Int { (parameters + degree - 1) / degree }
    guard degree > 1, expertSharding.gradientDegree > 1 else { return shard(routedCount(stage: stage, layers)) }
    return layers.experts * shard(parameters.routed)
      + (stage == headStage ? parameters.predictionDepth * shard(parameters.predictionRouted) : 0)
  }

  /// What one rank of a stage holds of all parameters, divided as each kind of them is.
  ///
  /// - Parameter degree: of a kind of state.
  func heldCount(stage: Int, _ layers: LayerCounts, _ degree: (Sharding) -> Int) -> Int {
    let shared = shardCount(stage: stage, layers, degree: degree(sharding))
    guard hasRoutedExperts else { return shared }
    return shared + routedShardCount(stage: stage, layers, degree: degree(expertSharding))
  }

  /// Whether any layer has experts.
  var hasRoutedExperts: Bool { parameters.routed > 0 }

  /// Bytes of the weights that one rank of a stage holds between their uses, its part of a secondary partition among
  /// them, wherever they lie.
  func weightBytes(stage: Int, _ layers: LayerCounts) -> Int {
    var count = heldCount(stage: stage, layers) { $0.weightDegree }
    if let secondary = sharding.secondaryDegree { count += shardCount(stage: stage, layers, degree: secondary) }
    return count * weightByteCount
  }

  /// Bytes of the accumulated gradient of one rank of a stage, wherever it lies.
  func gradientBytes(stage: Int, _ layers: LayerCounts) -> Int {
    heldCount(stage: stage, layers) { $0.gradientDegree } * gradientByteCount
  }

  /// Bytes that a micro-batch holds of a part beside that from its input to its weight gradient.
  package func awaitingBytes(of part: StagePart) -> Int {
    switch part {
    case .embedding: 0
    case .layer(let kind, let isKept): isKept ? 0 : awaitingLayerBytes[kind]
    case .head: logitsGradientBytes
    }
  }

  /// Bytes that a micro-batch keeps of a part from its forward to its backward pass.
  package func activationBytes(of part: StagePart) -> Int {
    switch part {
    case .embedding: embeddingActivationBytes
    case .layer(let kind, let isKept): (isKept ? keptLayerActivationBytes : layerActivationBytes)[kind]
    case .head: headActivationBytes
    }
  }
}
