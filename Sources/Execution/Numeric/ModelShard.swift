import Documents

/// One tensor-parallel rank's share of a model, and how it is computed: all that a piece of the network knows.
///
/// Pieces know nothing of ranks, groups or plans; what lies between two of them is a collective of the tensor group.
struct ModelShard: Sendable {
  let model: ModelDescription
  let sequenceLength: Int
  /// Ranks that divide every layer's matrices.
  let tensorDegree: Int
  /// Position in that group.
  let tensorIndex: Int
  /// Whether norms, dropout and residuals are divided along the sequence.
  let usesSequenceParallelism: Bool
  /// Whether the attention core keeps the log-sum-exp only and computes probabilities again in backward.
  let usesFlashAttention: Bool
  /// Vocabulary with its padding, divisible by the tensor degree.
  let paddedVocabularySize: Int
  /// Of parameters, data and dropout.
  let seed: UInt64
  /// Bytes of an activation in the job's format, by which saved tensors are counted whatever the arithmetic is.
  let elementByteCount: Int
  /// Format to which every tensor that is saved or sent is rounded; fp32: not at all.
  let arithmetic: Precision
  /// Whether activations are dropped out: where the model has that, but for zeroth-order training, whose losses are of the
  /// whole network.
  let hasDropout: Bool
  /// How ranks divide sequences, and this one's place among them.
  let context: ContextPlace
  /// A text to train on; empty where tokens are made up.
  let corpus: [Int]
  /// Whether tokens are dealt out to experts in turn, see ``Router/isBalanced``.
  let balancesExperts: Bool
  /// How many of a rank's tokens each expert takes.
  let expertCapacity: ExpertCapacity
  /// The ranks among which the shard's tokens are divided where they are routed: many of the whole model on one rank.
  let sources: TokenSources
  /// How operands of blocks' linear layers are cast; nil: not at all.
  let casting: Casting?
  /// Whether heads of narrow vectors are made once more before backward.
  let makesHeadsAgain: Bool

  /// - Precondition: the tensor degree divides heads, key-value heads, feed-forward width, padded vocabulary and, under
  ///   sequence parallelism, the sequence; and ranks divide the sequence into twice as many chunks as they are.
  init(
    model: ModelDescription, sequenceLength: Int, tensorDegree: Int = 1, tensorIndex: Int = 0,
    usesSequenceParallelism: Bool = false, usesFlashAttention: Bool = false, paddedVocabularySize: Int? = nil,
    seed: UInt64, elementByteCount: Int = 2, arithmetic: Precision = .fp32,
    dropsOut: Bool = true, corpus: [Int] = [], division: Strategy.ContextDivision = .none, contextIndex: Int = 0,
    balancesExperts: Bool = false, expertCapacity: ExpertCapacity = .none, sources: TokenSources = .one,
    casting: Casting? = nil, makesHeadsAgain: Bool = false
  ) {
    let vocabulary = paddedVocabularySize ?? model.paddedVocabularySize(multiple: 1, tensorDegree: tensorDegree)
    for size in [model.headCount, model.keyValueHeadCount, model.feedForwardSize, vocabulary] {
      precondition(size % tensorDegree == 0, "\(size) cannot be divided among \(tensorDegree) ranks")
    }
    precondition(!usesSequenceParallelism || sequenceLength % tensorDegree == 0, "the sequence cannot be divided")
    precondition((0..<tensorDegree).contains(tensorIndex), "the rank is outside of its group")
    precondition(model.form == Miniature.form(of: model), "the model has norms that are not computed")
    precondition(vocabulary >= model.vocabularySize, "the padded vocabulary is smaller than the vocabulary")
    self.model = model
    self.sequenceLength = sequenceLength
    self.tensorDegree = tensorDegree
    self.tensorIndex = tensorIndex
    self.usesSequenceParallelism = usesSequenceParallelism && tensorDegree > 1
    self.usesFlashAttention = usesFlashAttention
    self.paddedVocabularySize = vocabulary
    self.seed = seed
    self.elementByteCount = elementByteCount
    self.arithmetic = arithmetic
    hasDropout = model.hasDropout && dropsOut
    self.corpus = corpus
    self.balancesExperts = balancesExperts
    self.expertCapacity = expertCapacity
    self.sources = sources
    self.casting = casting
    self.makesHeadsAgain = makesHeadsAgain
    context = ContextPlace(division, index: contextIndex, sequenceLength: sequenceLength)
  }

  /// Query heads of this rank.
  var headCount: Int { model.headCount / tensorDegree }
  /// Key-value heads of this rank.
  var keyValueHeadCount: Int { model.keyValueHeadCount / tensorDegree }
  /// Feed-forward columns of this rank.
  var feedForwardSize: Int { model.feedForwardSize / tensorDegree }
  /// Rows of the vocabulary of this rank.
  var vocabularyRange: Range<Int> {
    let size = paddedVocabularySize / tensorDegree
    return tensorIndex * size..<(tensorIndex + 1) * size
  }
  /// Whether positions are rotations of queries and keys (Su et al. 2021).
  var usesRotaryPositions: Bool { model.form.hasRotaryPositions }

  /// LayerNorm has a bias, RMSNorm has not.
  var normHasBias: Bool { model.form.norm == .layerNorm }

  /// Positions of the tokens that the rank has of every sequence, ascending.
  var positions: [Int] { context.positions }

  /// Rows of a micro-batch that this rank holds outside of the tensor-parallel products.
  func localRows(_ microBatch: MicroBatch) -> Range<Int> {
    let all = positions.count * microBatch.sequences.count
    guard usesSequenceParallelism else { return 0..<all }
    return tensorIndex * (all / tensorDegree)..<(tensorIndex + 1) * (all / tensorDegree)
  }

  /// Rows of a micro-batch by the rank that routes them, of the rows that this one has.
  func sourceRows(_ microBatch: MicroBatch) -> [[Int]] {
    sources.rows(rowCount: localRows(microBatch).count, sequenceCount: microBatch.sequences.count)
  }

  /// The training data of the seed.
  var data: TrainingData {
    TrainingData(
      seed: seed, vocabularySize: model.vocabularySize, positions: positions, sequenceLength: sequenceLength,
      corpus: corpus)
  }

  /// Numbers of the tokens that this rank holds outside of the tensor-parallel products: of a sequence one after the other.
  func tokenNumbers(_ microBatch: MicroBatch) -> [Int] {
    let count = microBatch.sequences.count
    return localRows(microBatch).map { row in
      microBatch.sequences[row % count] * sequenceLength + positions[row / count]
    }
  }

  /// What the loss is multiplied by before backward, and gradients divided by before the norm and the update: a power
  /// of two, 1 but for fp16, whose smallest numbers would swallow small gradients (Micikevicius et al. 2018).
  var lossScale: Float { arithmetic == .fp16 ? 1024 : 1 }

  /// What remains of a tensor that is saved or sent.
  func rounded(_ matrix: Matrix) -> Matrix { arithmetic.rounded(matrix) }
}
