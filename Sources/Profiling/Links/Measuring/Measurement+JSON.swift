import Documents
import JSONText

extension ProbeSettings {
  var json: JSON {
    object(
      ("message_bytes", .integers(messageBytes)), ("stream_counts", .integers(streamCounts)),
      ("warm_up_count", .integer(warmUpCount)), ("least_sample_count", .integer(leastSampleCount)),
      ("slot_seconds", .number(slotSeconds)), ("stall_seconds", .number(stallSeconds)),
      ("maximum_bytes_per_second", maximumBytesPerSecond.map(JSON.number)))
  }

  init(_ field: Field) throws(DocumentError) {
    var fields = try field.fields()
    func integers(_ field: Field) throws(DocumentError) -> [Int] {
      var values: [Int] = []
      for entry in try field.array(count: 1...16) { values.append(try entry.integer(in: 1...(1 << 30))) }
      return values
    }
    let messageBytes = try integers(fields.required("message_bytes"))
    let streamCounts = try integers(fields.required("stream_counts"))
    let warmUpCount = try fields.required("warm_up_count").integer(in: 0...1_000)
    let leastSampleCount = try fields.required("least_sample_count").integer(in: 1...1_000)
    let slotSeconds = try fields.required("slot_seconds").positiveNumber()
    let stallSeconds = try fields.required("stall_seconds").positiveNumber()
    let maximum = fields.optional("maximum_bytes_per_second")
    let maximumBytesPerSecond = try maximum.map { (field) throws(DocumentError) in try field.positiveNumber() }
    try fields.finish()
    do throws(LinkRunError) {
      try self.init(
        messageBytes: messageBytes, streamCounts: streamCounts, warmUpCount: warmUpCount,
        leastSampleCount: leastSampleCount, slotSeconds: slotSeconds, stallSeconds: stallSeconds,
        maximumBytesPerSecond: maximumBytesPerSecond)
    } catch {
      throw field.conflict("\(error)")
    }
  }
}

extension DirectionMeasurement {
  var json: JSON {
    object(
      ("latency_seconds", .number(latencySeconds)), ("ping_count", .integer(pingCount)),
      (
        "sizes",
        .array(
          sizes.map {
            object(
              ("message_bytes", .integer($0.messageBytes)), ("stream_count", .integer($0.streamCount)),
              ("sample_count", .integer($0.sampleCount)), ("median_seconds", .number($0.medianSeconds)),
              ("lower_quartile_seconds", .number($0.lowerQuartileSeconds)),
              ("upper_quartile_seconds", .number($0.upperQuartileSeconds)))
          })
      ))
  }

  init(_ field: Field) throws(DocumentError) {
    var fields = try field.fields()
    latencySeconds = try fields.required("latency_seconds").positiveNumber()
    pingCount = try fields.required("ping_count").integer(in: 1...1_000_000)
    var sizes: [Size] = []
    for entry in try fields.required("sizes").array(count: 1...128) { sizes.append(try Size(entry)) }
    self.sizes = sizes
    try fields.finish()
  }
}

extension DirectionMeasurement.Size {
  fileprivate init(_ field: Field) throws(DocumentError) {
    var fields = try field.fields()
    messageBytes = try fields.required("message_bytes").integer(in: 1...(1 << 30))
    streamCount = try fields.required("stream_count").integer(in: 1...64)
    sampleCount = try fields.required("sample_count").integer(in: 1...1_000_000_000)
    medianSeconds = try fields.required("median_seconds").positiveNumber()
    lowerQuartileSeconds = try fields.required("lower_quartile_seconds").positiveNumber()
    upperQuartileSeconds = try fields.required("upper_quartile_seconds").positiveNumber()
    try fields.finish()
  }
}
