import Documents

extension Cluster {
  /// A cluster of equal nodes by its rates alone, in place of a document.
  ///
  /// ```swift
  /// let cluster = try Cluster(device: "h200-sxm5-141gb", devices: 16, perNode: 8, inter: 50e9)
  /// ```
  ///
  /// Rates are nominal, of one direction, in bytes per second; what collectives reach of them is the device profile's.
  ///
  /// - Parameters:
  ///   - device: a shipped profile's name, or a profile file.
  ///   - devices: of all nodes together.
  ///   - perNode: devices of a node; nil for one node of up to eight devices.
  ///   - intra: of one device's links inside its node; nil for what its datasheet says.
  ///   - inter: what one device alone reaches between nodes, such as its network card's rate; needed for several nodes.
  ///   - nodeInter: what all devices of a node share between nodes; nil where each has its own, so that they do not.
  ///   - hostMemory: bytes of a node's host memory, and `hostLink` the rate between host and one device: both or
  ///     neither, and without them nothing can wait on the host.
  /// - Throws: ``SextantError`` for what is missing, contradicts itself or is out of range, and for an unknown device.
  public init(
    device: String, devices: Int, perNode: Int? = nil, intra: Double? = nil, inter: Double? = nil,
    nodeInter: Double? = nil, hostMemory: Int? = nil, hostLink: Double? = nil
  ) throws(SextantError) {
    let profile: DeviceProfile
    do { profile = try shippedInputs.device(device) } catch { throw SextantError(error) }
    try Self.check(devices, in: 1...1_048_576, label: "devices")
    if let perNode { try Self.check(perNode, in: 1...1_024, label: "perNode") }
    guard let size = perNode ?? (devices <= 8 ? devices : nil) else {
      throw SextantError(
        .argument, location: "perNode", expected: "expected how many of the \(devices) devices a node has")
    }
    guard devices % size == 0 else {
      throw SextantError(
        .argument, location: "devices", expected: "expected a multiple of the \(size) devices of a node",
        found: "\(devices)")
    }
    let nodeCount = devices / size
    for (label, rate) in [("intra", intra), ("inter", inter), ("nodeInter", nodeInter), ("hostLink", hostLink)] {
      guard let rate else { continue }
      guard rate > 0, (1e-24...1e24).contains(rate) else {
        throw SextantError(
          .input, location: label, expected: "expected a positive number of bytes per second", found: "\(rate)")
      }
    }
    if let nodeInter, inter.map({ nodeInter < $0 }) ?? true {
      throw SextantError(
        .argument, location: inter == nil ? "inter" : "nodeInter",
        expected: inter.map { "expected no less than the \($0) bytes/s of one device" }
          ?? "expected what one device alone reaches between nodes, beside what those of a node share",
        found: inter == nil ? nil : "\(nodeInter)")
    }
    if nodeCount == 1, inter != nil {
      throw SextantError(
        .argument, location: "inter", expected: "one node of \(size) devices has no links to others")
    }
    if nodeCount > 1, inter == nil {
      throw SextantError(
        .argument, location: "inter",
        expected: "expected what one device reaches between the \(nodeCount) nodes, such as 50GB/s or 400Gb/s")
    }
    if size == 1, intra != nil {
      throw SextantError(.argument, location: "intra", expected: "one device a node has no links inside it")
    }
    guard (hostMemory == nil) == (hostLink == nil) else {
      throw SextantError(
        .argument, location: hostMemory == nil ? "hostMemory" : "hostLink",
        expected: "expected the host's memory and the rate of its links together, or neither")
    }
    if let hostMemory { try Self.check(hostMemory, in: 0...1_000_000_000_000_000, label: "hostMemory") }

    var levels: [ClusterDescription.Level] = []
    if size > 1 {
      levels.append(
        .init(name: "node", span: size, bytesPerSecond: intra ?? profile.datasheet.scaleUpBytesPerSecond))
    }
    if let inter {
      levels.append(.init(name: "network", span: devices, bytesPerSecond: inter, sharedBytesPerSecond: nodeInter))
    }
    var host: ClusterDescription.Host?
    if let hostMemory, let hostLink { host = .init(memoryBytes: hostMemory, bytesPerSecond: hostLink) }
    let origin =
      size == 1 ? "" : intra == nil ? " Rate inside a node from the device profile's datasheet." : ""
    do {
      description = try ClusterDescription(
        name: "\(profile.name)-\(nodeCount)x\(size)", source: "Stated by its rates, in place of a document.\(origin)",
        device: profile, nodeNames: (0..<nodeCount).map { "node-\($0)" }, devicesPerNode: size, levels: levels,
        host: host)
    } catch { throw SextantError(.input, expected: error.sentence) }
  }

  private static func check(_ value: Int, in range: ClosedRange<Int>, label: String) throws(SextantError) {
    guard range.contains(value) else {
      throw SextantError(
        .input, location: label, expected: "expected an integer from \(range.lowerBound) to \(range.upperBound)",
        found: "\(value)")
    }
  }
}
