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
  private static let layersPerLook = 64

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
  /// Row i, column n: the least work of the stages before i that have n layers, forward only, and of those from i on.
  private let workBefore: [[Double]]
  private let forwardBefore: [[Double]]
  private let workFrom: [[Double]]
  private var rest: [[Double]]

  /// - Throws: ``Stopped``.
  /// - Complexity: O(p · (L − p)²).
  init(cost: IterationCost, options: StageOptions, watch: StopWatch = .never) throws(Stopped) {
    let p = options.stageCount, layerCount = options.layerCount
    let transfers = (0..<max(0, p - 1)).map { cost.transferSeconds(afterStage: $0) }
    paths = OneForwardOneBackwardBound(transferSeconds: transfers, microBatchCount: cost.microBatchCount)
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
        let (first, second) = options.options(stage: stage, layers: layers)
        for option in [first, second] { least = min(least, option?.tailSeconds ?? .infinity) }
      }
      return least
    }
    leastTailSeconds = leastTail(0)
    lastTailSeconds = isForwardOnly ? leastTail(p - 1) : 0

    let empty = [[Double]](repeating: [Double](repeating: .infinity, count: layerCount + 1), count: p + 1)
    var workBefore = empty, forwardBefore = empty, workFrom = empty
    workBefore[0][0] = 0
    forwardBefore[0][0] = 0
    workFrom[p][layerCount] = 0
    for stage in 0..<p {
      try Self.visit(stage, options, watch) { used, option in
        let next = used + option.layers
        workBefore[stage + 1][next] = min(workBefore[stage + 1][next], workBefore[stage][used] + option.firstSeconds)
        forwardBefore[stage + 1][next] = min(
          forwardBefore[stage + 1][next], forwardBefore[stage][used] + option.forwardSeconds)
      }
    }
    for stage in stride(from: p - 1, through: 0, by: -1) {
      try Self.visit(stage, options, watch) { used, option in
        workFrom[stage][used] = min(
          workFrom[stage][used], option.workSeconds + workFrom[stage + 1][used + option.layers])
      }
    }
    self.workBefore = workBefore
    self.forwardBefore = forwardBefore
    self.workFrom = workFrom
    rest = empty
    rest[p][layerCount] = 0
    for stage in stride(from: p - 1, through: 0, by: -1) {
      var row = rest[stage]
      try Self.visit(stage, options, watch) { used, option in
        let after = rest[stage + 1][used + option.layers]
        if after < row[used] { row[used] = min(row[used], max(term(stage: stage, used: used, option: option), after)) }
      }
      rest[stage] = row
    }
    leastSeconds = rest[0][0]
  }

  /// Every option of a stage after every number of layers with which all stages can get some and the rest fits.
  @inline(__always)
  private static func visit(
    _ stage: Int, _ options: StageOptions, _ watch: StopWatch, _ body: (_ used: Int, _ option: StageOption) -> Void
  ) throws(Stopped) {
    let p = options.stageCount, layerCount = options.layerCount
    let least = stage == 0 ? 0 : max(stage, layerCount - options.capacityFrom[stage])
    let most = stage == 0 ? 0 : layerCount - (p - stage)
    guard least <= most else { return }
    for used in least...most {
      let mostHere = min(options.capacities[stage], layerCount - used - (p - stage - 1))
      let leastHere = max(1, layerCount - used - options.capacityFrom[stage + 1])
      guard leastHere <= mostHere else { continue }
      // Few layers take less than a look at the clock.
      if mostHere - leastHere >= Self.layersPerLook || used % Self.layersPerLook == 0 { try watch.check() }
      for layers in leastHere...mostHere {
        let (first, second) = options.options(stage: stage, layers: layers)
        if let first { body(used, first) }
        if let second { body(used, second) }
      }
    }
  }

  /// A bound on every split that has an option at `stage` after `used` layers before it, the stages before aside.
  func seconds(stage: Int, used: Int, option: StageOption) -> Double {
    max(term(stage: stage, used: used, option: option), rest[stage + 1][used + option.layers])
  }

  /// The largest term of a stage.
  private func term(stage: Int, used: Int, option: StageOption) -> Double {
    if isForwardOnly { return lineSeconds(stage: stage, used: used, option: option) }
    let before = workBefore[stage][used]
    let pipeline = paths.stageTermSeconds(
      stage, workSeconds: before + option.workSeconds + workFrom[stage + 1][used + option.layers],
      prefixWorkSeconds: before, forwardSeconds: option.forwardSeconds, backwardSeconds: option.backwardSeconds)
    // This stage ends after its own work, which starts when the first micro-batch arrives, and then does its tail.
    let end = forwardBefore[stage][used] + transferBefore[stage] + microBatches * option.workSeconds
    // The pipeline ends on stage 0, which then does its tail.
    return fixedSeconds
      + max(pipeline + (stage == 0 ? option.tailSeconds : leastTailSeconds), end + option.tailSeconds)
  }

  /// The same where micro-batches pass the stages once: the first goes to this stage, all follow it here, and the last goes
  /// on to the end. The largest over all stages is the time itself.
  private func lineSeconds(stage: Int, used: Int, option: StageOption) -> Double {
    let done = workBefore[stage][used] + option.firstSeconds + (microBatches - 1) * option.forwardSeconds
    let toEnd = done + workFrom[stage + 1][used + option.layers] + transferBefore[lastStage]
    let tail = stage == lastStage ? option.tailSeconds : lastTailSeconds
    return fixedSeconds + max(done + transferBefore[stage] + option.tailSeconds, toEnd + tail)
  }
}
