import Documents

/// What a person sees of a configuration that was read.
struct ConfigurationReport {
  let configuration: RunConfiguration

  var text: String {
    let strategy = configuration.strategy
    var result = "\(configuration.framework): \(strategy.words)\n"
    var job: [String] = []
    if let model = configuration.model {
      job.append(
        "\(model.name.oneLine), \(Format.count(model.parameterCount, of: "parameter")), \(Format.count(model.layerCount, of: "layer"))"
      )
    }
    if let batch = configuration.globalBatch { job.append("\(Format.count(batch, of: "sequence")) an iteration") }
    if let length = configuration.sequenceLength { job.append("\(Format.count(length, of: "token")) a sequence") }
    if let precision = configuration.precision {
      let gradients = configuration.accumulatesGradientsInFP32.map { $0 ? ", gradients in fp32" : "" } ?? ""
      let wide = configuration.wideLayers == .none ? "" : ", \(configuration.wideLayers.words) layers in bf16"
      let head = configuration.narrowsHead ? ", the head's products as well" : ""
      job.append("\(precision.rawValue)\(wide)\(head)\(gradients)")
    }
    if let optimizer = configuration.optimizer, optimizer != .adam { job.append(optimizer.words) }
    if !job.isEmpty { result += "\(job.joined(separator: ", "))\n" }
    if let counts = configuration.layerCounts, counts.count > 1 {
      result += "Layers of the stages: \(counts.map(String.init).joined(separator: ", "))\n"
    }
    for note in configuration.notes { result += "Note: \(note.oneLine).\n" }
    return result
  }
}
