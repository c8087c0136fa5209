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
    /// A block with one feed-forward part for all tokens.
    case block
    /// A block with experts.
    case expertBlock
    /// A block that predicts a further token, with all that it has besides, and the head once more.
    case prediction
    /// Final norm, output matrix and loss.
    case head
  }

  /// What is done to a part.
  package enum Pass: Int, Sendable, CaseIterable {
    case forward
    /// What backward needs and forward did not keep, computed again just before it: a whole forward pass of a block under
    /// full recomputation; under selective the pieces of the modules that are recomputed, the attention core where none is
    /// named and it is not fused, or what of a block is neither attention nor every other product.
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
  /// Modules that selective recomputation is told to compute again.
  let namedModules: Strategy.RecomputeModules
  /// What forward does not keep of any block under selective recomputation of modules.
  private(set) var droppedRoles: [KeptTensor.Role] = []
  let hidden: Int
  // The rank's part of each width.
  let querySize: Int
  let keyValueSize: Int
  /// Of values, and of what attention gives.
  let valueSize: Int
  let contextSize: Int
  /// Narrow vectors that queries, keys and values are made of.
  let latent: ModelDescription.LatentAttention?
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
  /// Share of layers with a window shorter than the sequence.
  let windowedShare: Double
  let isRotary: Bool
  /// Width of what gates attention's output; 0 without.
  let gateSize: Int
  let block: ModelDescription.Block
  let hasDropout: Bool
  /// Bytes e of a number.
  let elementByteCount: Int
  /// What blocks' linear layers multiply in where that is narrower; nil where it is not.
  private(set) var narrow: ProductFormat?
  /// Whether the output head multiplies in it as well.
  let narrowsHead: Bool
  /// Whether fused attention multiplies in FP8 where blocks do so in a narrower format.
  let narrowsAttention: Bool
  /// Layers at the ends of the model that multiply as they are stored, by kind; nil where all multiply alike.
  package private(set) var wideEnds: WideEnds?
  /// Parameters of a block on the rank, by kind, without those of routed experts.
  let blockParameterCount: Int
  let expertBlockParameterCount: Int
  /// Experts and what of tokens goes where; nil in a model without.
  package let experts: RoutedExperts?
  /// Layers that predict further tokens.
  package let predictionDepth: Int
  /// Whether their blocks have experts, as the last layer's.
  package let predictsWithExperts: Bool

  /// - Parameters:
  ///   - vocabularySize: rows of the token table, padded.
  ///   - keepsActivatedGate: see ``Documents/DeviceProfile/Framework/Memory/keepsActivatedGate``; it bears on what is kept
  ///     only.
  ///   - selective: see ``Documents/DeviceProfile/Framework/Memory/selective``.
  ///   - context: how the sequence is divided.
  ///   - modules: what selective recomputation computes again; none is what the framework selects.
  /// - Precondition: the tensor degree divides heads, key-value heads, feed-forward width and vocabulary, and under sequence
  ///   parallelism the sequence.
  package init(
    job: TrainingJob, tensorDegree t: Int, microBatch: Int, recompute: Strategy.Recompute, sequenceParallel: Bool,
    flashAttention: Bool, vocabularySize: Int, keepsActivatedGate: Bool = false,
    selective: DeviceProfile.Framework.Selective = .attentionCore, context: Strategy.ContextDivision = .none,
    experts: RoutedExperts? = nil, modules: Strategy.RecomputeModules = []
  ) {
    let model = job.model
    self.experts = experts
    predictionDepth = model.predictionDepth
    predictsWithExperts = model.predictionDepth > 0 && model.kind(ofLayer: model.layerCount - 1).feedForward == .experts
    self.context = context
    tokenCount = microBatch * job.sequenceLength / context.degree
    rowCount = sequenceParallel ? tokenCount / t : tokenCount
    sequenceLength = job.sequenceLength
    tensorDegree = t
    isSequenceParallel = sequenceParallel
    usesFlashAttention = flashAttention
    self.recompute = recompute
    namedModules = modules
    hidden = model.hiddenSize
    querySize = model.querySize / t
    keyValueSize = model.keyValueSize / t
    valueSize = model.keyValueHeadCount * model.valueHeadSize / t
    contextSize = model.contextSize / t
    latent = model.latent
    headCount = model.headCount / t
    feedForwardSize = model.feedForwardSize / t
    self.vocabularySize = vocabularySize / t
    headSize = model.headSize
    hasGatedFeedForward = model.hasGatedFeedForward
    self.keepsActivatedGate = keepsActivatedGate
    self.selective = selective
    isCausal = model.family != .bert
    visibleFraction = model.visibleFraction(sequenceLength: job.sequenceLength)
    windowedShare =
      Double(model.windowedLayerCount(sequenceLength: job.sequenceLength)) / Double(model.layerCount)
    isRotary = model.form.hasRotaryPositions
    gateSize = model.form.hasOutputGate ? model.contextSize / t : 0
    block = model.form.block
    hasDropout = model.hasDropout
    elementByteCount = job.precision.byteCount
    narrow = job.precision.products
    narrowsHead = job.headProducts != nil
    narrowsAttention = job.narrowsAttention
    wideEnds = WideEnds(of: job)
    blockParameterCount = model.layerParameters(.dense).perRank(tensorDegree: t)
    expertBlockParameterCount = model.layerParameters(.experts).perRank(tensorDegree: t)
    droppedRoles = Self.droppedRoles(of: self)
  }

  /// The recipe of a strategy.
  package init(
    job: TrainingJob, strategy: Strategy, vocabularySize: Int, keepsActivatedGate: Bool = false,
    selective: DeviceProfile.Framework.Selective = .attentionCore, devicesPerNode: Int = .max
  ) {
    self.init(
      job: job, tensorDegree: strategy.tensorDegree, microBatch: strategy.microBatch, recompute: strategy.recompute,
      sequenceParallel: strategy.usesSequenceParallelism, flashAttention: strategy.usesFlashAttention,
      vocabularySize: vocabularySize, keepsActivatedGate: keepsActivatedGate, selective: selective,
      context: strategy.contextDivision,
      experts: RoutedExperts(
        job, tensorDegree: strategy.tensorDegree, strategy.expertDivision, devicesPerNode: devicesPerNode),
      modules: strategy.recomputeModules)
  }

  /// Layers of each kind at either end of a model that multiply as they are stored where the others do so in a narrower format,
  /// see ``Documents/WideLayers``.
  package struct WideEnds: Sendable, Equatable {
    package let first, last: LayerCounts

    /// Of a job; nil where all of its layers multiply alike.
    package init?(of job: TrainingJob) {
      guard job.precision.products != nil, job.wideLayers != .none else { return nil }
      let kinds = LayerKinds(of: job.model), ranges = job.wideLayers.ranges(of: job.model.layerCount)
      (first, last) = (kinds.counts(in: ranges.first), kinds.counts(in: ranges.last))
    }
  }

  /// The recipe of layers that multiply as they are stored; nil where all multiply alike.
  package var wide: Recipe? {
    guard wideEnds != nil else { return nil }
    var other = self
    (other.narrow, other.wideEnds) = (nil, nil)
    other.droppedRoles = Self.droppedRoles(of: other)
    return other
  }

  /// What a rank does for one micro-batch in a pass of a part, in order.
  package func steps(_ part: Part, _ pass: Pass) -> [Step] {
    switch part {
    case .embedding: embeddingSteps(pass)
    case .block: blockSteps(pass)
    case .expertBlock: experts == nil ? [] : blockSteps(pass, experts)
    case .prediction: predictionSteps(pass)
    case .head: headSteps(pass)
    }
  }

  /// A linear layer of a block, which multiplies in the job's narrow format where that has one.
  ///
  /// Where tensor groups divide the sequence, ranks cast their rows before they are gathered.
  func blockLayer(_ tokenCount: Int, inputCount: Int, outputCount: Int, dividesOutputs: Bool) -> LinearLayer {
    LinearLayer(
      tokenCount: tokenCount, inputCount: inputCount, outputCount: outputCount, dividesOutputs: dividesOutputs,
      isNarrow: narrow != nil, undividedRowCount: min(rowCount, tokenCount))
  }

  /// Bytes of so many numbers that only a linear layer of a block reads again: kept as it multiplied them.
  func operandBytes(_ count: Int) -> Int {
    narrow.map { Int((Double(count) * $0.keptBytes).rounded(.up)) } ?? count * elementByteCount
  }

  /// Bytes of what such a layer multiplied beside numbers that something else reads as they are stored.
  func operandCopyBytes(_ count: Int) -> Int { narrow == nil ? 0 : operandBytes(count) }

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

  /// The same of what a linear layer of a block multiplies, in the format that it does so in.
  func gatherOperandRows(of operand: Operand, _ steps: inout [Step]) {
    guard narrow != nil else { return gatherRows(of: operand, &steps) }
    guard isSequenceParallel, tensorDegree > 1 else { return }
    steps.append(
      .collective(
        TensorCollective(
          kind: .allGather, operand: operand, elementCount: operandBytes(activationElementCount), elementByteCount: 1)))
  }

  private func exchange(_ kind: CollectiveKind, _ operand: Operand, _ steps: inout [Step]) {
    guard tensorDegree > 1 else { return }
    steps.append(
      .collective(
        TensorCollective(
          kind: kind, operand: operand, elementCount: activationElementCount, elementByteCount: elementByteCount)))
  }
}
