import JSONText

extension MeasuredLinks.InsideLinks {
  init(_ field: Field, index: LinksIndex) throws(DocumentError) {
    var fields = try field.fields()
    name = try fields.required("name").name()
    nodeIndex = try fields.optional("node").map(index.node)
    from = try fields.required("from").choice(of: End.self)
    to = try fields.required("to").choice(of: End.self)
    isBidirectional = try fields.optional("bidirectional")?.boolean() ?? false
    bytesPerSecond = try fields.optional("bytes_per_second").map { (matrix) throws(DocumentError) in
      try Self.matrix(matrix) { (entry) throws(DocumentError) in try entry.positiveNumber() }
    }
    latencySeconds = try fields.optional("latency_seconds").map { (matrix) throws(DocumentError) in
      try Self.matrix(matrix) { (entry) throws(DocumentError) in try entry.nonNegativeNumber() }
    }
    originIndex = try index.origin(fields.required("origin"))
    try fields.finish()
  }

  /// Rows of equal length, whose entries may all be null.
  private static func matrix(_ field: Field, entry read: (Field) throws(DocumentError) -> Double)
    throws(DocumentError) -> [[Double?]]
  {
    var rows: [[Double?]] = []
    for row in try field.array(count: 1...1_024) {
      var values: [Double?] = []
      for entry in try row.array(count: 1...1_024) { values.append(entry.value == .null ? nil : try read(entry)) }
      if let first = rows.first, first.count != values.count { throw row.conflict("rows have different lengths") }
      rows.append(values)
    }
    return rows
  }

  func json(nodeNames: [String]) -> JSON {
    object(
      ("name", .string(name)), ("node", nodeIndex.map { .string(nodeNames[$0]) }), ("from", .string(from.rawValue)),
      ("to", .string(to.rawValue)), ("bidirectional", isBidirectional ? .boolean(true) : nil),
      ("bytes_per_second", bytesPerSecond.map(JSON.matrix)), ("latency_seconds", latencySeconds.map(JSON.matrix)),
      ("origin", .integer(originIndex)))
  }
}

extension MeasuredLinks.CollectiveTimes {
  init(_ field: Field, index: LinksIndex) throws(DocumentError) {
    var fields = try field.fields()
    kind = try fields.required("kind").choice(of: Kind.self)
    rankCount = try fields.required("ranks").integer(in: 2...134_217_728)
    nodeCount = try fields.optional("node_count")?.integer(in: 1...134_217_728)
    nodeIndices = try fields.optional("members").map { (members) throws(DocumentError) in
      var indices: [Int] = []
      for entry in try members.array(count: 1...16_384) { indices.append(try index.node(entry)) }
      return indices
    }
    order = try fields.optional("order")?.choice(of: Order.self)
    isInPlace = try fields.optional("in_place")?.boolean()
    var points: [Point] = []
    for entry in try fields.optional("points")?.array(count: 0...10_000) ?? [] {
      var point = try entry.fields()
      points.append(
        Point(
          messageBytes: try point.required("message_bytes").integer(in: 0...1_000_000_000_000_000),
          seconds: try point.required("seconds").positiveNumber()))
      try point.finish()
    }
    self.points = points
    busBytesPerSecond = try fields.optional("bus_bytes_per_second")?.positiveNumber()
    originIndex = try index.origin(fields.required("origin"))
    try fields.finish()
  }

  func json(nodeNames: [String]) -> JSON {
    let points = points.map {
      object(("message_bytes", .integer($0.messageBytes)), ("seconds", .number($0.seconds)))
    }
    return object(
      ("kind", .string(kind.rawValue)), ("ranks", .integer(rankCount)), ("node_count", nodeCount.map(JSON.integer)),
      ("members", nodeIndices.map { .strings($0.map { nodeNames[$0] }) }),
      ("order", order.map { .string($0.rawValue) }), ("in_place", isInPlace.map(JSON.boolean)),
      ("points", points.isEmpty ? nil : .array(points)),
      ("bus_bytes_per_second", busBytesPerSecond.map(JSON.number)), ("origin", .integer(originIndex)))
  }
}
