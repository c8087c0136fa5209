import Documents
import Foundation

/// Looks for the order of nodes with the least time by simulated annealing: the moves of Pipette's worker dedication
/// (Yim et al. 2024, section 4) and a temperature relative to the time.
///
/// Only what a move touches is looked up again: the transfers and ring edges at the places whose nodes changed. Rows
/// and columns are sums and maxima of those, kept beside one another.
package struct PlacementSearch {
  /// Accepted is a time worse by this share, 1/e of the time, at the start and at the end. With more nodes than
  /// ``fullMoveNodeCount`` both are less in proportion: a move changes a smaller share of everything.
  private static let firstTemperature = 0.01, lastTemperature = 1e-5

  /// With more nodes than this segments that move are short and other moves swap two nodes: a long segment touches all
  /// rows and costs as much as a look at everything.
  static let fullMoveNodeCount = 64
  private static let longestSegment = 16

  /// Evaluations between two questions whether to stop.
  private static let evaluationsPerLook = 256

  /// How much the means weigh beside the maxima.
  private static let guidance = 0.3

  private let problem: PlacementProblem
  private let shape: PlacementShape
  private var order: [Int32]
  /// Seconds of the transfer into each place from the one before it in its row; 0 for the first column.
  private var hopSeconds: [Double]
  /// Seconds per byte of the ring's edge into each place from the one before it in its column.
  private var edges: [Double]
  /// Of every row; where rows wait for each other, of one with the slowest hops and of one with the mean ones.
  private var rowSeconds: [Double]
  /// Where rows wait: seconds of the transfers into each column, the slowest and the mean.
  private var slowestHops: [Double]
  private var meanHops: [Double]
  private var tailSeconds: [(slowest: Double, mean: Double)]
  // What was there before a move.
  private var savedOrder: [Int32]
  private var savedHops: [Double]
  private var savedEdges: [Double]
  private var savedRows: [Double]
  private var savedSlowestHops: [Double]
  private var savedMeanHops: [Double]
  private var savedTails: [(slowest: Double, mean: Double)]
  private var random: SplitMix64

  /// - Parameter order: all nodes, each once; places take the first ones.
  package init(_ problem: PlacementProblem, order: [Int], seed: UInt64) {
    self.problem = problem
    shape = PlacementShape(rowCount: problem.rowCount, columnCount: problem.columnCount)
    self.order = order.map(Int32.init)
    savedOrder = self.order
    hopSeconds = [Double](repeating: 0, count: shape.placeCount)
    edges = hopSeconds
    savedHops = hopSeconds
    savedEdges = hopSeconds
    rowSeconds = [Double](repeating: 0, count: problem.rowsWait ? 2 : problem.rowCount)
    savedRows = rowSeconds
    slowestHops = [Double](repeating: 0, count: problem.columnCount)
    meanHops = slowestHops
    savedSlowestHops = slowestHops
    savedMeanHops = slowestHops
    tailSeconds = [(slowest: Double, mean: Double)](repeating: (0, 0), count: problem.columnCount)
    savedTails = tailSeconds
    random = SplitMix64(seed: seed)
    evaluate(0..<shape.placeCount)
  }

  /// The best order seen in a walk of a given number of evaluations, and its time; never worse than the order the walk
  /// began with.
  ///
  /// - Parameter isStopped: asked every now and then; `true` ends the walk where it is.
  package mutating func walk(
    evaluationCount count: Int, isStopped: () -> Bool = { false }
  ) -> (order: [Int], seconds: Double) {
    var (seconds, current) = total
    var best = (order: order, seconds: seconds)
    guard problem.nodeCount > 1, count > 0 else { return (order.map(Int.init), seconds) }
    let cooling = pow(Self.lastTemperature / Self.firstTemperature, 1 / Double(count))
    var temperature =
      Self.firstTemperature * min(1, Double(Self.fullMoveNodeCount) / Double(problem.nodeCount))
    for evaluation in 0..<count {
      if evaluation % Self.evaluationsPerLook == 0, isStopped() { break }
      temperature *= cooling
      let touched = move()
      // Moves among nodes that are left out change nothing.
      guard touched.first.lowerBound < shape.placeCount else { continue }
      save(touched.first)
      save(touched.second)
      evaluate(touched.first)
      if !touched.second.isEmpty { evaluate(touched.second) }
      let trial = total
      if trial.guide <= current * (1 - temperature * log(random.unit())) {
        (seconds, current) = trial
        if seconds < best.seconds { best = (order, seconds) }
      } else {
        restore(touched.first)
        restore(touched.second)
      }
    }
    return (best.order.map(Int.init), best.seconds)
  }

  private var total: (seconds: Double, guide: Double) {
    var row = 0.0, rows = 0.0, tail = -Double.infinity, mean = 0.0
    if problem.rowsWait {
      (row, rows) = (rowSeconds[0], rowSeconds[1] * 2)
    } else {
      for seconds in rowSeconds {
        row = max(row, seconds)
        rows += seconds
      }
    }
    for column in tailSeconds {
      tail = max(tail, column.slowest)
      mean = max(mean, column.mean)
    }
    return (row + tail, row + tail + Self.guidance * (rows / Double(rowSeconds.count) + mean))
  }

  /// Changes the order at random and says which places may have changed.
  private mutating func move() -> (first: Range<Int>, second: Range<Int>) {
    let count = order.count
    let isLarge = count > Self.fullMoveNodeCount
    var first = random.index(below: count), second = random.index(below: count - 1)
    if second >= first { second += 1 }
    if first > second { swap(&first, &second) }
    let kind = random.index(below: 5)
    if isLarge, kind > 1 { second = min(second, first + 1 + random.index(below: Self.longestSegment - 1)) }
    if kind == 0 || isLarge && kind == 1 {
      savedOrder[first] = order[first]
      savedOrder[second] = order[second]
      order.swapAt(first, second)
      return (first..<first + 1, second..<second + 1)
    }
    for place in first...second { savedOrder[place] = order[place] }
    switch kind {
    case 1:
      reverse(first, second)
    case 2:
      // One node moves to the other end.
      if random.next() & 1 == 0 { rotate(first, first + 1, second) } else { rotate(first, second, second) }
    case 3:
      rotate(first, first + 1 + random.index(below: second - first), second)
    default:
      let middle = first + 1 + random.index(below: second - first)
      reverse(first, middle - 1)
      rotate(first, middle, second)
    }
    return (first..<second + 1, 0..<0)
  }

  /// Reverses the places `first...last`.
  @inline(__always)
  private mutating func reverse(_ first: Int, _ last: Int) {
    var low = first, high = last
    while low < high {
      order.swapAt(low, high)
      low += 1
      high -= 1
    }
  }

  /// Puts the places `middle...last` before `first..<middle`.
  @inline(__always)
  private mutating func rotate(_ first: Int, _ middle: Int, _ last: Int) {
    reverse(first, middle - 1)
    reverse(middle, last)
    reverse(first, last)
  }

  /// Remembers what changes with the nodes of some places, whose own are in `savedOrder`.
  private mutating func save(_ places: Range<Int>) {
    let hops = shape.hops(places), ring = shape.edges(places)
    for place in hops.0 { savedHops[place] = hopSeconds[place] }
    for place in hops.1 { savedHops[place] = hopSeconds[place] }
    for place in ring.0 { savedEdges[place] = edges[place] }
    for place in ring.1 { savedEdges[place] = edges[place] }
    for row in rowsEvaluated(places).0 { savedRows[row] = rowSeconds[row] }
    for row in rowsEvaluated(places).1 { savedRows[row] = rowSeconds[row] }
    for column in shape.columns(places) { savedTails[column] = tailSeconds[column] }
    guard problem.rowsWait else { return }
    for column in shape.columnsReached(places) {
      savedSlowestHops[column] = slowestHops[column]
      savedMeanHops[column] = meanHops[column]
    }
  }

  private mutating func restore(_ places: Range<Int>) {
    for place in places { order[place] = savedOrder[place] }
    let hops = shape.hops(places), ring = shape.edges(places)
    for place in hops.0 { hopSeconds[place] = savedHops[place] }
    for place in hops.1 { hopSeconds[place] = savedHops[place] }
    for place in ring.0 { edges[place] = savedEdges[place] }
    for place in ring.1 { edges[place] = savedEdges[place] }
    for row in rowsEvaluated(places).0 { rowSeconds[row] = savedRows[row] }
    for row in rowsEvaluated(places).1 { rowSeconds[row] = savedRows[row] }
    for column in shape.columns(places) { tailSeconds[column] = savedTails[column] }
    guard problem.rowsWait else { return }
    for column in shape.columnsReached(places) {
      slowestHops[column] = savedSlowestHops[column]
      meanHops[column] = savedMeanHops[column]
    }
  }

  /// Entries of `rowSeconds` that change with the nodes of some places.
  @inline(__always)
  private func rowsEvaluated(_ places: Range<Int>) -> (Range<Int>, Range<Int>) {
    problem.rowsWait ? (rowSeconds.indices, 0..<0) : shape.rows(places)
  }

  /// Looks up what changed with the nodes of some places.
  private mutating func evaluate(_ places: Range<Int>) {
    let hops = shape.hops(places)
    for place in hops.0 {
      hopSeconds[place] = problem.hopSeconds(from: order[place - shape.rowCount], to: order[place])
    }
    for place in hops.1 {
      hopSeconds[place] = problem.hopSeconds(from: order[place - shape.rowCount], to: order[place])
    }
    if problem.rowsWait {
      for column in shape.columnsReached(places) {
        var slowest = 0.0, sum = 0.0
        for place in column * shape.rowCount..<(column + 1) * shape.rowCount {
          slowest = max(slowest, hopSeconds[place])
          sum += hopSeconds[place]
        }
        slowestHops[column] = slowest
        meanHops[column] = sum / Double(shape.rowCount)
      }
      rowSeconds[0] = problem.rowSeconds(hops: slowestHops, first: 0, stride: 1)
      rowSeconds[1] = problem.rowSeconds(hops: meanHops, first: 0, stride: 1)
    } else {
      let rows = shape.rows(places)
      for row in rows.0 { rowSeconds[row] = problem.rowSeconds(hops: hopSeconds, first: row, stride: shape.rowCount) }
      for row in rows.1 { rowSeconds[row] = problem.rowSeconds(hops: hopSeconds, first: row, stride: shape.rowCount) }
    }
    if problem.rowCount > 1 {
      let ring = shape.edges(places)
      for place in ring.0 { edges[place] = problem.edge(from: order[Int(shape.before[place])], to: order[place]) }
      for place in ring.1 { edges[place] = problem.edge(from: order[Int(shape.before[place])], to: order[place]) }
    }
    for column in shape.columns(places) { tailSeconds[column] = problem.tailSeconds(column, edges: edges) }
  }
}

extension SplitMix64 {
  /// A number below `bound`; the bias of 2⁻³² per value does not matter to a search.
  @inline(__always)
  fileprivate mutating func index(below bound: Int) -> Int {
    Int(((next() >> 32) &* UInt64(truncatingIfNeeded: bound)) >> 32)
  }

  /// In (0, 1].
  @inline(__always)
  fileprivate mutating func unit() -> Double { Double((next() >> 11) + 1) * 0x1p-53 }
}
