/// How layers with experts are divided among ranks.
extension Strategy {
  /// How tokens reach the experts they are sent to, by the frameworks' words.
  package enum Dispatcher: String, Sendable, CaseIterable, StrategyValue {
    /// Every rank gathers all tokens of its expert group and computes what is its experts'.
    case allGather = "allgather"
    /// Every token is sent once for each of its experts.
    case allToAll = "alltoall"
    /// Every token is sent once to each rank that has any of its experts, and once to each node (DeepEP, DeepSeek-AI 2025).
    case deepEP = "deepep"
    /// The same by copy engines within a domain of links (HybridEP).
    case hybridEP = "hybridep"

    /// Whether a token's copies for experts of one rank are sent once.
    package var sendsOnce: Bool { self == .deepEP || self == .hybridEP }
  }

  /// How experts are divided, and how tokens reach them.
  package struct ExpertDivision: Sendable, Hashable {
    /// Ranks that divide the experts of every layer, at least 1.
    package let expertDegree: Int
    /// Ranks that divide the width of every expert, at least 1.
    package let tensorDegree: Int
    package let dispatcher: Dispatcher
    /// Whether a micro-batch's tokens are on their way while another one is computed.
    package let overlaps: Bool

    /// Experts that every rank has all of.
    package static let none = ExpertDivision(expertDegree: 1, tensorDegree: 1, dispatcher: .allToAll)

    package init(expertDegree: Int, tensorDegree: Int, dispatcher: Dispatcher, overlaps: Bool = false) {
      self.expertDegree = expertDegree
      self.tensorDegree = tensorDegree
      self.dispatcher = dispatcher
      self.overlaps = overlaps
    }
  }

  /// How experts are divided, and how tokens reach them.
  package var expertDivision: ExpertDivision {
    ExpertDivision(
      expertDegree: expertDegree, tensorDegree: expertTensorDegree, dispatcher: dispatcher, overlaps: overlapsExperts)
  }

  /// The strategy with experts divided otherwise.
  package func with(_ division: ExpertDivision) -> Strategy {
    var copy = self
    copy.expertDegree = division.expertDegree
    copy.expertTensorDegree = division.tensorDegree
    copy.dispatcher = division.dispatcher
    copy.overlapsExperts = division.overlaps
    return copy
  }

  /// Which rank has which experts: the same ranks on a second grid, whose pipeline blocks are the first's (Megatron Core's
  /// parallel folding, Liu et al. 2025): `rank = etp + ETP·(ep + EP·(edp + EDP·pp))`.
  ///
  /// - Precondition: the expert degrees divide the ranks of a stage.
  package var expertMesh: Mesh {
    let stageSize = mesh.blockSize(below: .pipeline), inner = expertDegree * expertTensorDegree
    return [
      .tensor: expertTensorDegree, .expert: expertDegree, .data: max(1, stageSize / inner),
      .pipeline: pipelineDegree, .worker: workerDegree,
    ]
  }

  /// Ranks that hold the same experts, EDP: between them experts' gradients are summed and their states divided.
  package var expertReplicaCount: Int { expertMesh.degree(of: .data) }

  /// How those divide them: as far as replicas divide other states, of which each replica has tensor and expert ranks for
  /// one.
  ///
  /// With all replicas, all that hold the same experts; within w consecutive replicas those of them that do, T·w/(ETP·EP).
  package var expertSharding: Sharding {
    let all = sharding, replicas = expertReplicaCount
    func degree(_ degree: Int) -> Int {
      if degree == 1 { return 1 }
      return max(1, min(replicas, degree * tensorDegree / (expertDegree * expertTensorDegree)))
    }
    return Sharding(
      weightDegree: degree(all.weightDegree), gradientDegree: degree(all.gradientDegree),
      optimizerDegree: degree(all.optimizerDegree))
  }
}

// MARK: - Keys

extension Strategy {
  /// The keys of a strategy that say how experts are divided.
  static let expertKeys: [StrategyKey] = [
    .part(
      "expert", \.expertDegree, degrees, plainest: 1,
      """
      Ranks that divide the experts of every layer, on a grid of their own over the ranks of a stage; between those that hold \
      the same experts these experts' states are divided and gradients summed.
      """,
      phrase: { $0.expertDegree > 1 ? "experts over \($0.expertDegree) ranks" : nil },
      short: { $0.expertDegree > 1 ? "e\($0.expertDegree)" : nil }),
    .part(
      "expert_tensor", \.expertTensorDegree, degrees, plainest: 1,
      "Ranks that divide the width of every expert; 1 where absent, whatever the tensor degree.",
      phrase: { $0.expertTensorDegree > 1 ? "the width of each over \($0.expertTensorDegree)" : nil },
      short: { $0.expertTensorDegree > 1 ? "et\($0.expertTensorDegree)" : nil }),
    .part(
      "moe_dispatcher", \.dispatcher, .choices(Dispatcher.allCases.map(\.scalar)), plainest: .allToAll,
      """
      How tokens reach their experts: all are gathered, each is sent for every one of its experts, or each is sent once to \
      every rank that has any of them.
      """,
      phrase: { $0.dispatcher == .allToAll ? nil : "tokens sent by \($0.dispatcher.rawValue)" },
      short: { $0.dispatcher == .allToAll ? nil : $0.dispatcher.rawValue }),
    .part(
      "moe_overlap", \.overlapsExperts, .booleans, plainest: false,
      """
      Whether a forward pass of one micro-batch runs beside a backward pass of another, so that one's tokens are on their way \
      while the other is computed (combined 1F1B).
      """,
      phrase: { $0.overlapsExperts ? "their way under another micro-batch" : nil },
      short: { $0.overlapsExperts ? "ov" : nil }),
  ]
}

/// Why the experts of a strategy cannot be divided so: facts, and a sentence.
package enum ExpertViolation: Sendable, Hashable, CustomStringConvertible {
  case noExperts
  case doesNotDivide(what: String, count: Int, degree: Int, by: String)
  case gridDoesNotFill(ranks: Int, expert: Int, tensor: Int)
  case tensorWithoutSequenceParallelism
  case sentOnceWithDividedWidth(String)
  case dividedStates(degree: Int, ranks: Int)
  case beside(String)
  case overlap(String)

  package var description: String {
    switch self {
    case .noExperts: "expert, expert_tensor and moe_dispatcher are of models with experts"
    case .doesNotDivide(let what, let count, let degree, let axis):
      "the \(axis) degree \(degree) does not divide the \(count) \(what)"
    case .gridDoesNotFill(let ranks, let expert, let tensor):
      "expert \(expert) × expert_tensor \(tensor) does not divide the \(ranks) ranks of a stage"
    case .tensorWithoutSequenceParallelism: "tensor groups of a model with experts need sequence parallelism"
    case .sentOnceWithDividedWidth(let dispatcher): "tokens sent by \(dispatcher) need experts of undivided width"
    case .dividedStates(let degree, let ranks):
      "states divided over \(degree) replicas do not divide over whole groups of the \(ranks) ranks that divide experts"
    case .beside(let what): "models with experts are not priced with \(what)"
    case .overlap(let what): "moe_overlap needs \(what)"
    }
  }

  /// The rule that is broken, without its numbers.
  package var rule: String {
    switch self {
    case .noExperts: "parts of expert parallelism without experts"
    case .doesNotDivide(let what, _, _, _): "experts' degrees do not divide the \(what)"
    case .gridDoesNotFill: "expert degrees do not divide the ranks of a stage"
    case .tensorWithoutSequenceParallelism: "experts with tensor groups and without sequence parallelism"
    case .sentOnceWithDividedWidth: "tokens sent once to experts of divided width"
    case .dividedStates: "shard degrees and expert degrees that do not fit each other"
    case .beside(let what): "experts with \(what)"
    case .overlap(let what): "the way of tokens under another micro-batch without \(what)"
    }
  }
}

extension Strategy {
  /// What the overlap of tokens' way needs and the strategy has not; nil where it has all, or does not overlap
  /// (Megatron Core's `transformer_config.py`, `overlap_moe_expert_parallel_comm`).
  private func missingForOverlap(_ job: TrainingJob) -> String? {
    guard overlapsExperts else { return nil }
    if expertDegree == 1 { return "an expert degree above 1" }
    if dispatcher == .allGather { return "tokens that are sent to their experts" }
    if recompute == .full || recomputeModules.contains(.experts) {
      return "layers that are recomputed neither in full nor the whole way of tokens"
    }
    if pipelineDegree > 1, !schedule.isInterleaved { return "interleaved chunks in a pipeline" }
    return job.model.predictionDepth > 1 ? "one layer at most that predicts further tokens" : nil
  }

  /// Whether tensor groups have to divide the sequence as well: of a model with experts their ranks would send every token as
  /// often as there are of them.
  package static func needsSequenceParallelism(_ model: ModelDescription, on mesh: Mesh) -> Bool {
    model.experts != nil && mesh.degree(of: .tensor) > 1
  }

  /// The rule of experts that the strategy breaks for a job; nil if it keeps all.
  func expertViolation(_ job: TrainingJob) -> ExpertViolation? {
    guard let experts = job.model.experts else { return expertDivision == .none ? nil : .noExperts }
    if experts.count % expertDegree != 0 {
      return .doesNotDivide(what: "experts", count: experts.count, degree: expertDegree, by: "expert")
    }
    if experts.feedForwardSize % expertTensorDegree != 0 {
      return .doesNotDivide(
        what: "width of an expert", count: experts.feedForwardSize, degree: expertTensorDegree, by: "expert_tensor")
    }
    if experts.sharedFeedForwardSize % tensorDegree != 0 {
      return .doesNotDivide(
        what: "width of shared experts", count: experts.sharedFeedForwardSize, degree: tensorDegree, by: "tensor")
    }
    let stageSize = mesh.blockSize(below: .pipeline)
    if stageSize % (expertDegree * expertTensorDegree) != 0 {
      return .gridDoesNotFill(ranks: stageSize, expert: expertDegree, tensor: expertTensorDegree)
    }
    if !usesSequenceParallelism, Self.needsSequenceParallelism(job.model, on: mesh) {
      return .tensorWithoutSequenceParallelism
    }
    if expertTensorDegree > 1, dispatcher.sendsOnce { return .sentOnceWithDividedWidth(dispatcher.rawValue) }
    for degree in [sharding.weightDegree, sharding.gradientDegree, sharding.optimizerDegree]
    where degree > 1 && degree * tensorDegree % (expertDegree * expertTensorDegree) != 0 {
      return .dividedStates(degree: degree, ranks: expertDegree * expertTensorDegree)
    }
    if job.expertCapacity.factor != nil, dispatcher != .allToAll {
      return .beside("tokens that are dropped, which moe_dispatcher=alltoall alone does")
    }
    if update != .firstOrder { return .beside("update \(update.rawValue)") }
    if hosting.holdsWeights || hosting.activations != .onDevice { return .beside("weights or activations on the host") }
    // Of gradients that are divided, experts' may be whole where others are not.
    if hosting.updatePercent > 0, sharding.gradientDegree > 1 {
      return .beside("divided gradients that go to the host")
    }
    if sharding.isQuantised || sharding.secondaryDegree != nil {
      return .beside("quantised collectives or a second copy of the weights")
    }
    if recompute == .selective, !usesFlashAttention { return .beside("attention that is not fused") }
    if let missing = missingForOverlap(job) { return .overlap(missing) }
    return job.optimizer.hasUniformStates ? nil : .beside("\(job.optimizer.words), whose states differ by matrix")
  }
}
