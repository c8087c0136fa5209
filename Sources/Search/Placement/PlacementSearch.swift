import Foundation

/// Looks for the order of hosts with the least time by simulated annealing: the moves of Pipette's worker dedication (Yim
/// et al. 2024, section 4), a temperature relative to the time, and only the rows and rings evaluated that a move touches.
public struct PlacementSearch {
  /// Accepted is a time worse by this share, 1/e of the time, at the start and at the end.
  private static let firstTemperature = 0.01, lastTemperature = 1e-5

  /// How much the means weigh beside the maxima.
  private static let guidance = 0.3

  private let problem: PlacementProblem
  private var order: [Int32]
  private var saved: [Int32]
  private var rowSeconds: [Double]
  private var tailSeconds: [(slowest: Double, mean: Double)]
  private var savedRows: [Double]
  private var savedTails: [(slowest: Double, mean: Double)]
  private var random: SplitMix64

  /// - Parameter order: all hosts, each once; places take the first ones.
  public init(_ problem: PlacementProblem, order: [Int], seed: UInt64) {
    self.problem = problem
    self.order = order.map(Int32.init)
    saved = self.order
    rowSeconds = [Double](repeating: 0, count: problem.rowCount)
    tailSeconds = [(slowest: Double, mean: Double)](repeating: (0, 0), count: problem.columnCount)
    savedRows = rowSeconds
    savedTails = tailSeconds
    random = SplitMix64(seed: seed)
  }

  /// The best order seen in a walk of so many evaluations, and its time; never worse than the order the walk began with.
  public mutating func walk(evaluationCount count: Int) -> (order: [Int], seconds: Double) {
    evaluate(rows: 0..<problem.rowCount, columns: 0..<problem.columnCount)
    var (seconds, current) = total
    var best = (order: order, seconds: seconds)
    let places = problem.placeCount
    guard problem.hostCount > 1, count > 0 else { return (order.map(Int.init), seconds) }
    let cooling = pow(Self.lastTemperature / Self.firstTemperature, 1 / Double(count))
    var temperature = Self.firstTemperature
    for _ in 0..<count {
      temperature *= cooling
      let touched = move()
      // Moves among hosts that are left out change nothing.
      guard touched.lowerBound < places else { continue }
      let rows = rowsTouched(touched), columns = columnsTouched(touched)
      save(rows: rows, columns: columns)
      evaluate(rows: rows, columns: columns)
      let trial = total
      if trial.guide <= current * (1 - temperature * log(random.unit())) {
        (seconds, current) = trial
        if seconds < best.seconds { best = (order, seconds) }
      } else {
        for place in touched { order[place] = saved[place] }
        restore(rows: rows, columns: columns)
      }
    }
    order = best.order
    return (best.order.map(Int.init), best.seconds)
  }

  private var total: (seconds: Double, guide: Double) {
    var row = 0.0, rows = 0.0, tail = -Double.infinity, mean = 0.0
    for seconds in rowSeconds {
      row = max(row, seconds)
      rows += seconds
    }
    for column in tailSeconds {
      tail = max(tail, column.slowest)
      mean = max(mean, column.mean)
    }
    return (row + tail, row + tail + Self.guidance * (rows / Double(rowSeconds.count) + mean))
  }

  /// Changes the order at random and says which places may have changed; their hosts are in `saved`.
  private mutating func move() -> Range<Int> {
    let count = order.count
    var first = random.index(below: count), second = random.index(below: count - 1)
    if second >= first { second += 1 }
    if first > second { swap(&first, &second) }
    let touched = first..<second + 1
    for place in touched { saved[place] = order[place] }
    switch random.index(below: 5) {
    case 0:
      order.swapAt(first, second)
    case 1:
      reverse(first, second)
    case 2:
      // One host moves to the other end.
      if random.next() & 1 == 0 { rotate(first, first + 1, second) } else { rotate(first, second, second) }
    case 3:
      rotate(first, first + 1 + random.index(below: second - first), second)
    default:
      let middle = first + 1 + random.index(below: second - first)
      reverse(first, middle - 1)
      rotate(first, middle, second)
    }
    return touched
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

  private func columnsTouched(_ touched: Range<Int>) -> Range<Int> {
    let last = min(touched.upperBound, problem.placeCount) - 1
    return touched.lowerBound / problem.rowCount..<last / problem.rowCount + 1
  }

  /// A superset: rows between the least and the greatest.
  private func rowsTouched(_ touched: Range<Int>) -> Range<Int> {
    let last = min(touched.upperBound, problem.placeCount) - 1
    let low = touched.lowerBound % problem.rowCount, high = last % problem.rowCount
    return touched.lowerBound / problem.rowCount == last / problem.rowCount ? low..<high + 1 : 0..<problem.rowCount
  }

  private mutating func save(rows: Range<Int>, columns: Range<Int>) {
    for row in rows { savedRows[row] = rowSeconds[row] }
    for column in columns { savedTails[column] = tailSeconds[column] }
  }

  private mutating func restore(rows: Range<Int>, columns: Range<Int>) {
    for row in rows { rowSeconds[row] = savedRows[row] }
    for column in columns { tailSeconds[column] = savedTails[column] }
  }

  private mutating func evaluate(rows: Range<Int>, columns: Range<Int>) {
    for row in rows {
      rowSeconds[row] = problem.rowSeconds(row, order: order, hops: problem.hopSecondsPerByte)
    }
    for column in columns {
      tailSeconds[column] = problem.tailSeconds(column, order: order, rings: problem.ringSecondsPerByte)
    }
  }
}
