import Documents

/// Median measured rates between nodes, as the nodes of a layout see them.
struct MeasuredRates: Sendable {
  /// Row to column, nodes in the cluster's order; NaN where not measured. Shared by all orders.
  private let rates: [Double]
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

  /// The rate between two nodes of the layout; nil where it was not measured.
  func bytesPerSecond(from: Int, to: Int) -> Double? {
    bytesPerSecond(fromNode: nodeOrder[from], toNode: nodeOrder[to])
  }

  /// The rate between two nodes of the cluster; nil where it was not measured.
  func bytesPerSecond(fromNode from: Int, toNode to: Int) -> Double? {
    let rate = rates[from * nodeCount + to]
    return rate.isNaN ? nil : rate
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
