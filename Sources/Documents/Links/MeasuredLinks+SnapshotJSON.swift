import JSONText

extension MeasuredLinks.Snapshot {
  init(_ field: Field, index: LinksIndex) throws(DocumentError) {
    var fields = try field.fields()
    name = try fields.required("name").name()
    time = try fields.optional("time")?.name()
    load = try fields.optional("load")?.choice(of: MeasuredLinks.Load.self)
    bytesPerSecond = try index.rates(fields.required("bytes_per_second"))
    latencySeconds = try fields.optional("latency_seconds").map(index.seconds)
    alphaSeconds = try fields.optional("alpha_seconds").map(index.seconds)
    betaSecondsPerByte = try fields.optional("beta_seconds_per_byte").map(index.seconds)
    spread = try fields.optional("spread").map(index.seconds)
    sampleCount = try fields.optional("sample_count").map { (matrix) throws(DocumentError) in
      try index.matrix(matrix) { (entry) throws(DocumentError) in try entry.integer(in: 1...1_000_000_000) }
    }
    originIndex = try fields.optional("origin").map { (matrix) throws(DocumentError) in
      try index.matrix(matrix) { (entry) throws(DocumentError) in try index.origin(entry) }
    }
    var sizes: [MeasuredLinks.SizeRates] = []
    for entry in try fields.optional("sizes")?.array(count: 0...1_000) ?? [] {
      sizes.append(try MeasuredLinks.SizeRates(entry, index: index))
    }
    self.sizes = sizes
    var gaps: [MeasuredLinks.Gap] = []
    for entry in try fields.optional("gaps")?.array() ?? [] { gaps.append(try MeasuredLinks.Gap(entry, index: index)) }
    self.gaps = gaps
    var superseded: [MeasuredLinks.Superseded] = []
    for entry in try fields.optional("superseded")?.array() ?? [] {
      superseded.append(try MeasuredLinks.Superseded(entry, index: index))
    }
    self.superseded = superseded
    try fields.finish()
  }

  func json(nodeNames: [String]) -> JSON {
    object(
      ("name", .string(name)), ("time", time.map(JSON.string)), ("load", load.map { .string($0.rawValue) }),
      ("bytes_per_second", .matrix(bytesPerSecond)), ("latency_seconds", latencySeconds.map(JSON.matrix)),
      ("alpha_seconds", alphaSeconds.map(JSON.matrix)),
      ("beta_seconds_per_byte", betaSecondsPerByte.map(JSON.matrix)), ("spread", spread.map(JSON.matrix)),
      ("sample_count", sampleCount.map(JSON.matrix)), ("origin", originIndex.map(JSON.matrix)),
      ("sizes", sizes.isEmpty ? nil : .array(sizes.map(\.json))),
      ("gaps", gaps.isEmpty ? nil : .array(gaps.map { $0.json(nodeNames: nodeNames) })),
      ("superseded", superseded.isEmpty ? nil : .array(superseded.map { $0.json(nodeNames: nodeNames) })))
  }
}

extension MeasuredLinks.SizeRates {
  init(_ field: Field, index: LinksIndex) throws(DocumentError) {
    var fields = try field.fields()
    messageBytes = try fields.required("message_bytes").integer(in: 0...1_000_000_000_000_000)
    streamCount = try fields.required("streams").integer(in: 1...65_536)
    bytesPerSecond = try index.rates(fields.required("bytes_per_second"))
    try fields.finish()
  }

  var json: JSON {
    object(
      ("message_bytes", .integer(messageBytes)), ("streams", .integer(streamCount)),
      ("bytes_per_second", .matrix(bytesPerSecond)))
  }
}

extension MeasuredLinks.Gap {
  init(_ field: Field, index: LinksIndex) throws(DocumentError) {
    var fields = try field.fields()
    from = try fields.optional("from").map(index.node)
    to = try fields.optional("to").map(index.node)
    reason = try fields.required("reason").string()
    try fields.finish()
  }

  func json(nodeNames: [String]) -> JSON {
    object(
      ("from", from.map { .string(nodeNames[$0]) }), ("to", to.map { .string(nodeNames[$0]) }),
      ("reason", .string(reason)))
  }
}

extension MeasuredLinks.Superseded {
  init(_ field: Field, index: LinksIndex) throws(DocumentError) {
    var fields = try field.fields()
    from = try index.node(fields.required("from"))
    to = try index.node(fields.required("to"))
    bytesPerSecond = try fields.required("bytes_per_second").positiveNumber()
    originIndex = try index.origin(fields.required("origin"))
    try fields.finish()
  }

  func json(nodeNames: [String]) -> JSON {
    object(
      ("from", .string(nodeNames[from])), ("to", .string(nodeNames[to])),
      ("bytes_per_second", .number(bytesPerSecond)), ("origin", .integer(originIndex)))
  }
}
