import Documents
import Training

/// Operands of a block's products as a rank casts them.
extension RankState {
  /// A part's weights as passes multiply by them, cast once an iteration, as frameworks keep them over its micro-batches.
  struct CastWeights {
    /// Optimizer steps done before.
    let step: Int
    let forward: [Float]
    let backward: [Float]
  }

  /// How operands of the micro-batch under way are cast.
  struct CastsInHand {
    /// Optimizer steps done before.
    let step: Int
    let microBatch: Int
    let block: BlockCasts
    /// By rank, numbers of its tokens.
    var tokens: [Int: [Int]] = [:]
  }

  /// The weights of a part as they are multiplied in one direction.
  mutating func weights(_ part: ModelPart, forward: Bool) -> [Float] {
    let index = index(of: part)
    guard let casting = shard.casting else { return parts[index].weights }
    if parts[index].narrow != nil {
      // They were cast before they were gathered, alike for both directions.
      let weights = parts[index].weights
      castWeights[part] = CastWeights(step: step, forward: weights, backward: weights)
      return weights
    }
    if let known = castWeights[part], known.step == step { return forward ? known.forward : known.backward }
    let weights = parts[index].weights, layout = parts[index].layout
    let both = casting.weights(weights, layout, step: step)
    castWeights[part] = CastWeights(step: step, forward: both.forward, backward: both.backward)
    return forward ? both.forward : both.backward
  }

  /// A block as it works on a micro-batch.
  ///
  /// - Parameter backward: whether its weights of the forward pass are wanted beside others.
  mutating func layer(_ index: Int, on microBatch: Int, backward: Bool = false) -> TransformerLayer {
    guard var layer = layers[index] else { preconditionFailure("layer \(index) is not on this rank") }
    guard var casts = takeUp(microBatch)?.block else { return layer }
    if backward { casts.forwardWeights = weights(.block(index, of: setting.job.model), forward: true) }
    layer.casts = casts
    return layer
  }

  /// What a micro-batch's operands are cast by; nil where nothing is cast.
  private mutating func takeUp(_ microBatch: Int) -> CastsInHand? {
    if let known = castsInHand, known.step == step, known.microBatch == microBatch { return known }
    castsInHand = shard.casts(self.microBatch(microBatch)).map {
      CastsInHand(step: step, microBatch: microBatch, block: $0)
    }
    return castsInHand
  }

  /// An expert's rows as they are cast: those of each rank by themselves, as their gradients of weights are added up, but not those
  /// that fill it up.
  ///
  /// - Parameters:
  ///   - tags: of the rows.
  ///   - addends: of each rank that has sent any.
  mutating func castRows(_ tags: ArraySlice<RoutedRows.Tag>, addends: [Range<Int>], microBatch: Int) -> CastRows {
    var numbers: [Int] = [], groups: [[Int]] = []
    for addend in addends {
      guard let first = tags.dropFirst(addend.lowerBound).first else { continue }
      let tokens = tokenNumbers(ofRank: first.source, microBatch: microBatch)
      let rows = tags[tags.startIndex + addend.lowerBound..<tags.startIndex + addend.upperBound].map(\.row)
      groups.append(zip(addend, rows).filter { $0.1 < tokens.count }.map(\.0))
      numbers += rows.map { $0 < tokens.count ? tokens[$0] : -1 }
    }
    return CastRows(numbers: numbers, groups: groups)
  }

  /// Numbers of the tokens of a micro-batch that a rank routes, see ``ModelShard/tokenNumbers(_:)``.
  private mutating func tokenNumbers(ofRank rank: Int, microBatch: Int) -> [Int] {
    if let known = takeUp(microBatch)?.tokens[rank] { return known }
    let place = setting.shape.mesh.coordinates(ofRank: rank)
    let shard = setting.shard(tensorIndex: place[.tensor], contextIndex: place[.context])
    let tokens = shard.tokenNumbers(
      MicroBatch(step: step, sequences: setting.sequences(of: place, microBatch: microBatch)))
    castsInHand?.tokens[rank] = tokens
    return tokens
  }
}
