import JSONText

/// The time that a collective took on a real machine: a line of a file of collectives (`sextant.collective/1`).
package struct MeasuredCollective: Sendable, Equatable {
  /// What was done with the tensor.
  package enum Kind: String, Sendable, CaseIterable {
    case allReduce = "all-reduce"
    case allGather = "all-gather"
    case reduceScatter = "reduce-scatter"
  }

  /// Who measured it, with what.
  package let source: String
  /// Name of a device profile.
  package let device: String
  package let kind: Kind
  /// Ranks that took part, as many on each node. On several nodes the nodes' other devices form groups of the same
  /// kind, which communicate at the same time.
  package let rankCount: Int
  /// Nodes that they were on.
  package let nodeCount: Int
  /// Devices of a node, whether they took part or not.
  package let devicesPerNode: Int
  /// Nominal, one direction; nil takes the device's datasheet.
  package let intraBytesPerSecondPerDevice: Double?
  /// Nominal, one direction; nil takes the device's datasheet.
  package let interBytesPerSecondPerNode: Double?
  /// The whole tensor: what a rank ends with of an all-gather or all-reduce, and starts with of a reduce-scatter.
  package let byteCount: Int
  package let seconds: Double

  /// Reads a file of collectives, one JSON object a line.
  /// - Throws: `DocumentError` where the file cannot be read, or has no such record but other lines.
  package static func file(_ path: String) throws(DocumentError) -> RecordFile<MeasuredCollective> {
    try RecordFile(contentsOf: path) { (field) throws(DocumentError) in try MeasuredCollective(field) }
  }

  package init(_ field: Field) throws(DocumentError) {
    var fields = try field.fields()
    try fields.schema(.collective)
    source = try fields.required("source").name()
    device = try fields.required("device").name()
    kind = try fields.required("kind").choice(of: Kind.self)
    let ranks = try fields.required("ranks")
    rankCount = try ranks.integer(in: 2...1_048_576)
    nodeCount = try fields.required("nodes").integer(in: 1...131_072)
    devicesPerNode = try fields.required("devices_per_node").integer(in: 1...1_024)
    intraBytesPerSecondPerDevice = try fields.optional("intra_bytes_per_second_per_device")?.positiveNumber()
    interBytesPerSecondPerNode = try fields.optional("inter_bytes_per_second_per_node")?.positiveNumber()
    byteCount = try fields.required("bytes").integer(in: 1...1_000_000_000_000_000)
    seconds = try fields.required("seconds").positiveNumber()
    try fields.finish()
    let perNode = rankCount / nodeCount
    guard rankCount % nodeCount == 0, perNode <= devicesPerNode, nodeCount == 1 || devicesPerNode % perNode == 0 else {
      throw ranks.conflict("\(rankCount) ranks are not spread evenly over \(nodeCount) nodes of \(devicesPerNode)")
    }
    guard nodeCount * devicesPerNode <= ClusterDescription.largestDeviceCount else {
      throw ranks.conflict("\(nodeCount) nodes of \(devicesPerNode) devices are more than this can describe")
    }
  }
}
