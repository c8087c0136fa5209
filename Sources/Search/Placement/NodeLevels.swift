import Documents

/// The levels of links between nodes below the topmost, such as sites: what a rank sees of them is told by its number, so
/// that nodes may change places with others of their instance, and whole instances with each other, and no more.
///
/// A level that measured links contradict, of which some link inside an instance is no faster than one out of it, is none that
/// an order could break.
struct NodeLevels {
  /// Nodes of an instance, the largest first.
  private let nodeCounts: [Int]

  init(_ cluster: ClusterDescription) {
    nodeCounts = cluster.levels.map { $0.span / cluster.devicesPerNode }
      .filter { $0 > 1 && $0 < cluster.nodeCount && Self.isSeen($0, by: cluster.measured) }.reversed()
  }

  /// Whether all measured links inside instances of so many nodes are faster than all others.
  private static func isSeen(_ count: Int, by links: MeasuredLinks?) -> Bool {
    guard let links else { return true }
    var slowestInside = Double.infinity, fastestOutside = 0.0
    for from in links.nodeNames.indices {
      for to in links.nodeNames.indices where from != to {
        guard let rate = links.medianBytesPerSecond(from: from, to: to) else { continue }
        if from / count == to / count {
          slowestInside = min(slowestInside, rate)
        } else {
          fastestOutside = max(fastestOutside, rate)
        }
      }
    }
    return slowestInside > fastestOutside
  }

  /// The order itself where it leaves every instance together, or with the nodes of each brought together, instances and
  /// nodes as they come; nil where not all of their nodes are in it.
  func keeping(_ order: [Int]) -> [Int]? {
    if keepsAll(order) { return order }
    let places = nodeCounts.map { count in
      Dictionary(order.enumerated().map { ($1 / count, $0) }, uniquingKeysWith: min)
    }
    let together = order.enumerated().map { place, node in
      (node: node, key: zip(nodeCounts, places).map { $1[node / $0] ?? 0 } + [place])
    }.sorted { $0.key.lexicographicallyPrecedes($1.key) }.map(\.node)
    return keepsAll(together) ? together : nil
  }

  /// Whether ranks under one instance by their numbers lie under one of the cluster.
  private func keepsAll(_ order: [Int]) -> Bool {
    nodeCounts.allSatisfy { count in
      stride(from: 0, to: order.count, by: count).allSatisfy { first in
        let nodes = order[first..<min(first + count, order.count)]
        return nodes.allSatisfy { $0 / count == nodes[first] / count }
      }
    }
  }
}
