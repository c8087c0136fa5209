/// A cluster: nodes of equal size, the devices in them, and the levels of links between devices.
package struct ClusterDescription: Sendable, Equatable {
  /// A level of links: what connects the instances of the level below into one instance of this one.
  package struct Level: Sendable, Equatable {
    package let name: String
    /// Devices under one instance of this level, such as 8 for the NVLink domain of a node.
    package let span: Int
    /// Nominal rate of one device, one direction.
    package let bytesPerSecond: Double
    /// One message's fixed time; nil takes the device profile's.
    package let latencySeconds: Double?
    /// Share of the nominal rate that collectives reach; nil takes the device profile's.
    package let efficiency: Double?
    /// Nominal rate, one direction, that all devices of one instance of the level *below* share, such as the NICs of a
    /// node; nil when every device has its own.
    package let sharedBytesPerSecond: Double?
    /// Factor above 1 by which traffic of all devices at once is slower than of one.
    package let oversubscription: Double
    /// Whether collectives that cross the level run as one ring through all ranks, as they do over sockets, and never level by
    /// level.
    package let hasFlatRings: Bool
    /// Whether links between nodes are the devices' own, as those inside a node are (an NVL72 rack): they then reach what the
    /// device profile says of those.
    package let isScaleUp: Bool
    /// What is special of links between sites; nil where the level is none of those.
    package let wideArea: WideArea?

    package init(
      name: String, span: Int, bytesPerSecond: Double, latencySeconds: Double? = nil, efficiency: Double? = nil,
      sharedBytesPerSecond: Double? = nil, oversubscription: Double = 1, hasFlatRings: Bool = false,
      isScaleUp: Bool = false, wideArea: WideArea? = nil
    ) {
      self.hasFlatRings = hasFlatRings
      self.isScaleUp = isScaleUp
      self.wideArea = wideArea
      self.name = name
      self.span = span
      self.bytesPerSecond = bytesPerSecond
      self.latencySeconds = latencySeconds
      self.efficiency = efficiency
      self.sharedBytesPerSecond = sharedBytesPerSecond
      self.oversubscription = oversubscription
    }
  }

  /// Links between sites: single connections that do not fill them, and peers that go away (PCCL, Keiblinger et al. 2025).
  package struct WideArea: Sendable, Equatable {
    /// What one connection reaches, one direction; nil where one fills the link.
    package let flowBytesPerSecond: Double?
    /// Connections that a device opens to its peer.
    package let connectionCount: Int
    /// How likely it is that one worker fails in the course of one collective of all.
    package let failureProbability: Double
    /// From a failure until the others begin again.
    package let detectionSeconds: Double

    package init(
      flowBytesPerSecond: Double? = nil, connectionCount: Int = 1, failureProbability: Double = 0,
      detectionSeconds: Double = 0
    ) {
      self.flowBytesPerSecond = flowBytesPerSecond
      self.connectionCount = connectionCount
      self.failureProbability = failureProbability
      self.detectionSeconds = detectionSeconds
    }

    /// What all connections of a device reach together.
    package var bytesPerSecond: Double { flowBytesPerSecond.map { $0 * Double(connectionCount) } ?? .infinity }
  }

  /// The memory and links of a node's host side.
  package struct Host: Sendable, Equatable {
    /// Memory of one node.
    package let memoryBytes: Int
    /// Host to one device, one direction.
    package let bytesPerSecond: Double
    /// What all devices of the node get together, one direction; nil where each has its own link all to itself.
    package let sharedBytesPerSecond: Double?
    /// Memory that the node's processors read and write in an optimizer's step, bytes per second.
    package let updateBytesPerSecond: Double?

    /// Where nobody says how fast a host updates: Adam of Megatron-LM on the hosts of 16 H100 took 2.88 s for 1.908e9
    /// parameters a rank, eight ranks a node, with transfers hidden (3.877 s less the 0.996 s of an iteration without it;
    /// NVIDIA's performance notes of Qwen3-30B), at 30 bytes a parameter.
    package static let usualUpdateBytesPerSecond = 1.59e11

    /// A node's host side.
    package init(
      memoryBytes: Int, bytesPerSecond: Double, sharedBytesPerSecond: Double? = nil, updateBytesPerSecond: Double? = nil
    ) {
      self.memoryBytes = memoryBytes
      self.bytesPerSecond = bytesPerSecond
      self.sharedBytesPerSecond = sharedBytesPerSecond
      self.updateBytesPerSecond = updateBytesPerSecond
    }

    /// Share of a node's memory that a run may take: the rest is for the system, data loaders and staging. A judgement,
    /// not a fit.
    package static let usableMemoryFraction = 0.75

    /// What a run may take of the memory, bytes.
    package var usableMemoryBytes: Int { Int(Double(memoryBytes) * Self.usableMemoryFraction) }

    /// Host to one device, one direction, while all of a node's devices use the link.
    package func bytesPerSecond(devicesPerNode: Int) -> Double {
      min(bytesPerSecond, (sharedBytesPerSecond ?? .infinity) / Double(devicesPerNode))
    }

    /// What is read and written for one of a node's devices in an optimizer's step.
    package func updateBytesPerSecond(devicesPerNode: Int) -> Double {
      (updateBytesPerSecond ?? Self.usualUpdateBytesPerSecond) / Double(devicesPerNode)
    }
  }

  package let name: String
  package let source: String
  /// The models of device, in the order of the first node that has them; one where all nodes are alike.
  package private(set) var devices: [DeviceProfile]
  /// The model of device in each node, an index into ``devices``.
  package private(set) var deviceOfNode: [Int]
  package let nodeNames: [String]
  /// Whether the nodes' names are those of hosts; else they only count, `node-0` and so on, and which host is which is
  /// known when something is launched.
  package let namesHosts: Bool
  package let devicesPerNode: Int
  /// Innermost first; spans grow, each divides the next, one equals ``devicesPerNode`` and the last covers the cluster.
  package let levels: [Level]
  package private(set) var host: Host?
  /// Node-to-node rates that replace the nominal ones, of the nodes in ``nodeNames`` in their order, whatever others
  /// were measured with them.
  package let measured: MeasuredLinks?

  /// The most devices that a cluster may have: a plan lists every one several times, and must stay readable.
  static let largestDeviceCount = 1_048_576

  /// The device in every node; of a mixed cluster, in the first.
  package var device: DeviceProfile { devices[0] }
  /// Whether nodes differ in their devices.
  package var isMixed: Bool { devices.count > 1 }
  package var nodeCount: Int { nodeNames.count }
  package var deviceCount: Int { nodeNames.count * devicesPerNode }
  /// Consecutive devices that reach each other over links of their own: those of a node, or of a domain of several.
  package var domainSize: Int { levels.filter(isScaleUp).map(\.span).max() ?? devicesPerNode }

  /// Whether a level is of the devices' own links.
  package func isScaleUp(_ level: Level) -> Bool { level.span <= devicesPerNode || level.isScaleUp }

  /// The most models of device in one cluster: every order of the models is searched.
  static let largestModelCount = 4

  /// A cluster whose nodes all have the same device.
  ///
  /// - Throws: a sentence when levels, nodes and devices do not fit together.
  package init(
    name: String, source: String = "", device: DeviceProfile, nodeNames: [String], namesHosts: Bool? = nil,
    devicesPerNode: Int, levels: [Level], host: Host? = nil, measured: MeasuredLinks? = nil
  ) throws(Contradiction) {
    try self.init(
      name: name, source: source, devices: [device], deviceOfNode: [Int](repeating: 0, count: nodeNames.count),
      nodeNames: nodeNames, namesHosts: namesHosts, devicesPerNode: devicesPerNode, levels: levels, host: host,
      measured: measured)
  }

  /// A cluster whose nodes may have different devices, the same number of them in every node.
  ///
  /// - Parameters:
  ///   - deviceOfNode: for each node, an index into `devices`, which need not be in order and may be equal.
  ///   - namesHosts: see the property; nil takes every name but `node-0` and so on for a host's.
  /// - Throws: a sentence when levels, nodes and devices do not fit together.
  package init(
    name: String, source: String = "", devices: [DeviceProfile], deviceOfNode: [Int], nodeNames: [String],
    namesHosts: Bool? = nil, devicesPerNode: Int, levels: [Level], host: Host? = nil, measured: MeasuredLinks? = nil
  ) throws(Contradiction) {
    guard deviceOfNode.count == nodeNames.count, deviceOfNode.allSatisfy(devices.indices.contains) else {
      throw Contradiction("\(nodeNames.count) nodes need a device each, found \(deviceOfNode.count)")
    }
    // Equal profiles are one model, and models are numbered as nodes need them.
    var models: [DeviceProfile] = []
    var modelOfIndex: [Int: Int] = [:]
    for index in deviceOfNode where modelOfIndex[index] == nil {
      let known = models.firstIndex(of: devices[index])
      modelOfIndex[index] = known ?? models.count
      if known == nil { models.append(devices[index]) }
    }
    let modelOfNode = deviceOfNode.map { modelOfIndex[$0] ?? 0 }
    guard models.count <= Self.largestModelCount else {
      throw Contradiction("\(models.count) models of device are more than \(Self.largestModelCount)")
    }
    guard Set(nodeNames).count == nodeNames.count else { throw Contradiction("two nodes have the same name") }
    // One device has nobody to reach.
    var below = levels.first?.span ?? 1
    for level in levels.dropFirst() {
      guard level.span > below, level.span % below == 0 else {
        throw Contradiction(
          "level \"\(level.name)\" spans \(level.span) devices, which is not a larger multiple of the \(below) below it"
        )
      }
      below = level.span
    }
    let deviceCount = nodeNames.count * devicesPerNode
    guard deviceCount <= Self.largestDeviceCount else {
      throw Contradiction("\(deviceCount) devices are more than \(Self.largestDeviceCount)")
    }
    guard deviceCount == 1 || !levels.isEmpty else {
      throw Contradiction("\(deviceCount) devices need a level of links")
    }
    guard below >= deviceCount else {
      throw Contradiction("the outermost level spans \(below) devices, but the cluster has \(deviceCount)")
    }
    guard devicesPerNode == 1 || levels.contains(where: { $0.span == devicesPerNode }) else {
      throw Contradiction("no level spans the \(devicesPerNode) devices of a node")
    }
    if let measured, measured.nodeNames != nodeNames {
      let indices = Dictionary(
        measured.nodeNames.enumerated().map { ($0.element, $0.offset) }, uniquingKeysWith: { first, _ in first })
      let places = nodeNames.compactMap { indices[$0] }
      guard places.count == nodeNames.count else {
        let missing = nodeNames.first { indices[$0] == nil }.map { ": \"\($0)\" is not among them" } ?? ""
        throw Contradiction("the measured links \"\(measured.name)\" are of other nodes than the cluster's\(missing)")
      }
      self.measured = measured.selecting(places)
    } else {
      self.measured = measured
    }
    self.name = name
    self.source = source
    self.devices = models
    self.deviceOfNode = modelOfNode
    self.nodeNames = nodeNames
    self.namesHosts = namesHosts ?? (nodeNames != Self.countingNames(nodeNames.count))
    self.devicesPerNode = devicesPerNode
    self.levels = levels
    self.host = host
  }

  /// Parts of a cluster that cannot be together, as a sentence.
  package struct Contradiction: Error, Sendable, Equatable {
    package let sentence: String
    init(_ sentence: String) { self.sentence = sentence }
  }

  /// The cluster with measured links.
  ///
  /// - Throws: ``Contradiction`` when they are of other nodes than the cluster's.
  package func measured(_ links: MeasuredLinks) throws(Contradiction) -> ClusterDescription {
    try ClusterDescription(
      name: name, source: source, devices: devices, deviceOfNode: deviceOfNode, nodeNames: nodeNames,
      namesHosts: namesHosts, devicesPerNode: devicesPerNode, levels: levels, host: host, measured: links)
  }

  /// The names of nodes that have none: `node-0` and so on.
  static func countingNames(_ count: Int) -> [String] { (0..<count).map { "node-\($0)" } }

  /// The same cluster with other devices in its nodes, such as a profile with other coefficients.
  package func replacing(device: DeviceProfile) -> ClusterDescription {
    var copy = self
    copy.devices = [device]
    copy.deviceOfNode = [Int](repeating: 0, count: nodeCount)
    return copy
  }

  /// The same cluster with a node's other side as described elsewhere.
  package func replacing(host: Host) -> ClusterDescription {
    var copy = self
    copy.host = host
    return copy
  }

  /// The models of device on which a pipeline stage lies, as indices into ``devices``, ascending.
  ///
  /// - Parameter nodeOrder: the nodes that are used, by index: node k of the mesh is `nodeOrder[k]`.
  package func deviceModels(ofStage stage: Int, of mesh: Mesh, nodeOrder: [Int]) -> [Int] {
    let models = (0..<mesh.degree(of: .worker)).flatMap { worker in
      let ranks = mesh.block(worker * mesh.degree(of: .pipeline) + stage, below: .pipeline)
      let nodes = ranks.lowerBound / devicesPerNode...(ranks.upperBound - 1) / devicesPerNode
      return nodeOrder[nodes].map { deviceOfNode[$0] }
    }
    return Set(models).sorted()
  }

  /// The same cluster with another number of nodes and no measured links: what if there were more of them?
  ///
  /// A cluster whose links end at the node gets the network that its device profile states as usual.
  package func resized(nodeCount: Int) -> ClusterDescription? {
    let needed = nodeCount * devicesPerNode
    var levels = levels.filter { $0.span <= devicesPerNode }
    let outer = self.levels.filter { $0.span > devicesPerNode }
    levels += outer.dropLast().filter { $0.span < needed }
    let below = levels.last?.span ?? 1
    if needed > below {
      let network =
        outer.last
        ?? Level(name: "network", span: needed, bytesPerSecond: device.datasheet.scaleOutBytesPerSecond)
      levels.append(network.spanning((needed + below - 1) / below * below))
    }
    // Models of device in the proportions and the order that they have.
    return try? ClusterDescription(
      name: name, source: source, devices: devices,
      deviceOfNode: (0..<nodeCount).map { deviceOfNode[$0 * self.nodeCount / nodeCount] },
      nodeNames: Self.countingNames(nodeCount),
      devicesPerNode: devicesPerNode, levels: levels, host: host)
  }
}
