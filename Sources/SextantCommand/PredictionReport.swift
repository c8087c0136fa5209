import Documents

/// Where time and memory go.
struct PredictionReport {
  let prediction: Prediction

  var text: String { time + "\n" + memory }

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
