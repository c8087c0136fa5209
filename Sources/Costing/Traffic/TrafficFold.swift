import Documents
import Training

/// Adds up an iteration's messages.
struct TrafficFold {
  let model: CostModel
  let strategy: Strategy
  let mesh: Mesh
  let memory: MemoryModel
  /// Layers of each stage, all its chunks together, and how many of them are recomputed.
  let stageLayers: [LayerCounts]
  let recomputedLayers: [LayerCounts]
  /// Those of either that multiply as they are stored where others do so in a narrower format.
  let wideLayers: [(all: LayerCounts, recomputed: LayerCounts)]
  let microBatchCount: Int
  let recipe: Recipe
  let routes: CollectiveRoutes
  /// The format in which weights of products are gathered; nil where they are as all others.
  let gatheredFormat: ProductFormat?
  let products: MemoryModel.RankProducts
  var count: TrafficCount

  init(
    model: CostModel, strategy: Strategy, split: Split, routes: CollectiveRoutes, gatheredFormat: ProductFormat?
  ) {
    self.routes = routes
    self.gatheredFormat = gatheredFormat
    products = gatheredFormat == nil ? .init() : .init(of: model.job, strategy)
    self.model = model
    self.strategy = strategy
    mesh = strategy.mesh
    memory = MemoryModel(
      job: model.job, device: model.cluster.device, framework: model.framework, strategy: strategy)
    let kinds = LayerKinds(of: model.job.model)
    let contents = split.stages(of: kinds)
    stageLayers = contents.map(\.layers)
    recomputedLayers = contents.map { content in
      // What frameworks select by themselves has no collectives.
      strategy.recompute == .full
        ? content.recomputed ?? content.layers : strategy.recomputesModules ? content.layers : .none
    }
    wideLayers = Self.wideLayers(model.job, strategy, split, kinds)
    microBatchCount = strategy.microBatchCount(globalBatch: model.job.globalBatch)
    recipe = Recipe(
      job: model.job, strategy: strategy, framework: model.framework, devicesPerNode: model.cluster.domainSize)
    count = TrafficCount(rankCount: mesh.worldSize, levelCount: model.cluster.levels.count)
  }

  /// Of every stage, its layers that multiply as they are stored, by where they lie.
  private static func wideLayers(
    _ job: TrainingJob, _ strategy: Strategy, _ split: Split, _ kinds: LayerKinds
  ) -> [(all: LayerCounts, recomputed: LayerCounts)] {
    var wide = [(all: LayerCounts, recomputed: LayerCounts)](repeating: (.none, .none), count: split.stageCount)
    guard job.wideLayers != .none else { return wide }
    let ends = job.wideLayers.ranges(of: job.model.layerCount)
    for (virtualStage, range) in split.layerRanges.enumerated() {
      let stage = strategy.schedule.place(ofVirtualStage: virtualStage, stageCount: split.stageCount).stage
      let ofAll = strategy.recompute == .full || strategy.recomputesModules ? range.count : 0
      let count = min(range.count, split.choices?[stage].recomputedLayerCount ?? ofAll)
      let recomputed = range.lowerBound..<range.lowerBound + count
      for end in [ends.first, ends.last] {
        wide[stage].all = wide[stage].all + kinds.counts(in: range.clamped(to: end))
        wide[stage].recomputed = wide[stage].recomputed + kinds.counts(in: recomputed.clamped(to: end))
      }
    }
    return wide
  }

  private var elementBytes: Int { model.job.precision.byteCount }

  private var isZerothOrder: Bool { strategy.update == .zerothOrder }
  /// Losses that a rank evaluates, each with a forward pass of every micro-batch; otherwise the one of first-order training.
  private var lossCount: Int { isZerothOrder ? strategy.evaluationCount(model.job) : 1 }
  /// Micro-batches whose passes gather weights one by one: under zeroth-order training all of them go through a part together
  /// where there are no stages.
  private var gatheringCount: Int {
    isZerothOrder ? strategy.visitCount(of: microBatchCount) : microBatchCount
  }

  // MARK: One message, one collective

  private mutating func send(_ byteCount: Int, _ kind: TrafficKind, from: Int, to: Int) {
    count.add(byteCount, kind: kind, fromRank: from, level: model.linkLevel(fromRank: from, toRank: to))
  }

  /// Collectives of an operand over a group.
  private mutating func countCollective(
    _ kind: CollectiveKind, of operand: Operand, _ elements: Int, bytes: Int, times: Int, _ traffic: TrafficKind,
    over group: RankGroup
  ) {
    let route = routes.route(
      of: CollectiveRoutes.Question(kind, of: operand, over: group, byteCount: elements * bytes))
    CollectiveVolume(route, rankCount: group.count, elementCount: elements).forEachPair(of: kind) { from, to, sent in
      send(sent * bytes * times, traffic, from: group.rank(from), to: group.rank(to))
    }
  }

  // MARK: Kinds

  mutating func countTensor() {
    guard strategy.tensorDegree > 1 else { return }
    for ranks in mesh.groups(along: .tensor) {
      countTensor(stage: mesh.coordinate(ofRank: ranks.first, along: .pipeline), group: ranks)
    }
  }

  private mutating func countTensor(stage: Int, group: RankGroup) {
    let m = microBatchCount
    let isFirst = stage == 0, isLast = stage == strategy.headStage
    countOfRecipe(stage: stage, among: .tensorGroup, group: group)
    // What arrives from another stage, forward at every virtual stage but the first, backward at every one but the last.
    if !strategy.usesSequenceParallelism, strategy.pipelineDegree > 1 {
      let arrivals =
        isZerothOrder
        ? (isFirst ? 0 : 1)
        : 2 * (strategy.virtualStageCount - (strategy.isBottom(stage) ? 1 : 0)) - (isFirst ? 1 : 0) - (isLast ? 1 : 0)
      countCollective(
        .allGather, of: .stream, recipe.activationElementCount * lossCount, bytes: elementBytes, times: m * arrivals,
        .tensor, over: group)
    }
  }

  /// What ranks that divide a sequence exchange.
  mutating func countContext() {
    let division = strategy.contextDivision
    guard division.degree > 1 else { return }
    for (ranks, spacing) in [
      (TensorCollective.Ranks.headGroup, mesh.headSpacing(division)), (.sequenceGroup, mesh.sequenceSpacing(division)),
    ] where spacing.count > 1 {
      for group in mesh.ranks.groups(spacing) {
        countOfRecipe(stage: mesh.coordinate(ofRank: group.first, along: .pipeline), among: ranks, group: group)
      }
    }
  }

  /// What tokens are sent for to their experts, and back.
  mutating func countExperts() {
    guard let experts = recipe.experts else { return }
    let grid = strategy.expertMesh
    for ranks in [
      TensorCollective.Ranks.expertGroup, .expertsInside, .expertsAcross, .expertTensorGroup, .expertTokens,
    ] {
      let spacing = strategy.expertSpacing(ranks, nodeCount: experts.nodeCount)
      for group in spacing.count > 1 ? grid.ranks.groups(spacing) : [] {
        countOfRecipe(stage: grid.coordinate(ofRank: group.first, along: .pipeline), among: ranks, group: group)
      }
    }
  }

  /// The collectives of all passes of a stage in a group.
  private mutating func countOfRecipe(stage: Int, among ranks: TensorCollective.Ranks, group: RankGroup) {
    let m = microBatchCount
    var collectives: [EqualCollectives] = []
    func add(_ part: Recipe.Part, _ pass: Recipe.Pass, times: Int, of recipe: Recipe) {
      for case .collective(let it) in recipe.steps(part, pass) where it.ranks == ranks {
        collectives.add(it, count: times)
      }
    }
    func add(_ layers: LayerCounts, _ pass: Recipe.Pass, of recipe: Recipe) {
      if layers.dense > 0 { add(.block, pass, times: m * layers.dense, of: recipe) }
      if layers.experts > 0 { add(.expertBlock, pass, times: m * layers.experts, of: recipe) }
    }
    let wideRecipe = recipe.wide
    for pass in isZerothOrder ? [.forward] : [Recipe.Pass.forward, .recompute, .backward] {
      if stage == 0 { add(.embedding, pass, times: m, of: recipe) }
      let layers = (pass == .recompute ? recomputedLayers : stageLayers)[stage]
      let wide = wideRecipe == nil ? .none : pass == .recompute ? wideLayers[stage].recomputed : wideLayers[stage].all
      add(layers - wide, pass, of: recipe)
      if let wideRecipe { add(wide, pass, of: wideRecipe) }
      if stage == strategy.headStage {
        add(.head, pass, times: m, of: recipe)
        add(.prediction, pass, times: m * recipe.predictionDepth, of: recipe)
      }
    }
    for equal in collectives {
      let it = equal.collective
      countCollective(
        it.kind, of: it.operand, it.elementCount, bytes: it.elementByteCount, times: equal.count * lossCount,
        it.traffic, over: group)
    }
  }

  mutating func countPipeline() {
    let p = strategy.pipelineDegree
    guard p > 1 else { return }
    let bytes = recipe.activationElementCount * lossCount / strategy.tensorDegree * elementBytes * microBatchCount
    let columns = mesh.groups(along: .pipeline)
    for virtualStage in 0..<p * strategy.virtualStageCount - 1 {
      let from = strategy.schedule.place(ofVirtualStage: virtualStage, stageCount: p).stage
      let to = strategy.schedule.place(ofVirtualStage: virtualStage + 1, stageCount: p).stage
      // At the bottom of a V a stage hands on to itself.
      guard from != to else { continue }
      for column in columns {
        send(bytes, .pipeline, from: column.rank(from), to: column.rank(to))
        if !isZerothOrder { send(bytes, .pipeline, from: column.rank(to), to: column.rank(from)) }
      }
    }
  }

  /// What ranks exchange of states, see ``Documents/Strategy/exchanges(at:)``.
  mutating func countExchanges() {
    for moment in Moment.allCases {
      for exchange in strategy.exchanges(at: moment) {
        for ranks in exchange.groups(of: strategy.sharding, in: mesh) {
          count(exchange, at: moment, among: ranks)
        }
      }
    }
  }

  /// The same of routed experts, among ranks that hold the same ones.
  mutating func countRoutedExchanges() {
    guard memory.hasRoutedExperts else { return }
    let grid = strategy.expertMesh, sharding = strategy.expertSharding
    for moment in Moment.allCases {
      for exchange in strategy.expertExchanges(at: moment) {
        guard let family = exchange.family else { continue }
        for ranks in exchange.groups(of: sharding, in: grid) {
          let place = grid.coordinates(ofRank: ranks.first), stage = place[.pipeline]
          let isLast = stage == strategy.headStage
          let wide = wideLayers[stage].all.experts
          var parts = [
            (memory.parameters.routed, products.routed, stageLayers[stage].experts - wide),
            (memory.parameters.routed, 0, wide),
          ]
          if isLast {
            parts.append(
              (memory.parameters.predictionRouted, products.predictionRouted, memory.parameters.predictionDepth))
          }
          let times = exchange.isPartByPart ? moment.count(microBatchCount: gatheringCount, useCount: 2) : 1
          if !exchange.isPartByPart {
            parts = [(parts.reduce(0) { $0 + $1.0 * $1.2 }, parts.reduce(0) { $0 + $1.1 * $1.2 }, 1)]
          }
          for (parameters, products, copies) in parts where parameters * copies > 0 {
            func divided(_ count: Int) -> Int {
              sharding.elementCount(
                over: family, ofReplica: grid.replica(at: place), replicaCount: grid.replicaCount, elementCount: count)
            }
            countCollective(
              exchange, divided(parameters), narrowCount: divided(products), times: times * copies, over: ranks)
          }
        }
      }
    }
  }

  private mutating func count(_ exchange: Exchange, at moment: Moment, among ranks: RankGroup) {
    let place = mesh.coordinates(ofRank: ranks.first), kind = exchange.traffic
    let devicesPerNode = model.cluster.devicesPerNode
    if exchange.content == .progress {
      countProgress(exchange, among: ranks)
      return
    }
    for tensor in tensors(of: exchange, at: moment, stage: place[.pipeline]) where tensor.elementCount > 0 {
      func divided(_ count: Int) -> Int {
        exchange.family.map {
          strategy.sharding.elementCount(
            over: $0, ofReplica: mesh.replica(at: place), replicaCount: strategy.replicaCount, elementCount: count)
        } ?? count
      }
      let elements = divided(tensor.elementCount)
      if let hops = exchange.hops(of: elements, in: ranks, devicesPerNode: devicesPerNode) {
        count(hops, times: tensor.times, kind)
        continue
      }
      if let words = exchange.gatheredWordCount(of: elements, in: ranks, devicesPerNode: devicesPerNode) {
        countCollective(
          exchange.kind, of: .exchanged(exchange, nil, nil), words, bytes: Quantisation.wordByteCount,
          times: tensor.times, kind, over: ranks)
        continue
      }
      countCollective(
        exchange, elements, narrowCount: divided(tensor.narrowCount), times: tensor.times, over: ranks)
    }
  }

  /// An exchange where nothing is quantised, element by element, or byte by byte where some elements have fewer than others.
  private mutating func countCollective(
    _ exchange: Exchange, _ elements: Int, narrowCount: Int, times: Int, over group: RankGroup
  ) {
    let isOfBytes = exchange.gathersWeights && gatheredFormat != nil && narrowCount > 0
    let elementBytes = exchange.elementByteCount(model.job)
    let bytes = exchange.byteCount(
      elementCount: elements, elementByteCount: elementBytes, narrowCount: narrowCount, format: gatheredFormat)
    countCollective(
      exchange.kind, of: .exchanged(exchange, nil, nil), isOfBytes ? bytes : elements,
      bytes: isOfBytes ? 1 : elementBytes, times: times, exchange.traffic, over: group)
  }

  /// What workers have moved by, of the elements whose optimizer states a rank keeps: one all-reduce, or two hops.
  private mutating func countProgress(_ exchange: Exchange, among ranks: RankGroup) {
    let place = mesh.coordinates(ofRank: ranks.first)
    let elements = strategy.sharding.ownedElementCount(
      ofReplica: mesh.replica(at: place), replicaCount: strategy.replicaCount,
      partElementCounts: parts(ofStage: place[.pipeline]).flatMap {
        [Int](repeating: $0.parameters, count: $0.copies)
      })
    guard elements > 0 else { return }
    for it in exchange.workerCollectives(of: elements) {
      countCollective(
        it.kind, of: .exchanged(exchange, nil, it.hop), it.elementCount, bytes: it.elementByteCount, times: 1, .outer,
        over: ranks)
    }
  }

  /// Every rank quantises a run of words for each of its node, and then one for its like on each other node.
  private mutating func count(_ exchange: QuantisedExchange, times: Int, _ kind: TrafficKind) {
    for rank in exchange.group.ranks {
      for (hop, words) in [
        (exchange.insideGroup(of: rank), exchange.insideWordCount),
        (exchange.acrossGroup(of: rank), exchange.acrossWordCount),
      ] {
        for other in hop.ranks where other != rank {
          send(words / hop.count * Quantisation.wordByteCount * times, kind, from: rank, to: other)
        }
      }
    }
  }

  /// The tensors on a rank of a stage that an exchange is of, and how often in an iteration.
  private func tensors(
    of exchange: Exchange, at moment: Moment, stage: Int
  ) -> [(elementCount: Int, narrowCount: Int, times: Int)] {
    switch exchange.content {
    case .scalars: return [(isZerothOrder ? model.job.zerothOrder.evaluationCount : 2, 0, 1)]
    case .anchorStep: return [(model.job.outer.penalty.asksForAnchorStep ? 1 : 0, 0, 1)]
    case .progress: return []
    case .tiedMatrixGradient:
      return strategy.copiesTokenTable(of: model.job.model) ? [(memory.parameters.outputMatrix, 0, 1)] : []
    case .weights, .updatedWeights, .gradient, .partialGradient:
      func elements(_ part: Part) -> Int {
        exchange.content == .partialGradient ? part.partlyComputed : part.parameters
      }
      let parts = parts(ofStage: stage)
      guard exchange.isPartByPart else {
        return [
          (
            parts.reduce(0) { $0 + elements($1) * $1.copies }, parts.reduce(0) { $0 + $1.products * $1.copies }, 1
          )
        ]
      }
      return parts.map { part in
        // Of the passes that need weights there are the forward ones alone.
        let uses = isZerothOrder ? part.uses / 2 : part.uses
        return (
          elements(part), part.products, part.copies * moment.count(microBatchCount: gatheringCount, useCount: uses)
        )
      }
    }
  }

  // MARK: Parts

  /// A part of the model: what is gathered and reduced at once where gradients are sharded.
  private struct Part {
    let parameters: Int
    /// Those that are weights of products.
    var products = 0
    /// Of those that every rank of the tensor group holds: how many gradients it computes only in part.
    let partlyComputed: Int
    let copies: Int
    /// Passes of a micro-batch that need its weights.
    let uses: Int
  }

  private func parts(ofStage stage: Int) -> [Part] {
    let shape = model.job.model, t = strategy.tensorDegree
    // Along a divided sequence each rank sees its own tokens only; norms of queries and keys see its own heads only.
    func partly(_ parameters: ParameterCount) -> Int { strategy.usesSequenceParallelism ? parameters.replicated : 0 }
    let ofHeads = t > 1 && !strategy.usesSequenceParallelism ? shape.wholeQueryKeyNormCount : 0
    let vocabulary = shape.paddedVocabularySize(multiple: model.framework.vocabularyMultiple, tensorDegree: t)
    func layers(_ kind: LayerCounts.Kind, products: Int, _ count: Int) -> Part {
      Part(
        parameters: memory.parameters.layers[kind], products: products,
        partlyComputed: partly(shape.layerParameters(kind)) + ofHeads, copies: count, uses: 2)
    }
    let wide = wideLayers[stage].all, narrow = stageLayers[stage] - wide
    var parts = [layers(.dense, products: products.layers.dense, narrow.dense)]
    for kind in LayerCounts.Kind.allCases where wide[kind] > 0 { parts.append(layers(kind, products: 0, wide[kind])) }
    if narrow.experts > 0 { parts.append(layers(.experts, products: products.layers.experts, narrow.experts)) }
    if stage == 0 {
      // A tied head on the same stage, or further predictions, use the embedding's matrix, forward and backward.
      let isHead = strategy.sharesTokenTable(of: shape)
      parts.append(
        Part(
          parameters: memory.parameters.embedding,
          partlyComputed: partly(shape.embeddingParameters(vocabularySize: vocabulary)), copies: 1,
          uses: isHead ? 4 : 2))
    }
    if stage == strategy.headStage {
      parts.append(
        Part(
          parameters: memory.parameters.headPart,
          partlyComputed: partly(shape.headParameters(vocabularySize: vocabulary)), copies: 1, uses: 2))
      if shape.predictionDepth > 0 {
        parts.append(
          Part(
            parameters: memory.parameters.prediction, products: products.prediction,
            partlyComputed: partly(shape.predictionLayerParameters) + ofHeads, copies: shape.predictionDepth, uses: 2))
      }
    }
    return parts
  }
}
