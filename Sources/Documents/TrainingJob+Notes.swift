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
    if let factor = expertCapacity.factor {
      let beyond = factor.rounded() == factor ? "\(Int(factor))" : "\(factor)"
      notes.append(
        """
        tokens beyond \(beyond) times what each expert gets in the mean are dropped\
        \(expertCapacity.pads ? ", and what is not filled is sent and computed" : ""): what they cost is priced, and not what is \
        learned without them
        """)
    }
    return notes
  }

  /// What whoever reads a price should know of the products of a job in fp32, which some frameworks run in TF32 and others
  /// do not; nil where there is no question.
  package func productNote(on device: DeviceProfile, framework: DeviceProfile.Framework) -> String? {
    guard precision == .fp32, device.datasheet.tf32FLOPPerSecond > 0 else { return nil }
    return framework.multipliesInTF32
      ? "\(framework.name) multiplies fp32 numbers in TF32, and is priced so"
      : "products are priced in fp32 as it is, since \(framework.name) leaves TF32 off: precision tf32 is with it on"
  }
}
