package import Costing
package import Documents

/// A plan made small enough to be executed in one process: the same groups, stages, schedule and
/// kinds of traffic, with a model of a few numbers a token.
///
/// Layers, layer ranges, virtual stages, ZeRO stage, recomputation, attention kernel, sequence parallelism, tied
/// embeddings, biases, dropout and the order of the nodes stay the plan's. Widths, vocabulary, sequence and
/// the number of micro-batches shrink always; the data-parallel and then the pipeline degree shrink where the
/// ranks are too many, but never to one where the plan has more: every kind of group remains; the degree by which ranks
/// divide sequences last. Of experts there are a few on each rank, and of the ranks that divide them as many as remain; tokens
/// are still sent in the plan's way. Shard degrees shrink with the replicas, the outer ones first. Groups of replicas that divide losses stay as large as they are.
/// Of workers there are fewer before anything in them is, two where the plan has several; their rounds are of up to
/// ``longestRound`` iterations, as late as the plan's.
package struct Miniature: Sendable {
  /// A size that is not the plan's.
  package struct Change: Sendable, Equatable {
    /// What it is, such as `hidden size`.
    package let what: String
    package let planned: Int
    package let executed: Int
  }

  /// Prices the miniature: its job, its nodes, and the plan's framework without
  /// overheads, so that bytes are the counted ones.
  package let model: CostModel
  package let strategy: Strategy
  /// The layers of the stages that are kept, and what these trade for memory.
  package let split: Split
  /// What was shrunk, in a fixed order.
  package let changes: [Change]
  /// The plan's products where its blocks multiply in a narrow format; nil elsewhere.
  package let narrowProducts: NarrowProducts?
  /// By how much the plan's messages are larger.
  package let messageScale: MessageScale

  /// Why a plan has no miniature.
  package enum Refusal: Error, Sendable, Equatable, CustomStringConvertible {
    /// Not even the smallest groups fit.
    case tooFewRanks(limit: Int, needed: Int)
    /// The small sizes contradict each other or a rule.
    case contradiction(String)
    /// The model has something that is priced and not executed.
    case notExecuted(String)

    package var description: String {
      switch self {
      case .tooFewRanks(let limit, let needed):
        "a miniature with every kind of group needs \(needed) ranks, but only \(limit) are allowed"
      case .contradiction(let sentence): "the plan cannot be made small: \(sentence)"
      case .notExecuted(let what): "\(what) are planned and priced, and not executed yet"
      }
    }
  }

  /// Shrinks a plan.
  ///
  /// - Parameter rankLimit: ranks to execute at most.
  package init(of plan: Plan, rankLimit: Int) throws(Refusal) {
    if let what = Self.notExecuted(plan) { throw .notExecuted(what) }
    narrowProducts = NarrowProducts(of: plan)
    let planned = plan.strategy
    let degrees = try MiniatureDegrees(of: plan, rankLimit: rankLimit)
    let p = degrees.pipeline, v = planned.virtualStageCount
    let stages = degrees.keptStages(of: planned.pipelineDegree)
    let split = Split(
      (0..<p * v).map { virtualStage in
        let place = planned.schedule.place(ofVirtualStage: virtualStage, stageCount: p)
        return plan.split.layerCounts[
          planned.schedule.virtualStageIndex(
            stage: stages[place.stage], chunk: place.chunk, stageCount: planned.pipelineDegree)]
      }, stageCount: p,
      choices: plan.split.choices.map { choices in stages.map { choices[$0] } }, isV: planned.schedule.isV)

    let microBatchCount = Self.microBatchCount(of: plan, pipelineDegree: p)
    var strategy = planned.on(
      degrees.mesh, zeroStage: planned.zeroStage,
      sharding: planned.hasShardLevels
        ? planned.sharding.shrunk(from: planned.replicaCount, to: degrees.mesh.replicaCount) : nil
    ).with(\.microBatch, min(planned.microBatch, 2)).with(\.contextInnerDegree, degrees.contextInner)
      .with(\.expertDegree, degrees.expert)
      // What is kept is what is stored; what is gathered is in ``NarrowProducts/gatheredFormat``.
      .with(\.holdsNarrowWeights, false)
    strategy.outer.period = min(planned.outer.period, Self.longestRound)
    do {
      let keptLayers = degrees.keptLayers(of: plan)
      let experts = Self.experts(of: plan, expertDegree: degrees.expert, keptLayers: keptLayers)
      let sequenceLength = Self.sequenceLength(of: plan, contextDegree: strategy.contextDegree, experts)
      var job = try TrainingJob(
        model: Self.model(
          of: plan.job.model, experts: experts,
          details: Self.details(of: plan, keptLayers: keptLayers, sequenceLength: sequenceLength),
          layerCount: split.layerCount, tensorDegree: planned.tensorDegree,
          headDivisor: strategy.contextDivision.headDegree, sequenceLength: sequenceLength,
          // Quantised exchanges are possible where twice their ranks divide a part.
          layerDivisor: strategy.sharding.quantisesGradients ? 2 * strategy.sharding.optimizerDegree : 1),
        sequenceLength: sequenceLength, globalBatch: strategy.batchDegree * strategy.microBatch * microBatchCount,
        // What is kept and sent is what is stored, whatever products are in.
        precision: plan.job.precision.storage, accumulatesGradientsInFP32: plan.job.accumulatesGradientsInFP32,
        optimizer: plan.job.optimizer
      ).with(plan.job.wideLayers.shrunk(toLayers: split.layerCount, stageCount: p))
      job.zerothOrder = plan.job.zerothOrder
      job.outer = plan.job.outer
      job.expertCapacity = plan.job.expertCapacity
      // A fine-tuning's would not move a weight in as few steps.
      job.zerothOrder.learningRate = Self.zerothOrderLearningRate
      let cluster = try degrees.cluster(of: plan).replacing(device: plan.cluster.device.withoutOverheads())
      model = try CostModel(cluster: cluster, job: job, frameworkName: plan.coefficientName)
        .arranged(degrees.nodeOrder(of: plan, keptStages: stages))
    } catch let error as ModelDescription.Contradiction {
      throw .contradiction(error.sentence)
    } catch let error as TrainingJob.Contradiction {
      throw .contradiction(error.sentence)
    } catch let error as ClusterDescription.Contradiction {
      throw .contradiction(error.sentence)
    } catch {
      throw .contradiction("\(error)")
    }
    if let violation = model.violation(of: strategy) { throw .contradiction("\(violation)") }
    self.strategy = strategy
    self.split = split
    messageScale = MessageScale(from: plan.job, planned, to: model.job, strategy)
    changes = Self.changes(plan: plan, job: model.job, strategy: strategy, microBatchCount: microBatchCount)
  }

  private static let zerothOrderLearningRate = 1e-3

  /// Iterations of a round, at most: one after another iteration, and one before.
  package static let longestRound = 3

  /// Enough micro-batches for the schedule's warm-up, pairs and cool-down.
  private static func microBatchCount(of plan: Plan, pipelineDegree p: Int) -> Int {
    let planned = plan.microBatchCount, plannedStages = plan.strategy.pipelineDegree
    guard plan.strategy.schedule.wraps else { return min(planned, 2 * p + 1) }
    // As many as stages leave no room for pairs on the first stages.
    guard planned % plannedStages != 0 else { return planned == plannedStages ? p : 2 * p }
    // Groups that are larger than the stages stay so: two of them where there are several and stages enough for that.
    return planned > 2 * plannedStages && p > 2 ? 2 * (p + 1) : min(planned, 2 * p - 1)
  }

  /// The fewest tokens, 8 or more, that divide among a tensor group, and into twice as many chunks as ranks divide them; of
  /// which each has as many for every expert, if these are dealt out in turn.
  private static func sequenceLength(
    of plan: Plan, contextDegree: Int, _ experts: ModelDescription.Experts?
  ) -> Int {
    var unit = plan.strategy.tensorDegree * (contextDegree > 1 ? 2 * contextDegree : 1)
    if let experts { unit *= experts.count / experts.count.greatestCommonDivisor(with: experts.perToken) }
    return min(plan.job.sequenceLength, (8 + unit - 1) / unit * unit)
  }

  private static func model(
    of planned: ModelDescription, experts: ModelDescription.Experts?, details: ModelDescription.Details,
    layerCount: Int, tensorDegree t: Int,
    headDivisor: Int, sequenceLength: Int, layerDivisor: Int
  ) throws(ModelDescription.Contradiction) -> ModelDescription {
    let latent = Self.latent(of: planned), headSize = latent?.headSize ?? 4
    // As many on each rank as exchange sequences for heads.
    let keyValueHeads = headDivisor > 1 ? t * headDivisor : t == 1 ? min(2, planned.keyValueHeadCount) : t
    let heads = planned.headCount > planned.keyValueHeadCount ? 2 * keyValueHeads : keyValueHeads
    // Models whose heads are wider or narrower than the residual stream stay so.
    let hidden =
      planned.querySize == planned.hiddenSize
      ? heads * headSize : planned.querySize > planned.hiddenSize ? heads * headSize / 2 : heads * headSize * 2
    let feedForward = Double(hidden) * Double(planned.feedForwardSize) / Double(planned.hiddenSize)
    // Three short of a whole number of rows, so that the vocabulary is padded.
    let vocabulary = min(planned.vocabularySize, max(32, vocabularyMultiple * t) - 3)
    func model(feedForwardSize: Int) throws(ModelDescription.Contradiction) -> ModelDescription {
      try ModelDescription(
        name: planned.name, family: planned.family, layerCount: layerCount, hiddenSize: hidden, headCount: heads,
        keyValueHeadCount: keyValueHeads, headSize: headSize,
        feedForwardSize: feedForwardSize, vocabularySize: vocabulary,
        hasGatedFeedForward: planned.hasGatedFeedForward, hasTiedEmbeddings: planned.hasTiedEmbeddings,
        positionCount: planned.positionCount > 0 ? sequenceLength : 0,
        hasQueryKeyValueBias: planned.hasQueryKeyValueBias, hasAttentionOutputBias: planned.hasAttentionOutputBias,
        hasFeedForwardBias: planned.hasFeedForwardBias, hasDropout: planned.hasDropout, latent: latent,
        // Of the last depth some tokens have a target.
        experts: experts, predictionDepth: min(planned.predictionDepth, sequenceLength - 1),
        form: Self.form(of: planned), details: details)
    }
    let narrowest = try model(feedForwardSize: t * max(1, Int((feedForward / Double(t)).rounded())))
    // A little wider, where that makes a layer divide.
    for step in 0..<layerDivisor {
      let wider = try model(feedForwardSize: narrowest.feedForwardSize + step * t)
      if wider.layerParameters(.dense).perRank(tensorDegree: t) % layerDivisor == 0 { return wider }
    }
    return narrowest
  }

  /// Narrow vectors of a few numbers, where the plan's heads are made of such: of enough for the norm of hardly any token's to
  /// be near zero, which would blow rounding up.
  private static func latent(of planned: ModelDescription) -> ModelDescription.LatentAttention? {
    planned.latent.map {
      ModelDescription.LatentAttention(
        queryRank: $0.queryRank.map { _ in 12 }, keyValueRank: 10, plainSize: 4, rotarySize: 2,
        valueSize: $0.valueSize == $0.headSize ? 6 : 4)
    }
  }

  /// Windows of attention, or runs, of a quarter of the sequence, in the layers that have such shorter than theirs.
  private static func details(of plan: Plan, keptLayers: [Int], sequenceLength: Int) -> ModelDescription.Details {
    let model = plan.job.model, planned = model.details
    guard model.windowedLayerCount(sequenceLength: plan.job.sequenceLength) > 0 else {
      return ModelDescription.Details()
    }
    let reach = max(2, sequenceLength / 4)
    return ModelDescription.Details(
      attentionWindow: planned.attentionWindow.map { _ in reach },
      attentionChunk: planned.attentionChunk.map { _ in reach },
      fullAttentionLayers: keptLayers.enumerated().filter { model.kind(ofLayer: $0.element).reach == .full }
        .map(\.offset))
  }

  /// The nearest form to a model's that is executed: two norms a block, before its halves, which follow each other.
  static func form(of model: ModelDescription) -> ModelDescription.Form {
    var form = ModelDescription.Form(
      norm: model.form.norm == .layerNorm ? .layerNorm : .rms, queryKeyNorm: model.hasQueryKeyNorm ? .head : nil,
      hasRotaryPositions: model.form.hasRotaryPositions, hasSinks: model.form.hasSinks)
    form.hasOutputGate = model.form.hasOutputGate
    return form
  }

  /// The miniature's vocabulary is padded to a multiple of this times the tensor degree.
  fileprivate static let vocabularyMultiple = 8

  private static func changes(
    plan: Plan, job: TrainingJob, strategy: Strategy, microBatchCount: Int
  ) -> [Change] {
    let model = plan.job.model, small = job.model
    return [
      Change(what: "workers", planned: plan.strategy.workerDegree, executed: strategy.workerDegree),
      Change(what: "iterations of a round", planned: plan.strategy.outer.period, executed: strategy.outer.period),
      Change(what: "context degree", planned: plan.strategy.contextDegree, executed: strategy.contextDegree),
      Change(
        what: "inner context degree", planned: plan.strategy.contextInnerDegree,
        executed: strategy.contextInnerDegree),
      Change(what: "expert degree", planned: plan.strategy.expertDegree, executed: strategy.expertDegree),
      Change(what: "data degree", planned: plan.strategy.dataDegree, executed: strategy.dataDegree),
      Change(
        what: "weight shard degree", planned: plan.strategy.sharding.weightDegree,
        executed: strategy.sharding.weightDegree),
      Change(
        what: "gradient shard degree", planned: plan.strategy.sharding.gradientDegree,
        executed: strategy.sharding.gradientDegree),
      Change(
        what: "optimizer shard degree", planned: plan.strategy.sharding.optimizerDegree,
        executed: strategy.sharding.optimizerDegree),
      Change(
        what: "secondary shard degree", planned: plan.strategy.sharding.secondaryDegree ?? 1,
        executed: strategy.sharding.secondaryDegree ?? 1),
      Change(what: "pipeline degree", planned: plan.strategy.pipelineDegree, executed: strategy.pipelineDegree),
      Change(what: "layers", planned: model.layerCount, executed: small.layerCount),
      Change(
        what: "first layers that are not cast", planned: plan.job.wideLayers.first, executed: job.wideLayers.first),
      Change(what: "last layers that are not cast", planned: plan.job.wideLayers.last, executed: job.wideLayers.last),
      Change(what: "micro-batches", planned: plan.microBatchCount, executed: microBatchCount),
      Change(what: "micro-batch", planned: plan.strategy.microBatch, executed: strategy.microBatch),
      Change(what: "sequence length", planned: plan.job.sequenceLength, executed: job.sequenceLength),
      Change(what: "hidden size", planned: model.hiddenSize, executed: small.hiddenSize),
      Change(what: "attention heads", planned: model.headCount, executed: small.headCount),
      Change(what: "key-value heads", planned: model.keyValueHeadCount, executed: small.keyValueHeadCount),
      Change(what: "head size", planned: model.headSize, executed: small.headSize),
      Change(
        what: "width of a head's values", planned: model.latent?.valueSize ?? 0, executed: small.latent?.valueSize ?? 0),
      Change(
        what: "width of narrow queries", planned: model.latent?.queryRank ?? 0, executed: small.latent?.queryRank ?? 0),
      Change(
        what: "width of narrow keys and values", planned: model.latent?.keyValueRank ?? 0,
        executed: small.latent?.keyValueRank ?? 0),
      Change(
        what: "window of attention",
        planned: small.details.attentionWindow == nil ? 0 : model.details.attentionWindow ?? 0,
        executed: small.details.attentionWindow ?? 0),
      Change(what: "feed-forward size", planned: model.feedForwardSize, executed: small.feedForwardSize),
      Change(what: "experts", planned: model.experts?.count ?? 0, executed: small.experts?.count ?? 0),
      Change(
        what: "experts of a token", planned: model.experts?.perToken ?? 0, executed: small.experts?.perToken ?? 0),
      Change(
        what: "width of an expert", planned: model.experts?.feedForwardSize ?? 0,
        executed: small.experts?.feedForwardSize ?? 0),
      Change(
        what: "width of what experts read", planned: model.experts?.latentSize ?? 0,
        executed: small.experts?.latentSize ?? 0),
      Change(
        what: "width of shared experts", planned: model.experts?.sharedFeedForwardSize ?? 0,
        executed: small.experts?.sharedFeedForwardSize ?? 0),
      Change(what: "further predictions", planned: model.predictionDepth, executed: small.predictionDepth),
      Change(what: "vocabulary", planned: model.vocabularySize, executed: small.vocabularySize),
      Change(
        what: "norms of a block", planned: model.form.block.normCount, executed: small.form.block.normCount),
      Change(what: "positions", planned: model.positionCount, executed: small.positionCount),
    ].filter { $0.planned != $0.executed }
  }
}

extension DeviceProfile {
  /// The profile with every overhead of memory left out, so that what remains is what is counted.
  fileprivate func withoutOverheads() -> DeviceProfile {
    var profile = self
    profile.memory.reservedBytes = 0
    profile.memory.fragmentationFraction = 0
    profile.memory.unreusedFraction = 0
    for index in profile.frameworks.indices {
      profile.frameworks[index].memory.keepOnlyWhatOperationsNeed()
      profile.frameworks[index].vocabularyMultiple = Miniature.vocabularyMultiple
    }
    return profile
  }
}

extension Sharding {
  /// The shard degrees of fewer replicas: inner groups stay as large as they are, as far as enough replicas are left
  /// for the outer ones to be of two at least. Nil where they are not.
  func shrunk(from replicaCount: Int, to fewer: Int) -> Sharding? {
    // How many groups of one kind are in one of the next.
    let inner = secondaryDegree.map { [$0, weightDegree / $0] } ?? [weightDegree]
    let planned =
      inner + [gradientDegree / weightDegree, optimizerDegree / gradientDegree, replicaCount / optimizerDegree]
    func fitted(_ planned: ArraySlice<Int>, _ product: Int) -> [Int]? {
      guard let first = planned.first else { return product == 1 ? [] : nil }
      guard first > 1 else { return fitted(planned.dropFirst(), product).map { [1] + $0 } }
      for factor in Swift.stride(from: min(first, product), to: 1, by: -1) where product % factor == 0 {
        if let outer = fitted(planned.dropFirst(), product / factor) { return [factor] + outer }
      }
      return nil
    }
    guard let factors = fitted(planned[...], fewer) else { return nil }
    let weights = factors[..<inner.count].reduce(1, *), gradients = weights * factors[inner.count]
    return Sharding(
      weightDegree: weights, gradientDegree: gradients, optimizerDegree: gradients * factors[inner.count + 1],
      secondaryDegree: secondaryDegree == nil ? nil : factors[0], quantisesWeights: quantisesWeights,
      quantisesGradients: quantisesGradients)
  }
}
