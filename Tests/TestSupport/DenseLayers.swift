package import Documents

/// Stages whose layers all have one feed-forward part, which most tests are about.
extension Split.Stage {
  /// - Parameter chunkCount: chunks of which the choice recomputes layers each.
  package init(layerCount: Int, choice: StageChoice? = nil, chunkCount: Int = 1) {
    self.init(
      layers: LayerCounts(dense: layerCount),
      recomputed: choice.map { LayerCounts(dense: min(layerCount, $0.recomputedLayerCount * chunkCount)) },
      choice: choice)
  }
}

extension Split {
  package subscript(stage: Int) -> Stage {
    Stage(layerCount: layerCount(ofStage: stage), choice: choices?[stage], chunkCount: chunkCount)
  }

  package var stages: [Stage] { (0..<stageCount).map { self[$0] } }
}
