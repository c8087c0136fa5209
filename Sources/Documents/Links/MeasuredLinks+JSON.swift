package import JSONText

/// The links document, `sextant.links/1`.
extension MeasuredLinks {
  package init(contentsOf path: String) throws(DocumentError) {
    self = try readDocument(at: path) { (field) throws(DocumentError) in try MeasuredLinks(field) }
  }

  package init(_ field: Field) throws(DocumentError) {
    var fields = try field.fields()
    try fields.schema(.links)
    let name = try fields.required("name").name()
    let engine = try fields.required("engine").name()
    let source = try fields.required("source").string()
    var names: [String] = []
    for entry in try fields.required("nodes").array(count: 1...16_384) { names.append(try entry.name()) }
    if Set(names).count != names.count { throw field.conflict("two nodes have the same name") }
    var origins: [Origin] = []
    for entry in try fields.optional("origins")?.array(count: 0...10_000) ?? [] { origins.append(try Origin(entry)) }
    let index = LinksIndex(names: names, originCount: origins.count)
    var snapshots: [Snapshot] = []
    for entry in try fields.required("snapshots").array(count: 0...1_000) {
      snapshots.append(try Snapshot(entry, index: index))
    }
    var inside: [InsideLinks] = []
    for entry in try fields.optional("inside")?.array(count: 0...100_000) ?? [] {
      inside.append(try InsideLinks(entry, index: index))
    }
    var collectives: [CollectiveTimes] = []
    for entry in try fields.optional("collectives")?.array(count: 0...100_000) ?? [] {
      collectives.append(try CollectiveTimes(entry, index: index))
    }
    try fields.finish()
    self.init(
      name: name, engine: engine, source: source, nodeNames: names, origins: origins, snapshots: snapshots,
      inside: inside, collectives: collectives)
  }

  package var json: JSON {
    object(
      ("schema", .string(DocumentSchema.links.rawValue)), ("name", .string(name)), ("engine", .string(engine)),
      ("source", .string(source)), ("nodes", .strings(nodeNames)),
      ("origins", origins.isEmpty ? nil : .array(origins.map(\.json))),
      ("snapshots", .array(snapshots.map { $0.json(nodeNames: nodeNames) })),
      ("inside", inside.isEmpty ? nil : .array(inside.map { $0.json(nodeNames: nodeNames) })),
      ("collectives", collectives.isEmpty ? nil : .array(collectives.map { $0.json(nodeNames: nodeNames) })))
  }
}

extension MeasuredLinks.Origin {
  init(_ field: Field) throws(DocumentError) {
    var fields = try field.fields()
    engine = try fields.required("engine").name()
    source = try fields.required("source").string()
    trust = try fields.required("trust").choice(of: MeasuredLinks.Trust.self)
    note = try fields.optional("note")?.string() ?? ""
    try fields.finish()
  }

  var json: JSON {
    object(
      ("engine", .string(engine)), ("source", .string(source)), ("trust", .string(trust.rawValue)),
      ("note", note.isEmpty ? nil : .string(note)))
  }
}

/// What indices and names inside a links document may refer to.
struct LinksIndex {
  let indexOfName: [String: Int]
  let originCount: Int

  var nodeCount: Int { indexOfName.count }

  init(names: [String], originCount: Int) {
    indexOfName = Dictionary(
      names.enumerated().map { ($0.element, $0.offset) }, uniquingKeysWith: { first, _ in first })
    self.originCount = originCount
  }

  func node(_ field: Field) throws(DocumentError) -> Int {
    let name = try field.name()
    guard let index = indexOfName[name] else { throw field.conflict("\"\(name)\" is not among the nodes") }
    return index
  }

  func origin(_ field: Field) throws(DocumentError) -> Int {
    let index = try field.integer(in: 0...9_999)
    guard index < originCount else { throw field.conflict("there is no origin \(index)") }
    return index
  }

  /// A matrix over the nodes whose diagonal is null.
  func matrix<Entry>(_ field: Field, entry read: (Field) throws(DocumentError) -> Entry) throws(DocumentError)
    -> [[Entry?]]
  {
    var rows: [[Entry?]] = []
    for (rowIndex, row) in try field.array(count: nodeCount...nodeCount).enumerated() {
      var values: [Entry?] = []
      values.reserveCapacity(nodeCount)
      for (columnIndex, entry) in try row.array(count: nodeCount...nodeCount).enumerated() {
        if entry.value == .null {
          values.append(nil)
        } else if rowIndex == columnIndex {
          throw entry.error(expected: "null, as a node has no link to itself")
        } else {
          values.append(try read(entry))
        }
      }
      rows.append(values)
    }
    return rows
  }

  func rates(_ field: Field) throws(DocumentError) -> [[Double?]] {
    try matrix(field) { (entry) throws(DocumentError) in try entry.positiveNumber() }
  }

  func seconds(_ field: Field) throws(DocumentError) -> [[Double?]] {
    try matrix(field) { (entry) throws(DocumentError) in try entry.nonNegativeNumber() }
  }
}

extension JSON {
  static func matrix(_ rows: [[Double?]]) -> JSON {
    .array(rows.map { .array($0.map { $0.map(JSON.number) ?? .null }) })
  }

  static func matrix(_ rows: [[Int?]]) -> JSON {
    .array(rows.map { .array($0.map { $0.map(JSON.integer) ?? .null }) })
  }
}
