package import Documents

/// What one rank computes for one micro-batch, and what its tensor group exchanges meanwhile: for every part of the model
/// and every pass the steps in their order, with their sizes.
///
/// It is written down here and nowhere else. Seconds, bytes on the wire, bytes kept from forward to backward and the
/// programs of ranks are folds of these lists; the lists themselves know neither seconds nor links.
package struct Recipe: Sendable {
  /// A part of the model, whichever block it is.
  package enum Part: Int, Sendable, CaseIterable {
    case embedding
    case block
    /// Final norm, output matrix and loss.
    case head
  }

  /// What is done to a part.
  package enum Pass: Int, Sendable, CaseIterable {
    case forward
    /// What backward needs and forward did not keep, computed again just before it: a whole forward pass of a block under
    /// full recomputation, the attention core under selective, where that is not fused, or what of a block is neither
    /// attention nor every other product.
    case recompute
    case backward
    /// The part of backward that gives the gradient of a part's input: all but what the next is. An embedding has no input
    /// that has a gradient.
    case inputGradient
    /// The rest: the weights' gradients of linear layers, and what adds gradients up. What forward has kept is held until
    /// then.
    case weightGradient
  }

  /// A step of a pass.
  package enum Step: Sendable, Equatable {
    /// What is computed between two collectives.
    case piece(ModelPiece, [Operation])
    case collective(TensorCollective)
  }

  /// Tokens of the micro-batch that the rank has: all, or its part of every sequence.
  package let tokenCount: Int
  /// Those that the rank works on outside the parts that the tensor group divides: its share under sequence parallelism,
  /// otherwise all.
  let rowCount: Int
  let sequenceLength: Int
  let tensorDegree: Int
  /// How the sequence is divided among ranks.
  let context: Strategy.ContextDivision
  let isSequenceParallel: Bool
  let usesFlashAttention: Bool
  package let recompute: Strategy.Recompute
  let hidden: Int
  // The rank's part of each width.
  let querySize: Int
  let keyValueSize: Int
  let headCount: Int
  let feedForwardSize: Int
  let vocabularySize: Int
  let headSize: Int
  let hasGatedFeedForward: Bool
  /// Whether the activated half of a gate is kept besides gate, value and product: a framework's that does not fuse them.
  let keepsActivatedGate: Bool
  /// What is computed again under selective recomputation.
  package let selective: DeviceProfile.Framework.Selective
  let isCausal: Bool
  /// What windows leave of attention, see ``Documents/ModelDescription/visibleFraction(sequenceLength:)``.
  let visibleFraction: Double
  let isRotary: Bool
  let block: ModelDescription.Block
  let hasDropout: Bool
  /// Bytes e of a number.
  let elementByteCount: Int
  /// Parameters of a block on the rank.
  let blockParameterCount: Int

  /// - Parameters:
  ///   - vocabularySize: rows of the token table, padded.
  ///   - keepsActivatedGate: see ``Documents/DeviceProfile/Framework/Memory/keepsActivatedGate``; it bears on what is kept
  ///     only.
  ///   - selective: see ``Documents/DeviceProfile/Framework/Memory/selective``.
  ///   - context: how the sequence is divided.
  /// - Precondition: the tensor degree divides heads, key-value heads, feed-forward width and vocabulary, and under sequence
  ///   parallelism the sequence.
  package init(
    job: TrainingJob, tensorDegree t: Int, microBatch: Int, recompute: Strategy.Recompute, sequenceParallel: Bool,
    flashAttention: Bool, vocabularySize: Int, keepsActivatedGate: Bool = false,
    selective: DeviceProfile.Framework.Selective = .attentionCore, context: Strategy.ContextDivision = .none
  ) {
    let model = job.model
    self.context = context
    tokenCount = microBatch * job.sequenceLength / context.degree
    rowCount = sequenceParallel ? tokenCount / t : tokenCount
    sequenceLength = job.sequenceLength
    tensorDegree = t
    isSequenceParallel = sequenceParallel
    usesFlashAttention = flashAttention
    self.recompute = recompute
    hidden = model.hiddenSize
    querySize = model.querySize / t
    keyValueSize = model.keyValueSize / t
    headCount = model.headCount / t
    feedForwardSize = model.feedForwardSize / t
    self.vocabularySize = vocabularySize / t
    headSize = model.headSize
    hasGatedFeedForward = model.hasGatedFeedForward
    self.keepsActivatedGate = keepsActivatedGate
    self.selective = selective
    isCausal = model.family != .bert
    visibleFraction = model.visibleFraction(sequenceLength: job.sequenceLength)
    isRotary = model.form.hasRotaryPositions
    block = model.form.block
    hasDropout = model.hasDropout
    elementByteCount = job.precision.byteCount
    blockParameterCount = model.layerParameters(.dense).perRank(tensorDegree: t)
  }

  /// The recipe of a strategy.
  package init(
    job: TrainingJob, strategy: Strategy, vocabularySize: Int, keepsActivatedGate: Bool = false,
    selective: DeviceProfile.Framework.Selective = .attentionCore
  ) {
    self.init(
      job: job, tensorDegree: strategy.tensorDegree, microBatch: strategy.microBatch, recompute: strategy.recompute,
      sequenceParallel: strategy.usesSequenceParallelism, flashAttention: strategy.usesFlashAttention,
      vocabularySize: vocabularySize, keepsActivatedGate: keepsActivatedGate, selective: selective,
      context: strategy.contextDivision)
  }

  /// What a rank does for one micro-batch in a pass of a part, in order.
  package func steps(_ part: Part, _ pass: Pass) -> [Step] {
    switch part {
    case .embedding: embeddingSteps(pass)
    case .block: blockSteps(pass)
    case .head: headSteps(pass)
    }
  }

  // MARK: Collectives of activations

  /// Elements of a micro-batch's activations between layers, whole.
  package var activationElementCount: Int { tokenCount * hidden }

  /// Completes partial sums, to every rank or under sequence parallelism to each its part of the rows.
  func completeSum(of operand: Operand, _ steps: inout [Step]) {
    exchange(isSequenceParallel ? .reduceScatter : .allReduce, operand, &steps)
  }

  /// Brings rows together that are divided along the sequence.
  func gatherRows(of operand: Operand, _ steps: inout [Step]) {
    if isSequenceParallel { exchange(.allGather, operand, &steps) }
  }

  private func exchange(_ kind: CollectiveKind, _ operand: Operand, _ steps: inout [Step]) {
    guard tensorDegree > 1 else { return }
    steps.append(
      .collective(
        TensorCollective(
          kind: kind, operand: operand, elementCount: activationElementCount, elementByteCount: elementByteCount)))
  }
}
