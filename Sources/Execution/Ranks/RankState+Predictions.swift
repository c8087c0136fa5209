import Documents
import Training

/// Further predictions: what comes before their blocks, and the head behind each.
extension RankState {
  /// What a further prediction has in hand between pieces.
  struct PredictionInHand {
    /// Both vectors of every token side by side, or their gradient.
    var joined = Matrix(rowCount: 0, columnCount: 0)
    /// This rank's columns of the product, as rows.
    var columns = Matrix(rowCount: 0, columnCount: 0)
  }

  private func prediction(_ part: ModelPart) -> FurtherPrediction {
    guard let index = part.blockIndex, let prediction = predictions[index] else {
      preconditionFailure("\(part) is not on this rank")
    }
    return prediction
  }

  /// The norm and the loss of the head, or behind a further prediction.
  func head(of part: ModelPart) -> OutputHead { part == .head ? head : prediction(part).head }

  /// Whether another prediction goes on from what a part's final norm gives.
  func isFollowed(_ part: ModelPart) -> Bool {
    let all = setting.shape.predictions
    return part == .head ? !all.isEmpty : part != all.last
  }

  /// The token table that further predictions look up tokens in: the embedding's, or the last stage's copy of it.
  private var tokenTable: (part: Int, range: Range<Int>) {
    let isCopy = setting.shape.copiesTokenTable, index = index(of: isCopy ? .head : .embedding)
    let layout = parts[index].layout
    return (index, (isCopy ? layout.tokenTableCopy : layout.range(of: .tokenEmbedding)) ?? 0..<0)
  }

  /// - Returns: after the last piece, the sum of the tokens' losses as far as it counts.
  mutating func predictionForward(
    _ piece: ModelPiece, _ visit: Visit, _ saved: inout SavedActivations, keepsCore: Bool
  ) -> Double? {
    let microBatch = microBatch(visit.microBatch), prediction = prediction(visit.part).on(microBatch)
    let weights = weights(visit.part, forward: true)
    switch piece {
    case .predictionEmbedding:
      let table = tokenTable
      branch = prediction.lookUp(parts[table.part].weights, at: table.range, microBatch: microBatch)
    case .predictionInput:
      predictionInHand.joined = prediction.join(
        branch, stream: stream, weights: weights, microBatch: microBatch, saved: &saved)
    case .predictionProjection:
      let made = prediction.project(predictionInHand.joined, weights: weights)
      predictionInHand = PredictionInHand()
      if shard.tensorDegree == 1 { stream = made } else { predictionInHand.columns = made.transposed }
    case .finalNorm, .logits, .exponentials, .loss: return headForward(piece, visit, &saved)
    default: layerForward(piece, prediction.layer.index, visit.microBatch, &saved, keepsCore: keepsCore)
    }
    return nil
  }

  mutating func predictionBackward(
    _ piece: ModelPiece, _ visit: Visit, _ saved: SavedActivations, _ weightGradients: inout WeightGradients
  ) {
    let prediction = prediction(visit.part).on(microBatch(visit.microBatch)), part = index(of: visit.part)
    let weights = weights(visit.part, forward: false)
    switch piece {
    case .loss, .logits, .finalNorm: headBackward(piece, visit, saved, &weightGradients)
    case .predictionProjection:
      predictionInHand.joined = prediction.projectBackward(
        stream, joined: predictionInHand.joined, weights: weights, gradient: &parts[part].gradient)
    case .predictionInput:
      (stream, branch) = prediction.joinBackward(
        predictionInHand.joined, weights: weights, saved: saved, gradient: &parts[part].gradient)
      predictionInHand = PredictionInHand()
    case .predictionEmbedding:
      let table = tokenTable
      openGradient(of: parts[table.part].part)
      prediction.lookUpBackward(
        branch, microBatch: microBatch(visit.microBatch), gradient: &parts[table.part].gradient, at: table.range)
    default:
      layerBackward(piece, prediction.layer.index, visit, saved, &weightGradients)
      // To be gathered before the product runs backward.
      if piece == .attentionNorm { predictionInHand.joined = saved[.predictionInput] }
    }
  }

  // MARK: What collectives leave

  /// Takes up the columns of all ranks of the tensor group: of the block's input this rank's rows.
  mutating func takeColumns(_ buffer: [Float]) {
    let width = setting.job.model.hiddenSize
    let whole = Matrix(rowCount: width, columnCount: buffer.count / width, elements: buffer).transposed
    let count = whole.rowCount / shard.tensorDegree
    stream =
      shard.usesSequenceParallelism
      ? whole.rows(shard.tensorIndex * count..<(shard.tensorIndex + 1) * count) : whole
    predictionInHand = PredictionInHand()
  }
}

extension ModelPiece {
  /// Whether it is of a transformer block.
  var isOfBlock: Bool {
    switch self {
    case .embeddingRows, .embeddingOutput, .predictionEmbedding, .predictionInput, .predictionProjection, .finalNorm,
      .logits, .exponentials, .loss:
      false
    default: true
    }
  }
}

extension Matrix {
  /// Columns as rows.
  fileprivate var transposed: Matrix {
    var result = Matrix(rowCount: columnCount, columnCount: rowCount)
    for row in 0..<rowCount {
      for column in 0..<columnCount { result[column, row] = self[row, column] }
    }
    return result
  }
}
