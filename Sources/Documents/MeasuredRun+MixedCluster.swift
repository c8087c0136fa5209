/// Records whose word for the device names a mixture: `mixed-3-nodes-v100-sxm2-16gb-p3-8xlarge-1-node-t4-g4dn-12xlarge`.
extension MeasuredRun.Machine {
  /// Consecutive nodes with the same device.
  struct NodeRun: Sendable {
    let nodeCount: Int
    let device: DeviceProfile
  }

  /// The nodes that the device's word counts one kind after another; nil where it is no such word.
  ///
  /// A device is the longest profile's name with which its part begins, or the shortest that begins with its first word where
  /// memory is not stated; what follows names a kind of machine.
  ///
  /// - Throws: `DocumentError` where a profile that is named cannot be read.
  func mixedNodes(catalog: Catalog) throws(DocumentError) -> [NodeRun]? {
    var words = device.split(separator: "-")[...]
    guard words.popFirst() == "mixed" else { return nil }
    let known = catalog.names(of: .device)
    var runs: [NodeRun] = []
    while let first = words.popFirst() {
      guard let count = Int(first), count > 0, ["node", "nodes"].contains(words.popFirst()) else { return nil }
      // The next count begins another kind.
      let end =
        words.indices.dropLast().first { Int(words[$0]) != nil && ["node", "nodes"].contains(words[$0 + 1]) }
        ?? words.endIndex
      let part = words[..<end].joined(separator: "-")
      words = words[end...]
      let name =
        known.filter { part == $0 || part.hasPrefix($0 + "-") }.max { $0.count < $1.count }
        ?? known.filter { $0.hasPrefix(part.prefix { $0 != "-" } + "-") }.min { ($0.count, $0) < ($1.count, $1) }
      guard let name else { return nil }
      runs.append(NodeRun(nodeCount: count, device: try catalog.device(name)))
    }
    return runs.count > 1 && runs.reduce(0) { $0 + $1.nodeCount } == nodeCount ? runs : nil
  }
}

extension MeasuredRun {
  /// A cluster of nodes with different devices, in the order in which the record counts them.
  ///
  /// Groups that span all kinds of nodes are as fast as the slowest node's network, which is taken for all.
  func mixedCluster(
    _ runs: [Machine.NodeRun]
  ) throws(DocumentError) -> (cluster: ClusterDescription, assumptions: [String]) {
    let rates = machine.interBytesPerSecondPerKind
    let nodeRate =
      rates.min() ?? machine.interBytesPerSecondPerNode
      ?? runs.reduce(.infinity) {
        min($0, $1.device.datasheet.scaleOutBytesPerSecond * Double(machine.devicesPerNode))
      }
    let order = runs.map { "\($0.nodeCount) with \($0.device.name)" }.joined(separator: ", ")
    do {
      let cluster = try ClusterDescription(
        name: id, runs, devicesPerNode: machine.devicesPerNode,
        // Each device reaches no more of it than it has.
        bytesPerSecondInNode: runs.reduce(0) { max($0, $1.device.datasheet.scaleUpBytesPerSecond) },
        nodeBytesPerSecond: nodeRate, networkBytesPerSecond: nodeRate)
      return (cluster, ["nodes stand in the order \(order)", "every node sends \(nodeRate) bytes/s"])
    } catch {
      throw DocumentError(source: id, location: "/cluster", expected: error.sentence, found: nil)
    }
  }
}

extension MeasuredRun.Machine {
  /// Rates that words state of several kinds of nodes, `10 Gb/s (one) / 50 Gb/s (other)`, bytes per second; empty where they
  /// state fewer than two.
  static func rates(inWords words: String) -> [Double] {
    let parts = words.split(separator: "/ ").map { $0.trimmingPrefix { $0 == " " } }
    let rates = parts.compactMap { part -> Double? in
      let words = part.split(separator: " ")
      guard words.count > 1, words[1] == "Gb/s", let rate = Double(words[0]), rate > 0, rate.isFinite else {
        return nil
      }
      return rate * 1e9 / 8
    }
    return rates.count == parts.count && rates.count > 1 ? rates : []
  }
}
