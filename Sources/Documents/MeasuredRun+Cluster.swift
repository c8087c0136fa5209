/// The cluster of a run record, as far as it is stated, with what had to be assumed.
extension MeasuredRun {
  /// One direction of one NVLink of generations 2 to 4 (NVIDIA V100, A100 and H100 datasheets: 6, 12 and 18 links for
  /// 150, 300 and 450 GB/s).
  private static let bytesPerSecondPerLink = 25e9

  /// A cluster of the record's devices: one level inside a node, one between nodes.
  ///
  /// - Returns: the cluster, and a sentence for each thing that the record does not state.
  package func cluster(catalog: Catalog) throws(DocumentError) -> (cluster: ClusterDescription, assumptions: [String]) {
    if machine.deviceCount == machine.nodeCount * machine.devicesPerNode,
      let runs = try machine.mixedNodes(catalog: catalog)
    {
      return try mixedCluster(runs)
    }
    var assumptions: [String] = []
    var deviceName = machine.device
    // Where a source states the chip but not its memory, the larger is taken.
    if deviceName == "a100-sxm4" {
      deviceName = "a100-sxm4-80gb"
      assumptions.append("device \(machine.device) is \(deviceName)")
    }
    let device: DeviceProfile
    do {
      device = try catalog.device(deviceName)
    } catch {
      throw DocumentError(source: id, location: "/cluster/device", expected: error.expected, found: error.found)
    }
    guard machine.deviceCount % machine.nodeCount == 0 else {
      throw DocumentError(
        source: id, location: "/cluster", expected: "expected the same number of devices in every node",
        found: "\(machine.deviceCount) devices in \(machine.nodeCount) nodes")
    }
    let perNode = machine.deviceCount / machine.nodeCount
    // A stated number of links says more than the datasheet, which counts all that the chip has.
    let linkRate = machine.intraLinkCount.map { Double($0) * Self.bytesPerSecondPerLink }
    let intra =
      machine.intraBytesPerSecondPerDevice
      ?? min(linkRate ?? .infinity, device.datasheet.scaleUpBytesPerSecond)
    if machine.intraBytesPerSecondPerDevice == nil, perNode > 1 {
      let reason = machine.intraLinkCount.map { ", \($0) links" } ?? ""
      assumptions.append("links inside a node carry \(intra) bytes/s per device\(reason)")
    }
    let nodeRate =
      machine.interBytesPerSecondPerNode
      ?? device.datasheet.scaleOutBytesPerSecond * Double(machine.devicesPerNode)
    if machine.nodeCount > 1, machine.interBytesPerSecondPerNode == nil {
      assumptions.append("a node sends \(nodeRate) bytes/s")
    }
    do {
      let domain = device.datasheet.scaleUpDomainSize.flatMap {
        Self.domainSize(upTo: $0, devicesPerNode: perNode, nodeCount: machine.nodeCount)
      }
      if let domain, domain < machine.deviceCount {
        assumptions.append(
          "\(domain) devices of each domain of \(device.datasheet.scaleUpDomainSize ?? domain) are used")
      }
      let cluster = try ClusterDescription(
        name: id, [Machine.NodeRun(nodeCount: machine.nodeCount, device: device)], devicesPerNode: perNode,
        domainSize: domain,
        // Of a node's links to the network a run on some of its devices has its part only.
        bytesPerSecondInNode: intra, nodeBytesPerSecond: nodeRate,
        networkBytesPerSecond: nodeRate / Double(machine.devicesPerNode))
      return (cluster, assumptions)
    } catch {
      throw DocumentError(source: id, location: "/cluster", expected: error.sentence, found: nil)
    }
  }

  /// The most devices of a domain that evenly filled ones can have; nil where that is no more than a node.
  private static func domainSize(upTo most: Int, devicesPerNode: Int, nodeCount: Int) -> Int? {
    let nodes = (1...nodeCount).last { nodeCount % $0 == 0 && $0 * devicesPerNode <= most } ?? 1
    return nodes > 1 ? nodes * devicesPerNode : nil
  }
}

extension ClusterDescription {
  /// A cluster of one level inside a node, one of domains of nodes where devices have them, and one between, whose links a
  /// node's devices share.
  ///
  /// - Parameter runs: consecutive nodes with the same device.
  init(
    name: String, _ runs: [MeasuredRun.Machine.NodeRun], devicesPerNode: Int, domainSize: Int? = nil,
    bytesPerSecondInNode: Double, nodeBytesPerSecond: Double, networkBytesPerSecond: Double
  ) throws(Contradiction) {
    let nodeCount = runs.reduce(0) { $0 + $1.nodeCount }
    var levels: [Level] = []
    if devicesPerNode > 1 || nodeCount == 1 {
      levels.append(Level(name: "node", span: devicesPerNode, bytesPerSecond: bytesPerSecondInNode))
    }
    if let domainSize {
      levels.append(
        Level(name: "domain", span: domainSize, bytesPerSecond: bytesPerSecondInNode, isScaleUp: true))
    }
    if nodeCount * devicesPerNode > domainSize ?? devicesPerNode {
      levels.append(
        Level(
          name: "network", span: nodeCount * devicesPerNode, bytesPerSecond: networkBytesPerSecond,
          // Of a domain's instances all nodes send together.
          sharedBytesPerSecond: nodeBytesPerSecond * Double((domainSize ?? devicesPerNode) / devicesPerNode)))
    }
    try self.init(
      name: name, devices: runs.map(\.device),
      deviceOfNode: runs.enumerated().flatMap { [Int](repeating: $0.offset, count: $0.element.nodeCount) },
      nodeNames: Self.countingNames(nodeCount), devicesPerNode: devicesPerNode, levels: levels)
  }
}

extension MeasuredCollective {
  /// The nodes that it was measured on, with links of the datasheet where the record states none.
  package func cluster(of device: DeviceProfile) throws(ClusterDescription.Contradiction) -> ClusterDescription {
    let nodeRate =
      interBytesPerSecondPerNode ?? device.datasheet.scaleOutBytesPerSecond * Double(devicesPerNode)
    return try ClusterDescription(
      name: source, [MeasuredRun.Machine.NodeRun(nodeCount: nodeCount, device: device)], devicesPerNode: devicesPerNode,
      bytesPerSecondInNode: intraBytesPerSecondPerDevice ?? device.datasheet.scaleUpBytesPerSecond,
      nodeBytesPerSecond: nodeRate, networkBytesPerSecond: nodeRate / Double(devicesPerNode))
  }
}
