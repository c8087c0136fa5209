import Documents
import Training

/// Bytes that one rank keeps of one micro-batch from forward to backward: the tensors that a recipe's steps keep, added up.
struct KeptActivations: Sendable {
  /// Of a block.
  struct Block: Sendable {
    /// Of its forward pass.
    let bytes: Int
    /// What recomputation brings back while the block runs backward.
    let recomputedBytes: Int
    /// Of a block of which nothing is recomputed.
    let wholeBytes: Int
    /// Of its forward pass, what it keeps when routed experts have given back what is theirs.
    let lateBytes: Int
  }

  /// Of blocks of each kind.
  let blocks: ByKind<Block>
  let embeddingBytes: Int
  /// Of the head without the loss, with what predicts further tokens.
  let headBytes: Int
  /// The same without.
  private let ownHeadBytes: Int
  /// The softmax of the logits.
  let lossBytes: Int
  /// What attention holds besides while a block runs, where ranks divide the sequence.
  let contextWorkspaceBytes: Int

  /// - Parameter other: of the same recipe with experts divided otherwise; nil where none was counted.
  init(_ recipe: Recipe, sharing other: KeptActivations? = nil) {
    contextWorkspaceBytes = recipe.contextWorkspaceBytes
    func bytes(_ steps: some Sequence<Recipe.Step>, where isCounted: (KeptTensor.Role) -> Bool = { _ in true }) -> Int {
      var sum = 0
      for case .piece(_, let operations) in steps {
        for case .keep(let tensor) in operations where isCounted(tensor.role) { sum += tensor.byteCount }
      }
      return sum
    }
    func block(_ part: Recipe.Part) -> Block {
      let forward = recipe.steps(part, .forward)
      let kept = bytes(forward), recomputed = bytes(recipe.steps(part, .recompute))
      let experts = forward.firstIndex { if case .piece(.experts, _) = $0 { true } else { false } }
      // A pass that computes all of a block again keeps all of it, the input that is already there once more.
      return Block(
        bytes: kept, recomputedBytes: recomputed,
        wholeBytes: recipe.recompute == .full ? recomputed : kept + recomputed,
        lateBytes: experts.map { bytes(forward[($0 + 1)...]) } ?? 0)
    }
    let dense = other?.blocks.dense ?? block(.block)
    blocks = ByKind(dense: dense, experts: recipe.experts == nil ? dense : block(.expertBlock))
    embeddingBytes = other?.embeddingBytes ?? bytes(recipe.steps(.embedding, .forward))
    let head = other == nil ? recipe.steps(.head, .forward) : []
    ownHeadBytes = other?.ownHeadBytes ?? bytes(head) { $0 != .lossSoftmax }
    headBytes =
      ownHeadBytes + recipe.predictionDepth * bytes(recipe.steps(.prediction, .forward)) { $0 != .lossSoftmax }
    lossBytes = other?.lossBytes ?? bytes(head) { $0 == .lossSoftmax }
  }
}

extension Recipe {
  /// The recipe of a strategy under a framework.
  init(job: TrainingJob, strategy: Strategy, framework: DeviceProfile.Framework, devicesPerNode: Int = .max) {
    self.init(
      job: job, strategy: strategy,
      vocabularySize: job.model.paddedVocabularySize(
        multiple: framework.vocabularyMultiple, tensorDegree: strategy.tensorDegree),
      keepsActivatedGate: framework.memory.keepsActivatedGate, selective: framework.memory.selective,
      devicesPerNode: devicesPerNode)
  }
}
