extension TrainingJob {
  /// What whoever reads a price should know of the job: how its model was read, windows of attention in force, and
  /// sequences beyond those that the model is meant for.
  package var notes: [String] {
    var notes = model.notes
    let windowed = model.windowedLayerCount(sequenceLength: sequenceLength)
    if let window = model.details.attentionWindow, windowed > 0 {
      let layers = windowed == model.layerCount ? "every layer" : "\(windowed) of \(model.layerCount) layers"
      notes.append(
        "attention in \(layers) sees \(window.grouped) tokens of \(sequenceLength.grouped), and fused kernels are priced for those"
      )
    }
    if let longest = model.details.maximumPositionCount, sequenceLength > longest {
      notes.append(
        """
        sequences of \(sequenceLength.grouped) tokens are longer than the \(longest.grouped) that \(model.name) is made for: what they \
        cost is priced, and not what is learned of them
        """)
    }
    return notes
  }
}
