package import Documents

/// What an iteration is lowered from: job, strategy, the split of layers, and the schedule.
package struct IterationShape: Sendable {
  package let job: TrainingJob
  package let strategy: Strategy
  /// The layers of each stage, and what it trades for memory.
  package let split: Split
  package let schedule: PipelineSchedule
  /// Rows of the token table, divisible by the tensor degree.
  package let paddedVocabularySize: Int
  /// The gradient is scaled down to this norm; nil: it is left alone, and its norm is not computed.
  package let maximumGradientNorm: Double?
  /// Consecutive ranks of a node: quantised collectives are for groups that leave it.
  package let devicesPerNode: Int
  /// How the collectives of each group are routed.
  package let routes: CollectiveRoutes
  /// The format in which weights of products are gathered; nil where they are as all others.
  package let gatheredFormat: ProductFormat?
  /// Which layers have experts.
  let kinds: LayerKinds
  /// By layer.
  private let isRecomputed: [Bool]
  /// The recipe's steps, by part and pass.
  private let recipeSteps: [[Recipe.Step]]
  /// The same of layers that multiply as they are stored; empty where all multiply alike.
  private let wideRecipeSteps: [[Recipe.Step]]
  /// By moment.
  let exchanges: [[Exchange]]

  /// - Parameters:
  ///   - domainSize: consecutive ranks whose devices reach each other over links of their own; nil for a node's.
  ///   - gatheredFormat: nil for the strategy's own, see ``Documents/Strategy/gatheredFormat(_:)``.
  /// - Precondition: the strategy breaks no rule for the job (``Strategy/violation(job:deviceCount:hasFlashAttention:allowsEmptyStages:interleavesLargerGroups:)``),
  ///   the split has the strategy's stages and chunks, the schedule is of the strategy's stages and micro-batches.
  package init(
    job: TrainingJob, strategy: Strategy, split: Split,
    schedule: PipelineSchedule, paddedVocabularySize: Int, maximumGradientNorm: Double? = 1,
    devicesPerNode: Int = .max, domainSize: Int? = nil, routes: CollectiveRoutes = CollectiveRoutes(),
    gatheredFormat: ProductFormat? = nil
  ) {
    precondition(
      split.stageCount == schedule.stageCount && split.chunkCount == schedule.chunkCount,
      "the split is of other stages or chunks than the schedule")
    precondition(schedule.stageCount == strategy.pipelineDegree, "the schedule is of other stages than the strategy")
    self.job = job
    self.strategy = strategy
    self.split = split
    self.schedule = schedule
    self.paddedVocabularySize = paddedVocabularySize
    self.maximumGradientNorm = maximumGradientNorm
    self.devicesPerNode = devicesPerNode
    self.routes = routes
    self.gatheredFormat = gatheredFormat ?? strategy.gatheredFormat(job)
    kinds = LayerKinds(of: job.model)
    let recipe = Recipe(
      job: job, strategy: strategy, vocabularySize: paddedVocabularySize,
      devicesPerNode: domainSize ?? devicesPerNode)
    expertNodeCount = recipe.experts?.nodeCount ?? 1
    func steps(_ recipe: Recipe) -> [[Recipe.Step]] {
      Recipe.Part.allCases.flatMap { part in Recipe.Pass.allCases.map { recipe.steps(part, $0) } }
    }
    recipeSteps = steps(recipe)
    wideRecipeSteps = recipe.wide.map(steps) ?? []
    exchanges = Moment.allCases.map { moment in
      strategy.exchanges(at: moment) + (job.model.experts == nil ? [] : strategy.expertExchanges(at: moment))
    }
    isRecomputed = split.layerCounts.enumerated().flatMap { virtualStage, count in
      let ofAll = strategy.recompute == .full ? count : 0
      let stage = strategy.schedule.place(ofVirtualStage: virtualStage, stageCount: split.stageCount).stage
      let recomputed = split.choices?[stage].recomputedLayerCount ?? ofAll
      return (0..<count).map { $0 < recomputed }
    }
  }

  /// What a rank does in a pass of a part, in order.
  package func steps(of part: ModelPart, _ pass: Recipe.Pass) -> [Recipe.Step] {
    let place = recipe(of: part).rawValue * Recipe.Pass.allCases.count + pass.rawValue
    if case .layer(let layer) = part, !wideRecipeSteps.isEmpty,
      job.wideLayers.contains(layer, of: job.model.layerCount)
    {
      return wideRecipeSteps[place]
    }
    return recipeSteps[place]
  }

  /// Nodes that the ranks which divide experts lie on.
  package let expertNodeCount: Int

  /// What a part's recipe is.
  package func recipe(of part: ModelPart) -> Recipe.Part {
    switch part {
    case .embedding: .embedding
    case .layer(let index): feedForward(ofLayer: index) == .experts ? .expertBlock : .block
    case .experts: .expertBlock
    case .head: .head
    case .prediction: .prediction
    }
  }

  private func feedForward(ofLayer layer: Int) -> ModelDescription.LayerKind.FeedForward {
    job.model.kind(ofLayer: layer).feedForward
  }

  /// A collective of the recipe as the ranks of a group call for it.
  func collective(_ it: TensorCollective, over group: RankGroup) -> Collective {
    let route = routes.route(
      of: CollectiveRoutes.Question(it.kind, of: it.operand, over: group, byteCount: it.byteCount))
    return Collective(
      it.kind, of: it.operand, over: group.ranks, elementCount: it.elementCount, elementByteCount: it.elementByteCount,
      traffic: it.traffic, reduction: it.reduction, route: route)
  }

  /// Whether a part's activations are computed again in backward: the first layers of each chunk, as many as its stage
  /// says, and the blocks of further predictions wherever any layers are.
  package func recomputes(_ part: ModelPart) -> Bool {
    switch part {
    case .layer(let layer): isRecomputed[layer]
    case .prediction: strategy.recompute == .full
    case .embedding, .experts, .head: false
    }
  }

  /// Whether anything of a part is computed again before its backward pass: all of it, or modules of a block.
  package func runsAgain(_ part: ModelPart) -> Bool {
    recomputes(part) || strategy.recomputesModules && part.blockIndex != nil
  }

  /// What a pass that goes back through a part consists of.
  ///
  /// - Parameter own: a backward pass, or the input gradient of one.
  package func passesBack(through part: ModelPart, _ own: Recipe.Pass = .backward) -> [Recipe.Pass] {
    runsAgain(part) ? [.recompute, own] : [own]
  }

  /// What modules of a part bring back before its backward pass, and its forward pass does not keep.
  package func rolesOfModules(_ part: ModelPart) -> [KeptTensor.Role] {
    guard strategy.recomputesModules, part.blockIndex != nil else { return [] }
    return steps(of: part, .recompute).flatMap { step -> [KeptTensor.Role] in
      guard case .piece(_, let operations) = step else { return [] }
      return operations.compactMap { if case .keep(let tensor) = $0 { tensor.role } else { nil } }
    }
  }

  /// Whether tokens go to a block's experts, and back, once more before its backward pass.
  package func sendsTokensAgain(_ part: ModelPart) -> Bool {
    runsAgain(part)
      && steps(of: part, .recompute).contains {
        if case .collective(let it) = $0 { it.traffic == .expert } else { false }
      }
  }

  /// Whether a stage's optimizer states lie in the host's memory but for the step.
  package func offloadsOptimizer(stage: Int) -> Bool { split.choices?[stage].offloadsOptimizer ?? false }

  /// Which rank does what.
  package var mesh: Mesh { strategy.mesh }

  /// Tokens of a micro-batch that a rank has.
  package var tokenCount: Int { strategy.tokenCount(job) }

  /// Elements of a micro-batch's activations between layers, whole.
  package var activationElementCount: Int { tokenCount * job.model.hiddenSize }

  /// Whether the last stage holds a copy of the first one's token table, among the head's parameters.
  package var copiesTokenTable: Bool { strategy.copiesTokenTable(of: job.model) }

  /// Whether head or further predictions use the embedding's own table.
  package var sharesTokenTable: Bool { strategy.sharesTokenTable(of: job.model) }

  /// Whether the head's parameters include an output matrix.
  package var headOwnsMatrix: Bool { !job.model.hasTiedEmbeddings || copiesTokenTable }

  /// The blocks of further predictions, in the order of a forward pass.
  package var predictions: [ModelPart] {
    let model = job.model
    return (model.layerCount..<model.layerCount + model.predictionDepth).map(ModelPart.prediction)
  }

  /// Elements of one rank's part of the token table.
  package var matrixElementCount: Int { paddedVocabularySize / strategy.tensorDegree * job.model.hiddenSize }

  /// The parts of a virtual stage that passes go through, in the order of a forward pass: the last has the head, and behind it
  /// further predictions. Routed experts are parts of
  /// their own, which blocks need: ``experts(of:rank:)``.
  package func parts(ofVirtualStage virtualStage: Int) -> [ModelPart] {
    var parts = split.layerRanges[virtualStage].map(ModelPart.layer)
    if virtualStage == 0 { parts.insert(.embedding, at: 0) }
    if virtualStage == split.layerCounts.count - 1 { parts += [.head] + predictions }
    return parts
  }

  /// Parameters of a part on one rank.
  package func parameterCount(of part: ModelPart) -> Int {
    let model = job.model, t = strategy.tensorDegree
    return switch part {
    case .embedding: model.embeddingParameters(vocabularySize: paddedVocabularySize).perRank(tensorDegree: t)
    case .layer(let index): model.layerParameters(feedForward(ofLayer: index)).perRank(tensorDegree: t)
    case .experts(_, let experts):
      model.layerParameters(.experts).ofExpertsPerRank(
        expertDegree: 1, expertTensorDegree: strategy.expertTensorDegree) / (model.experts?.count ?? 1) * experts.count
    case .head:
      model.headParameters(vocabularySize: paddedVocabularySize).perRank(tensorDegree: t)
        + (copiesTokenTable ? matrixElementCount : 0)
    case .prediction: model.predictionLayerParameters.perRank(tensorDegree: t)
    }
  }

  /// Those of a part's parameters on one rank that are weights of products in the narrow format where there is one, see
  /// ``Documents/ModelDescription/layerProductParameters(_:)``.
  package func productParameterCount(of part: ModelPart) -> Int {
    let model = job.model, t = strategy.tensorDegree
    if let layer = part.layerIndex, job.wideLayers.contains(layer, of: model.layerCount) { return 0 }
    return switch part {
    case .embedding, .head: 0
    case .layer(let index): model.layerProductParameters(feedForward(ofLayer: index)).perRank(tensorDegree: t)
    case .experts(_, let experts):
      model.layerProductParameters(.experts).ofExpertsPerRank(
        expertDegree: 1, expertTensorDegree: strategy.expertTensorDegree) / (model.experts?.count ?? 1) * experts.count
    case .prediction: model.predictionProductParameters.perRank(tensorDegree: t)
    }
  }

  /// Parameters of a part that every rank of a tensor group holds whole but has seen a part of the tokens or heads for:
  /// their gradients are sums over the group. Under sequence parallelism all replicated ones; otherwise the norms of
  /// queries and keys alone.
  package func partialGradientCount(of part: ModelPart) -> Int {
    let model = job.model
    guard strategy.tensorDegree > 1 else { return 0 }
    guard strategy.usesSequenceParallelism else {
      return part.blockIndex == nil ? 0 : model.wholeQueryKeyNormCount
    }
    return switch part {
    case .embedding: model.embeddingParameters(vocabularySize: paddedVocabularySize).replicated
    case .layer(let index): model.layerParameters(feedForward(ofLayer: index)).replicated
    case .experts: 0
    case .head: model.headParameters(vocabularySize: paddedVocabularySize).replicated
    case .prediction: model.predictionLayerParameters.replicated
    }
  }

  /// What a stage's first rank holds; others hold as much, and other experts.
  package func parameters(ofStage stage: Int) -> StageParameters {
    parameters(ofRank: mesh.block(stage, below: .pipeline).lowerBound)
  }

  /// What a rank holds.
  package func parameters(ofRank rank: Int) -> StageParameters { StageParameters(self, rank: rank) }

  /// A part that passes go through, and the routed experts that a rank has of it.
  func withExperts(_ part: ModelPart, rank: Int) -> [ModelPart] {
    experts(of: part, rank: rank).map { [part, $0] } ?? [part]
  }

  /// The routed experts of a block that a rank has: of the ranks that divide them each has as many, in their order. Nil for
  /// any other part.
  package func experts(of part: ModelPart, rank: Int) -> ModelPart? {
    guard let index = part.blockIndex, let experts = job.model.experts, feedForward(ofLayer: index) == .experts else {
      return nil
    }
    let place = strategy.expertMesh.coordinate(ofRank: rank, along: .expert)
    let count = experts.count / strategy.expertDegree
    return .experts(index, place * count..<(place + 1) * count)
  }
}

/// The parameters of one rank: where each part lies in one flat buffer, and which elements each replica
/// updates.
package struct StageParameters: Sendable {
  package struct Entry: Sendable {
    package let part: ModelPart
    /// Elements of the flat buffer of everything on the rank.
    package let range: Range<Int>
  }

  /// In the order of the chunks, and in each of a forward pass.
  package let entries: [Entry]
  package let count: Int

  init(_ shape: IterationShape, rank: Int) {
    var entries: [Entry] = []
    var next = 0
    let stage = shape.mesh.coordinate(ofRank: rank, along: .pipeline)
    for chunk in 0..<shape.schedule.chunkCount {
      let passed = shape.parts(ofVirtualStage: shape.schedule.virtualStageIndex(stage: stage, chunk: chunk))
      for part in passed.flatMap({ shape.withExperts($0, rank: rank) }) {
        let count = shape.parameterCount(of: part)
        entries.append(Entry(part: part, range: next..<next + count))
        next += count
      }
    }
    self.entries = entries
    count = next
  }

  package func entry(of part: ModelPart) -> Entry? { entries.first { $0.part == part } }
}
