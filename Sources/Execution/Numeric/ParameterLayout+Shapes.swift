import Documents
import Training

extension ParameterLayout {
  /// A full tensor and what tensor parallelism divides of it.
  struct Shape {
    let name: ParameterName
    let rowCount: Int
    let columnCount: Int
    let division: Division
  }

  /// The full tensors of a part, divided ones first: column-parallel weights (outputs × inputs) and their biases by
  /// rows, row-parallel weights by columns (Shoeybi et al. 2019), the vocabulary by rows.
  static func shapes(of part: ModelPart, shard: ModelShard, ownsOutputMatrix: Bool) -> [Shape] {
    let model = shard.model
    let h = model.hiddenSize
    switch part {
    case .embedding:
      var shapes = [matrix(.tokenEmbedding, shard.paddedVocabularySize, h, .rows)]
      if model.positionCount > 0 { shapes.append(matrix(.positionEmbedding, model.positionCount, h, .none)) }
      return shapes
    case .layer: return dividedLayerShapes(model) + wholeLayerShapes(model)
    case .head:
      var shapes = ownsOutputMatrix ? [matrix(.outputMatrix, shard.paddedVocabularySize, h, .rows)] : []
      shapes.append(vector(.finalNormWeight, h, .none))
      if shard.normHasBias { shapes.append(vector(.finalNormBias, h, .none)) }
      return shapes
    }
  }

  private static func dividedLayerShapes(_ model: ModelDescription) -> [Shape] {
    let h = model.hiddenSize, q = model.querySize, kv = model.keyValueSize, f = model.feedForwardSize
    var shapes = [
      matrix(.queryWeight, q, h, .rows), matrix(.keyWeight, kv, h, .rows), matrix(.valueWeight, kv, h, .rows),
      matrix(.attentionOutputWeight, h, q, .columns), matrix(.upWeight, f, h, .rows),
      matrix(.downWeight, h, f, .columns),
    ]
    if model.hasGatedFeedForward { shapes.append(matrix(.gateWeight, f, h, .rows)) }
    if model.hasQueryKeyValueBias {
      shapes += [vector(.queryBias, q, .rows), vector(.keyBias, kv, .rows), vector(.valueBias, kv, .rows)]
    }
    if model.hasFeedForwardBias {
      shapes.append(vector(.upBias, f, .rows))
      if model.hasGatedFeedForward { shapes.append(vector(.gateBias, f, .rows)) }
    }
    return shapes
  }

  private static func wholeLayerShapes(_ model: ModelDescription) -> [Shape] {
    let h = model.hiddenSize
    var shapes = [vector(.attentionNormWeight, h, .none), vector(.feedForwardNormWeight, h, .none)]
    if model.form.norm == .layerNorm {
      shapes += [vector(.attentionNormBias, h, .none), vector(.feedForwardNormBias, h, .none)]
    }
    if model.hasAttentionOutputBias { shapes.append(vector(.attentionOutputBias, h, .none)) }
    if model.hasFeedForwardBias { shapes.append(vector(.downBias, h, .none)) }
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
