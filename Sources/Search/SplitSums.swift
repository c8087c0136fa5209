import Costing

/// The least work of the stages before each stage, and of those from it on, by the number of layers before it.
///
/// Where splits are to take less than a limit, only those numbers of layers are kept with which that may be: a stage that
/// fills the pipeline for longer, with the least work before it, is part of no such split. So most numbers of layers of
/// many stages are never looked at, and of a strategy without any such split no more than a sum over its stages is.
struct SplitSums {
  /// After how many layers each stage may begin, and all end; empty where no split takes less than the limit.
  private(set) var columns: [Range<Int>]
  /// Where column 0 of each row would be: a row for each stage, and one for the end.
  private(set) var origins: [Int] = []
  /// The least work of the stages before, seconds, and what of it is forward.
  private(set) var before: [Double] = []
  private(set) var forwardBefore: [Double] = []
  /// The least work of the stages from each on, seconds.
  private(set) var from: [Double] = []

  /// Numbers of layers between two questions whether to stop.
  private static let columnsPerLook = 64

  /// - Parameters:
  ///   - first: of a stage, the least work before the next can begin, by its number of layers and how they are made up,
  ///     seconds.
  ///   - work: the same of all its work.
  ///   - forward: the same of its forward pass.
  ///   - fills: whether a stage, after so much work, takes the limit with so much of its own; if so, with more of either
  ///     as well.
  ///   - isOver: whether it does with a number of layers after so many, between so much work before and after it; nil where
  ///     no split does.
  /// - Throws: ``Stopped``.
  init(
    options: StageOptions, first: [[Double]], work: [[Double]], forward: [[Double]],
    fills: (_ stage: Int, _ beforeSeconds: Double, _ workSeconds: Double) -> Bool,
    isOver: ((_ stage: Int, _ used: Int, _ beforeSeconds: Double, _ layers: Int, _ afterSeconds: Double) -> Bool)?,
    watch: StopWatch
  ) throws(Stopped) {
    let p = options.stageCount
    columns = (0...p).map { Self.columns($0, options) }
    let variants = options.variants, ways = variants.count
    let leastWorkFrom = work.map { work in
      let ofAllWays =
        ways == 1 ? work : stride(from: 0, to: work.count, by: ways).map { work[$0..<$0 + ways].min() ?? .infinity }
      return Array(ofAllWays.reversed().leastSoFar.reversed())
    }
    // From front to back, then from back to front: each row without the columns that are not reached.
    var totals: [[Double]] = [[0]]
    for stage in 0..<p {
      let row = totals[stage], here = columns[stage], next = columns[stage + 1].lowerBound
      var sums = [Double](repeating: .infinity, count: columns[stage + 1].count)
      var upper = here.upperBound
      try visit(stage, options, watch) { layers, span in
        while upper > span.lowerBound, fills(stage, row[upper - 1 - here.lowerBound], leastWorkFrom[stage][layers]) {
          upper -= 1
        }
        variants.forEachRun(of: layers, in: span.clamped(to: here.lowerBound..<upper)) { columns, way in
          sums.lower(
            columns, from: row, origin: here.lowerBound, to: next - layers, plus: first[stage][layers * ways + way])
        }
      }
      columns[stage + 1] = sums.reached(from: next)
      if columns[stage + 1].isEmpty {
        ruleOut()
        return
      }
      totals.append(sums.row(columns[stage + 1], origin: next))
    }
    var remainders = [[Double]](repeating: [0], count: p + 1)
    for stage in stride(from: p - 1, through: 0, by: -1) {
      let row = totals[stage], here = columns[stage], next = columns[stage + 1].lowerBound
      var sums = [Double](repeating: .infinity, count: here.count)
      var upper = here.upperBound
      try visit(stage, options, watch) { layers, span in
        while upper > span.lowerBound, fills(stage, row[upper - 1 - here.lowerBound], leastWorkFrom[stage][layers]) {
          upper -= 1
        }
        variants.forEachRun(of: layers, in: span.clamped(to: here.lowerBound..<upper)) { columns, way in
          sums.lower(
            columns, from: remainders[stage + 1], origin: next - layers, to: here.lowerBound,
            plus: work[stage][layers * ways + way])
        }
      }
      columns[stage] = sums.reached(from: here.lowerBound)
      if let isOver {
        let (following, after) = (columns[stage + 1], remainders[stage + 1])
        columns[stage].trim { column in
          let fewest = max(1, following.lowerBound - column)
          let most = min(options.capacities[stage], following.upperBound - 1 - column)
          return fewest > most
            || (fewest...most).allSatisfy {
              isOver(stage, column, row[column - here.lowerBound], $0, after[column + $0 - next])
            }
        }
        try watch.check()
      }
      if columns[stage].isEmpty {
        ruleOut()
        return
      }
      totals[stage] = row.row(columns[stage], origin: here.lowerBound)
      remainders[stage] = sums.row(columns[stage], origin: here.lowerBound)
    }
    var forwards: [[Double]] = [[0]]
    for stage in 0..<p {
      let row = forwards[stage], here = columns[stage].lowerBound, next = columns[stage + 1].lowerBound
      var sums = [Double](repeating: .infinity, count: columns[stage + 1].count)
      try visit(stage, options, watch) { layers, span in
        variants.forEachRun(of: layers, in: span) { columns, way in
          sums.lower(columns, from: row, origin: here, to: next - layers, plus: forward[stage][layers * ways + way])
        }
      }
      forwards.append(sums)
    }
    var size = 0
    for columns in columns {
      origins.append(size - columns.lowerBound)
      size += columns.count
    }
    (before, forwardBefore, from) = (totals.flatMap(\.self), forwards.flatMap(\.self), remainders.flatMap(\.self))
  }

  private mutating func ruleOut() {
    columns = columns.map { _ in 0..<0 }
    origins = columns.map { _ in 0 }
  }

  /// After how many layers a stage can begin, so that all stages get some and the rest fits.
  private static func columns(_ stage: Int, _ options: StageOptions) -> Range<Int> {
    if stage == 0 { return 0..<1 }
    let held = options.capacities[..<stage].reduce(0, +)
    let most = min(held, options.layerCount - (options.stageCount - stage))
    return min(most, max(stage, options.layerCount - options.capacityFrom[stage]))..<most + 1
  }

  /// Every number of layers of a stage, and after how many layers it can have them.
  @inline(__always)
  private func visit(
    _ stage: Int, _ options: StageOptions, _ watch: StopWatch, _ body: (_ layers: Int, _ columns: Range<Int>) -> Void
  ) throws(Stopped) {
    let here = columns[stage], next = columns[stage + 1]
    for layers in 1...options.capacities[stage] {
      let lower = max(here.lowerBound, next.lowerBound - layers), upper = min(here.upperBound, next.upperBound - layers)
      guard lower < upper else { continue }
      // Few columns take less than a look at the clock.
      if upper - lower > Self.columnsPerLook || layers % Self.columnsPerLook == 0 { try watch.check() }
      body(layers, lower..<upper)
    }
  }
}

extension Sequence<Double> {
  /// The least of every number and all before it.
  var leastSoFar: [Double] {
    var least = Double.infinity
    return map {
      least = Swift.min(least, $0)
      return least
    }
  }
}

extension [Double] {
  /// Lowers a row, by columns of another plus seconds.
  ///
  /// - Parameters:
  ///   - columns: those of the other row.
  ///   - origin: the column of the other row's first number.
  ///   - target: the column that lowers this row's first number.
  @inline(__always)
  fileprivate mutating func lower(
    _ columns: Range<Int>, from other: [Double], origin: Int, to target: Int, plus seconds: Double
  ) {
    other.withUnsafeBufferPointer { other in
      withUnsafeMutableBufferPointer { row in
        for column in columns {
          let sum = other[column - origin] + seconds, place = column - target
          row[place] = sum < row[place] ? sum : row[place]
        }
      }
    }
  }

  /// From the first column that has a number to the last.
  ///
  /// - Parameter origin: the column of the first number.
  fileprivate func reached(from origin: Int) -> Range<Int> {
    guard let first = firstIndex(where: \.isFinite), let last = lastIndex(where: \.isFinite) else { return 0..<0 }
    return origin + first..<origin + last + 1
  }

  /// Some of its columns.
  fileprivate func row(_ columns: Range<Int>, origin: Int) -> [Double] {
    Array(self[columns.lowerBound - origin..<columns.upperBound - origin])
  }
}

extension Range<Int> {
  /// Drops the first and the last for as long as they are over.
  fileprivate mutating func trim(while isOver: (Int) -> Bool) {
    while let first, isOver(first) { self = first + 1..<upperBound }
    while let last, isOver(last) { self = lowerBound..<last }
  }
}
