public import JSONText

/// Measured node-to-node rates, one or more snapshots of the same nodes.
///
/// Rates are of one device's flow to one device of the other node while nothing else runs. Other kinds of document
/// refer to it; `sextant.links/1` is its own.
public struct MeasuredLinks: Sendable, Equatable {
  /// One moment's measurements.
  public struct Snapshot: Sendable, Equatable {
    public let name: String
    /// Bytes per second from the row's node to the column's; nil where not measured, and on the diagonal.
    public let bytesPerSecond: [[Double?]]

    /// - Precondition: as many rows as columns; finite positive rates, none on the diagonal.
    package init(name: String, bytesPerSecond: [[Double?]]) {
      self.name = name
      self.bytesPerSecond = bytesPerSecond
    }
  }

  public let name: String
  /// The tool that measured, such as `mpigraph`.
  public let engine: String
  /// Where the figures come from.
  public let source: String
  /// Host names; index = row = column.
  public let nodeNames: [String]
  public let snapshots: [Snapshot]

  /// The median over the snapshots of one ordered pair; nil where no snapshot has it.
  public func medianBytesPerSecond(from: Int, to: Int) -> Double? {
    let values = snapshots.compactMap { $0.bytesPerSecond[from][to] }.sorted()
    guard !values.isEmpty else { return nil }
    let middle = values.count / 2
    return values.count % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2
  }

  /// - Precondition: snapshots of as many rows as nodes, whose names differ.
  package init(name: String, engine: String, source: String, nodeNames: [String], snapshots: [Snapshot]) {
    self.name = name
    self.engine = engine
    self.source = source
    self.nodeNames = nodeNames
    self.snapshots = snapshots
  }

  public init(contentsOf path: String) throws(DocumentError) {
    self = try readDocument(at: path) { (field) throws(DocumentError) in try MeasuredLinks(field) }
  }

  package init(_ field: Field) throws(DocumentError) {
    var fields = try field.fields()
    try fields.schema(.links)
    name = try fields.required("name").name()
    engine = try fields.required("engine").name()
    source = try fields.required("source").string()
    var names: [String] = []
    for entry in try fields.required("nodes").array(count: 2...16_384) {
      let name = try entry.name()
      names.append(name)
    }
    nodeNames = names
    if Set(names).count != names.count { throw field.conflict("two nodes have the same name") }
    var snapshots: [Snapshot] = []
    for entry in try fields.required("snapshots").array(count: 1...1_000) {
      snapshots.append(try Snapshot(entry, nodeCount: names.count))
    }
    self.snapshots = snapshots
    try fields.finish()
  }

  public var json: JSON {
    object(
      ("schema", .string(DocumentSchema.links.rawValue)), ("name", .string(name)), ("engine", .string(engine)),
      ("source", .string(source)), ("nodes", .strings(nodeNames)), ("snapshots", .array(snapshots.map(\.json))))
  }
}

extension MeasuredLinks.Snapshot {
  init(_ field: Field, nodeCount: Int) throws(DocumentError) {
    var fields = try field.fields()
    name = try fields.required("name").name()
    var rows: [[Double?]] = []
    for (rowIndex, row) in try fields.required("bytes_per_second").array(count: nodeCount...nodeCount).enumerated() {
      var values: [Double?] = []
      for (columnIndex, entry) in try row.array(count: nodeCount...nodeCount).enumerated() {
        if entry.value == .null {
          values.append(nil)
        } else if rowIndex == columnIndex {
          throw entry.error(expected: "null, as a node has no link to itself")
        } else {
          values.append(try entry.positiveNumber())
        }
      }
      rows.append(values)
    }
    bytesPerSecond = rows
    try fields.finish()
  }

  var json: JSON {
    object(
      ("name", .string(name)),
      ("bytes_per_second", .array(bytesPerSecond.map { .array($0.map { $0.map(JSON.number) ?? .null }) })))
  }
}
