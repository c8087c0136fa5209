/// What windows of attention leave of it.
extension ModelDescription {
  /// Layers with a window that is shorter than the sequence.
  package func windowedLayerCount(sequenceLength: Int) -> Int {
    guard let window = details.attentionWindow, window < sequenceLength, family != .bert else { return 0 }
    return layerCount - details.fullAttentionLayers.count { $0 < layerCount }
  }

  /// Of the pairs of tokens that causal attention scores, the share that the windows leave, the mean of all layers.
  ///
  /// A token sees s/2 tokens in the mean of causal attention, exactly (s + 1)/2, and W − W·(W − 1)/(2s) under a window of W
  /// ≤ s tokens: W of them, but for the first W − 1 tokens. Layers are priced alike, so that a stage's share of windowed
  /// layers is taken for the model's.
  package func visibleFraction(sequenceLength: Int) -> Double {
    let windowed = windowedLayerCount(sequenceLength: sequenceLength)
    guard windowed > 0, let window = details.attentionWindow else { return 1 }
    // s tokens, windows of w.
    let s = Double(sequenceLength), w = Double(window)
    let share = (w - w * (w - 1) / (2 * s)) / ((s + 1) / 2)
    return (Double(layerCount - windowed) + Double(windowed) * share) / Double(layerCount)
  }
}
