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

  /// Whether micro-batches pass the stages once, forward: see ``lineSeconds(stage:used:option:)``.
  private let isForwardOnly: Bool
  /// Of the last stage, the least that follows its last pass.
  private let lastTailSeconds: Double
  private let microBatches: Double
  private let lastStage: Int
  private let transferBefore: [Double]
  private let fixedSeconds: Double
  private let pipeline: PipelinePaths
  /// The work before each stage and from it on, and after how many layers it may begin.
  private let sums: SplitSums
  /// A row for each stage, and one for the end, where ``sums`` have theirs.
  private var rest: [Double]

  /// - Parameter limitSeconds: what takes as long may be bounded by just that.
  /// - Throws: ``Stopped``.
  /// - Complexity: O(p · (L − p)²) additions and comparisons of numbers in a row, and O(p · (L − p)) of all else where more
  ///   layers of a stage take longer and fewer of the stages after it do not.
  init(
    cost: IterationCost, options: StageOptions, limitSeconds: Double = .infinity, watch: StopWatch = .never
  ) throws(Stopped) {
    let p = options.stageCount
    let transfers = (0..<max(0, p - 1)).map { cost.transferSeconds(afterStage: $0) }
    let paths = OneForwardOneBackwardBound(transferSeconds: transfers, microBatchCount: cost.microBatchCount)
    microBatches = Double(cost.microBatchCount)
    isForwardOnly = cost.strategy.schedule == .forwardOnly
    lastStage = p - 1
    var before = [0.0]
    for transfer in transfers { before.append(before[before.count - 1] + transfer) }
    transferBefore = before
    fixedSeconds = cost.fixedSeconds
    func leastTail(_ stage: Int) -> Double {
      var least = Double.infinity
      for layers in 1...options.capacities[stage] {
        for option in options.options(stage: stage, layers: layers) { least = min(least, option.tailSeconds) }
      }
      return least
    }
    let leastTailSeconds = leastTail(0)
    lastTailSeconds = isForwardOnly ? leastTail(p - 1) : 0

    let work = (0..<p).map { options.least(stage: $0, \.workSeconds) }
    let pipeline = PipelinePaths(
      bound: paths, isForwardOnly: isForwardOnly, fixedSeconds: fixedSeconds, leastTailSeconds: leastTailSeconds)
    self.pipeline = pipeline
    let isOver = { (stage: Int, used: Int, beforeSeconds: Double, layers: Int, afterSeconds: Double) in
      let (first, second) = options.options(stage: stage, after: used, layers: layers)
      return [first, second].allSatisfy {
        $0.map { pipeline.seconds(stage: stage, after: beforeSeconds, $0, before: afterSeconds) >= limitSeconds }
          ?? true
      }
    }
    func byVariant(_ seconds: (StageOption) -> Double) -> [[Double]] {
      (0..<p).map { options.leastByVariant(stage: $0, seconds) }
    }
    let everyWork = options.variants.count == 1 ? work : byVariant(\.workSeconds)
    sums = try SplitSums(
      options: options, first: isForwardOnly ? byVariant(\.firstSeconds) : everyWork, work: everyWork,
      forward: byVariant(\.forwardSeconds),
      fills: { pipeline.fullSeconds(stage: $0, after: $1, $2) >= limitSeconds },
      isOver: limitSeconds.isFinite && !isForwardOnly ? isOver : nil, watch: watch)
    rest = [Double](repeating: .infinity, count: sums.from.count)
    guard let last = rest.indices.last else {
      leastSeconds = limitSeconds
      return
    }
    rest[last] = 0
    for stage in stride(from: p - 1, through: 0, by: -1) {
      try fillRest(stage, options, leastWork: work[stage], limitSeconds: limitSeconds, watch)
    }
    leastSeconds = rest[0]
  }

  /// The row of a stage, when those after it are known.
  ///
  /// An option whose stages after it take as long as the best known, or which fills the pipeline for as long, is not
  /// looked at; and where that holds for all that are further away, nor are they.
  private mutating func fillRest(
    _ stage: Int, _ options: StageOptions, leastWork: [Double], limitSeconds: Double, _ watch: StopWatch
  ) throws(Stopped) {
    let here = sums.origins[stage], next = sums.origins[stage + 1]
    // The least of a column and all before it, and of a number of layers and all larger ones.
    let after = sums.columns[stage + 1]
    let leastBefore = rest[next + after.lowerBound..<next + after.upperBound].leastSoFar
    let leastWorkFrom = Array(leastWork.reversed().leastSoFar.reversed())
    var guess = 1
    for used in sums.columns[stage] {
      let most = min(options.capacities[stage], after.upperBound - 1 - used)
      let least = max(1, after.lowerBound - used)
      guard least <= most else { continue }
      if used % Self.columnsPerLook == 0 { try watch.check() }
      let before = sums.before[here + used]
      var best = limitSeconds
      func look(_ layers: Int) {
        let follows = rest[next + used + layers]
        let (first, second) = options.options(stage: stage, after: used, layers: layers)
        for option in [first, second] {
          guard let option else { continue }
          let seconds = max(term(stage: stage, used: used, option: option), follows)
          if seconds < best { (best, guess) = (seconds, layers) }
        }
      }
      func fills(_ workSeconds: Double) -> Bool {
        pipeline.fullSeconds(stage: stage, after: before, workSeconds) >= best
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
  func restSeconds(after stage: Int, used: Int) -> Double {
    sums.columns[stage + 1].contains(used) ? rest[sums.origins[stage + 1] + used] : .infinity
  }

  /// A bound on every split that has an option at `stage` after `used` layers before it, the stages before aside.
  func seconds(stage: Int, used: Int, option: StageOption) -> Double {
    max(term(stage: stage, used: used, option: option), restSeconds(after: stage, used: used + option.layers))
  }

  /// The largest term of a stage.
  private func term(stage: Int, used: Int, option: StageOption) -> Double {
    if isForwardOnly { return lineSeconds(stage: stage, used: used, option: option) }
    let place = sums.origins[stage] + used
    let before = sums.before[place]
    let path = pipeline.seconds(
      stage: stage, after: before, option, before: sums.from[sums.origins[stage + 1] + used + option.layers])
    // This stage ends after its own work, which starts when the first micro-batch arrives, and then does its tail.
    let end = sums.forwardBefore[place] + transferBefore[stage] + microBatches * option.workSeconds
    return max(path, fixedSeconds + (end + option.tailSeconds))
  }

  /// The same where micro-batches pass the stages once: the first goes to this stage, all follow it here, and the last goes
  /// on to the end. The largest over all stages is the time itself.
  private func lineSeconds(stage: Int, used: Int, option: StageOption) -> Double {
    let done =
      sums.before[sums.origins[stage] + used] + option.firstSeconds + (microBatches - 1) * option.forwardSeconds
    let toEnd = done + sums.from[sums.origins[stage + 1] + used + option.layers] + transferBefore[lastStage]
    let tail = stage == lastStage ? option.tailSeconds : lastTailSeconds
    return fixedSeconds + max(done + transferBefore[stage] + option.tailSeconds, toEnd + tail)
  }
}

/// Paths through a pipeline and what the iteration does after it, by the work around a stage.
private struct PipelinePaths {
  let bound: OneForwardOneBackwardBound
  /// Whether micro-batches pass the stages once: it is 1F1B that keeps a pipeline full of all of them.
  let isForwardOnly: Bool
  let fixedSeconds: Double
  /// After the pipeline, at least.
  let leastTailSeconds: Double

  /// No split takes less that has a stage with so much work after so much of the stages before it.
  @inline(__always)
  func fullSeconds(stage: Int, after beforeSeconds: Double, _ workSeconds: Double) -> Double {
    if isForwardOnly { return 0 }
    return fixedSeconds
      + (bound.fillSeconds(stage, prefixWorkSeconds: beforeSeconds, workSeconds: workSeconds) + leastTailSeconds)
  }

  /// Nor one that has an option between so much work of the stages before it and after.
  @inline(__always)
  func seconds(
    stage: Int, after beforeSeconds: Double, _ option: StageOption, before afterSeconds: Double
  ) -> Double {
    let path = bound.stageTermSeconds(
      stage, workSeconds: beforeSeconds + option.workSeconds + afterSeconds, prefixWorkSeconds: beforeSeconds,
      forwardSeconds: option.forwardSeconds, backwardSeconds: option.backwardSeconds)
    // The pipeline ends on stage 0, which then does its tail.
    return fixedSeconds + (path + (stage == 0 ? option.tailSeconds : leastTailSeconds))
  }
}
