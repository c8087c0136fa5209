import Documents
import Training

extension ParameterLayout {
  /// A full tensor and what tensor parallelism divides of it.
  struct Shape {
    let name: ParameterName
    let rowCount: Int
    let columnCount: Int
    let division: Division
    var expert: Int?
  }

  /// The full tensors of a part, divided ones first: column-parallel weights (outputs × inputs) and their biases by
  /// rows, row-parallel weights by columns (Shoeybi et al. 2019), the vocabulary by rows.
  static func shapes(of part: ModelPart, shard: ModelShard, ownsOutputMatrix: Bool) -> [Shape] {
    let model = shard.model
    let h = model.hiddenSize
    switch part {
    case .embedding:
      var shapes = [tokenTable(shard)]
      if model.positionCount > 0 { shapes.append(matrix(.positionEmbedding, model.positionCount, h, .none)) }
      return shapes
    case .layer(let index): return blockShapes(index, model)
    case .prediction(let index):
      return [matrix(.predictionWeight, h, 2 * h, .rows)]
        + blockShapes(index, model, wholeBesides: predictionNorms(shard))
    case .experts(let layer, let experts):
      preconditionFailure("experts \(experts) of layer \(layer) are not divided by tensor groups")
    case .head:
      var shapes = ownsOutputMatrix ? [matrix(.outputMatrix, shard.paddedVocabularySize, h, .rows)] : []
      shapes.append(vector(.finalNormWeight, h, .none))
      if shard.normHasBias { shapes.append(vector(.finalNormBias, h, .none)) }
      return shapes
    }
  }

  static func tokenTable(_ shard: ModelShard) -> Shape {
    matrix(.tokenEmbedding, shard.paddedVocabularySize, shard.model.hiddenSize, .rows)
  }

  /// - Parameter others: whole tensors that the part has beside the block's.
  private static func blockShapes(
    _ index: Int, _ model: ModelDescription, wholeBesides others: [Shape] = []
  ) -> [Shape] {
    let hasExperts = model.kind(ofLayer: index).feedForward == .experts
    let feedForward = hasExperts ? (sharedExpertShapes(model), []) : denseFeedForwardShapes(model)
    let attention = dividedAttentionShapes(model)
    return attention.matrices + feedForward.0 + attention.vectors + feedForward.1 + others
      + wholeLayerShapes(model, hasDenseFeedForward: !hasExperts) + wholeAttentionShapes(model)
  }

  /// Norms of the two vectors that a further prediction begins with, and its final norm.
  private static func predictionNorms(_ shard: ModelShard) -> [Shape] {
    let names: [(weight: ParameterName, bias: ParameterName)] = [
      (.predictionStreamNormWeight, .predictionStreamNormBias), (.predictionTokenNormWeight, .predictionTokenNormBias),
      (.finalNormWeight, .finalNormBias),
    ]
    let h = shard.model.hiddenSize
    return names.flatMap { names in
      [vector(names.weight, h, .none)] + (shard.normHasBias ? [vector(names.bias, h, .none)] : [])
    }
  }

  private static func dividedAttentionShapes(_ model: ModelDescription) -> (matrices: [Shape], vectors: [Shape]) {
    let h = model.hiddenSize, q = model.querySize, kv = model.keyValueSize
    var shapes: [Shape]
    if let latent = model.latent {
      shapes = [
        matrix(.queryWeight, q, latent.queryRank ?? h, .rows),
        matrix(
          .keyValueUpWeight, model.headCount * (latent.plainSize + latent.valueSize), latent.keyValueRank, .rows),
      ]
    } else {
      shapes = [
        matrix(.queryWeight, q, h, .rows), matrix(.keyWeight, kv, h, .rows), matrix(.valueWeight, kv, h, .rows),
      ]
    }
    if model.form.hasOutputGate {
      shapes.append(matrix(.attentionGateWeight, model.contextSize, model.latent?.queryRank ?? h, .rows))
    }
    shapes.append(matrix(.attentionOutputWeight, h, model.contextSize, .columns))
    var vectors: [Shape] = []
    if model.hasQueryKeyValueBias {
      vectors += [vector(.queryBias, q, .rows), vector(.keyBias, kv, .rows), vector(.valueBias, kv, .rows)]
      if model.form.hasOutputGate { vectors.append(vector(.attentionGateBias, model.contextSize, .rows)) }
    }
    if model.form.hasSinks { vectors.append(vector(.sinks, model.headCount, .rows)) }
    return (shapes, vectors)
  }

  private static func denseFeedForwardShapes(_ model: ModelDescription) -> (matrices: [Shape], vectors: [Shape]) {
    let h = model.hiddenSize, f = model.feedForwardSize
    var matrices = [matrix(.upWeight, f, h, .rows), matrix(.downWeight, h, f, .columns)]
    if model.hasGatedFeedForward { matrices.append(matrix(.gateWeight, f, h, .rows)) }
    guard model.hasFeedForwardBias else { return (matrices, []) }
    return (
      matrices,
      [vector(.upBias, f, .rows)] + (model.hasGatedFeedForward ? [vector(.gateBias, f, .rows)] : [])
    )
  }

  /// What all tokens of a block with experts go through: shared experts, which tensor groups divide, and the router, which
  /// they do not.
  private static func sharedExpertShapes(_ model: ModelDescription) -> [Shape] {
    guard let experts = model.experts, experts.sharedFeedForwardSize > 0 else { return [] }
    let h = model.hiddenSize, f = experts.sharedFeedForwardSize
    return [matrix(.sharedUpWeight, f, h, .rows), matrix(.sharedDownWeight, h, f, .columns)]
      + (model.hasGatedFeedForward ? [matrix(.sharedGateWeight, f, h, .rows)] : [])
  }

  private static func routerShapes(_ model: ModelDescription) -> [Shape] {
    guard let experts = model.experts else { return [] }
    var shapes = [matrix(.routerWeight, experts.count, model.hiddenSize, .none)]
    if experts.hasRouterBias { shapes.append(vector(.routerBias, experts.count, .none)) }
    if experts.hasCorrectionBias { shapes.append(vector(.correctionBias, experts.count, .none)) }
    if experts.hasSharedGate { shapes.append(vector(.sharedExpertsGate, model.hiddenSize, .none)) }
    if let width = experts.latentSize {
      shapes += [
        matrix(.expertsNarrowWeight, width, model.hiddenSize, .none),
        matrix(.expertsWideWeight, model.hiddenSize, width, .none),
      ]
    }
    return shapes
  }

  /// Routed experts, each tensor of all of them before the next.
  static func expertShapes(_ range: Range<Int>, _ model: ModelDescription) -> [Shape] {
    guard let experts = model.experts else { return [] }
    let h = experts.latentSize ?? model.hiddenSize, f = experts.feedForwardSize
    var shapes = [matrix(.upWeight, f, h, .rows), matrix(.downWeight, h, f, .columns)]
    if model.hasGatedFeedForward { shapes.append(matrix(.gateWeight, f, h, .rows)) }
    if experts.hasBias {
      shapes.append(vector(.upBias, f, .rows))
      if model.hasGatedFeedForward { shapes.append(vector(.gateBias, f, .rows)) }
      // Last, since it alone is whole on every rank that divides the width.
      shapes.append(vector(.downBias, h, .none))
    }
    return shapes.flatMap { shape in
      range.map { expert in
        var shape = shape
        shape.expert = expert
        return shape
      }
    }
  }

  private static func wholeLayerShapes(_ model: ModelDescription, hasDenseFeedForward: Bool) -> [Shape] {
    let h = model.hiddenSize
    var shapes = [vector(.attentionNormWeight, h, .none), vector(.feedForwardNormWeight, h, .none)]
    if model.form.norm == .layerNorm {
      shapes += [vector(.attentionNormBias, h, .none), vector(.feedForwardNormBias, h, .none)]
    }
    if model.hasAttentionOutputBias { shapes.append(vector(.attentionOutputBias, h, .none)) }
    if !hasDenseFeedForward {
      shapes += routerShapes(model)
    } else if model.hasFeedForwardBias {
      shapes.append(vector(.downBias, h, .none))
    }
    return shapes
  }

  private static func wholeAttentionShapes(_ model: ModelDescription) -> [Shape] {
    let h = model.hiddenSize
    var shapes: [Shape] = []
    if let latent = model.latent {
      if let rank = latent.queryRank {
        shapes += [matrix(.queryDownWeight, rank, h, .none), vector(.queryDownNormWeight, rank, .none)]
      }
      shapes += [
        matrix(.keyValueDownWeight, latent.keyValueRank + latent.rotarySize, h, .none),
        vector(.keyValueDownNormWeight, latent.keyValueRank, .none),
      ]
    }
    // Last, since their gradients alone are sums over the tensor group without sequence parallelism.
    if model.hasQueryKeyNorm {
      shapes += [vector(.queryNormWeight, model.headSize, .none), vector(.keyNormWeight, model.headSize, .none)]
    }
    return shapes
  }

  private static func matrix(_ name: ParameterName, _ rows: Int, _ columns: Int, _ division: Division) -> Shape {
    Shape(name: name, rowCount: rows, columnCount: columns, division: division)
  }

  /// A bias or norm weight: one column, so that it is divided by rows as its layer's weight is.
  private static func vector(_ name: ParameterName, _ count: Int, _ division: Division) -> Shape {
    Shape(name: name, rowCount: count, columnCount: 1, division: division)
  }
}
