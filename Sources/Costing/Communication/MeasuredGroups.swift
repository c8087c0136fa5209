import Documents
import Training

/// Groups that a cluster's measured collectives price: those of the shape that was timed, and those that share the same
/// network in the same way.
///
/// A shape is a number of nodes and of ranks on each. A group is of no shape where its ranks lie unevenly, so that all
/// groups of an axis have the same measured times or none has. Times do not depend on which nodes a group is on: for every
/// order of the nodes they are the same, and bounds that hold for all orders contain them as they are.
///
/// Where a group leaves its nodes, all their devices use the network at the same time, in as many groups as have a rank on
/// each. So only collectives of all devices of their nodes count there. g groups of k ranks a node send, of S bytes each,
/// what one group of all g · k ranks sends of g · S bytes but for the share (n − 1)/n that a rank does not have yet: with
/// T the measured seconds,
///
///     seconds(S) = T(g · S) · (1 − 1/(k·m)) / (1 − 1/(g·k·m))  on m nodes,
///
/// which is an inference: the network is taken to be what all wait for. An all-to-all sends as a reduce-scatter does where
/// it does not matter whom a rank sends to: with one rank a node, or inside a node whose devices are all linked alike.
struct MeasuredGroups: Sendable, Equatable {
  /// Ranks on each of some nodes.
  struct Shape: Sendable, Hashable {
    let ranksPerNode: Int
    let nodeCount: Int

    init(ranksPerNode: Int, nodeCount: Int) {
      self.ranksPerNode = ranksPerNode
      self.nodeCount = nodeCount
    }

    /// The groups of `count` ranks, each `stride` from the next, that fill the ranks in blocks; nil where they lie on
    /// their nodes unevenly.
    init?(stride: Int, count: Int, devicesPerNode: Int) {
      let extent = stride * count
      if extent <= devicesPerNode {
        guard devicesPerNode % extent == 0 else { return nil }
        self.init(ranksPerNode: count, nodeCount: 1)
      } else if stride % devicesPerNode == 0 {
        self.init(ranksPerNode: 1, nodeCount: count)
      } else {
        guard devicesPerNode % stride == 0, extent % devicesPerNode == 0 else { return nil }
        self.init(ranksPerNode: devicesPerNode / stride, nodeCount: extent / devicesPerNode)
      }
    }
  }

  private var times: [Shape: GroupTimes]
  private let devicesPerNode: Int
  /// Whether all devices of a node reach each other alike, so that any of them make the same group.
  private let nodeIsEven: Bool

  /// - Returns: nil where no measured collective prices anything.
  init?(_ cluster: ClusterDescription) {
    guard let links = cluster.measured, !links.collectives.isEmpty else { return nil }
    var points: [Shape: [MeasuredLinks.CollectiveTimes.Kind: [MeasuredLinks.CollectiveTimes.Point]]] = [:]
    for one in links.collectives where one.obstacle(on: cluster) == nil {
      let nodes = one.nodeCount ?? 1
      points[Shape(ranksPerNode: one.rankCount / nodes, nodeCount: nodes), default: [:]][one.kind, default: []] +=
        one.points
    }
    var times: [Shape: GroupTimes] = [:]
    for (shape, kinds) in points {
      func price(_ kind: MeasuredLinks.CollectiveTimes.Kind) -> GroupTimes.Price? {
        SizeCurve(kinds[kind] ?? []).map {
          GroupTimes.Price(
            parts: [
              GroupTimes.Part(
                curve: $0,
                source: MeasuredPrice.Source(
                  kind: kind, rankCount: shape.ranksPerNode * shape.nodeCount, nodeCount: shape.nodeCount))
            ], isInferred: false)
        }
      }
      times[shape] = GroupTimes(
        measuredAllReduce: price(.allReduce), measuredAllGather: price(.allGather),
        measuredReduceScatter: price(.reduceScatter))
    }
    let devices = cluster.devicesPerNode
    for (whole, measured) in times where whole.nodeCount > 1 {
      for ranks in 1..<max(1, devices) where devices % ranks == 0 {
        let groups = Double(devices / ranks)
        func rest(_ ranksPerNode: Int) -> Double { 1 - 1 / Double(ranksPerNode * whole.nodeCount) }
        times[Shape(ranksPerNode: ranks, nodeCount: whole.nodeCount)] = measured.map {
          $0.changed(size: groups, time: rest(ranks) / rest(devices), isInferred: true)
        }
      }
    }
    nodeIsEven = cluster.levels.count { $0.span <= devices } <= 1
    // With one rank a node, or all links alike, it does not matter whom a rank sends to.
    for (shape, measured) in times where shape.ranksPerNode == 1 || shape.nodeCount == 1 && nodeIsEven {
      times[shape] = measured.withAllToAll
    }
    guard !times.isEmpty else { return nil }
    self.times = times
    devicesPerNode = devices
  }

  /// What was measured of the groups of `count` ranks, each `stride` from the next, that fill the ranks in blocks; nil
  /// where they are of no shape, or of none that was measured.
  func times(stride: Int, count: Int) -> GroupTimes? {
    guard let shape = Shape(stride: stride, count: count, devicesPerNode: devicesPerNode) else { return nil }
    if shape.nodeCount == 1, shape.ranksPerNode < devicesPerNode, stride > 1, !nodeIsEven { return nil }
    return times[shape]
  }

  /// The same with links faster by a factor, between nodes or inside them.
  mutating func scale(betweenNodes: Bool, by factor: Double) {
    for (shape, measured) in times where (shape.nodeCount > 1) == betweenNodes {
      times[shape] = measured.map { $0.changed(time: 1 / factor, isInferred: $0.isInferred) }
    }
  }
}

extension MeasuredLinks.CollectiveTimes {
  /// Why a measured collective prices no group of a cluster, as words after its name; nil where it can.
  func obstacle(on cluster: ClusterDescription) -> String? {
    switch kind {
    case .allReduce, .allGather, .reduceScatter: break
    case .allToAll, .broadcast, .reduce, .gather, .scatter, .sendReceive: return "is of a kind that prices no group"
    }
    let devices = cluster.devicesPerNode
    guard points.contains(where: { $0.messageBytes > 0 }) else { return "has a rate and no times" }
    guard let nodeCount else { return "does not say how its ranks are spread over nodes" }
    guard rankCount % nodeCount == 0 else { return "has not as many ranks on each node" }
    let perNode = rankCount / nodeCount
    guard perNode <= devices, nodeCount <= cluster.nodeCount else {
      return "has more ranks than the cluster's nodes have devices, or more nodes than there are"
    }
    if nodeCount == 1 {
      let shares = cluster.levels.contains { $0.span <= devices && $0.sharedBytesPerSecond != nil }
      return perNode < devices && shares ? "had links to itself that all devices of a node share" : nil
    }
    guard perNode == devices else {
      return "had the network of its nodes to itself, with \(perNode) of their \(devices) devices"
    }
    let outer = cluster.levels.count { $0.span > devices }
    return nodeCount < cluster.nodeCount && outer > 1
      ? "is of some of the nodes, and where those lie in the network is not known" : nil
  }
}
