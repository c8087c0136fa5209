public import JSONText

/// The cluster document, `sextant.cluster/1`.
extension ClusterDescription {
  /// - Parameter catalog: where the names of devices and of measured links are looked up; paths in the document are
  ///   relative to the document's own folder.
  public init(contentsOf path: String, catalog: Catalog) throws(DocumentError) {
    self = try readDocument(at: path) { (field) throws(DocumentError) in
      try ClusterDescription(field, catalog: catalog, folder: folder(of: path))
    }
  }

  package init(_ field: Field, catalog: Catalog, folder: String) throws(DocumentError) {
    var fields = try field.fields()
    try fields.schema(.cluster)
    let name = try fields.required("name").name()
    let source = try fields.optional("source")?.string() ?? ""
    let deviceField = try fields.required("device")
    let device =
      deviceField.isString
      ? try catalog.device(deviceField.string(), relativeTo: folder, mentionedAt: deviceField)
      : try DeviceProfile(deviceField)
    let devicesPerNode = try fields.required("devices_per_node").integer(in: 1...1_024)
    let nodeNames = try Self.nodeNames(fields.required("nodes"))
    var levels: [Level] = []
    for entry in try fields.required("levels").array(count: 1...8) { levels.append(try Level(entry)) }
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
        name: name, source: source, device: device, nodeNames: nodeNames, devicesPerNode: devicesPerNode,
        levels: levels, host: host, measured: measured)
    } catch {
      throw field.conflict(error.sentence)
    }
  }

  /// A count, which names the nodes `node-0` and so on, or a list of names.
  private static func nodeNames(_ field: Field) throws(DocumentError) -> [String] {
    guard field.isArray else {
      return (0..<(try field.integer(in: 1...131_072))).map { "node-\($0)" }
    }
    var names: [String] = []
    for entry in try field.array(count: 1...131_072) { names.append(try entry.name()) }
    return names
  }

  /// The document of this cluster, self-contained: the device and the measured links are inside it.
  public var json: JSON {
    let isCounted = nodeNames == (0..<nodeNames.count).map { "node-\($0)" }
    return object(
      ("schema", .string(DocumentSchema.cluster.rawValue)), ("name", .string(name)),
      ("source", source.isEmpty ? nil : .string(source)), ("device", device.json),
      ("nodes", isCounted ? .integer(nodeNames.count) : .strings(nodeNames)),
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
        in: 1...1_000, expected: "an oversubscription factor from 1 to 1000") ?? 1)
    try fields.finish()
  }

  var json: JSON {
    object(
      ("name", .string(name)), ("span", .integer(span)), ("bytes_per_second", .number(bytesPerSecond)),
      ("latency_seconds", latencySeconds.map(JSON.number)), ("efficiency", efficiency.map(JSON.number)),
      ("shared_bytes_per_second", sharedBytesPerSecond.map(JSON.number)),
      ("oversubscription", oversubscription == 1 ? nil : .number(oversubscription)))
  }
}

extension ClusterDescription.Host {
  init(_ field: Field) throws(DocumentError) {
    var fields = try field.fields()
    memoryBytes = try fields.required("memory_bytes").integer(in: 0...1_000_000_000_000_000)
    bytesPerSecond = try fields.required("bytes_per_second").positiveNumber()
    try fields.finish()
  }

  var json: JSON {
    object(("memory_bytes", .integer(memoryBytes)), ("bytes_per_second", .number(bytesPerSecond)))
  }
}
