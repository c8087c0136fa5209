import Documents
import Training

/// What all ranks of an execution have in common.
struct ExecutionSetting: Sendable {
  let shape: IterationShape
  let optimizer: OptimizerSettings
  /// Of parameters, data and dropout.
  let seed: UInt64
  /// Format to which what is kept or sent is rounded.
  let arithmetic: Precision
  /// Whether quantised exchanges make up for what they left out the time before.
  var errorFeedback: ErrorFeedback?
  /// Whether master weights stay on the device where the host updates.
  var keepsMastersBesideHost = false
  /// A text to train on, see ``TrainingData/corpus``.
  var corpus: [Int] = []
  /// Whether tokens are dealt out to experts in turn.
  var balancesExperts = false
  /// How operands of blocks' linear layers are cast; nil: not at all.
  var casting: Casting?

  var job: TrainingJob { shape.job }
  var strategy: Strategy { shape.strategy }
  /// Bytes of optimizer state per parameter.
  var optimizerByteCount: Int { optimizer.kept.byteCountPerParameter(job.precision) }

  /// The share of the model of a place in a tensor group, and of sequences of one among those that divide them.
  func shard(tensorIndex: Int, contextIndex: Int = 0) -> ModelShard {
    ModelShard(
      model: job.model, sequenceLength: job.sequenceLength, tensorDegree: strategy.tensorDegree,
      tensorIndex: tensorIndex, usesSequenceParallelism: strategy.usesSequenceParallelism,
      usesFlashAttention: strategy.usesFlashAttention, paddedVocabularySize: shape.paddedVocabularySize, seed: seed,
      elementByteCount: job.precision.byteCount, arithmetic: arithmetic,
      dropsOut: !shape.isZerothOrder, corpus: corpus, division: strategy.contextDivision, contextIndex: contextIndex,
      balancesExperts: balancesExperts, expertCapacity: job.expertCapacity, casting: casting,
      makesHeadsAgain: strategy.recomputesModules && strategy.recomputeModules.contains(.latentProjections))
  }

  /// The sequences of a replica's micro-batch, out of the global batch.
  func sequences(of place: Mesh.Coordinates, microBatch: Int) -> [Int] {
    let share = (place[.worker] * strategy.dataDegree + place[.data]) / strategy.perturbationDegree
    let first = share * (job.globalBatch / strategy.batchDegree) + microBatch * strategy.microBatch
    return Array(first..<first + strategy.microBatch)
  }
}

/// The tensors of one rank: parameters with their gradients and optimizer states,
/// what a pass works on, and what is kept for backward passes.
struct RankState {
  /// One part of the model on this rank.
  struct Part {
    let part: ModelPart
    let layout: ParameterLayout
    /// What this rank keeps of the part's weights, gradient and optimizer states.
    let ranges: ShardRanges
    /// The order in which the elements of shards lie: where weights are gathered as they are multiplied. Otherwise they lie as in
    /// the layout.
    let order: ShardOrder?
    /// How weights that are gathered so are cast; nil where there are none.
    var narrow: NarrowWeights?
    /// As passes use them. Where weights are sharded empty but between gather and drop.
    var weights: [Float]
    /// Where they are sharded or lie on the host, the weights of `ranges.weights`.
    var weightShard: [Float]
    /// Where they are both, what has come from the host to be gathered.
    var uploaded: [Float] = []
    /// Steps of zeroth-order training that they have taken.
    var stepCount = 0
    /// From an iteration's first gather to its optimizer step, this rank's slice of
    /// the gathered weights, where a secondary copy is kept.
    var secondary: [Float] = []
    /// Of all elements; where gradients are sharded of one micro-batch, empty in between.
    var gradient: [Float]
    /// What a reduction over a weights' group has left of it, until the next has taken it.
    var reduced: [Float] = []
    /// Where gradients are sharded, the accumulated gradient of `ranges.gradients`.
    var gradientShard: [Float]
    var optimizer: DividedOptimizer
    /// Of `gradientShard`, the first elements that lie on the host.
    var hostedGradientCount = 0
    /// Where workers take outer steps, of the same elements.
    var outer: OuterState?
    /// How those that hold the part divide its states, and the rank's number among them.
    let sharding: Sharding
    let replica: Int

    var shardsWeights: Bool { sharding.weightDegree > 1 }
    var shardsGradients: Bool { sharding.gradientDegree > 1 }

    /// Elements that this rank updates.
    var owned: Range<Int> { ranges.optimizer }
  }

  /// What a forward pass, or one that goes back, leaves while the other computes.
  struct RestingPass {
    /// Whether it is the forward pass that rests.
    var isForward = false
    var stream = Matrix(rowCount: 0, columnCount: 0)
    var branch = Matrix(rowCount: 0, columnCount: 0)
    var columnInput = Matrix(rowCount: 0, columnCount: 0)
  }

  /// A micro-batch's visit of a part.
  struct Visit: Hashable {
    let part: ModelPart
    let microBatch: Int
  }

  let setting: ExecutionSetting
  let place: Mesh.Coordinates
  let shard: ModelShard
  let embedding: Embedding
  let head: OutputHead
  /// By block, further predictions' among them.
  var layers: [Int: TransformerLayer] = [:]
  var predictions: [Int: FurtherPrediction] = [:]
  /// By block, the rank's routed experts.
  var expertLayers: [Int: ExpertLayer] = [:]
  var parts: [Part] = []
  var partIndex: [ModelPart: Int] = [:]
  var memory = MemoryAccount()
  /// Optimizer steps done.
  var step = 0
  /// Of parts whose products are in a narrow format, where these are executed.
  var castWeights: [ModelPart: CastWeights] = [:]
  var castsInHand: CastsInHand?

  /// What attention has in hand where ranks divide sequences.
  var attention = DividedAttention()
  /// What blocks with experts have in hand, forward and on the way back.
  var forwardExperts = ExpertsInHand()
  var backwardExperts = ExpertsInHand()

  /// What a further prediction has in hand.
  var predictionInHand = PredictionInHand()

  // What a pass works on.
  var stream = Matrix(rowCount: 0, columnCount: 0)
  var branch = Matrix(rowCount: 0, columnCount: 0)
  var columnInput = Matrix(rowCount: 0, columnCount: 0)
  /// The same of a pass that waits while one of the other direction computes.
  var resting = RestingPass()
  var logits = Matrix(rowCount: 0, columnCount: 0)
  var tokenMaxima: [Float] = []
  var tokenTargets: [Float] = []
  var tokenSums: [Float] = []
  /// Inputs of passes that arrived, and results that wait to be sent.
  var arrived: [PipelineStep: Matrix] = [:]
  var outgoing: [PipelineStep: Matrix] = [:]
  /// Kept from forward to backward.
  var kept: [Visit: SavedActivations] = [:]
  /// Between the input and the weight gradient of a micro-batch: what the second adds, and bytes that are held for it beside
  /// what forward has kept.
  var awaiting: [Visit: (weights: WeightGradients, byteCount: Int)] = [:]
  /// What the rest of a block's forward pass may read, and modules bring back before its backward pass.
  var passing = SavedActivations()
  /// Of the layer that runs again, or of modules of it.
  var rebuilt = SavedActivations()
  /// The gradient that waits while a layer runs again.
  var waitingGradient = Matrix(rowCount: 0, columnCount: 0)
  /// The micro-batch whose softmaxes are the newest: while its pass runs they are workspace, and kept from then on.
  var newestLoss: Int?
  /// Sum over the tokens of the iteration's micro-batches so far.
  var lossSum = 0.0
  /// Sum of squares of the gradient, and the mean loss: this rank's share, then everybody's.
  var scalars: [Float] = [0, 0]
  var clippingScale: Float = 1
  /// What the ranks of this one's node have summed in a quantised exchange, until it goes to other nodes.
  var nodeSum: [Float] = []
  /// What quantised exchanges owe, see ``ErrorFeedback``.
  var owed: [Operand: OwedValues] = [:]
  /// What zeroth-order training has in hand.
  var visits = Visits()
  /// What rounds of workers have in hand.
  var rounds = Rounds()
  /// What has gone to the host and come from there for its updates.
  var hostMoves = HostMoves()

  init(setting: ExecutionSetting, place: Mesh.Coordinates, parts owned: [ModelPart]) {
    var setting = setting
    setting.casting = setting.casting?.withHistory()
    self.setting = setting
    self.place = place
    shard = setting.shard(tensorIndex: place[.tensor], contextIndex: place[.context])
    embedding = Embedding(shard: shard)
    head = OutputHead(
      shard: shard, ownsOutputMatrix: setting.shape.headOwnsMatrix, copiesTokenTable: setting.shape.copiesTokenTable)
    makeParts(owned)
  }

  var number: Int { setting.shape.mesh.rank(at: place) }
  var offloadsOptimizer: Bool { setting.shape.offloadsOptimizer(stage: place[.pipeline]) }
  /// Of the optimizer states of all that this rank updates.
  var optimizerBytes: Int { parts.reduce(0) { $0 + $1.owned.count } * setting.optimizerByteCount }

  private mutating func makeParts(_ owned: [ModelPart]) {
    let layouts = owned.map { part -> ParameterLayout in
      switch part {
      case .embedding: return embedding.layout
      case .head: return head.layout
      case .layer(let index):
        let layer = TransformerLayer(shard: shard, index: index)
        layers[index] = layer
        return layer.layout
      case .prediction(let index):
        let prediction = FurtherPrediction(shard: shard, block: index)
        predictions[index] = prediction
        layers[index] = prediction.layer
        return prediction.layout
      case .experts(let index, let experts):
        let grid = setting.strategy.expertMesh
        let layer = ExpertLayer(
          layer: index, experts: experts, shard: shard, degree: setting.strategy.expertTensorDegree,
          index: grid.coordinate(ofRank: number, along: .tensor))
        expertLayers[index] = layer
        return layer.layout
      }
    }
    // Where whole gradients are kept, everything on the rank is cut at once, otherwise each part: routed experts and all
    // else apart from each other.
    var offsets = [0, 0]
    let orders = shardOrders(of: layouts)
    for layout in layouts {
      let sharding = setting.shape.sharding(of: layout.part), mesh = setting.shape.mesh(of: layout.part)
      let replica = mesh.replica(ofRank: number), scope = layout.part.isOfExperts ? 1 : 0
      func ranges(of elementCount: Int) -> ShardRanges {
        sharding.ranges(ofReplica: replica, replicaCount: mesh.replicaCount, elementCount: elementCount)
      }
      var ranges = ranges(of: layout.count)
      let order = orders[layout.part]
      if let order {
        ranges = order.ranges(sharding)
      } else if sharding.gradientDegree == 1 {
        let all = layouts.reduce(0) { $0 + ($1.part.isOfExperts == layout.part.isOfExperts ? $1.count : 0) }
        let offset = offsets[scope]
        let common = sharding.ranges(ofReplica: replica, replicaCount: mesh.replicaCount, elementCount: all).optimizer
          .clamped(to: offset..<offset + layout.count)
        ranges = ShardRanges(
          weights: ranges.weights, gradients: ranges.gradients,
          optimizer: common.lowerBound - offset..<common.upperBound - offset, secondary: ranges.secondary)
      }
      offsets[scope] += layout.count
      let shardsWeights = sharding.weightDegree > 1, shardsGradients = sharding.gradientDegree > 1
      let initial = layout.initialValues(seed: shard.seed)
      let (weights, narrow) = initialWeights(initial, of: layout)
      let ordered = order?.ordered(weights) ?? weights
      partIndex[layout.part] = parts.count
      let isHosted = setting.shape.isHosted(layout.part)
      if isZerothOrder {
        parts.append(
          Part(
            part: layout.part, layout: layout, ranges: ranges, order: nil,
            weights: shardsWeights || isHosted ? [] : weights,
            weightShard: shardsWeights || isHosted ? Array(weights[ranges.weights]) : [], gradient: [],
            gradientShard: [], optimizer: DividedOptimizer(masters: [], settings: setting.optimizer),
            sharding: sharding, replica: replica))
        memory.add(ranges.weights.count * setting.job.precision.byteCount, isHosted ? .host : .weights)
        continue
      }
      parts.append(
        Part(
          part: layout.part, layout: layout, ranges: ranges, order: order, narrow: narrow,
          weights: shardsWeights ? [] : weights, weightShard: shardsWeights ? Array(ordered[ranges.weights]) : [],
          gradient: shardsGradients ? [] : [Float](repeating: 0, count: layout.count),
          gradientShard: shardsGradients ? [Float](repeating: 0, count: ranges.gradients.count) : [],
          optimizer: DividedOptimizer(
            masters: Array((order?.ordered(initial) ?? initial)[ranges.optimizer]), settings: setting.optimizer),
          sharding: sharding, replica: replica))
    }
    if isZerothOrder { return }
    for part in parts {
      memory.add((part.weights.count + part.weightShard.count) * setting.job.precision.byteCount, .weights)
      memory.add(part.gradient.count * setting.job.gradientByteCount, .gradients)
    }
    placeUpdates()
    makeOuterStates()
  }

  func index(of part: ModelPart) -> Int {
    guard let index = partIndex[part] else { preconditionFailure("\(part) is not on this rank") }
    return index
  }

  func microBatch(_ index: Int) -> MicroBatch {
    MicroBatch(step: step, sequences: setting.sequences(of: place, microBatch: index))
  }
}
