import Documents

/// Where time and memory go.
struct PredictionReport {
  let prediction: Prediction

  var text: String { time + "\n" + memory }

  /// How sure the time is; empty where nobody measured such runs.
  ///
  /// - Parameter accuracy: what told it.
  func range(by accuracy: DeviceProfile.Accuracy) -> String {
    guard let range = prediction.iterationSecondsRange else { return "" }
    let origin =
      accuracy.runCount == 0
      ? "nobody has left such runs on this device out of a fit, so it is as far as a sibling's are off"
      : "\(Format.count(accuracy.runCount)) runs left out of the fit"
    return """
      Nine in ten such runs take \(Format.seconds(range.lowerBound)) to \(Format.seconds(range.upperBound)): \
      \(origin)

      """
  }

  private var time: String {
    var table = Table(header: ["", "", ""])
    for part in prediction.timeSplit.parts where part.seconds > 0 {
      table.add([
        part.name, Format.seconds(part.seconds), Format.percent(part.seconds / prediction.iterationSeconds),
      ])
    }
    return "Where the time goes, on the stage that ends last" + table.text
  }

  private var memory: String {
    let stage = prediction.tightestStageIndex
    let memory = prediction.stageMemory[stage]
    var table = Table(header: ["", "", ""])
    for part in memory.parts where part.bytes > 0 {
      table.add([
        part.name, Format.gigabytes(part.bytes), Format.percent(Double(part.bytes) / Double(memory.peakBytes)),
      ])
    }
    return "Memory of a device on the tightest stage, \(stage)" + table.text
  }
}
