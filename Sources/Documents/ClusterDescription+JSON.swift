package import JSONText

/// The cluster document, `sextant.cluster/1`.
extension ClusterDescription {
  /// - Parameter catalog: where the names of devices and of measured links are looked up; paths in the document are
  ///   relative to the document's own folder.
  package init(contentsOf path: String, catalog: Catalog) throws(DocumentError) {
    self = try readDocument(at: path) { (field) throws(DocumentError) in
      try ClusterDescription(field, catalog: catalog, folder: folder(of: path))
    }
  }

  package init(_ field: Field, catalog: Catalog, folder: String) throws(DocumentError) {
    var fields = try field.fields()
    try fields.schema(.cluster)
    try Self.refuseOpenPlaces(field)
    let name = try fields.required("name").name()
    let source = try fields.optional("source")?.string() ?? ""
    let deviceField = try fields.required("device")
    let devicesPerNode = try fields.required("devices_per_node").integer(in: 1...1_024)
    let nodes = try fields.required("nodes")
    let nodeNames = try Self.nodeNames(nodes)
    let runs = try Self.deviceRuns(deviceField, nodeCount: nodeNames.count, catalog: catalog, folder: folder)
    var levels: [Level] = []
    for entry in try fields.required("levels").array(count: 0...8) { levels.append(try Level(entry)) }
    let host = try fields.optional("host").map { (host) throws(DocumentError) in try Host(host) }
    var measured: MeasuredLinks?
    if let links = fields.optional("measured") {
      measured =
        links.isString
        ? try catalog.links(links.string(), relativeTo: folder, mentionedAt: links)
        : try MeasuredLinks(links)
    }
    try fields.finish()
    do {
      try self.init(
        name: name, source: source, devices: runs.map(\.device),
        deviceOfNode: runs.enumerated().flatMap { [Int](repeating: $0.offset, count: $0.element.nodeCount) },
        nodeNames: nodeNames, namesHosts: nodes.isArray, devicesPerNode: devicesPerNode, levels: levels, host: host,
        measured: measured)
    } catch {
      throw field.conflict(error.sentence)
    }
  }

  /// Consecutive nodes with the same device: one run of all nodes, or a list of runs that add up to them.
  private static func deviceRuns(
    _ field: Field, nodeCount: Int, catalog: Catalog, folder: String
  ) throws(DocumentError) -> [(device: DeviceProfile, nodeCount: Int)] {
    func device(_ field: Field) throws(DocumentError) -> DeviceProfile {
      field.isString
        ? try catalog.device(field.string(), relativeTo: folder, mentionedAt: field) : try DeviceProfile(field)
    }
    guard field.isArray else { return [(try device(field), nodeCount)] }
    var runs: [(device: DeviceProfile, nodeCount: Int)] = []
    for entry in try field.array(count: 1...131_072) {
      var fields = try entry.fields()
      runs.append(
        (try device(fields.required("device")), try fields.required("nodes").integer(in: 1...131_072)))
      try fields.finish()
    }
    let sum = runs.reduce(0) { $0 + $1.nodeCount }
    guard sum == nodeCount else {
      throw field.conflict("the devices are those of \(sum) nodes, but the cluster has \(nodeCount)")
    }
    return runs
  }

  /// The device of all nodes, or runs of nodes with the same.
  private var deviceJSON: JSON {
    guard isMixed else { return device.json }
    var runs: [(model: Int, nodeCount: Int)] = []
    for model in deviceOfNode {
      if runs.last?.model == model { runs[runs.count - 1].nodeCount += 1 } else { runs.append((model, 1)) }
    }
    return .array(
      runs.map { object(("device", devices[$0.model].json), ("nodes", .integer($0.nodeCount))) })
  }

  /// A count, which names the nodes `node-0` and so on, or a list of names.
  private static func nodeNames(_ field: Field) throws(DocumentError) -> [String] {
    guard field.isArray else {
      return countingNames(try field.integer(in: 1...131_072))
    }
    var names: [String] = []
    for entry in try field.array(count: 1...131_072) { names.append(try entry.name()) }
    return names
  }

  /// The document of this cluster, self-contained: the device and the measured links are inside it.
  package var json: JSON {
    object(
      ("schema", .string(DocumentSchema.cluster.rawValue)), ("name", .string(name)),
      ("source", source.isEmpty ? nil : .string(source)), ("device", deviceJSON),
      ("nodes", namesHosts ? .strings(nodeNames) : .integer(nodeNames.count)),
      ("devices_per_node", .integer(devicesPerNode)), ("levels", .array(levels.map(\.json))), ("host", host?.json),
      ("measured", measured?.json))
  }
}

extension ClusterDescription.Level {
  init(_ field: Field) throws(DocumentError) {
    var fields = try field.fields()
    try self.init(
      name: fields.required("name").name(),
      span: fields.required("span").integer(in: 1...134_217_728),
      bytesPerSecond: fields.required("bytes_per_second").positiveNumber(),
      latencySeconds: fields.optional("latency_seconds")?.nonNegativeNumber(),
      efficiency: fields.optional("efficiency")?.fraction(),
      sharedBytesPerSecond: fields.optional("shared_bytes_per_second")?.positiveNumber(),
      oversubscription: fields.optional("oversubscription")?.number(
        in: 1...1_000, expected: "an oversubscription factor from 1 to 1000") ?? 1,
      hasFlatRings: fields.optional("flat_rings")?.boolean() ?? false,
      isScaleUp: fields.optional("scale_up")?.boolean() ?? false,
      wideArea: fields.optional("wide_area").map { (field) throws(DocumentError) in try .init(field) })
    try fields.finish()
  }

  var json: JSON {
    object(
      ("name", .string(name)), ("span", .integer(span)), ("bytes_per_second", .number(bytesPerSecond)),
      ("latency_seconds", latencySeconds.map(JSON.number)), ("efficiency", efficiency.map(JSON.number)),
      ("shared_bytes_per_second", sharedBytesPerSecond.map(JSON.number)),
      ("oversubscription", oversubscription == 1 ? nil : .number(oversubscription)),
      ("flat_rings", hasFlatRings ? .boolean(true) : nil),
      ("scale_up", isScaleUp ? .boolean(true) : nil),
      ("wide_area", wideArea?.json))
  }
}

extension ClusterDescription.WideArea {
  init(_ field: Field) throws(DocumentError) {
    var fields = try field.fields()
    flowBytesPerSecond = try fields.optional("flow_bytes_per_second")?.positiveNumber()
    connectionCount = try fields.optional("connections")?.integer(in: 1...4_096) ?? 1
    failureProbability =
      try fields.optional("failure_probability")?.number(in: 0...0.5, expected: "a probability up to 0.5") ?? 0
    detectionSeconds = try fields.optional("detection_seconds")?.nonNegativeNumber() ?? 0
    try fields.finish()
  }

  var json: JSON {
    object(
      ("flow_bytes_per_second", flowBytesPerSecond.map(JSON.number)),
      ("connections", connectionCount == 1 ? nil : .integer(connectionCount)),
      ("failure_probability", failureProbability == 0 ? nil : .number(failureProbability)),
      ("detection_seconds", detectionSeconds == 0 ? nil : .number(detectionSeconds)))
  }
}

extension ClusterDescription.Host {
  init(_ field: Field) throws(DocumentError) {
    var fields = try field.fields()
    memoryBytes = try fields.required("memory_bytes").integer(in: 0...1_000_000_000_000_000)
    bytesPerSecond = try fields.required("bytes_per_second").positiveNumber()
    sharedBytesPerSecond = try fields.optional("shared_bytes_per_second")?.positiveNumber()
    updateBytesPerSecond = try fields.optional("update_bytes_per_second")?.positiveNumber()
    try fields.finish()
  }

  var json: JSON {
    object(
      ("memory_bytes", .integer(memoryBytes)), ("bytes_per_second", .number(bytesPerSecond)),
      ("shared_bytes_per_second", sharedBytesPerSecond.map(JSON.number)),
      ("update_bytes_per_second", updateBytesPerSecond.map(JSON.number)))
  }
}
