import Costing
import Documents

/// Lower bounds on the iteration time of a partial split, by dynamic programming.
///
/// The terms are paths through the pipeline's dependencies that turn at one stage, followed by what the iteration does
/// after them. A term depends on its stage's option, the layers before it, and the work of the other stages, of which
/// the least is known for every number of layers: a dynamic programme of its own, over sums. `rest[i][n]` is the least,
/// over all ways to finish a split that has n layers before stage i, of the largest term of the stages from i on.
struct SplitBounds {
  /// No split takes less, seconds.
  private(set) var leastSeconds = 0.0

  /// Numbers of layers between two questions whether to stop.
  private static let columnsPerLook = 64

  private let paths: OneForwardOneBackwardBound
  /// Whether micro-batches pass the stages once, forward: see ``lineSeconds(stage:used:option:)``.
  private let isForwardOnly: Bool
  /// Of the last stage, the least that follows its last pass.
  private let lastTailSeconds: Double
  private let microBatches: Double
  private let lastStage: Int
  private let transferBefore: [Double]
  /// After the pipeline, at least: what stage 0 does.
  private let leastTailSeconds: Double
  private let fixedSeconds: Double
  /// Where column 0 of each row would be: rows have a column for every number of layers that may be before their stage.
  private let origins: [Int]
  /// Row i, column n: the least work of the stages before i that have n layers, forward only, and of those from i on.
  private let workBefore: [Double]
  private let forwardBefore: [Double]
  private let workFrom: [Double]
  private var rest: [Double]

  /// - Parameter limitSeconds: what takes as long may be bounded by just that.
  /// - Throws: ``Stopped``.
  /// - Complexity: O(p · (L − p)²) additions and comparisons of numbers in a row, and O(p · (L − p)) of all else where more
  ///   layers of a stage take longer and fewer of the stages after it do not.
  init(
    cost: IterationCost, options: StageOptions, limitSeconds: Double = .infinity, watch: StopWatch = .never
  ) throws(Stopped) {
    let p = options.stageCount, layerCount = options.layerCount
    let transfers = (0..<max(0, p - 1)).map { cost.transferSeconds(afterStage: $0) }
    paths = OneForwardOneBackwardBound(transferSeconds: transfers, microBatchCount: cost.microBatchCount)
    microBatches = Double(cost.microBatchCount)
    isForwardOnly = cost.strategy.schedule == .forwardOnly
    lastStage = p - 1
    var origins: [Int] = []
    var size = 0
    for stage in 0...p {
      let columns = Self.columns(stage, options)
      origins.append(size - columns.lowerBound)
      size += columns.count
    }
    self.origins = origins
    var before = [0.0]
    for transfer in transfers { before.append(before[before.count - 1] + transfer) }
    transferBefore = before
    fixedSeconds = cost.fixedSeconds
    func leastTail(_ stage: Int) -> Double {
      var least = Double.infinity
      for layers in 1...options.capacities[stage] {
        let (first, second) = options.options(stage: stage, layers: layers)
        for option in [first, second] { least = min(least, option?.tailSeconds ?? .infinity) }
      }
      return least
    }
    leastTailSeconds = leastTail(0)
    lastTailSeconds = isForwardOnly ? leastTail(p - 1) : 0

    let empty = [Double](repeating: .infinity, count: size)
    var totals = empty, forwards = empty, remainders = empty
    rest = empty
    totals[0] = 0
    forwards[0] = 0
    remainders[origins[p] + layerCount] = 0
    rest[origins[p] + layerCount] = 0
    let work = (0..<p).map { options.least(stage: $0, \.workSeconds) }
    for stage in 0..<p {
      let first = isForwardOnly ? options.least(stage: stage, \.firstSeconds) : work[stage]
      let forward = options.least(stage: stage, \.forwardSeconds)
      let (here, next) = (origins[stage], origins[stage + 1])
      try Self.visit(stage, options, watch) { layers, columns in
        totals.lower(columns, from: here, to: next + layers, plus: first[layers])
        forwards.lower(columns, from: here, to: next + layers, plus: forward[layers])
      }
    }
    for stage in stride(from: p - 1, through: 0, by: -1) {
      let (here, next) = (origins[stage], origins[stage + 1])
      try Self.visit(stage, options, watch) { layers, columns in
        remainders.lower(columns, from: next + layers, to: here, plus: work[stage][layers])
      }
    }
    (workBefore, forwardBefore, workFrom) = (totals, forwards, remainders)
    for stage in stride(from: p - 1, through: 0, by: -1) {
      try fillRest(stage, options, leastWork: work[stage], limitSeconds: limitSeconds, watch)
    }
    leastSeconds = rest[0]
  }

  /// Every number of layers of a stage, and after how many layers it can have them so that all stages get some and the
  /// rest fits.
  @inline(__always)
  private static func visit(
    _ stage: Int, _ options: StageOptions, _ watch: StopWatch, _ body: (_ layers: Int, _ columns: Range<Int>) -> Void
  ) throws(Stopped) {
    let columns = columns(stage, options), left = options.layerCount - (options.stageCount - 1 - stage)
    for layers in 1...options.capacities[stage] {
      let lower = max(columns.lowerBound, options.layerCount - layers - options.capacityFrom[stage + 1])
      let upper = min(columns.upperBound, left - layers)
      guard lower <= upper else { continue }
      // Few columns take less than a look at the clock.
      if upper - lower >= columnsPerLook || layers % columnsPerLook == 0 { try watch.check() }
      body(layers, lower..<upper + 1)
    }
  }

  /// After how many layers a stage can begin, so that all stages get some and the rest fits.
  private static func columns(_ stage: Int, _ options: StageOptions) -> ClosedRange<Int> {
    if stage == 0 { return 0...0 }
    let held = options.capacities[..<stage].reduce(0, +)
    let most = min(held, options.layerCount - (options.stageCount - stage))
    return min(most, max(stage, options.layerCount - options.capacityFrom[stage]))...most
  }

  /// The row of a stage, when those after it are known.
  ///
  /// An option whose stages after it take as long as the best known, or which fills the pipeline for as long, is not
  /// looked at; and where that holds for all that are further away, nor are they.
  private mutating func fillRest(
    _ stage: Int, _ options: StageOptions, leastWork: [Double], limitSeconds: Double, _ watch: StopWatch
  ) throws(Stopped) {
    let columns = Self.columns(stage, options), here = origins[stage], next = origins[stage + 1]
    let left = options.layerCount - (lastStage - stage)
    // The least of a column and all before it, and of a number of layers and all larger ones.
    let after = Self.columns(stage + 1, options)
    let leastBefore = rest[next + after.lowerBound...next + after.upperBound].leastSoFar
    let leastWorkFrom = Array(leastWork.reversed().leastSoFar.reversed())
    var guess = 1
    for used in columns {
      let most = min(options.capacities[stage], left - used)
      let least = max(1, options.layerCount - used - options.capacityFrom[stage + 1])
      guard least <= most else { continue }
      if used % Self.columnsPerLook == 0 { try watch.check() }
      let before = workBefore[here + used]
      var best = limitSeconds
      func look(_ layers: Int) {
        let follows = rest[next + used + layers]
        let (first, second) = options.options(stage: stage, layers: layers)
        for option in [first, second] {
          guard let option else { continue }
          let seconds = max(term(stage: stage, used: used, option: option), follows)
          if seconds < best { (best, guess) = (seconds, layers) }
        }
      }
      func fills(_ workSeconds: Double) -> Bool {
        // It is 1F1B that keeps a pipeline full of so much.
        !isForwardOnly
          && fixedSeconds
            + (paths.fillSeconds(stage, prefixWorkSeconds: before, workSeconds: workSeconds) + leastTailSeconds)
            >= best
      }
      let start = min(max(guess, least), most)
      if rest[next + used + start] < best { look(start) }
      for layers in stride(from: start - 1, through: least, by: -1) {
        if leastBefore[used + layers - after.lowerBound] >= best { break }
        if rest[next + used + layers] < best, !fills(leastWork[layers]) { look(layers) }
      }
      for layers in stride(from: start + 1, through: most, by: 1) {
        if fills(leastWorkFrom[layers]) { break }
        if rest[next + used + layers] < best, !fills(leastWork[layers]) { look(layers) }
      }
      rest[here + used] = best
    }
  }

  /// No split takes less that has so many layers up to and with a stage.
  @inline(__always)
  func restSeconds(after stage: Int, used: Int) -> Double { rest[origins[stage + 1] + used] }

  /// A bound on every split that has an option at `stage` after `used` layers before it, the stages before aside.
  func seconds(stage: Int, used: Int, option: StageOption) -> Double {
    max(term(stage: stage, used: used, option: option), restSeconds(after: stage, used: used + option.layers))
  }

  /// The largest term of a stage.
  private func term(stage: Int, used: Int, option: StageOption) -> Double {
    if isForwardOnly { return lineSeconds(stage: stage, used: used, option: option) }
    let place = origins[stage] + used
    let before = workBefore[place]
    let pipeline = paths.stageTermSeconds(
      stage, workSeconds: before + option.workSeconds + workFrom[origins[stage + 1] + used + option.layers],
      prefixWorkSeconds: before, forwardSeconds: option.forwardSeconds, backwardSeconds: option.backwardSeconds)
    // This stage ends after its own work, which starts when the first micro-batch arrives, and then does its tail.
    let end = forwardBefore[place] + transferBefore[stage] + microBatches * option.workSeconds
    // The pipeline ends on stage 0, which then does its tail.
    return fixedSeconds
      + max(pipeline + (stage == 0 ? option.tailSeconds : leastTailSeconds), end + option.tailSeconds)
  }

  /// The same where micro-batches pass the stages once: the first goes to this stage, all follow it here, and the last goes
  /// on to the end. The largest over all stages is the time itself.
  private func lineSeconds(stage: Int, used: Int, option: StageOption) -> Double {
    let done = workBefore[origins[stage] + used] + option.firstSeconds + (microBatches - 1) * option.forwardSeconds
    let toEnd = done + workFrom[origins[stage + 1] + used + option.layers] + transferBefore[lastStage]
    let tail = stage == lastStage ? option.tailSeconds : lastTailSeconds
    return fixedSeconds + max(done + transferBefore[stage] + option.tailSeconds, toEnd + tail)
  }
}

extension Sequence<Double> {
  /// The least of every number and all before it.
  fileprivate var leastSoFar: [Double] {
    var least = Double.infinity
    return map {
      least = Swift.min(least, $0)
      return least
    }
  }
}

extension [Double] {
  /// Lowers some columns of a row to those of another, plus seconds.
  ///
  /// - Parameters:
  ///   - origin: where the other row's column 0 would be.
  ///   - target: where the column would be that column 0 lowers.
  @inline(__always)
  fileprivate mutating func lower(_ columns: Range<Int>, from origin: Int, to target: Int, plus seconds: Double) {
    withUnsafeMutableBufferPointer { rows in
      for column in columns {
        let sum = rows[origin + column] + seconds
        rows[target + column] = sum < rows[target + column] ? sum : rows[target + column]
      }
    }
  }
}
