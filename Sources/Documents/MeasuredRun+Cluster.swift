/// The cluster of a run record, as far as it is stated, with what had to be assumed.
extension MeasuredRun {
  /// One direction of one NVLink of generations 2 to 4 (NVIDIA V100, A100 and H100 datasheets: 6, 12 and 18 links for
  /// 150, 300 and 450 GB/s).
  private static let bytesPerSecondPerLink = 25e9

  /// A cluster of the record's devices: one level inside a node, one between nodes.
  ///
  /// - Returns: the cluster, and a sentence for each thing that the record does not state.
  public func cluster(catalog: Catalog) throws(DocumentError) -> (cluster: ClusterDescription, assumptions: [String]) {
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
    var levels: [ClusterDescription.Level] = []
    // A stated number of links says more than the datasheet, which counts all that the chip has.
    let linkRate = machine.intraLinkCount.map { Double($0) * Self.bytesPerSecondPerLink }
    let intra =
      machine.intraBytesPerSecondPerDevice
      ?? min(linkRate ?? .infinity, device.datasheet.scaleUpBytesPerSecond)
    if machine.intraBytesPerSecondPerDevice == nil, perNode > 1 {
      let reason = machine.intraLinkCount.map { ", \($0) links" } ?? ""
      assumptions.append("links inside a node carry \(intra) bytes/s per device\(reason)")
    }
    if perNode > 1 || machine.nodeCount == 1 {
      levels.append(ClusterDescription.Level(name: "node", span: perNode, bytesPerSecond: intra))
    }
    if machine.nodeCount > 1 {
      let nodeRate =
        machine.interBytesPerSecondPerNode
        ?? device.datasheet.scaleOutBytesPerSecond * Double(machine.devicesPerNode)
      if machine.interBytesPerSecondPerNode == nil { assumptions.append("a node sends \(nodeRate) bytes/s") }
      levels.append(
        ClusterDescription.Level(
          name: "network", span: machine.deviceCount, bytesPerSecond: nodeRate / Double(machine.devicesPerNode),
          sharedBytesPerSecond: nodeRate))
    }
    do {
      let cluster = try ClusterDescription(
        name: id, device: device, nodeNames: (0..<machine.nodeCount).map { "node-\($0)" }, devicesPerNode: perNode,
        levels: levels)
      return (cluster, assumptions)
    } catch {
      throw DocumentError(source: id, location: "/cluster", expected: error.sentence, found: nil)
    }
  }
}
