/// Layers of interleaved chunks that need not be of one size.
extension Strategy {
  /// Whether chunks of a model's layers may differ: of a model whose layers are of two kinds, or whose last stage has
  /// predictions beside the head, and of any whose layers do not make equal chunks.
  package func laysOutChunks(of model: ModelDescription) -> Bool {
    guard schedule.isInterleaved else { return false }
    return !model.hasAlikeLayers || model.layerCount % (pipelineDegree * virtualStageCount) != 0
  }
}

extension ModelDescription {
  /// Whether its layers are of one kind, with nothing but an embedding and a head beside them.
  package var hasAlikeLayers: Bool {
    let dense = experts?.denseLayers.count ?? 0
    return (dense == 0 || dense == layerCount) && predictionDepth == 0
  }
}
