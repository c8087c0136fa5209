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
    /// First element in the flat buffer.
    let offset: Int
    var range: Range<Int> { offset..<offset + rowCount * columnCount }
  }

  let part: ModelPart
  let tensorDegree: Int
  let tensorIndex: Int
  let tensors: [Tensor]

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
  func range(of name: ParameterName) -> Range<Int>? { tensors.first { $0.name == name }?.range }

  /// Where a tensor lies.
  /// - Precondition: the part has it.
  subscript(name: ParameterName) -> Range<Int> {
    guard let range = range(of: name) else { preconditionFailure("\(part) has no \(name)") }
    return range
  }

  /// The layout of a part on one rank.
  /// - Parameter ownsOutputMatrix: of the head: whether its buffer holds an output matrix. False only for tied
  ///   embeddings on a single pipeline stage, where the embedding's buffer is used; true for an untied head and for the
  ///   last stage's copy of a tied matrix.
  init(_ part: ModelPart, shard: ModelShard, ownsOutputMatrix: Bool = true) {
    self.part = part
    tensorDegree = shard.tensorDegree
    tensorIndex = shard.tensorIndex
    layerCount = shard.model.layerCount
    var offset = 0
    tensors = Self.shapes(of: part, shard: shard, ownsOutputMatrix: ownsOutputMatrix).map { shape in
      let isTiedCopy = shape.name == .outputMatrix && shard.model.hasTiedEmbeddings
      let tensor = Tensor(
        name: shape.name, origin: isTiedCopy ? (.embedding, .tokenEmbedding) : (part, shape.name),
        rowCount: shape.division == .rows ? shape.rowCount / shard.tensorDegree : shape.rowCount,
        columnCount: shape.division == .columns ? shape.columnCount / shard.tensorDegree : shape.columnCount,
        division: shape.division, offset: offset)
      offset = tensor.range.upperBound
      return tensor
    }
  }

  /// Layers of the model, by which initial values of what is added to the residual stream are scaled.
  private let layerCount: Int

  /// Values before the first step: a hash of seed, part, tensor and the coordinates in the full tensor, so that any
  /// division holds parts of the same tensors.
  ///
  /// Uniform around 0 with variance 1 / inputs, for products into the residual stream divided by 2·layers (Radford et
  /// al. 2019); biases in ±0.1 and norm weights in 1 ± 0.1, so that a wrong bias or norm shows from the first step on.
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
    case .attentionNormWeight, .feedForwardNormWeight, .queryNormWeight, .keyNormWeight, .finalNormWeight: (1, 0.1)
    case .queryBias, .keyBias, .valueBias, .gateBias, .upBias, .attentionNormBias, .attentionOutputBias,
      .feedForwardNormBias, .downBias, .finalNormBias:
      (0, 0.1)
    case .attentionOutputWeight, .downWeight:
      (0, (3 / Float(tensor.columnCount * tensorDegree * 2 * layerCount)).squareRoot())
    case .tokenEmbedding, .positionEmbedding, .queryWeight, .keyWeight, .valueWeight, .gateWeight, .upWeight,
      .outputMatrix:
      (0, (3 / Float(tensor.columnCount)).squareRoot())
    }
  }
}

extension ModelPart {
  /// The part as a coordinate of a hash.
  fileprivate var coordinate: Int {
    switch self {
    case .embedding: 0
    case .head: 1
    case .layer(let index): 2 + index
    }
  }
}
