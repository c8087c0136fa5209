/// What windows of attention leave of it.
extension ModelDescription {
  /// Layers with a window, or with runs that attention does not see beyond, shorter than the sequence.
  package func windowedLayerCount(sequenceLength: Int) -> Int {
    guard let reach = details.attentionWindow ?? details.attentionChunk, reach < sequenceLength, family != .bert else {
      return 0
    }
    return layerCount - details.fullAttentionLayers.count { $0 < layerCount }
  }

  /// Of the pairs of tokens that causal attention scores, the share that the windows leave, the mean of all layers.
  ///
  /// A token sees s/2 tokens in the mean of causal attention, exactly (s + 1)/2, W − W·(W − 1)/(2s) under a window of W
  /// ≤ s tokens: W of them, but for the first W − 1 tokens, and (C + 1)/2 in runs of C. Layers are priced alike, so that a
  /// stage's share of windowed layers is taken for the model's.
  package func visibleFraction(sequenceLength: Int) -> Double {
    let windowed = windowedLayerCount(sequenceLength: sequenceLength)
    guard windowed > 0 else { return 1 }
    // s tokens, windows of w, runs of c.
    let s = Double(sequenceLength)
    let seen: Double
    if let window = details.attentionWindow {
      let w = Double(window)
      seen = w - w * (w - 1) / (2 * s)
    } else {
      let c = Double(details.attentionChunk ?? sequenceLength)
      // Whole runs, and the rest.
      let runs = (s / c).rounded(.down), rest = s - runs * c
      seen = (runs * c * (c + 1) + rest * (rest + 1)) / (2 * s)
    }
    let share = seen / ((s + 1) / 2)
    return (Double(layerCount - windowed) + Double(windowed) * share) / Double(layerCount)
  }
}
