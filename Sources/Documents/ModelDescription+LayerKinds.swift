/// Layers differ: a model is a list of layers, each of a kind.
extension ModelDescription {
  /// What layers of a kind have in common: they have the same parameters and cost the same.
  package struct LayerKind: Sendable, Hashable {
    /// What a layer's feed-forward part is.
    package enum FeedForward: Int, Sendable, CaseIterable {
      /// One part for all tokens.
      case dense
      /// Experts, of which a token is sent to some.
      case experts
    }

    /// How far back attention sees.
    package enum Reach: Sendable, Hashable {
      case full
      /// So many tokens, the token's own among them.
      case window(Int)
      /// To the beginning of a run of so many tokens (Llama 4).
      case chunk(Int)
    }

    package let feedForward: FeedForward
    package let reach: Reach
  }

  /// Whether the token table is used once more behind the last layer: as the output matrix, or for further predictions.
  package var usesTokenTableAtEnd: Bool { hasTiedEmbeddings || predictionDepth > 0 }

  /// The kind of a layer, counted from 0 at the embedding; the blocks of further predictions, which are counted on from the last
  /// layer, are of that one's kind.
  ///
  /// - Complexity: O(log layers).
  package func kind(ofLayer layer: Int) -> LayerKind {
    let layer = min(layer, layerCount - 1)
    let isDense = experts.map { $0.denseLayers.containsSorted(layer) } ?? true
    let isFull = details.fullAttentionLayers.containsSorted(layer)
    let reach: LayerKind.Reach =
      if isFull {
        .full
      } else if let window = details.attentionWindow {
        .window(window)
      } else if let chunk = details.attentionChunk {
        .chunk(chunk)
      } else {
        .full
      }
    return LayerKind(feedForward: isDense ? .dense : .experts, reach: reach)
  }

  /// How many of the layers in a range have experts.
  package func expertLayerCount(in range: Range<Int>) -> Int {
    guard let experts else { return 0 }
    return range.count - experts.denseLayers.count { range.contains($0) }
  }

  /// What of the model is not written for a launcher, unless that says otherwise; nil where
  /// all of it is.
  package var unwritten: String? {
    if experts != nil { return "mixture-of-experts models" }
    if latent != nil { return "models with latent attention" }
    if predictionDepth > 0 { return "models that predict several tokens" }
    if form.hasOutputGate { return "models that gate the attention's output" }
    return form.hasSinks ? "models with sinks of attention" : nil
  }

  /// Layers with experts.
  package var expertLayerCount: Int { expertLayerCount(in: 0..<layerCount) }

  /// Layers whose feed-forward part is one for all tokens.
  package var denseLayerCount: Int { layerCount - expertLayerCount }
}

extension [Int] {
  /// Whether a rising list has a number.
  fileprivate func containsSorted(_ number: Int) -> Bool {
    var (low, high) = (0, count)
    while low < high {
      let middle = (low + high) / 2
      if self[middle] < number { low = middle + 1 } else { high = middle }
    }
    return low < count && self[low] == number
  }
}
