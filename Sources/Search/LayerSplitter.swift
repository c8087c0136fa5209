import Costing
import Documents

/// Finds the split of layers into pipeline stages, and what each stage trades for memory, that makes one strategy
/// fastest within the memory of every device and node.
///
/// Layers are alike, so a split is a composition of L into p positive parts with an option for each. Every
/// lower bound of the pipeline's time is a maximum of terms of one stage, so a dynamic programme gives the
/// least bound over all splits; a depth-first search then evaluates, exactly, the splits whose bound is below
/// the best found. When that search ends by itself its answer is the best split there is. When it does not and
/// stages have alternatives, which trade sums of time against the slowest stage and may share the memory of
/// nodes, integer programs take over, see ``SplitProgram``.
struct LayerSplitter {
  /// What is known of one strategy's best split.
  struct BestSplit {
    /// The best split found; nil when none was evaluated.
    var split: Split?
    /// Its exact iteration time; infinite when none was evaluated.
    var iterationSeconds: Double
    /// No split takes less.
    var lowerBoundSeconds: Double
    /// Whether every split below the cutoff was looked at or ruled out: what was found is the best there is.
    var isExhausted: Bool
    /// Integer programs that were solved for it.
    var programCount = 0
    /// Whether the strategy has no other split.
    var isOnly = false
  }

  /// Stage × micro-batch steps that may be simulated for one strategy, bounds
  /// included: a count, so that answers do not depend on speed.
  static let eventBudget = 4_000_000
  /// The same before integer programs are asked, and after.
  static let firstEventBudget = 100_000, lastEventBudget = 200_000
  /// The most options of all stages of which integer programs are asked: 140 layers never have more. Of tens of thousands a
  /// single program takes seconds, and two dozen of them are asked.
  static let programOptionLimit = 10_000
  /// Options of a larger ``StageOptions/size`` are first held against a split that is at hand. Below it that would not pay.
  static let deepSize = 1 << 26
  /// Between two questions whether to stop.
  private static let eventsPerLook = 20_000

  private let cost: IterationCost
  private let options: StageOptions
  private let bounds: SplitBounds
  private let cutoffSeconds: Double
  private let watch: StopWatch
  private var best: BestSplit
  private var budget = 0
  /// The budget below which it is asked whether to stop.
  private var nextLook = Int.max
  private var current: [StageOption] = []
  private var scratch: EvaluationScratch

  /// The best split whose stages all have a verdict at least as good, if it is faster than `cutoffSeconds`.
  ///
  /// - Returns: nil when the layers do not fit at all.
  /// - Throws: ``Stopped``.
  static func bestSplit(
    of cost: IterationCost, freedom: StageFreedom, verdict: Prediction.Verdict, cutoffSeconds: Double,
    deepSize: Int = deepSize, scratch: inout EvaluationScratch, watch: StopWatch
  ) throws(Stopped) -> BestSplit? {
    if let splits = cost.memory.fewSplits {
      return best(of: splits, cost, verdict: verdict, scratch: &scratch)
    }
    let limitOfMemory = MemoryLimit(verdict)
    if cost.laysOutChunks {
      return try ChunkLayoutSearch.bestSplit(
        of: cost, freedom: freedom, verdict: verdict, cutoffSeconds: cutoffSeconds, scratch: &scratch, watch: watch)
    }
    if cost.hasEqualStages {
      guard let source = StageOptionSource(cost, freedom: freedom, limit: limitOfMemory) else { return nil }
      return bestOfEvenSplits(of: cost, source, scratch: &scratch)
    }
    guard
      let options = try StageOptions(
        cost, freedom: freedom, limit: limitOfMemory, below: cost.localSeconds(within: cutoffSeconds), watch: watch)
    else {
      // They may fit, but not below the cutoff.
      return cutoffSeconds.isFinite
        ? BestSplit(noneBelow: cutoffSeconds) : nil
    }
    var known: (chosen: [StageOption], seconds: Double)?
    var useful = options
    var limit = Double.infinity
    if options.size > deepSize, cost.strategy.update.hasGradients {
      // Of many layers most numbers take a stage longer than all of a split that is at hand.
      known = options.evenest.map { ($0, seconds(of: $0, cost, &scratch)) }
      limit = min(cutoffSeconds, known?.seconds ?? .infinity)
      if limit == cutoffSeconds { known = nil }
      guard let faster = options.faster(than: cost.localSeconds(within: limit), cost) else {
        return BestSplit(
          split: known.map { split(of: $0.chosen) }, iterationSeconds: known?.seconds ?? .infinity,
          lowerBoundSeconds: limit, isExhausted: true)
      }
      useful = faster
    }
    var splitter = try LayerSplitter(
      cost: cost, options: useful, cutoffSeconds: cutoffSeconds, known: known, limitSeconds: limit, scratch: scratch,
      watch: watch)
    try splitter.run()
    scratch = splitter.scratch
    return splitter.best
  }

  /// The best of a few splits within a limit of memory; nil where none keeps it.
  private static func best(
    of splits: [Split], _ cost: IterationCost, verdict: Prediction.Verdict, scratch: inout EvaluationScratch
  ) -> BestSplit? {
    let limit = MemoryLimit(verdict)
    let fitting = splits.filter { split in
      cost.memory.stageMemory(of: split).enumerated().allSatisfy { cost.memory.holds($1, stage: $0, within: limit) }
    }
    guard !fitting.isEmpty else { return nil }
    var best = BestSplit(noneBelow: .infinity)
    for split in fitting {
      let seconds = cost.iterationSeconds(of: split, scratch: &scratch)
      if seconds < best.iterationSeconds { (best.split, best.iterationSeconds) = (split, seconds) }
    }
    best.lowerBoundSeconds = best.iterationSeconds
    best.isOnly = splits.count == 1
    return best
  }

  /// Equal chunks, or no pipeline: stages offload where they must, or all that it saves recomputation.
  private static func bestOfEvenSplits(
    of cost: IterationCost, _ source: StageOptionSource, scratch: inout EvaluationScratch
  ) -> BestSplit? {
    let p = cost.strategy.pipelineDegree
    let even = Split.even(
      layerCount: cost.layerCount, stageCount: p, chunkCount: cost.strategy.virtualStageCount)
    var best: BestSplit?
    let options = (0..<p).map { source.options(stage: $0, StageLayers(of: even, stage: $0, cost.kinds)) }
    for offloads in options.contains(where: { $0.1 != nil }) ? [false, true] : [false] {
      let chosen = options.compactMap { first, second in offloads ? second ?? first : first }
      guard chosen.count == p, source.hosts.hold(chosen) else { continue }
      let split = even.with(choices: StageOption.choices(chosen))
      let seconds = cost.iterationSeconds(of: split, scratch: &scratch)
      if seconds < best?.iterationSeconds ?? .infinity {
        best = BestSplit(
          split: split, iterationSeconds: seconds, lowerBoundSeconds: seconds, isExhausted: true)
      }
    }
    return best
  }

  /// - Parameters:
  ///   - known: a split that is at hand.
  ///   - limitSeconds: of splits that take as long nothing more needs to be known, and `options` may be without theirs.
  private init(
    cost: IterationCost, options: StageOptions, cutoffSeconds: Double,
    known: (chosen: [StageOption], seconds: Double)?, limitSeconds: Double, scratch: EvaluationScratch, watch: StopWatch
  ) throws(Stopped) {
    self.watch = watch
    self.cost = cost
    self.options = options
    self.cutoffSeconds = cutoffSeconds
    self.scratch = scratch
    bounds = try SplitBounds(
      cost: cost, options: options, limitSeconds: cost.localSeconds(within: limitSeconds), watch: watch)
    best = BestSplit(
      split: known.map { Self.split(of: $0.chosen) }, iterationSeconds: known?.seconds ?? .infinity,
      lowerBoundSeconds: min(cost.leastSeconds(localSeconds: bounds.leastSeconds), known?.seconds ?? .infinity),
      isExhausted: false)
  }

  private mutating func run() throws(Stopped) {
    current.reserveCapacity(options.stageCount)
    best.isExhausted = best.lowerBoundSeconds >= limit
    // Stages that hold layers on one node's host trade them against each other.
    let trades = options.hasAlternatives || cost.strategy.update == .zerothOrder && !options.hosts.shares.isEmpty
    let asksPrograms = trades && options.count <= Self.programOptionLimit
    if !best.isExhausted {
      budget = asksPrograms ? Self.firstEventBudget : Self.eventBudget
      best.isExhausted = try descend(stage: 0, used: 0, boundSeconds: 0)
    }
    if !best.isExhausted, asksPrograms {
      try solvePrograms()
      best.isExhausted = best.lowerBoundSeconds >= limit
      if !best.isExhausted {
        budget = Self.lastEventBudget
        best.isExhausted = try descend(stage: 0, used: 0, boundSeconds: 0)
      }
    }
    // What was pruned is not below the best found, nor below the cutoff.
    if best.isExhausted {
      best.lowerBoundSeconds = min(best.iterationSeconds, max(best.lowerBoundSeconds, cutoffSeconds))
    }
  }

  /// Asks integer programs for better splits and a better bound.
  private mutating func solvePrograms() throws(Stopped) {
    let program = SplitProgram(cost: cost, options: options)
    let bound = try program.leastSeconds(limitSeconds: localLimit, watch: watch) { chosen in
      evaluate(chosen)
      return localLimit
    }
    best.programCount = bound.programCount
    best.lowerBoundSeconds = max(
      best.lowerBoundSeconds, min(cost.leastSeconds(localSeconds: bound.seconds), limit))
  }

  /// Prices a split exactly and keeps it if it is the best so far.
  private mutating func evaluate(_ chosen: [StageOption]) {
    let seconds = Self.seconds(of: chosen, cost, &scratch)
    if seconds < best.iterationSeconds {
      best.iterationSeconds = seconds
      best.split = Self.split(of: chosen)
    }
  }

  private static func split(of chosen: [StageOption]) -> Split {
    Split(chosen.map(\.layers), choices: StageOption.choices(chosen))
  }

  private static func seconds(
    of chosen: [StageOption], _ cost: IterationCost, _ scratch: inout EvaluationScratch
  ) -> Double {
    cost.iterationSeconds(of: split(of: chosen), tails: chosen.map(\.tail), scratch: &scratch)
  }

  /// Explores all splits of the layers that are left among the stages from `stage` on.
  /// - Returns: whether nothing was left out for lack of budget.
  private mutating func descend(stage: Int, used: Int, boundSeconds: Double) throws(Stopped) -> Bool {
    let p = options.stageCount
    guard budget > 0 else { return false }
    if budget < nextLook {
      nextLook = budget - Self.eventsPerLook
      try watch.check()
    }
    if stage == p {
      budget -= cost.evaluatedPassCount
      evaluate(current)
      return true
    }
    let limit = localLimit
    let left = options.layerCount - used
    let most = min(options.capacities[stage], left - (p - stage - 1))
    let least = max(1, left - options.capacityFrom[stage + 1])
    guard least <= most else { return true }
    // A bound costs about as much as ten steps.
    budget -= 10 * (most - least + 1)
    // Children by their bound; ties by fewer layers, then without offload.
    var children: [(bound: Double, option: StageOption, place: Int)] = []
    for layers in least...most {
      let (first, second) = options.options(stage: stage, after: used, layers: layers)
      for option in [first, second] {
        guard let option, bounds.restSeconds(after: stage, used: used + layers) < limit else { continue }
        let bound = max(boundSeconds, bounds.seconds(stage: stage, used: used, option: option))
        if bound < limit { children.append((bound, option, children.count)) }
      }
    }
    children.sort { ($0.bound, $0.place) < ($1.bound, $1.place) }
    for child in children where child.bound < localLimit {
      current.append(child.option)
      defer { current.removeLast() }
      guard options.hosts.hold(current) else { continue }
      let isExhausted = try descend(stage: stage + 1, used: used + child.option.layers, boundSeconds: child.bound)
      if !isExhausted { return false }
    }
    return true
  }

  /// What a split has to beat.
  private var limit: Double { min(cutoffSeconds, best.iterationSeconds) }

  /// The same of an iteration of one worker alone, of which bounds are.
  private var localLimit: Double { cost.localSeconds(within: limit) }
}

extension StageOptions {
  /// Those that a split may have which takes less than a limit, by two of the paths through their own stage; nil if there
  /// is no such split.
  func faster(than limitSeconds: Double, _ cost: IterationCost) -> StageOptions? {
    guard limitSeconds.isFinite else { return self }
    let paths = OneForwardOneBackwardBound(
      transferSeconds: (0..<stageCount - 1).map { cost.transferSeconds(afterStage: $0) },
      microBatchCount: cost.microBatchCount)
    // All stages together work at least as long as if all layers took what the fastest do, rounding aside.
    var leastEach = Double.infinity
    for stage in 0..<stageCount {
      for (layers, work) in least(stage: stage, \.workSeconds).enumerated().dropFirst() {
        leastEach = min(leastEach, work / Double(layers))
      }
    }
    let work = Double(layerCount) * leastEach * (1 - 1e-9)
    return keeping { stage, option in
      let seconds = max(
        paths.fillSeconds(stage, prefixWorkSeconds: 0, workSeconds: option.workSeconds),
        paths.roundTripSeconds(
          stage, workSeconds: work, forwardSeconds: option.forwardSeconds, backwardSeconds: option.backwardSeconds))
      return (cost.fixedSeconds + seconds) * (1 - 1e-12) < limitSeconds
    }
  }
}

extension IterationMemory {
  /// The splits that the strategy may have, where those are few: with split backward passes. Nil where every composition of
  /// the layers is one, or all stages are alike.
  var fewSplits: [Split]? {
    strategy.schedule.splitsBackward ? Split.ofSplitBackward(layerCount: layerCount, strategy: strategy) : nil
  }
}

extension LayerSplitter.BestSplit {
  /// No split, where all that there are take no less than a limit.
  fileprivate init(noneBelow seconds: Double) {
    self.init(split: nil, iterationSeconds: .infinity, lowerBoundSeconds: seconds, isExhausted: true)
  }
}
