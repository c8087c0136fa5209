import Documents

/// Bytes of the optimizer states of one rank, as a function of what it updates.
struct OptimizerStates: Sendable {
  private let optimizer: Optimizer
  /// Of master weights, per parameter.
  let masterByteCount: Int
  /// Of all states, per parameter, where every parameter has as many; nil where matrices have others than vectors, or
  /// elements share scales.
  let uniformByteCount: Int?
  /// Nil where every parameter has as many.
  private let parts: Parts?

  /// What an optimizer that tells matrices from vectors has to know of a part of the model.
  private struct Part {
    let parameterCount: Int
    /// Entries of matrices that belong to layers.
    var matrixCount = 0
    /// Rows and columns of matrices, and the elements of vectors.
    let factorCount: Int
  }

  /// The parts of one rank of a tensor group, all replicas' together.
  ///
  /// A reference, since most optimizers have none, and every strategy is priced with a copy.
  private final class Parts: Sendable {
    let layer, embedding, head: Part

    init(_ model: ModelDescription, vocabularySize: Int, parameters: MemoryModel.RankParameters, tensorDegree t: Int) {
      let matrices = model.layerMatrices(.dense, tensorDegree: t)
      let matrixCount = matrices.reduce(0) { $0 + $1.count }
      layer = Part(
        parameterCount: parameters.layer, matrixCount: matrixCount,
        factorCount: matrices.reduce(parameters.layer - matrixCount) { $0 + $1.rows + $1.columns })
      // Matrices of the vocabulary, and vectors, which learned positions count among here.
      func outer(_ parameterCount: Int, matrixCount: Int) -> Part {
        let entries = matrixCount * parameters.outputMatrix
        let factors = matrixCount * (vocabularySize / t + model.hiddenSize)
        return Part(parameterCount: parameterCount, factorCount: parameterCount - entries + factors)
      }
      embedding = outer(parameters.embedding, matrixCount: 1)
      // The head's own, and a copy of the embedding's: the vectors beside them are shorter than a matrix.
      let ofHead = outer(parameters.headPart, matrixCount: parameters.headPart / max(1, parameters.outputMatrix))
      let depth = parameters.predictionDepth
      // The product of two vectors, of which the rank has its columns.
      let (rows, columns) = (model.hiddenSize / t, 2 * model.hiddenSize)
      let factors =
        parameters.prediction - matrixCount - rows * columns + layer.factorCount
        - (parameters.layer - matrixCount) + rows + columns
      head = Part(
        parameterCount: parameters.head, matrixCount: depth * (matrixCount + rows * columns),
        factorCount: ofHead.factorCount + depth * factors)
    }
  }

  init(job: TrainingJob, vocabularySize: Int, parameters: MemoryModel.RankParameters, tensorDegree: Int) {
    optimizer = job.optimizer
    masterByteCount = optimizer.masterByteCount(job.precision)
    if optimizer.hasUniformStates {
      uniformByteCount = optimizer.byteCountPerParameter(job.precision)
      parts = nil
    } else {
      uniformByteCount = nil
      parts = Parts(job.model, vocabularySize: vocabularySize, parameters: parameters, tensorDegree: tensorDegree)
    }
  }

  /// Of the largest shard of a stage that replicas divide, bytes.
  ///
  /// A shard has its part of the stage's matrices and vectors: which ones are on which rank is left to the framework.
  ///
  /// - Parameters:
  ///   - shardCount: parameters of the shard.
  ///   - layerCount: of the stage, none of them with experts where every parameter does not have as many.
  func byteCount(shardCount: Int, layerCount: Int, isFirst: Bool, isLast: Bool) -> Int {
    guard let parts else { return shardCount * (uniformByteCount ?? 0) }
    func sum(_ value: (Part) -> Int) -> Int {
      layerCount * value(parts.layer) + (isFirst ? value(parts.embedding) : 0) + (isLast ? value(parts.head) : 0)
    }
    let all = max(1, sum { $0.parameterCount })
    func share(_ count: Int) -> Double { Double(count) * (Double(shardCount) / Double(all)) }
    let moments = optimizer.momentCount(
      parameterCount: shardCount, matrixCount: Int(share(sum { $0.matrixCount })),
      factorCount: Int(share(sum { $0.factorCount }).rounded(.up)))
    return shardCount * masterByteCount + optimizer.moments.byteCount(elementCount: moments)
  }
}

extension MemoryModel {
  /// Parameters of one device of a stage that it updates, the largest shard.
  func updatedCount(stage: Int, _ layers: LayerCounts) -> Int {
    heldCount(stage: stage, layers) { $0.optimizerDegree }
  }

  /// Optimizer states of one device of a stage, bytes, wherever they lie.
  func optimizerBytes(stage: Int, _ layers: LayerCounts) -> Int {
    optimizer.byteCount(
      shardCount: updatedCount(stage: stage, layers), layerCount: layers.total, isFirst: stage == 0,
      isLast: stage == headStage)
  }

  /// What one device of a stage keeps for outer steps, bytes, wherever it lies: of what it updates.
  func outerBytes(stage: Int, _ layers: LayerCounts) -> Int {
    outerByteCount * updatedCount(stage: stage, layers)
  }

  /// Bytes that an update reads and writes for a parameter of a stage: states twice, the gradient, and the weight.
  func updateBytesPerParameter(stage: Int, _ layers: LayerCounts) -> Double {
    // Without a copy that is exact the weight is read as well.
    let weight = weightByteCount * (optimizer.masterByteCount > 0 || weightByteCount == 4 ? 1 : 2)
    let other = gradientByteCount + weight
    if let states = optimizer.uniformByteCount { return Double(2 * states + other) }
    let updated = updatedCount(stage: stage, layers)
    guard updated > 0 else { return 0 }
    return 2 * Double(optimizerBytes(stage: stage, layers)) / Double(updated) + Double(other)
  }
}
