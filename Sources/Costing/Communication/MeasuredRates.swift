import Documents

/// Median measured rates between nodes, as the nodes of a layout see them.
struct MeasuredRates: Sendable {
  /// Row to column, nodes in the cluster's order; NaN where not measured. Shared by all orders.
  private var rates: [Double]
  private let nodeCount: Int
  /// Which node of the cluster each node of the layout is.
  var nodeOrder: [Int]

  /// The nodes in the cluster's order.
  init(_ links: MeasuredLinks, snapshotIndex: Int?) {
    let count = links.nodeNames.count
    var rates = [Double](repeating: .nan, count: count * count)
    for from in 0..<count {
      for to in 0..<count {
        let rate =
          snapshotIndex.map { links.snapshots[$0].bytesPerSecond[from][to] }
          ?? links.medianBytesPerSecond(from: from, to: to)
        if let rate { rates[from * count + to] = rate }
      }
    }
    self.rates = rates
    nodeCount = count
    nodeOrder = Array(0..<count)
  }

  /// Makes all links faster by a factor.
  mutating func scale(by factor: Double) { rates = rates.map { $0 * factor } }

  /// Sets the rate between two nodes of the cluster, both ways.
  mutating func setBytesPerSecond(_ rate: Double, between node: Int, and other: Int) {
    rates[node * nodeCount + other] = rate
    rates[other * nodeCount + node] = rate
  }

  /// The rate between two nodes of the layout; nil where it was not measured.
  func bytesPerSecond(from: Int, to: Int) -> Double? {
    bytesPerSecond(fromNode: nodeOrder[from], toNode: nodeOrder[to])
  }

  /// The rate between two nodes of the cluster; nil where it was not measured.
  func bytesPerSecond(fromNode from: Int, toNode to: Int) -> Double? {
    let rate = rates[from * nodeCount + to]
    return rate.isNaN ? nil : rate
  }

  /// No ring through k nodes has all its links faster than entry k, whatever the nodes and their order; the entries for
  /// fewer than two nodes are infinite.
  ///
  /// The nodes of a ring are connected by links at least as fast as its slowest. How many nodes can be, from the fastest
  /// links on, is told by a maximum spanning tree (Prim's, since all pairs have a link).
  /// - Complexity: O(nodes²).
  func ringRates(orElse nominal: Double) -> [Double] {
    func rate(_ from: Int, _ to: Int) -> Double {
      let there = rates[from * nodeCount + to], back = rates[to * nodeCount + from]
      return max(there.isNaN ? nominal : there, back.isNaN ? nominal : back)
    }
    var edges: [(rate: Double, from: Int, to: Int)] = []
    var nearest = [Int](repeating: 0, count: nodeCount)
    var best = (0..<nodeCount).map { $0 == 0 ? 0 : rate(0, $0) }
    var isInTree = [Bool](repeating: false, count: nodeCount)
    isInTree[0] = true
    for _ in 1..<max(1, nodeCount) {
      var next = -1
      for node in 0..<nodeCount where !isInTree[node] && (next < 0 || best[node] > best[next]) { next = node }
      edges.append((best[next], nearest[next], next))
      isInTree[next] = true
      for node in 0..<nodeCount where !isInTree[node] {
        let other = rate(next, node)
        if other > best[node] { (best[node], nearest[node]) = (other, next) }
      }
    }
    edges.sort { ($1.rate, $0.to) < ($0.rate, $1.to) }
    var parent = Array(0..<nodeCount), size = [Int](repeating: 1, count: nodeCount)
    func root(_ node: Int) -> Int {
      var node = node
      while parent[node] != node { node = parent[node] }
      return node
    }
    var result = [Double](repeating: .infinity, count: nodeCount + 1)
    var reached = 1
    for edge in edges {
      var (large, small) = (root(edge.from), root(edge.to))
      if size[large] < size[small] { swap(&large, &small) }
      parent[small] = large
      size[large] += size[small]
      while reached < size[large] {
        reached += 1
        result[reached] = edge.rate
      }
    }
    return result
  }

  /// The fastest pair of all nodes, the layout's or not, a pair that was not measured having the given rate.
  func bestBytesPerSecond(orElse nominal: Double) -> Double {
    var best = 0.0
    for from in 0..<nodeCount {
      for to in 0..<nodeCount where from != to {
        let rate = rates[from * nodeCount + to]
        best = max(best, rate.isNaN ? nominal : rate)
      }
    }
    return best > 0 ? best : nominal
  }
}
