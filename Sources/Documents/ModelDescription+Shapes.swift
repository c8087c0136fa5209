extension ModelDescription {
  /// Whether another model costs the same, whatever it is called: the same shapes and small parts.
  package func hasShapes(of other: ModelDescription) -> Bool {
    (family == .bert) == (other.family == .bert) && form == other.form && layerCount == other.layerCount
      && hiddenSize == other.hiddenSize
      && headCount == other.headCount && keyValueHeadCount == other.keyValueHeadCount && headSize == other.headSize
      && feedForwardSize == other.feedForwardSize && vocabularySize == other.vocabularySize
      && hasGatedFeedForward == other.hasGatedFeedForward && hasTiedEmbeddings == other.hasTiedEmbeddings
      && positionCount == other.positionCount
      && hasQueryKeyValueBias == other.hasQueryKeyValueBias && hasAttentionOutputBias == other.hasAttentionOutputBias
      && hasFeedForwardBias == other.hasFeedForwardBias && hasDropout == other.hasDropout
      && latent == other.latent && experts == other.experts && predictionDepth == other.predictionDepth
      && details.attentionChunk == other.details.attentionChunk
      && details.attentionWindow == other.details.attentionWindow
      && details.fullAttentionLayers == other.details.fullAttentionLayers
  }
}
