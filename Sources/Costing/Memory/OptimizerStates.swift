import Documents

/// Bytes of the optimizer states of one rank, as a function of what it updates.
struct OptimizerStates: Sendable {
  private let optimizer: Optimizer
  /// Of master weights, per parameter.
  let masterByteCount: Int
  /// Of all states, per parameter, where every parameter has as many; nil where matrices have others than vectors, or
  /// elements share scales.
  private let uniformByteCount: Int?
  /// Of one rank of a tensor group, all replicas' together.
  private let layer: Part
  private let embedding: Part
  private let head: Part

  /// What an optimizer that tells matrices from vectors has to know of a part of the model.
  private struct Part {
    let parameterCount: Int
    /// Entries of matrices that belong to layers.
    var matrixCount = 0
    /// Rows and columns of matrices, and the elements of vectors.
    let factorCount: Int
  }

  init(job: TrainingJob, vocabularySize: Int, parameters: MemoryModel.RankParameters, tensorDegree t: Int) {
    optimizer = job.optimizer
    masterByteCount = optimizer.masterByteCount(job.precision)
    let matrices = job.model.layerMatrices(tensorDegree: t)
    let matrixCount = matrices.reduce(0) { $0 + $1.count }
    layer = Part(
      parameterCount: parameters.layer, matrixCount: matrixCount,
      factorCount: matrices.reduce(parameters.layer - matrixCount) { $0 + $1.rows + $1.columns })
    // A matrix of the vocabulary, and vectors, which learned positions count among here.
    func outer(_ parameterCount: Int, hasMatrix: Bool) -> Part {
      let entries = hasMatrix ? vocabularySize / t * job.model.hiddenSize : 0
      let factors = hasMatrix ? vocabularySize / t + job.model.hiddenSize : 0
      return Part(parameterCount: parameterCount, factorCount: parameterCount - entries + factors)
    }
    embedding = outer(parameters.embedding, hasMatrix: true)
    head = outer(parameters.head, hasMatrix: parameters.head >= parameters.outputMatrix)
    uniformByteCount =
      switch (optimizer.rule, optimizer.moments) {
      case (.adafactor, _), (.muon, _), (_, .int8): nil
      default: optimizer.byteCountPerParameter(job.precision)
      }
  }

  /// Of the largest shard of a stage that replicas divide, bytes.
  ///
  /// A shard has its part of the stage's matrices and vectors: which ones are on which rank is left to the framework.
  ///
  /// - Parameters:
  ///   - shardCount: parameters of the shard.
  ///   - layerCount: of the stage.
  func byteCount(shardCount: Int, layerCount: Int, isFirst: Bool, isLast: Bool) -> Int {
    if let uniformByteCount { return shardCount * uniformByteCount }
    func sum(_ value: KeyPath<Part, Int>) -> Int {
      layerCount * layer[keyPath: value] + (isFirst ? embedding[keyPath: value] : 0)
        + (isLast ? head[keyPath: value] : 0)
    }
    let all = max(1, sum(\.parameterCount))
    func share(_ count: Int) -> Double { Double(count) * (Double(shardCount) / Double(all)) }
    let moments = optimizer.momentCount(
      parameterCount: shardCount, matrixCount: Int(share(sum(\.matrixCount))),
      factorCount: Int(share(sum(\.factorCount)).rounded(.up)))
    return shardCount * masterByteCount + optimizer.moments.byteCount(elementCount: moments)
  }
}

extension MemoryModel {
  /// Parameters of one device of a stage that it updates, the largest shard.
  func updatedCount(stage: Int, layerCount: Int) -> Int {
    shardCount(stage: stage, layerCount: layerCount, degree: sharding.optimizerDegree)
  }

  /// Optimizer states of one device of a stage, bytes, wherever they lie.
  package func optimizerBytes(stage: Int, layerCount: Int) -> Int {
    optimizer.byteCount(
      shardCount: updatedCount(stage: stage, layerCount: layerCount), layerCount: layerCount, isFirst: stage == 0,
      isLast: stage == strategy.pipelineDegree - 1)
  }

  /// Bytes that an update reads and writes for a parameter of a stage: states twice, the gradient, and the weight.
  func updateBytesPerParameter(stage: Int, layerCount: Int) -> Double {
    let updated = updatedCount(stage: stage, layerCount: layerCount)
    guard updated > 0 else { return 0 }
    let states = Double(optimizerBytes(stage: stage, layerCount: layerCount)) / Double(updated)
    // Without a copy that is exact the weight is read as well.
    let weight = weightByteCount * (optimizer.masterByteCount > 0 || weightByteCount == 4 ? 1 : 2)
    return 2 * states + Double(gradientByteCount + weight)
  }
}
