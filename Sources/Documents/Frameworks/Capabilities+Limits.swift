/// What a framework runs alone and not together, against a strategy of a job.
extension Capabilities {
  /// Why the framework does not run a strategy for a job, each of which it runs; nil if it does.
  package func refusal(of strategy: Strategy, job: TrainingJob) -> Refusal? {
    if let refusal = refusal(ofHosting: strategy, job: job) ?? refusal(ofExperts: strategy, job: job)
      ?? refusal(
        ofTensorOverlap: strategy, model: job.model, precision: job.precision, sequenceLength: job.sequenceLength)
      ?? refusal(ofNarrowWeights: strategy, job: job)
    {
      return refusal
    }
    if job.model.form.hasSinks, strategy.contextDegree > 1, strategy.contextExchange != .allToAll {
      return Refusal(
        "\(label) divides sequences of models with sinks of attention by all-to-all only",
        nearest: "context_exchange=\(Strategy.ContextExchange.allToAll.rawValue)")
    }
    if job.model.predictionDepth > 0, strategy.pipelineDegree > 1 || strategy.contextDegree > 1,
      !limits.predictsFurtherBesideOtherAxes
    {
      return Refusal(
        "\(label) predicts further tokens without a pipeline and on whole sequences only",
        nearest: "pipeline=1,context=1, or a model without mtp_layers")
    }
    if job.precision.products != nil, strategy.schedule.splitsBackward, limits.compilesNarrowProducts {
      return Refusal(
        "\(label) splits no backward passes of compiled products in FP8", nearest: "schedule=1f1b")
    }
    if !strategy.usesFlashAttention, !limits.hasUnfusedAttention {
      return Refusal("\(label) always fuses attention", nearest: "flash_attention=true")
    }
    if strategy.replicaCount > 1, strategy.zeroStage == .none,
      !optimizers.contains(where: { !$0.needsShards && $0.has(job.optimizer, job.precision) })
    {
      return Refusal(
        "\(label) keeps states of \(job.optimizer.words) only where replicas divide them", nearest: "zero_stage=1")
    }
    if strategy.replicaCount > 1, strategy.zeroStage == .none, job.precision.is16Bit, job.accumulatesGradientsInFP32,
      !limits.accumulatesWholeGradientsInFP32
    {
      return Refusal(
        "\(label) accumulates gradients in fp32 only where replicas divide states", nearest: "zero_stage=1")
    }
    if strategy.replicaCount > 1, strategy.zeroStage >= .gradients, !strategy.overlapsGradientReduce,
      limits.overlapsShardedGradientsAlways
    {
      return Refusal(
        "\(label) always reduces divided gradients under the backward pass", nearest: "overlap_gradient_reduce=true")
    }
    guard strategy.pipelineDegree > 1 else { return nil }
    let chunks = strategy.pipelineDegree * strategy.virtualStageCount
    if strategy.schedule.isInterleaved, job.model.layerCount % chunks != 0, !limits.interleavesUnevenChunks {
      return Refusal("\(label) interleaves chunks of one size only", nearest: "virtual_stages=1")
    }
    if job.model.hasTiedEmbeddings, !limits.tiesEmbeddingsInPipeline {
      return Refusal("\(label) ties no embeddings across a pipeline", nearest: "pipeline=1")
    }
    if let fewer = limits.microBatchesFewerThanStages,
      strategy.microBatchCount(globalBatch: job.globalBatch) < strategy.pipelineDegree - fewer
    {
      return Refusal(
        "\(label) needs about as many micro-batches as stages", nearest: "a smaller micro_batch or pipeline")
    }
    if let most = limits.shardedChunkCount, strategy.virtualStageCount > most, strategy.zeroStage > .none {
      return Refusal(
        "\(label) gathers the sharded weights of more than \(most) chunks a stage again and again",
        nearest: "virtual_stages=\(most) or zero_stage=0")
    }
    return nil
  }

  /// Why the framework does not train a model of a family that it trains; nil if it does.
  func refusal(of model: ModelDescription) -> Refusal? {
    for part in ModelDescription.Part.allCases where models.lacking.contains(part) && model.has(part) {
      return Refusal(
        "\(label) trains no models with \(part.rawValue): it trains \(models.words)", nearest: part.nearest)
    }
    let particulars = model.details.particulars
    for particular in ModelDescription.Particular.allCases
    where particulars[particular] != nil && !models.particulars.contains(particular) {
      return Refusal("\(label) cannot be told \(particular.words)")
    }
    return nil
  }
}
