import Documents
import Training

/// Bytes that one rank keeps of one micro-batch from forward to backward: the tensors that a recipe's steps keep, added up.
package struct KeptActivations: Sendable {
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
  /// Of what predicts a further token, without its block and its loss.
  private let predictionEndsBytes: Int
  /// What attention holds besides while a block runs, where ranks divide the sequence.
  let contextWorkspaceBytes: Int
  /// Of layers at the model's ends that multiply as they are stored, how many there are, and what a block of each kind keeps; nil
  /// where all multiply alike.
  let wide: (ends: Recipe.WideEnds, blocks: ByKind<Block>)?

  /// - Parameter other: of the same recipe with experts divided otherwise; nil where none was counted.
  init(_ recipe: Recipe, sharing other: KeptActivations? = nil) {
    contextWorkspaceBytes = recipe.contextWorkspaceBytes
    let dense = other?.blocks.dense ?? Block(BlockSteps(recipe, .block), recipe.recompute)
    let experts =
      recipe.experts == nil ? dense : Block(BlockSteps(recipe, .expertBlock), recipe.recompute)
    blocks = ByKind(dense: dense, experts: experts)
    embeddingBytes = other?.embeddingBytes ?? recipe.steps(.embedding, .forward).keptBytes()
    let head = other == nil ? recipe.steps(.head, .forward) : []
    ownHeadBytes = other?.ownHeadBytes ?? head.keptBytes { $0 != .lossSoftmax }
    let ofPrediction = recipe.predictsWithExperts ? experts.bytes : dense.bytes
    predictionEndsBytes =
      other?.predictionEndsBytes
      ?? max(0, recipe.steps(.prediction, .forward).keptBytes { $0 != .lossSoftmax } - ofPrediction)
    headBytes = ownHeadBytes + recipe.predictionDepth * (predictionEndsBytes + ofPrediction)
    lossBytes = other?.lossBytes ?? head.keptBytes { $0 == .lossSoftmax }
    wide = recipe.wideEnds.flatMap { ends in
      recipe.wide.map { (ends, KeptActivations($0, sharing: nil).blocks) }
    }
  }
}

extension KeptActivations.Block {
  fileprivate init(_ steps: BlockSteps, _ recompute: Strategy.Recompute) {
    bytes = steps.forward.keptBytes()
    recomputedBytes = steps.again.keptBytes()
    // A pass that computes all of a block again keeps all of it, the input that is already there once more.
    wholeBytes = recompute == .full ? recomputedBytes : bytes + recomputedBytes
    let experts = steps.forward.firstIndex { if case .piece(.experts, _) = $0 { true } else { false } }
    lateBytes = experts.map { steps.forward[($0 + 1)...].keptBytes() } ?? 0
  }
}

/// The steps of a block that its bytes and its seconds are added up from: its forward pass, and what of it is run again before
/// the backward pass.
struct BlockSteps {
  let forward, again: [Recipe.Step]

  init(_ recipe: Recipe, _ part: Recipe.Part) {
    forward = recipe.steps(part, .forward)
    again = recipe.steps(part, .recompute)
  }
}

extension Sequence where Element == Recipe.Step {
  /// Bytes of the tensors that they keep.
  fileprivate func keptBytes(where isCounted: (KeptTensor.Role) -> Bool = { _ in true }) -> Int {
    var sum = 0
    for case .piece(_, let operations) in self {
      for case .keep(let tensor) in operations where isCounted(tensor.role) { sum += tensor.byteCount }
    }
    return sum
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
