/// How the training of a model is divided among devices: one point of the lattice that the search walks.
@usableFromInline package struct Strategy: Sendable, Hashable {
  /// What is computed again in backward instead of kept from forward.
  @usableFromInline package enum Recompute: String, Sendable, CaseIterable, StrategyValue {
    case none
    /// Scores, softmax and dropout of the attention core (Korthikanti et al. 2022); nothing under FlashAttention, which
    /// never keeps them.
    case selective
    /// Everything but each block's input.
    case full
  }

  /// What data-parallel ranks shard instead of replicating (Rajbhandari et al. 2020).
  @usableFromInline package enum ZeroStage: Int, Sendable, CaseIterable, Comparable, StrategyValue {
    case none = 0
    case optimizer = 1
    case gradients = 2
    case weights = 3

    @usableFromInline package static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
  }

  /// The degree of every parallel axis.
  package internal(set) var mesh: Mesh
  /// The order in which a stage alternates the passes of its chunks.
  package var schedule = Schedule.oneForwardOneBackward
  /// Sequences of one micro-batch.
  package var microBatch = 1
  /// The kinds of state that replicas shard.
  package internal(set) var zeroStage = ZeroStage.none
  /// How, where it is not what the ZeRO stage says: every kind among all replicas, nothing quantised.
  private(set) var shardLevels: Sharding?
  package var recompute = Recompute.none
  /// What selective recomputation computes again; where that is empty, what a framework selects by itself.
  package var recomputeModules: RecomputeModules = []
  /// Whether norms, dropout and residuals are divided along the sequence among the tensor group.
  package var usesSequenceParallelism = false
  package var usesFlashAttention = false
  /// Whether gradient reductions run under the last backward pass.
  package var overlapsGradientReduce = false
  /// Whether the tensor group's exchanges run beside the products next to them, where the framework has to be asked for that.
  package var overlapsTensorExchange = false
  /// How attention sees the whole sequence where ranks divide it.
  package var contextExchange = ContextExchange.ring
  /// What lies on the host and not on the devices.
  package var hosting = Hosting.none
  /// Whether weights of products lie, and are gathered, in the narrow format that they are multiplied in.
  package var holdsNarrowWeights = false
  /// How an iteration moves the weights. Zeroth-order training has a schedule of its own.
  package var update = Update.firstOrder {
    didSet {
      guard update.hasGradients != oldValue.hasGradients else { return }
      schedule = update == .zerothOrder ? .forwardOnly : .oneForwardOneBackward
      if update == .zerothOrder { overlapsGradientReduce = false }
    }
  }
  /// Ranks that exchange heads within ``ContextExchange/allToAllRing``, at most 255; 1 under the other kinds.
  package var contextInnerDegree: Int {
    get { Int(storedContextInnerDegree) }
    set { storedContextInnerDegree = UInt8(clamping: newValue) }
  }
  private var storedContextInnerDegree: UInt8 = 1
  /// Consecutive replicas that have the same sequences and divide the losses of an iteration among themselves (PertP of
  /// DistZO2, Wang and Jin 2025); 1 where each evaluates all of them, and under first-order training.
  package var perturbationDegree: Int {
    get { Int(storedPerturbationDegree) }
    set { storedPerturbationDegree = Int32(newValue) }
  }
  private var storedPerturbationDegree: Int32 = 1
  /// Ranks that divide the experts of every layer, see ``expertMesh``.
  package var expertDegree: Int {
    get { Int(storedExpertDegree) }
    set { storedExpertDegree = UInt16(clamping: newValue) }
  }
  private var storedExpertDegree: UInt16 = 1
  /// Ranks that divide the width of every expert.
  package var expertTensorDegree: Int {
    get { Int(storedExpertTensorDegree) }
    set { storedExpertTensorDegree = UInt16(clamping: newValue) }
  }
  private var storedExpertTensorDegree: UInt16 = 1
  /// How tokens reach their experts.
  package var dispatcher = Dispatcher.allToAll
  /// Whether a micro-batch's tokens are on their way while another one is computed.
  package var overlapsExperts = false
  /// How workers come together, where the update is ``Update/outer``.
  package var outer = OuterStep()

  /// - Parameter sharding: how replicas divide their states; nil is what `zeroStage`
  ///   says, which counts for nothing else.
  package init(
    mesh: Mesh, schedule: Schedule = .oneForwardOneBackward, microBatch: Int = 1, zeroStage: ZeroStage = .none,
    sharding: Sharding? = nil, recompute: Recompute = .none, usesSequenceParallelism: Bool = false,
    usesFlashAttention: Bool = false, overlapsGradientReduce: Bool = false
  ) {
    self.mesh = mesh
    self.schedule = schedule
    self.microBatch = microBatch
    self.recompute = recompute
    self.usesSequenceParallelism = usesSequenceParallelism
    self.usesFlashAttention = usesFlashAttention
    self.overlapsGradientReduce = overlapsGradientReduce
    self = on(mesh, zeroStage: zeroStage, sharding: sharding)
  }

  /// Ranks among which every layer's matrices are divided.
  @usableFromInline package var tensorDegree: Int { mesh.degree(of: .tensor) }
  /// Pipeline stages.
  @usableFromInline package var pipelineDegree: Int { mesh.degree(of: .pipeline) }
  /// Replicas; of workers, those of each.
  @usableFromInline package var dataDegree: Int { mesh.degree(of: .data) }
  /// Ranks that divide the sequences of a replica.
  @usableFromInline package var contextDegree: Int {
    get { mesh.degree(of: .context) }
    set { mesh = mesh.with(.context, degree: newValue) }
  }
  /// Ranks that hold the same weights, among which states are divided and gradients summed: replicas times those that
  /// divide their sequences.
  @usableFromInline package var replicaCount: Int { mesh.replicaCount }
  /// Workers, each a whole layout of its own on as many ranks.
  package var workerDegree: Int {
    get { mesh.degree(of: .worker) }
    set { mesh = mesh.with(.worker, degree: newValue) }
  }

  /// Ranks in all.
  @usableFromInline package var worldSize: Int { mesh.worldSize }

  /// Chunks of layers per stage.
  @usableFromInline package var virtualStageCount: Int {
    get { schedule.chunkCount }
    set { if newValue != schedule.chunkCount { schedule = schedule.with(chunkCount: newValue) } }
  }

  /// Whether all stages hold equally many layers: a single stage, or interleaved chunks, which are of one size.
  @usableFromInline package var hasEqualStages: Bool { schedule.isInterleaved || pipelineDegree == 1 }

  /// The stage with the model's head: the last one, but where chunks lie along a V.
  package var headStage: Int { schedule.isV ? 0 : pipelineDegree - 1 }

  /// Whether a stage holds both virtual stages at the bottom of a V, between which nothing is sent.
  package func isBottom(_ stage: Int) -> Bool { schedule.isV && stage == pipelineDegree - 1 }

  /// Whether embedding and head are on different ranks, so that a matrix that they share is there twice.
  package var separatesEnds: Bool { headStage > 0 }

  /// Whether the last stage holds a copy of the first one's token table: as a tied output matrix, or to look up the tokens that
  /// further predictions begin with; one copy does for both. Its gradient is summed with the table's (Megatron Core's
  /// `finalize_model_grads.py`, the embedding group).
  package func copiesTokenTable(of model: ModelDescription) -> Bool { separatesEnds && model.usesTokenTableAtEnd }

  /// Whether what follows the last layer uses the token table in its own place.
  package func sharesTokenTable(of model: ModelDescription) -> Bool { !separatesEnds && model.usesTokenTableAtEnd }

  /// How replicas divide weights, gradients and optimizer states.
  @usableFromInline package var sharding: Sharding {
    get { shardLevels ?? Sharding(zeroStage, replicaCount: replicaCount) }
    set {
      zeroStage = newValue.stage
      shardLevels = newValue == Sharding(newValue.stage, replicaCount: replicaCount) ? nil : newValue
    }
  }

  /// Whether states are divided otherwise than among all replicas, or anything is quantised.
  @usableFromInline package var hasShardLevels: Bool { shardLevels != nil }

  /// The strategy with another value of one part.
  package func with<Part>(_ part: WritableKeyPath<Strategy, Part>, _ value: Part) -> Strategy {
    var copy = self
    copy[keyPath: part] = value
    return copy
  }

  /// The strategy on another mesh, whose replicas divide their states in another way; every other part stays.
  /// - Parameter sharding: nil is what `zeroStage` says, which counts for nothing else.
  package func on(_ mesh: Mesh, zeroStage: ZeroStage, sharding: Sharding?) -> Strategy {
    var copy = self
    copy.mesh = mesh
    copy.zeroStage = zeroStage
    copy.shardLevels = nil
    if let sharding, sharding != copy.sharding { copy.sharding = sharding }
    return copy
  }

  /// Micro-batches that each pipeline runs in an iteration.
  /// - Precondition: the strategy divides the batch, which its checks see to.
  @usableFromInline package func microBatchCount(globalBatch: Int) -> Int { globalBatch / (batchDegree * microBatch) }
}
