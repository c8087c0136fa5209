package import Documents

/// The links of a cluster with the rates that collectives reach on them; prices groups and transfers of ranks that are
/// laid onto devices in order.
package struct Fabric: Sendable {
  /// One level with efficiencies applied.
  struct Level: Sendable {
    let span: Int
    /// Devices under one instance of the level below.
    let innerSpan: Int
    /// One device's rate. Between nodes traffic leaves through the node's own links, so a level there is never faster
    /// than those below it.
    let bytesPerSecond: Double
    /// What one instance of the level below can send in all, infinite where every device has its own link.
    let sharedBytesPerSecond: Double
    /// One device's part of the shared links, of this level and of those below it between nodes, when all send at once.
    let equalShareBytesPerSecond: Double
    let latencySeconds: Double
    /// Whether collectives that cross it are rings through all ranks.
    let hasFlatRings: Bool
    /// What is special of links between sites; nil where the level is none of those.
    let wideArea: ClusterDescription.WideArea?

    /// One device's part of what an instance of the level below can send in all, when all devices send to the rank
    /// `distance` further on: no more of an instance leave it than that.
    func transferShareBytesPerSecond(distance: Int) -> Double {
      sharedBytesPerSecond / Double(min(innerSpan, distance))
    }

    /// The level with another rate of its links; what they are shared for changes with it.
    func with(bytesPerSecond rate: Double) -> Self {
      guard rate != bytesPerSecond else { return self }
      let change = rate / bytesPerSecond
      return Self(
        span: span, innerSpan: innerSpan, bytesPerSecond: rate, sharedBytesPerSecond: sharedBytesPerSecond * change,
        equalShareBytesPerSecond: equalShareBytesPerSecond * change, latencySeconds: latencySeconds,
        hasFlatRings: hasFlatRings, wideArea: wideArea)
    }
  }

  private(set) var levels: [Level]
  let devicesPerNode: Int
  /// Consecutive devices that reach each other over links of their own.
  let domainSize: Int
  /// What every collective takes beside steps and bytes.
  let collectiveSeconds: Double
  /// What groups of few ranks reach inside a node, as a multiple of what the levels say; empty where a switch serves all.
  let scaleUpGroups: [(rankCount: Int, factor: Double)]
  /// Median measured rates between nodes; nil where none were measured.
  private(set) var measured: MeasuredRates?
  /// Groups that measured collectives price, whatever the rates between nodes; nil where there are none.
  private(set) var groups: MeasuredGroups?

  /// The links of a cluster, with its own or a device profile's efficiencies.
  ///
  /// - Parameters:
  ///   - device: the device that uses them; nil is the cluster's first.
  ///   - snapshotIndex: which of the measurements to take; nil takes the median of all.
  package init(_ cluster: ClusterDescription, device: DeviceProfile? = nil, snapshotIndex: Int? = nil) {
    let device = device ?? cluster.device
    let fabric = device.fabric
    var levels: [Level] = []
    var innerSpan = 1
    for level in cluster.levels {
      let isScaleUp = cluster.isScaleUp(level)
      let efficiency = level.efficiency ?? (isScaleUp ? fabric.scaleUpEfficiency : fabric.scaleOutEfficiency)
      let share = efficiency / level.oversubscription
      let below = levels.last.flatMap { $0.span > cluster.devicesPerNode ? $0 : nil }
      let shared = (level.sharedBytesPerSecond ?? .infinity) * share
      levels.append(
        Level(
          span: level.span, innerSpan: innerSpan,
          bytesPerSecond: min(
            // A level inside nodes that differ is described by the fastest of them.
            cluster.isMixed && level.span <= cluster.devicesPerNode
              ? min(level.bytesPerSecond, device.datasheet.scaleUpBytesPerSecond) * share
              : level.bytesPerSecond * share, below?.bytesPerSecond ?? .infinity,
            level.wideArea?.bytesPerSecond ?? .infinity),
          sharedBytesPerSecond: shared,
          equalShareBytesPerSecond: min(shared / Double(innerSpan), below?.equalShareBytesPerSecond ?? .infinity),
          latencySeconds: level.latencySeconds
            ?? (isScaleUp ? fabric.scaleUpLatencySeconds : fabric.scaleOutLatencySeconds),
          hasFlatRings: level.hasFlatRings, wideArea: level.wideArea))
      innerSpan = level.span
    }
    self.levels = levels
    devicesPerNode = cluster.devicesPerNode
    domainSize = cluster.domainSize
    collectiveSeconds = fabric.collectiveSeconds
    scaleUpGroups = fabric.scaleUpGroups.map { ($0.rankCount, $0.efficiency / fabric.scaleUpEfficiency) }
    measured = cluster.measured.flatMap {
      $0.hasPairs ? MeasuredRates($0, snapshotIndex: snapshotIndex) : nil
    }
    groups = MeasuredGroups(cluster)
  }

  /// The same links with other nodes in the layout's places; what was measured is shared, not copied.
  func arranged(_ nodeOrder: [Int]) -> Self {
    var copy = self
    copy.measured?.nodeOrder = nodeOrder
    return copy
  }

  /// The same links, those of one level faster by a factor, measured ones included.
  func scaling(levelIndex: Int, by factor: Double) -> Self {
    var copy = self
    copy.levels[levelIndex] = levels[levelIndex].with(bytesPerSecond: levels[levelIndex].bytesPerSecond * factor)
    let isBetweenNodes = levels[levelIndex].span > devicesPerNode
    if isBetweenNodes { copy.measured?.scale(by: factor) }
    copy.groups?.scale(betweenNodes: isBetweenNodes, by: factor)
    return copy
  }

  /// The same links, but one pair of the cluster's nodes as fast, both ways, as the fastest of all.
  func withFastestLink(between node: Int, and other: Int) -> Self {
    var copy = self
    copy.measured?.setBytesPerSecond(bestMeasuredBytesPerSecond, between: node, and: other)
    return copy
  }

  /// The same links, but every pair of nodes as fast as the fastest: no order of the nodes is faster.
  func assumingBestLinks() -> Self {
    measured == nil ? self : assumingLinks(bytesPerSecond: bestMeasuredBytesPerSecond)
  }

  /// The fastest pair of nodes, one that was not measured having the nominal rate.
  var bestMeasuredBytesPerSecond: Double {
    let nominal = levels.lazy.filter { $0.span > devicesPerNode }.map(\.bytesPerSecond).max() ?? .infinity
    return measured?.bestBytesPerSecond(orElse: nominal) ?? nominal
  }

  /// No ring through k nodes is faster than entry k, see ``MeasuredRates/ringRates(orElse:)``; nil without measurements.
  var ringRates: [Double]? {
    measured?.ringRates(
      orElse: levels.lazy.filter { $0.span > devicesPerNode }.map(\.bytesPerSecond).max() ?? .infinity)
  }

  /// The same links, but every pair of nodes with the same rate.
  func assumingLinks(bytesPerSecond rate: Double) -> Self {
    var copy = self
    copy.measured = nil
    copy.levels = levels.map { $0.span > devicesPerNode ? $0.with(bytesPerSecond: rate) : $0 }
    return copy
  }

  /// Rate of one device from one node of the cluster to another in a ring, while all other devices do the same; the
  /// nominal rate of the topmost level where the pair was not measured.
  func ringBytesPerSecond(fromNode from: Int, toNode to: Int) -> Double {
    guard let level = topLevel(fromNode: from, toNode: to) else { return .infinity }
    return min(level.bytesPerSecond, level.equalShareBytesPerSecond)
  }

  /// The same to the rank `distance` further on.
  func transferBytesPerSecond(fromNode from: Int, toNode to: Int, distance: Int) -> Double {
    guard let level = topLevel(fromNode: from, toNode: to) else { return .infinity }
    return min(level.bytesPerSecond, level.transferShareBytesPerSecond(distance: distance))
  }

  /// The topmost level as two nodes of the cluster see it.
  private func topLevel(fromNode from: Int, toNode to: Int) -> Level? {
    levels.last.map { top in
      top.with(bytesPerSecond: measured?.bytesPerSecond(fromNode: from, toNode: to) ?? top.bytesPerSecond)
    }
  }

  /// Whether blocks of `size` consecutive ranks all see the same links: no two nodes were measured, and at every level a
  /// block fills whole instances or lies inside one. Then one group, or one sender, stands for all.
  func isAligned(_ size: Int) -> Bool { measured == nil && dividesLevels(size) }

  /// Whether blocks of `size` consecutive ranks all see the same links, as far as they stay inside a node.
  func isAlignedInNode(_ size: Int) -> Bool { size <= devicesPerNode && dividesLevels(size) }

  private func dividesLevels(_ size: Int) -> Bool {
    levels.dropLast().allSatisfy { $0.span % size == 0 || size % $0.span == 0 }
  }

  /// The group of `count` ranks `first`, `first + stride`, …, on which every other rank of the cluster runs a group of
  /// the same kind at the same time.
  ///
  /// - Complexity: O(count · levels).
  func group(first: Int, stride: Int, count: Int) -> CommunicationGroup {
    guard count > 1 else { return .alone }
    var ring = Double.infinity, latency = 0.0
    var hierarchicalLatency = -collectiveSeconds, hierarchicalSecondsPerByte = 0.0
    var isRegular = true
    var reached = 1, allToAllLatency = 0.0, allToAllSecondsPerByte = 0.0
    for level in levels {
      let shape = members(first: first, stride: stride, count: count, of: level)
      if shape.partCount > 1 {
        let rate = crossingRate(of: level, shape, first: first, stride: stride, count: count)
        ring = min(ring, Double(shape.fewestInside) * rate)
        latency = max(latency, level.latencySeconds)
        let parts = Double(shape.partCount)
        hierarchicalLatency += collectiveSeconds + (parts - 1) * level.latencySeconds
        hierarchicalSecondsPerByte += (parts - 1) / parts / Double(shape.mostInside) / rate
        isRegular = isRegular && shape.fewestInside == shape.mostInside && !level.hasFlatRings
        // Of a rank's peers, those in its instance of this level but not in one below.
        let within = shape.holdsAll ? count : max(reached, min(count, shape.mostInside * shape.partCount))
        allToAllLatency += Double(within - reached) * level.latencySeconds
        allToAllSecondsPerByte += Double(within - reached) / Double(count) / rate
        reached = within
      }
      if shape.holdsAll { break }
    }
    return CommunicationGroup(
      rankCount: count, ringBytesPerSecond: ring, latencySeconds: latency, collectiveSeconds: collectiveSeconds,
      // A hierarchical collective needs equal parts.
      hierarchicalLatencySeconds: isRegular ? hierarchicalLatency : .infinity,
      hierarchicalSecondsPerByte: isRegular ? hierarchicalSecondsPerByte : .infinity,
      allToAllLatencySeconds: allToAllLatency, allToAllSecondsPerByte: allToAllSecondsPerByte,
      measured: groups?.times(stride: stride, count: count))
  }

  /// Rate of one device of a group at a level, as its own link, the measured pairs and its part of shared links allow.
  private func crossingRate(of level: Level, _ shape: Spread, first: Int, stride: Int, count: Int) -> Double {
    // Directly linked devices: the fewer ranks inside the node, the fewer of its links they use.
    let meshFactor =
      level.span <= devicesPerNode ? scaleUpFactor(rankCount: min(count, shape.mostInside * shape.partCount)) : 1
    let seen = level.with(bytesPerSecond: deviceRate(at: level, first: first, stride: stride, count: count))
    return min(seen.bytesPerSecond, seen.equalShareBytesPerSecond) * meshFactor
  }

  /// The levels that a group spreads over, by their index, and the rate of one of its devices there.
  func crossings(first: Int, stride: Int, count: Int) -> [(level: Int, bytesPerSecond: Double)] {
    var crossings: [(level: Int, bytesPerSecond: Double)] = []
    for (index, level) in levels.enumerated() {
      let shape = members(first: first, stride: stride, count: count, of: level)
      if shape.partCount > 1 {
        crossings.append((index, crossingRate(of: level, shape, first: first, stride: stride, count: count)))
      }
      if shape.holdsAll { break }
    }
    return crossings
  }

  /// Members of a group at each level that it spreads over, innermost first; their product is `count` where a
  /// hierarchical collective is possible, see ``group(first:stride:count:)``.
  func memberCounts(first: Int, stride: Int, count: Int) -> [Int] {
    var counts: [Int] = []
    for level in levels {
      let shape = members(first: first, stride: stride, count: count, of: level)
      if shape.partCount > 1 { counts.append(shape.partCount) }
      if shape.holdsAll { break }
    }
    return counts
  }

  /// What a group of a given number of ranks inside a node reaches, as a multiple of what its level says.
  private func scaleUpFactor(rankCount: Int) -> Double {
    (scaleUpGroups.first { rankCount <= $0.rankCount } ?? scaleUpGroups.last)?.factor ?? 1
  }

  /// Seconds for one rank to send `byteCount` bytes to the rank `distance` further on, the slowest of the senders
  /// `first..<first + count`, while all other devices do the same.
  ///
  /// - Complexity: O(count · levels).
  func transferSeconds(first: Int, count: Int, distance: Int, byteCount: Double) -> Double {
    var slowest = 0.0
    for sender in first..<first + count {
      slowest = max(slowest, transferSeconds(from: sender, to: sender + distance, byteCount: byteCount))
    }
    return slowest
  }

  func transferSeconds(from: Int, to: Int, byteCount: Double) -> Double {
    guard from != to else { return 0 }
    guard let top = levels.firstIndex(where: { from / $0.span == to / $0.span }) else { return .infinity }
    var rate = measuredRate(fromDevice: from, toDevice: to) ?? levels[top].bytesPerSecond
    let change = rate / levels[top].bytesPerSecond
    for (index, level) in levels[...top].enumerated() where index == top || level.span > devicesPerNode {
      rate = min(rate, change * level.transferShareBytesPerSecond(distance: abs(to - from)))
    }
    return levels[top].latencySeconds + byteCount / rate
  }

  func measuredRate(fromDevice from: Int, toDevice to: Int) -> Double? {
    guard let measured, from / devicesPerNode != to / devicesPerNode else { return nil }
    let rate = measured.bytesPerSecond(from: from / devicesPerNode, to: to / devicesPerNode)
    guard let area = level(from: from, to: to)?.wideArea else { return rate }
    return rate.map { min($0, area.bytesPerSecond) }
  }

  /// The innermost level whose instance holds two devices.
  func level(from: Int, to: Int) -> Level? { levels.first { from / $0.span == to / $0.span } }

  /// One device's rate at a level: nominal, or the slowest measured link between neighbours of the ring.
  private func deviceRate(at level: Level, first: Int, stride: Int, count: Int) -> Double {
    guard measured != nil, level.span > devicesPerNode else { return level.bytesPerSecond }
    var slowest = Double.infinity
    for index in 0..<count {
      let from = first + index * stride, to = first + (index + 1) % count * stride
      guard from / devicesPerNode != to / devicesPerNode else { continue }
      slowest = min(slowest, measuredRate(fromDevice: from, toDevice: to) ?? level.bytesPerSecond)
    }
    return slowest.isFinite ? slowest : level.bytesPerSecond
  }

  /// How the members of a group are spread at a level.
  private struct Spread {
    /// The largest number of instances of the level below, under one instance of this level, that hold members.
    var partCount = 0
    /// Members in the emptiest and fullest of those that hold any.
    var fewestInside = Int.max
    var mostInside = 0
    /// Whether one instance of this level holds the whole group.
    var holdsAll = true
  }

  private func members(first: Int, stride: Int, count: Int, of level: Level) -> Spread {
    var spread = Spread()
    var instance = first / level.span, part = first / level.innerSpan
    var partCount = 1, inside = 0
    for index in 0..<count {
      let rank = first + index * stride
      if rank / level.innerSpan != part {
        spread.fewestInside = min(spread.fewestInside, inside)
        spread.mostInside = max(spread.mostInside, inside)
        inside = 0
        part = rank / level.innerSpan
        if rank / level.span != instance {
          instance = rank / level.span
          spread.holdsAll = false
          spread.partCount = max(spread.partCount, partCount)
          partCount = 0
        }
        partCount += 1
      }
      inside += 1
    }
    spread.partCount = max(spread.partCount, partCount)
    spread.fewestInside = min(spread.fewestInside, inside)
    spread.mostInside = max(spread.mostInside, inside)
    return spread
  }
}
