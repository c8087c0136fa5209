/// Why a strategy cannot be run at all, whatever the memory: facts, and a sentence.
package enum StrategyViolation: Error, Sendable, Hashable, CustomStringConvertible {
  case worldSize(Mesh, devices: Int)
  case tensorDoesNotDivide(tensor: Int, what: String, size: Int)
  case tooFewLayers(layers: Int, stages: Int)
  case tooFewLayersToInterleave(layers: Int, chunks: Int)
  case interleavingNeedsPipeline
  case splitBackwardNeedsPipeline
  case splitBackwardNeedsMicroBatches(microBatches: Int, least: Int, schedule: String)
  case splitBackwardLayers(layers: Int, chunks: Int, stages: Int)
  case splitBackwardWith(String)
  case batchDoesNotDivide(globalBatch: Int, data: Int, microBatch: Int)
  case interleavingNeedsMultiple(microBatches: Int, stages: Int)
  case interleavingNeedsGroups(microBatches: Int, stages: Int)
  case sequenceDoesNotDivide(sequence: Int, tensor: Int)
  case sequenceParallelismNeedsTensor
  case tensorOverlapNeedsSequenceParallelism
  case tensorOverlapLeavesDomain(tensor: Int, domain: Int)
  case noFlashAttention
  case shardedGradientsInPipeline(zeroStage: Int)
  case shardsNotNested(weights: Int, gradients: Int, optimizer: Int, replicas: Int)
  case secondaryDoesNotDivide(secondary: Int, weights: Int)
  case secondaryIsRedundant(secondary: Int, weights: Int)
  case nothingToQuantise(what: String, of: String)
  case shardLevelsInPipeline
  case quantisedTensorGroups
  case quantisedTiedMatrix
  case uncountable(product: String)
  case noHost
  case hostUpdateNeedsShards
  case hostWeightsNeedShards
  case hostWeightsInPipeline
  case hostedLayersTooMany(count: Int, of: Int)
  case workersNeedOuterSteps
  case outerStepsIn(Precision)
  case outerFormatNeedsWorkers
  case workersSplitNode(ranks: Int, devicesPerNode: Int)
  case perturbationNeedsZerothOrder
  case scheduleNeedsZerothOrder
  case perturbationDoesNotDivide(degree: Int, what: String, count: Int)
  case zerothOrderHasNo(String)
  case context(ContextViolation)
  case experts(ExpertViolation)
  case recomputeModules(RecomputeModulesViolation)
  case narrowWeights(NarrowWeightsViolation)
  case wideLayersLeaveStage(layers: Int, ofStage: Int)

  package var description: String {
    switch self {
    case .worldSize(let mesh, let devices):
      "\(mesh) is \(mesh.worldSize) ranks, not the \(devices) devices"
    case .tensorDoesNotDivide(let tensor, let what, let size):
      "tensor degree \(tensor) does not divide the \(size) \(what)"
    case .tooFewLayers(let layers, let stages):
      "\(layers) layers are too few for \(stages) stages"
    case .tooFewLayersToInterleave(let layers, let chunks):
      "\(layers) layers are too few for \(chunks) interleaved chunks"
    case .interleavingNeedsPipeline:
      "virtual stages need a pipeline degree of at least 2"
    case .splitBackwardNeedsPipeline: "split backward passes need a pipeline degree of at least 2"
    case .splitBackwardNeedsMicroBatches(let count, let least, let schedule):
      "the schedule \(schedule) needs at least \(least) micro-batches, not \(count)"
    case .splitBackwardLayers(let layers, let chunks, let stages):
      "\(layers) layers do not divide into \(chunks.counted("chunk")) of one size on each of \(stages) stages, "
        + "of which the one with the head may have fewer"
    case .splitBackwardWith(let what): "split backward passes do not go with \(what)"
    case .batchDoesNotDivide(let batch, let data, let microBatch):
      "global batch \(batch) does not divide into data degree \(data) × micro-batch \(microBatch); "
        + Self.multiples(of: data * microBatch, around: batch).joined(separator: " and ")
        + (batch < data * microBatch ? " does" : " do")
    case .interleavingNeedsMultiple(let microBatches, let stages):
      "interleaving needs a multiple of \(stages) micro-batches, not \(microBatches)"
    case .interleavingNeedsGroups(let microBatches, let stages):
      "interleaving needs micro-batches that make equal groups, as many as fit, of at least \(stages); \(microBatches) do not"
    case .sequenceDoesNotDivide(let sequence, let tensor):
      "sequence length \(sequence) does not divide among the tensor degree \(tensor)"
    case .sequenceParallelismNeedsTensor:
      "sequence parallelism needs a tensor degree of at least 2"
    case .tensorOverlapNeedsSequenceParallelism:
      "overlap_tensor_exchange needs sequence_parallel: products run beside gathers and scatters, not beside all-reduces"
    case .tensorOverlapLeavesDomain(let tensor, let domain):
      "overlap_tensor_exchange needs tensor groups within the \(domain) devices that share their links, not of \(tensor)"
    case .noFlashAttention:
      "the device has no FlashAttention"
    case .shardedGradientsInPipeline(let stage):
      "ZeRO \(stage) reduces gradients every micro-batch, which defeats a pipeline"
    case .shardsNotNested(let weights, let gradients, let optimizer, let replicas):
      "shard degrees of weights \(weights), gradients \(gradients), optimizer \(optimizer) and data degree \(replicas) do not each divide the next"
    case .secondaryDoesNotDivide(let secondary, let weights):
      "the secondary shard degree \(secondary) does not divide the weights' \(weights)"
    case .secondaryIsRedundant(let secondary, let weights):
      "a secondary partition of degree \(secondary) repeats the weights' own of \(weights)"
    case .nothingToQuantise(let what, let verb):
      "\(what) cannot be quantised where no replicas \(verb) them"
    case .shardLevelsInPipeline:
      "shard levels of weights or gradients, and quantised collectives, defeat a pipeline"
    case .uncountable(let product): product
    case .noHost: "the cluster describes no host that could hold anything"
    case .hostUpdateNeedsShards: "replicas that are all whole would each have the host update everything"
    case .hostWeightsNeedShards: "weights on the host need ZeRO 3 without a second copy, or a single replica"
    case .hostWeightsInPipeline: "weights on the host would cross to every micro-batch, which defeats a pipeline"
    case .hostedLayersTooMany(let count, let all):
      "activations of \(count) layers on the host, of a model with \(all), whose last layer needs its own at once"
    case .workersNeedOuterSteps: "several workers, and what is said of outer steps, are of update outer"
    case .outerStepsIn(let precision):
      "workers that train in \(precision.rawValue) skip steps of their own, and would be out of step with each other"
    case .outerFormatNeedsWorkers: "a single worker sends nothing, so that there is nothing to round"
    case .workersSplitNode(let ranks, let devices):
      "a worker of \(ranks) ranks does not fill whole nodes of \(devices) devices"
    case .perturbationNeedsZerothOrder: "a perturbation degree above 1 is of update zeroth-order"
    case .scheduleNeedsZerothOrder: "the schedule forward-only is of update zeroth-order"
    case .perturbationDoesNotDivide(let degree, let what, let count):
      "the perturbation degree \(degree) does not divide the \(count) \(what)"
    case .context(let violation): violation.description
    case .experts(let violation): violation.description
    case .recomputeModules(let violation): violation.description
    case .narrowWeights(let violation): violation.description
    case .wideLayersLeaveStage(let layers, let ofStage):
      "\(layers) layers in bf16 at one end are more than the \(ofStage) of a stage"
    case .zerothOrderHasNo(let what): "zeroth-order training has no \(what)"
    case .quantisedTiedMatrix:
      "INT8 between workers gives two stages that share a matrix steps of their own, so that its copies drift apart"
    case .quantisedTensorGroups:
      "with tensor groups quantised collectives give the norms that all ranks hold steps of their own, so that copies drift apart"
    }
  }

  /// The nearest positive multiples of a number below and above another one.
  private static func multiples(of unit: Int, around number: Int) -> [String] {
    [number / unit * unit, (number / unit + 1) * unit].filter { $0 > 0 }.map(String.init)
  }

  /// The rule that is broken, without its numbers: what rejected strategies are counted by.
  package var rule: String {
    switch self {
    case .worldSize: "degrees do not multiply to the device count"
    case .tensorDoesNotDivide(_, let what, _): "tensor degree does not divide the \(what)"
    case .tooFewLayers: "fewer layers than stages"
    case .tooFewLayersToInterleave: "fewer layers than interleaved chunks"
    case .interleavingNeedsPipeline: "virtual stages without a pipeline"
    case .splitBackwardNeedsPipeline: "split backward passes without a pipeline"
    case .splitBackwardNeedsMicroBatches: "too few micro-batches for split backward passes"
    case .splitBackwardLayers: "layers do not divide into chunks of split backward passes"
    case .splitBackwardWith(let what): "split backward passes with \(what)"
    case .batchDoesNotDivide: "global batch does not divide"
    case .interleavingNeedsMultiple: "micro-batches are no multiple of the pipeline degree"
    case .interleavingNeedsGroups: "micro-batches make no equal groups for interleaved stages"
    case .sequenceDoesNotDivide: "sequence does not divide among the tensor group"
    case .sequenceParallelismNeedsTensor: "sequence parallelism without tensor parallelism"
    case .tensorOverlapNeedsSequenceParallelism: "overlapped tensor exchanges without sequence parallelism"
    case .tensorOverlapLeavesDomain: "overlapped exchanges of tensor groups that leave their devices' own links"
    case .noFlashAttention: "no FlashAttention on the device"
    case .shardedGradientsInPipeline: "ZeRO 2 or 3 with a pipeline"
    case .shardsNotNested: "shard degrees are not nested"
    case .secondaryDoesNotDivide: "secondary shard degree does not divide the weights'"
    case .secondaryIsRedundant: "secondary partition repeats the primary"
    case .nothingToQuantise: "nothing to quantise"
    case .shardLevelsInPipeline: "shard levels with a pipeline"
    case .quantisedTiedMatrix: "INT8 between workers with a matrix that two stages share"
    case .quantisedTensorGroups: "quantised collectives with tensor groups"
    case .uncountable: "more bytes than can be counted"
    case .noHost: "no host is described"
    case .hostUpdateNeedsShards: "whole replicas updated by the host"
    case .hostWeightsNeedShards: "weights on the host that are not divided"
    case .hostWeightsInPipeline: "weights on the host with a pipeline"
    case .hostedLayersTooMany: "activations on the host of more layers than a model can spare"
    case .workersNeedOuterSteps: "parts of outer steps without them"
    case .outerStepsIn: "outer steps in fp16"
    case .outerFormatNeedsWorkers: "nothing to round for a single worker"
    case .workersSplitNode: "workers do not fill whole nodes"
    case .perturbationNeedsZerothOrder, .scheduleNeedsZerothOrder: "parts of zeroth-order training without it"
    case .perturbationDoesNotDivide(_, let what, _): "perturbation degree does not divide the \(what)"
    case .context(let violation): violation.rule
    case .experts(let violation): violation.rule
    case .recomputeModules(let violation): violation.rule
    case .narrowWeights(let violation): violation.rule
    case .wideLayersLeaveStage: "layers in bf16 at an end leave its stage"
    case .zerothOrderHasNo: "what zeroth-order training does not have"
    }
  }
}

extension Strategy {
  /// The first rule that this strategy breaks for a job on a cluster of a given number of devices; nil if it can be
  /// run.
  ///
  /// The rules are those of the frameworks: tensor parallelism divides heads, key-value heads and feed-forward width;
  /// interleaving wants equal chunks and a multiple of the pipeline degree of micro-batches (Narayanan et al. 2021,
  /// section 2.2), or groups of more where the framework has them (``Schedule/groupSize(stageCount:microBatchCount:)``). ZeRO 2 and 3 with a pipeline, and quantised collectives with tensor groups, can be
  /// run, and are estimated, but the search leaves them out (``exclusion``).
  ///
  /// - Parameters:
  ///   - allowsEmptyStages: whether the framework runs stages without layers.
  ///   - interleavesLargerGroups: whether it interleaves groups of more micro-batches than there are stages.
  ///   - hasHost: whether the cluster describes its nodes' memory.
  package func violation(
    job: TrainingJob, deviceCount: Int, hasFlashAttention: Bool, allowsEmptyStages: Bool = false,
    interleavesLargerGroups: Bool = false, hasHost: Bool = false
  ) -> StrategyViolation? {
    let model = job.model
    if let violation = hosting.violation(self, layerCount: model.layerCount, hasHost: hasHost) { return violation }
    if outer.isHosted, !hasHost { return .noHost }
    if worldSize != deviceCount {
      return .worldSize(mesh, devices: deviceCount)
    }
    if model.headCount % tensorDegree != 0 {
      return .tensorDoesNotDivide(tensor: tensorDegree, what: "attention heads", size: model.headCount)
    }
    if model.keyValueHeadCount % tensorDegree != 0 {
      return .tensorDoesNotDivide(tensor: tensorDegree, what: "key-value heads", size: model.keyValueHeadCount)
    }
    if model.feedForwardSize % tensorDegree != 0 {
      return .tensorDoesNotDivide(tensor: tensorDegree, what: "feed-forward width", size: model.feedForwardSize)
    }
    // Ranks divide the columns of what two vectors are brought to one by.
    if model.predictionDepth > 0, model.hiddenSize % tensorDegree != 0 {
      return .tensorDoesNotDivide(tensor: tensorDegree, what: "hidden size", size: model.hiddenSize)
    }
    if usesSequenceParallelism {
      if tensorDegree == 1 { return .sequenceParallelismNeedsTensor }
      if job.sequenceLength % tensorDegree != 0 {
        return .sequenceDoesNotDivide(sequence: job.sequenceLength, tensor: tensorDegree)
      }
    }
    if overlapsTensorExchange, !usesSequenceParallelism { return .tensorOverlapNeedsSequenceParallelism }
    if usesFlashAttention, !hasFlashAttention { return .noFlashAttention }
    if let violation = contextViolation(job) { return .context(violation) }
    if let violation = expertViolation(job) { return .experts(violation) }
    if let violation = recomputeModulesViolation(job) { return .recomputeModules(violation) }
    if let violation = narrowWeightsViolation(job) { return .narrowWeights(violation) }
    if model.layerCount < pipelineDegree, !allowsEmptyStages {
      return .tooFewLayers(layers: model.layerCount, stages: pipelineDegree)
    }
    let ofStage = model.layerCount / pipelineDegree
    if job.precision.products != nil, job.wideLayers.most > ofStage {
      return .wideLayersLeaveStage(layers: job.wideLayers.most, ofStage: ofStage)
    }
    if let violation = updateViolation(job) { return violation }
    if job.globalBatch % (batchDegree * microBatch) != 0 {
      return .batchDoesNotDivide(globalBatch: job.globalBatch, data: batchDegree, microBatch: microBatch)
    }
    if let product = job.uncountableProduct(self) { return .uncountable(product: product) }
    if hasShardLevels,
      let violation = sharding.violation(
        replicaCount: replicaCount, hasPipeline: pipelineDegree > 1 && update.hasGradients)
    {
      return violation
    }
    if schedule.splitsBackward, let violation = splitBackwardViolation(job) { return violation }
    if schedule.isInterleaved {
      if pipelineDegree == 1 { return .interleavingNeedsPipeline }
      let chunks = pipelineDegree * virtualStageCount
      // Chunks differ by a layer at most; with two layers too few, the first has the embedding alone and the last the head.
      if model.layerCount < chunks - 2 { return .tooFewLayersToInterleave(layers: model.layerCount, chunks: chunks) }
      let microBatches = microBatchCount(globalBatch: job.globalBatch)
      if microBatches % pipelineDegree != 0, !interleavesLargerGroups {
        return .interleavingNeedsMultiple(microBatches: microBatches, stages: pipelineDegree)
      }
      if Schedule.groupSize(stageCount: pipelineDegree, microBatchCount: microBatches) == nil {
        return .interleavingNeedsGroups(microBatches: microBatches, stages: pipelineDegree)
      }
    }
    return nil
  }

  /// The first rule of split backward passes that the strategy breaks. Its chunks are of one size, see
  /// ``Split/ofSplitBackward(layerCount:strategy:)``; gradients are reduced once, since they are not whole before.
  private func splitBackwardViolation(_ job: TrainingJob) -> StrategyViolation? {
    if pipelineDegree == 1 { return .splitBackwardNeedsPipeline }
    let layers = job.model.layerCount, microBatches = microBatchCount(globalBatch: job.globalBatch)
    // Of the layers of all first chunks, what the head's stage has when the others have as few as can be.
    let ofChunk = layers / virtualStageCount, least = (ofChunk + pipelineDegree - 1) / pipelineDegree
    if layers % virtualStageCount != 0 || ofChunk - (pipelineDegree - 1) * least < 1 {
      return .splitBackwardLayers(layers: layers, chunks: virtualStageCount, stages: pipelineDegree)
    }
    let needed = schedule.leastMicroBatchCount(stageCount: pipelineDegree)
    if microBatches < needed {
      return .splitBackwardNeedsMicroBatches(microBatches: microBatches, least: needed, schedule: schedule.name)
    }
    if schedule.wraps, Schedule.groupSize(stageCount: pipelineDegree, microBatchCount: microBatches) == nil {
      return .interleavingNeedsGroups(microBatches: microBatches, stages: pipelineDegree)
    }
    if job.model.experts != nil || job.model.predictionDepth > 0 {
      return .splitBackwardWith("experts or further predictions")
    }
    if zeroStage >= .gradients { return .splitBackwardWith("gradients that replicas divide") }
    if hosting != .none { return .splitBackwardWith("what lies on the host") }
    return update == .firstOrder ? nil : .splitBackwardWith("outer steps")
  }

  /// The rule by which the search leaves out a strategy that could be run; nil if it does not.
  package var exclusion: StrategyViolation? {
    if tensorDegree > 1, sharding.isQuantised { return .quantisedTensorGroups }
    return pipelineDegree > 1 && zeroStage >= .gradients && update.hasGradients
      ? .shardedGradientsInPipeline(zeroStage: zeroStage.rawValue) : nil
  }
}
