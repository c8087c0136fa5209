/// Orders to begin a search with: each place in turn gets the node with the fastest links to its neighbours so far.
///
/// Among thousands of nodes a walk of swaps finds no racks; choosing one place after another does. Whether rows or
/// rings should lie inside of racks depends on what they weigh, so both are tried.
extension PlacementProblem {
  /// Four orders that are made place by place.
  ///
  /// - Parameter given: all nodes, each once.
  /// - Complexity: O(nodes²).
  func startingOrders(given: [Int]) -> [[Int]] {
    [false, true].flatMap { fillsRows in
      [1, 0.05].map { hopWeight in greedyOrder(given, fillsRows: fillsRows, hopWeight: hopWeight) }
    }
  }

  /// - Parameters:
  ///   - fillsRows: whether one row is filled after another, or one column.
  ///   - hopWeight: what a transfer's link counts beside a ring's.
  private func greedyOrder(_ given: [Int], fillsRows: Bool, hopWeight: Double) -> [Int] {
    var left = given
    var nodes = [Int](repeating: 0, count: placeCount)
    for index in 0..<placeCount {
      let row = fillsRows ? index / columnCount : index % rowCount
      let column = fillsRows ? index % columnCount : index / rowCount
      let place = column * rowCount + row
      var best = 0, least = Double.infinity
      for (position, node) in left.enumerated() {
        var cost = 0.0
        if column > 0 { cost += hopWeight * hopSecondsPerByte[nodes[place - rowCount] * nodeCount + node] }
        if row > 0 { cost += ringSecondsPerByte[nodes[place - 1] * nodeCount + node] }
        // The last of a ring meets its first.
        if rowCount > 1, row == rowCount - 1 {
          cost += ringSecondsPerByte[node * nodeCount + nodes[column * rowCount]]
        }
        if cost < least { (best, least) = (position, cost) }
      }
      nodes[place] = left.remove(at: best)
    }
    return nodes + left
  }
}
