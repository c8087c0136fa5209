import Documents
import Training

/// A tensor of parameters.
enum ParameterName: Int, Sendable, CaseIterable {
  case tokenEmbedding, positionEmbedding
  case queryWeight, keyWeight, valueWeight, queryBias, keyBias, valueBias, attentionOutputWeight
  case gateWeight, upWeight, gateBias, upBias, downWeight
  case attentionNormWeight, attentionNormBias, attentionOutputBias
  case feedForwardNormWeight, feedForwardNormBias, downBias
  case queryNormWeight, keyNormWeight
  case finalNormWeight, finalNormBias
  case outputMatrix
  // Of a block with experts: the router, and what all tokens go through.
  case routerWeight, routerBias, correctionBias
  case sharedGateWeight, sharedUpWeight, sharedDownWeight, sharedExpertsGate
  // Latent attention: what makes narrow vectors, their norms, and what keys and values are made of them by.
  case queryDownWeight, queryDownNormWeight, keyValueDownWeight, keyValueDownNormWeight, keyValueUpWeight
  case sinks
  // What gates heads' outputs; what makes the narrow vectors that routed experts read, and tokens of what they give.
  case attentionGateWeight, attentionGateBias, expertsNarrowWeight, expertsWideWeight
  // A further prediction: the product of two vectors, and the norms of what the depth before it gives and of embeddings.
  case predictionWeight
  case predictionStreamNormWeight, predictionStreamNormBias, predictionTokenNormWeight, predictionTokenNormBias
}

/// Where a part's tensors lie in a rank's flat buffer: sharded ones first, then those that every rank of the tensor
/// group holds whole, so that each kind is one range.
struct ParameterLayout: Sendable {
  /// What tensor parallelism divides.
  enum Division: Sendable { case rows, columns, none }

  /// One tensor of the part, as the rank holds it.
  struct Tensor: Sendable {
    let name: ParameterName
    /// Part and name by which values are initialised; of a copy of the embedding those of the embedding.
    let origin: (part: ModelPart, name: ParameterName)
    /// Rows and columns on this rank.
    let rowCount: Int
    let columnCount: Int
    let division: Division
    /// The expert that it is of, counted from 0 in the block; nil where it is of none.
    let expert: Int?
    /// First element in the flat buffer.
    let offset: Int
    var range: Range<Int> { offset..<offset + rowCount * columnCount }
  }

  let part: ModelPart
  let tensorDegree: Int
  let tensorIndex: Int
  let tensors: [Tensor]
  /// Whether operands of its products are cast where any are.
  let isCast: Bool

  /// Elements of the rank's flat buffer.
  var count: Int { tensors.last.map(\.range.upperBound) ?? 0 }

  /// Elements that every rank of the tensor group holds: the end of the buffer.
  var replicatedRange: Range<Int> {
    (tensors.first { $0.division == .none }?.offset ?? count)..<count
  }

  /// Elements whose gradients are a sum over the tensor group, to be all-reduced before any other reduction; nil if
  /// none. Under sequence parallelism all replicated ones, since every rank saw its own tokens; otherwise those of the
  /// per-head query and key norms only, since every rank saw its own heads.
  func partialRange(usesSequenceParallelism: Bool) -> Range<Int>? {
    guard tensorDegree > 1 else { return nil }
    let range =
      usesSequenceParallelism
      ? replicatedRange : (self.range(of: .queryNormWeight)?.lowerBound ?? count)..<count
    return range.isEmpty ? nil : range
  }

  /// Where a tensor lies; nil if this part has none of the name.
  ///
  /// - Parameter expert: of routed experts the one.
  func range(of name: ParameterName, expert: Int? = nil) -> Range<Int>? {
    tensors.first { $0.name == name && $0.expert == expert }?.range
  }

  /// Where a tensor lies.
  /// - Precondition: the part has it.
  subscript(name: ParameterName) -> Range<Int> {
    guard let range = range(of: name) else { preconditionFailure("\(part) has no \(name)") }
    return range
  }

  /// A tensor of the part.
  /// - Precondition: the part has it.
  func tensor(_ name: ParameterName, expert: Int? = nil) -> Tensor {
    guard let tensor = tensors.first(where: { $0.name == name && $0.expert == expert }) else {
      preconditionFailure("\(part) has no \(name)")
    }
    return tensor
  }

  /// The layout of a part on one rank.
  /// - Parameter ownsOutputMatrix: of the head: whether its buffer holds an output matrix. False only for tied
  ///   embeddings on a single pipeline stage, where the embedding's buffer is used; true for an untied head and for the
  ///   last stage's copy of a tied matrix.
  /// - Parameter copiesTokenTable: of the head: whether its stage holds a copy of the embedding's table. Where embeddings are
  ///   tied that is the output matrix.
  init(
    _ part: ModelPart, shard: ModelShard, ownsOutputMatrix: Bool = true, copiesTokenTable: Bool = false
  ) {
    var shapes = Self.shapes(of: part, shard: shard, ownsOutputMatrix: ownsOutputMatrix)
    if part == .head, copiesTokenTable, !shard.model.hasTiedEmbeddings {
      shapes.insert(Self.tokenTable(shard), at: 0)
    }
    self.init(
      part, shapes, of: shard.model, degree: shard.tensorDegree, index: shard.tensorIndex, casting: shard.casting)
  }

  /// Where the head's buffer has a copy of the embedding's table; nil where it has none.
  var tokenTableCopy: Range<Int>? { part == .head ? tensors.first { $0.origin.part == .embedding }?.range : nil }

  /// Routed experts of a block on one of the ranks that divide their width.
  /// - Parameters:
  ///   - experts: which of them.
  ///   - degree: ranks that divide the width of each.
  ///   - index: the rank's place among those.
  ///   - casting: how operands are cast; nil where they are not.
  init(
    experts: Range<Int>, ofLayer layer: Int, _ model: ModelDescription, degree: Int = 1, index: Int = 0,
    casting: Casting? = nil
  ) {
    self.init(
      .experts(layer, experts), Self.expertShapes(experts, model), of: model, degree: degree, index: index,
      casting: casting)
  }

  private init(
    _ part: ModelPart, _ shapes: [Shape], of model: ModelDescription, degree: Int, index: Int, casting: Casting?
  ) {
    self.part = part
    isCast = casting?.casts(part) ?? true
    tensorDegree = degree
    tensorIndex = index
    layerCount = model.layerCount
    hiddenSize = model.hiddenSize
    routedScale = Float(model.experts?.routedScale ?? 1)
    var offset = 0
    tensors = shapes.map { shape in
      let origin: (ModelPart, ParameterName)
      if shape.name == .tokenEmbedding || shape.name == .outputMatrix && model.hasTiedEmbeddings {
        origin = (.embedding, .tokenEmbedding)
      } else if case .experts(let layer, _) = part, let expert = shape.expert {
        origin = (.experts(layer, expert..<expert + 1), shape.name)
      } else {
        origin = (part, shape.name)
      }
      let tensor = Tensor(
        name: shape.name, origin: origin,
        rowCount: shape.division == .rows ? shape.rowCount / degree : shape.rowCount,
        columnCount: shape.division == .columns ? shape.columnCount / degree : shape.columnCount,
        division: shape.division, expert: shape.expert, offset: offset)
      offset = tensor.range.upperBound
      return tensor
    }
  }

  /// Layers of the model, by which initial values of what is added to the residual stream are scaled.
  private let layerCount: Int
  /// Of the model. Embeddings have a variance of its inverse.
  private let hiddenSize: Int
  /// What the outputs of routed experts are multiplied by.
  private let routedScale: Float

  /// Values before the first step: a hash of seed, part, tensor and the coordinates in the full tensor, so that any
  /// division holds parts of the same tensors.
  ///
  /// Uniform around 0 with variance 1 / inputs. Products into the residual stream are divided by 2·layers (Radford et al.
  /// 2019) and by the hidden size, so that all layers together add about as much as embeddings are; those of routed experts by
  /// what a router multiplies all of them by as well. Biases are in ±0.1 and norm weights in 1 ± 0.1, so that a wrong bias or
  /// norm shows from the first step on.
  ///
  /// Were what all layers add larger than embeddings by the root of the hidden size, the first layers would write the
  /// stream anew: of some tens of layers a few numbers wide gradients would grow with every layer, and rounding with them.
  func initialValues(seed: UInt64) -> [Float] {
    var values: [Float] = []
    values.reserveCapacity(count)
    let hash = CounterHash(seed: seed).appending(Self.stream)
    for tensor in tensors {
      let (center, reach) = initialRange(of: tensor)
      forEachRow(of: tensor, hash) { row, firstColumn in
        for column in 0..<tensor.columnCount {
          values.append(center + reach * (2 * row.appending(firstColumn + column).unitInterval - 1))
        }
      }
    }
    return values
  }

  /// Goes through a tensor's rows on this rank, with a hash of each row's place in the whole model and the place of its first
  /// column in the whole tensor.
  func forEachRow(of tensor: Tensor, _ hash: CounterHash, _ body: (CounterHash, Int) -> Void) {
    let hash = hash.appending(tensor.origin.part.coordinate).appending(tensor.origin.name.rawValue)
    let firstRow = tensor.division == .rows ? tensorIndex * tensor.rowCount : 0
    let firstColumn = tensor.division == .columns ? tensorIndex * tensor.columnCount : 0
    for row in 0..<tensor.rowCount { body(hash.appending(firstRow + row), firstColumn) }
  }

  /// First coordinate, apart from those of data and dropout.
  private static let stream = 2

  private func initialRange(of tensor: Tensor) -> (center: Float, reach: Float) {
    switch tensor.name {
    case .attentionNormWeight, .feedForwardNormWeight, .queryNormWeight, .keyNormWeight, .finalNormWeight,
      .queryDownNormWeight, .keyValueDownNormWeight, .predictionStreamNormWeight, .predictionTokenNormWeight:
      (1, 0.1)
    case .queryBias, .keyBias, .valueBias, .gateBias, .upBias, .attentionNormBias, .attentionOutputBias,
      .feedForwardNormBias, .downBias, .finalNormBias, .routerBias, .correctionBias, .sinks,
      .attentionGateBias, .predictionStreamNormBias, .predictionTokenNormBias:
      (0, 0.1)
    case .downWeight where tensor.expert != nil:
      (0, reachIntoStream(inputCount: tensor.columnCount * tensorDegree) / max(1, routedScale))
    case .attentionOutputWeight, .downWeight, .sharedDownWeight:
      (0, reachIntoStream(inputCount: tensor.columnCount * tensorDegree))
    case .tokenEmbedding, .positionEmbedding, .queryWeight, .keyWeight, .valueWeight, .gateWeight, .upWeight,
      .outputMatrix, .routerWeight, .sharedGateWeight, .sharedUpWeight, .queryDownWeight, .keyValueDownWeight,
      .keyValueUpWeight, .attentionGateWeight, .expertsNarrowWeight, .expertsWideWeight, .predictionWeight:
      (0, (3 / Float(tensor.columnCount)).squareRoot())
    case .sharedExpertsGate: (0, (3 / Float(tensor.rowCount)).squareRoot())
    }
  }

  /// The largest magnitude of weights whose products are added to the residual stream.
  private func reachIntoStream(inputCount: Int) -> Float {
    (3 / Float(inputCount * 2 * layerCount * hiddenSize)).squareRoot()
  }
}

extension ModelPart {
  /// The part as a coordinate of a hash; of experts one that says where they begin.
  var coordinate: Int {
    switch self {
    case .embedding: 0
    case .head: 1
    case .layer(let index), .prediction(let index): 2 + index
    case .experts(let index, let experts): -1 - (index << 24 | experts.lowerBound)
    }
  }
}
