/// What a part of the model keeps of one micro-batch from its forward to its backward pass.
///
/// Exactly the list that the memory model counts (`MemoryModel`); statistics of norms
/// are computed again from the input.
struct SavedActivations: Sendable {
  /// Every tensor that may be kept.
  enum Name: String, Sendable, CaseIterable {
    /// A layer's input and its first norm's input.
    case attentionNormInput
    /// Input of the column-parallel query, key and value products.
    case attentionNormOutput
    /// Latent attention: narrow vectors as they are made, of the rank's rows, and as their norms leave them, of all tokens.
    case narrowQueries, narrowKeysValues, gatheredQueries, gatheredKeysValues
    /// The part of keys that all heads share, of all tokens: where heads are made once more.
    case gatheredSharedKeys
    /// After query norm and rotation, this rank's heads.
    case query
    case key
    case value
    /// Unfused core: probabilities of (sequence, head, query) × key.
    case softmax
    /// Unfused core with dropout: which probabilities stay.
    case softmaxMask
    /// Unfused core with dropout: what multiplies the values.
    case droppedSoftmax
    /// Fused core: fp32 log-sum-exp of token × head.
    case logSumExp
    /// The core's output of the heads that the rank has in exchange for parts of sequences.
    case attentionContextByHeads
    /// The core's output, input of the row-parallel output projection.
    case attentionContext
    /// Where that is gated: what gates it before its sigmoid, and the core's output before the product of both.
    case attentionGate, ungatedContext
    case attentionDropoutMask
    case feedForwardNormInput
    /// Input of the column-parallel feed-forward product.
    case feedForwardNormOutput
    /// Input of the activation function.
    case activationInput
    /// Gated only: what the activation multiplies.
    case gatedValue
    /// Input of the row-parallel feed-forward product.
    case activationOutput
    case feedForwardDropoutMask
    /// Of a block with experts: what all its tokens go through besides, as ``activationInput`` and what follows it.
    case sharedInput, sharedValue, sharedOutput
    /// The router's products and scores in fp32, and a byte for each expert that a token may be sent to.
    case routerLogits, routerScores, routingMap
    /// Rows that have come to the rank's experts, and what each is multiplied by.
    case expertRows, expertWeights
    /// Between the experts' products.
    case expertInput, expertValue, expertOutput
    /// What experts of narrow vectors have given a token together.
    case narrowExpertsOutput
    /// Of the embedding, or of what a further prediction looks up.
    case embeddingDropoutMask
    /// Of a further prediction: embeddings of tokens further on, what the depth before it gives, and both side by side as their
    /// norms leave them.
    case predictionTokens, predictionStream, predictionInput
    case finalNormInput
    case finalNormOutput
    /// fp32 softmax of this rank's logits.
    case lossSoftmax
  }

  /// One kept tensor. A dropout mask holds 0 or 1 / (1 − p), and counts one byte per element.
  struct Tensor: Sendable {
    let name: Name
    let values: Matrix
    /// Bytes of one element in the job's formats.
    let elementByteCount: Int
    /// Bytes as the memory model counts them.
    var byteCount: Int { values.elements.count * elementByteCount }
  }

  /// In the order in which they were kept.
  private(set) var tensors: [Tensor] = []
  /// Which experts the rank's tokens have chosen.
  var choices: [[Int]] = []
  /// Those of them that take the tokens.
  var taken: [[Int]] = []
  /// Which token each row of the rank's experts is of: as ``choices`` whole numbers that take little beside the rows, and
  /// are not counted.
  var routes: [RoutedRows.Tag] = []

  init() {}

  /// Bytes of all, in the job's formats.
  var byteCount: Int { tensors.reduce(0) { $0 + $1.byteCount } }

  /// Bytes of a kind of tensor.
  func byteCount(of name: Name) -> Int { tensors.reduce(0) { $0 + ($1.name == name ? $1.byteCount : 0) } }

  mutating func keep(_ name: Name, _ values: Matrix, elementByteCount: Int) {
    tensors.append(Tensor(name: name, values: values, elementByteCount: elementByteCount))
  }

  func contains(_ name: Name) -> Bool { tensors.contains { $0.name == name } }

  /// - Precondition: the tensor was kept.
  subscript(name: Name) -> Matrix {
    guard let tensor = tensors.first(where: { $0.name == name }) else {
      preconditionFailure("\(name) is needed in backward and was not kept")
    }
    return tensor.values
  }

  /// Without the loss' softmax, which its input gradient turns into the gradient of the logits.
  func withoutSoftmax() -> SavedActivations {
    var kept = SavedActivations()
    kept.tensors = tensors.filter { $0.name != .lossSoftmax }
    return kept
  }

  /// With a tensor in place of one of the same name, of as many bytes.
  mutating func replace(_ tensor: Tensor) {
    guard let index = tensors.firstIndex(where: { $0.name == tensor.name }) else {
      preconditionFailure("\(tensor.name) was not kept")
    }
    precondition(tensor.byteCount == tensors[index].byteCount, "\(tensor.name) is of another size than what was kept")
    tensors[index] = tensor
  }

  /// With all of other activations, but what is here already.
  func completed(by other: SavedActivations) -> SavedActivations {
    var all = self
    all.tensors += other.tensors.filter { !contains($0.name) }
    if choices.isEmpty { (all.choices, all.taken) = (other.choices, other.taken) }
    if routes.isEmpty { all.routes = other.routes }
    return all
  }

  /// What has some names, and all else.
  func divided(by names: Set<Name>) -> (named: SavedActivations, rest: SavedActivations) {
    var named = SavedActivations(), rest = SavedActivations()
    for tensor in tensors {
      if names.contains(tensor.name) { named.tensors.append(tensor) } else { rest.tensors.append(tensor) }
    }
    // Where tokens go is known of a router's scores, and where rows belong of the rows that have come.
    if names.contains(.routerScores) {
      (named.choices, named.taken) = (choices, taken)
    } else {
      (rest.choices, rest.taken) = (choices, taken)
    }
    if names.contains(.expertRows) { named.routes = routes } else { rest.routes = routes }
    return (named, rest)
  }

  /// Under full recompute: a layer keeps its input only, and its forward pieces run again in backward; a further prediction
  /// also what comes before its block.
  func layerInputOnly() -> SavedActivations {
    var kept = SavedActivations()
    let names: [Name] = [
      .attentionNormInput, .embeddingDropoutMask, .predictionTokens, .predictionStream, .predictionInput,
    ]
    kept.tensors = tensors.filter { names.contains($0.name) }
    return kept
  }
}
