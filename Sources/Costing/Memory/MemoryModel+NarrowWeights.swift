import Documents

/// Copies of weights in the narrow format that they are multiplied in.
extension MemoryModel {
  /// Weights of one rank of a stage that are multiplied in the narrow format, without routed experts.
  func productCount(stage: Int, _ layers: LayerCounts) -> Int {
    let wide = (stage == 0 ? products.wideFirst.shared : 0) + (stage == headStage ? products.wideLast.shared : 0)
    return max(0, products.layers.sum(layers) - wide)
      + (stage == headStage ? parameters.predictionDepth * products.prediction : 0)
  }

  /// The same of routed experts.
  func routedProductCount(stage: Int, _ layers: LayerCounts) -> Int {
    let wide = (stage == 0 ? products.wideFirst.routed : 0) + (stage == headStage ? products.wideLast.routed : 0)
    return max(0, layers.experts * products.routed - wide)
      + (stage == headStage ? parameters.predictionDepth * products.predictionRouted : 0)
  }

  /// Bytes that weights of products take in a narrow format: of all layers of the stage, or where weights are gathered for each
  /// use of the largest that is there at a time.
  func narrowWeightBytes(stage: Int, _ layers: LayerCounts) -> Int {
    let ofHead = stage == headStage ? narrowHeadBytes : 0
    guard narrowWeightBytes != 0 else { return ofHead }
    let count: Int
    if sharding.weightDegree > 1 {
      let ofPrediction = products.prediction + products.predictionRouted
      count = max(
        layers.dense > 0 ? products.layers.dense : 0,
        layers.experts > 0 ? products.layers.experts + products.routed : 0,
        stage == headStage ? ofPrediction : 0)
    } else {
      count = productCount(stage: stage, layers) + routedProductCount(stage: stage, layers)
    }
    return Int((Double(count) * narrowWeightBytes).rounded(.up)) + ofHead
  }
}
