/// A time below which no order of the nodes is.
///
/// Pipelines: rows are disjoint paths, so every node has two neighbours at most, those at the ends one; the mean row,
/// and with it the slowest, is no shorter than the least edges that allow. Rings: the least threshold at which the
/// links that reach it could still hold the rings.
package struct PlacementBound {
  /// Steps to look for one cycle before it is taken to exist.
  private static let cycleSteps = 100_000

  private let problem: PlacementProblem

  /// The bound of one problem.
  package init(_ problem: PlacementProblem) { self.problem = problem }

  /// Seconds.
  package var seconds: Double { pipelineSeconds + tailSeconds }

  /// No slowest row takes less.
  var pipelineSeconds: Double {
    let R = problem.rowCount, q = problem.stagesPerNode
    // The two fastest links of each node, all of them sorted.
    var fastest: [Double] = []
    for node in 0..<problem.nodeCount {
      var first = Double.infinity, second = Double.infinity
      for other in 0..<problem.nodeCount where other != node {
        let there = problem.hopSecondsPerByte[node * problem.nodeCount + other]
        let back = problem.hopSecondsPerByte[other * problem.nodeCount + node]
        let edge = min(there, back)
        if edge < first { (first, second) = (edge, first) } else if edge < second { second = edge }
      }
      fastest.append(first)
      if problem.columnCount > 2, second.isFinite { fastest.append(second) }
    }
    fastest.sort()
    var sums = [0.0]
    for edge in fastest { sums.append(sums[sums.count - 1] + edge * problem.hopByteCount) }
    // The mean over rows of a given number of hops each, every hop having two ends.
    func hopSeconds(_ hops: Int) -> Double { sums[min(2 * R * hops, sums.count - 1)] / 2 / Double(R) }
    let all = hopSeconds(problem.columnCount - 1)
    var period = 0.0
    for stage in problem.periodBase.indices {
      let hops = problem.columnCount - 1 - stage / q
      period = max(period, problem.periodBase[stage] + problem.periodPerSecond[stage] * hopSeconds(hops))
    }
    return 2 * all + period
  }

  /// No slowest tail takes less.
  var tailSeconds: Double {
    let one = problem.rowCount > 1 ? leastThreshold(nodes: problem.rowCount, isOneRing: true) : 0
    var bound = problem.tails.map { $0.baseSeconds + $0.byteCount * one }.max() ?? 0
    if problem.rowCount > 1 {
      // Some column has the slowest of all rings.
      let all = max(one, leastThreshold(nodes: problem.placeCount, isOneRing: false))
      bound = max(bound, problem.tails.map { $0.baseSeconds + $0.byteCount * all }.min() ?? 0)
    }
    return bound
  }

  /// The least of the links' seconds per byte at which a given number of nodes may lie on rings.
  func leastThreshold(nodes: Int, isOneRing: Bool) -> Double {
    let n = problem.nodeCount
    var values: [Double] = []
    for from in 0..<n {
      for to in 0..<n where from != to { values.append(problem.ringSecondsPerByte[from * n + to]) }
    }
    values = Array(Set(values)).sorted()
    var low = 0, high = values.count - 1
    while low < high {
      let middle = (low + high) / 2
      if isPossible(threshold: values[middle], nodes: nodes, isOneRing: isOneRing) {
        high = middle
      } else {
        low = middle + 1
      }
    }
    return values[low]
  }

  /// False only if the links up to a threshold cannot hold the rings.
  private func isPossible(threshold: Double, nodes: Int, isOneRing: Bool) -> Bool {
    let n = problem.nodeCount
    func isLink(_ from: Int, _ to: Int) -> Bool {
      from != to && problem.ringSecondsPerByte[from * n + to] <= threshold
    }
    // A node of a ring has a neighbour on either side, another one if there are three.
    var remaining = Array(0..<n)
    var hasChanged = true
    while hasChanged {
      let kept = remaining.filter { node in
        let next = remaining.filter { isLink(node, $0) }, previous = remaining.filter { isLink($0, node) }
        if problem.rowCount == 2 { return next.contains { previous.contains($0) } }
        return !next.isEmpty && !previous.isEmpty && (next.count > 1 || previous.count > 1 || next[0] != previous[0])
      }
      hasChanged = kept.count < remaining.count
      remaining = kept
      if remaining.count < nodes { return false }
    }
    guard isOneRing, problem.rowCount > 2, n <= 64 else { return true }
    return hasCycle(of: nodes, among: remaining, isLink: isLink)
  }

  /// Whether a simple cycle of a given number of nodes exists, or was not ruled out within the steps.
  private func hasCycle(of length: Int, among nodes: [Int], isLink: (Int, Int) -> Bool) -> Bool {
    let next = nodes.map { node in nodes.indices.filter { isLink(node, nodes[$0]) } }
    var steps = 0
    var isUsed = [Bool](repeating: false, count: nodes.count)
    // The first node of a cycle is its least.
    func extend(_ node: Int, start: Int, count: Int) -> Bool {
      steps += 1
      if steps > Self.cycleSteps { return true }
      if count == length { return next[node].contains(start) }
      isUsed[node] = true
      defer { isUsed[node] = false }
      for other in next[node] where other > start && !isUsed[other] {
        if extend(other, start: start, count: count + 1) { return true }
      }
      return false
    }
    return nodes.indices.contains { extend($0, start: $0, count: 1) }
  }
}
