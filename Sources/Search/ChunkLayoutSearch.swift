import Costing
import Documents

/// Finds how the layers of a model lie best in interleaved chunks that may differ, within the memory of every device.
///
/// What the layers of the first and the last virtual stage leave to those between decides how many of these have a layer
/// more than the others, and of every such pair of ends a bound is known, see ``Costing/ChunkLayouts``. Which of those
/// between have one more decides how long a round of each chunk takes: where few choices are left all are looked at; where
/// many, longer ones come first, come last, or lie on the stages that have least to do, and the best of these is bettered by
/// swaps. All are evaluated by the schedule's own recurrence.
struct ChunkLayoutSearch {
  /// Micro-batches times virtual stages that are evaluated for one strategy: a count, so that answers do not depend on speed.
  private static let eventBudget = 4_000_000
  /// Layouts with the same ends are all looked at where that is no more than this.
  private static let exhaustedEvents = eventBudget / 4
  /// What it takes to find what a stage with given chunks can be, where it chooses, and to look it up.
  private static let eventsPerChoice = 1_000, eventsPerStage = 50

  private let cost: IterationCost
  private let source: StageOptionSource
  private let cutoffSeconds: Double
  private let watch: StopWatch
  private var scratch: EvaluationScratch
  private var best: LayerSplitter.BestSplit
  private var budget: Int
  private let eventsPerLayout: Int
  /// Whether stages choose.
  private let stagesChoose: Bool
  /// What stages of given chunks are.
  private var known: [PlacedStage: (StageOption?, StageOption?)] = [:]

  private struct PlacedStage: Hashable {
    let stage: Int
    let content: Split.Stage
    /// The first layers of its chunks, where it matters which these are.
    let starts: [Int]
  }

  /// As ``LayerSplitter/bestSplit(of:freedom:verdict:cutoffSeconds:deepSize:scratch:watch:)``.
  static func bestSplit(
    of cost: IterationCost, freedom: StageFreedom, verdict: Prediction.Verdict, cutoffSeconds: Double,
    scratch: inout EvaluationScratch, watch: StopWatch
  ) throws(Stopped) -> LayerSplitter.BestSplit? {
    let limit = MemoryLimit(verdict)
    guard let source = StageOptionSource(cost, freedom: freedom, limit: limit) else { return nil }
    let layouts = cost.chunkLayouts(
      freedom: freedom, within: limit, below: cost.localSeconds(within: cutoffSeconds))
    guard !layouts.isEmpty else { return nil }
    var search = ChunkLayoutSearch(
      cost: cost, source: source, freedom: freedom, cutoffSeconds: cutoffSeconds, scratch: scratch, watch: watch)
    try search.run(layouts)
    scratch = search.scratch
    return search.best
  }

  private init(
    cost: IterationCost, source: StageOptionSource, freedom: StageFreedom, cutoffSeconds: Double,
    scratch: EvaluationScratch, watch: StopWatch
  ) {
    self.cost = cost
    self.source = source
    self.cutoffSeconds = cutoffSeconds
    self.scratch = scratch
    self.watch = watch
    budget = Self.eventBudget
    stagesChoose = freedom != .none
    eventsPerLayout =
      cost.evaluatedPassCount * cost.strategy.virtualStageCount
      + cost.strategy.pipelineDegree * Self.eventsPerStage
    best = LayerSplitter.BestSplit(
      split: nil, iterationSeconds: .infinity, lowerBoundSeconds: .infinity, isExhausted: true)
  }

  private mutating func run(_ all: [ChunkLayouts]) throws(Stopped) {
    // What is left open below the limit of the time, and the best start of all.
    var openSeconds = Double.infinity
    var start: (layouts: ChunkLayouts, longer: [Bool], seconds: Double)?
    let exhaustedCount = max(1, Self.exhaustedEvents / eventsPerLayout)
    for layouts in all {
      let bound = cost.leastSeconds(localSeconds: layouts.boundSeconds)
      guard bound < limit else { break }
      try watch.check()
      if budget > 0, layouts.choiceCount(of: innerCount, upTo: exhaustedCount) <= exhaustedCount {
        layouts.forEachChoice(of: innerCount) { _ = evaluate(layouts, longer: $0) }
        continue
      }
      openSeconds = min(openSeconds, bound)
      // Half of the work is for what comes after.
      guard budget > Self.eventBudget / 2 else { continue }
      for longer in starts(layouts) {
        let seconds = evaluate(layouts, longer: longer)
        if seconds < start?.seconds ?? .infinity { start = (layouts, longer, seconds) }
      }
    }
    if let start { try climb(start.layouts, start.longer, start.seconds) }
    best.isExhausted = openSeconds >= limit
    best.lowerBoundSeconds = min(openSeconds, limit)
  }

  /// Swaps a longer chunk with a shorter one as long as that helps.
  private mutating func climb(_ layouts: ChunkLayouts, _ begin: [Bool], _ seconds: Double) throws(Stopped) {
    var (longer, least) = (begin, seconds)
    var isBettered = true
    while isBettered {
      isBettered = false
      for place in longer.indices where longer[place] {
        try watch.check()
        for other in longer.indices where !longer[other] && longer[place] {
          guard budget > 0 else { return }
          longer.swapAt(place, other)
          let seconds = evaluate(layouts, longer: longer)
          if seconds < least {
            (least, isBettered) = (seconds, true)
          } else {
            longer.swapAt(place, other)
          }
        }
      }
    }
  }

  /// Where longer chunks may lie to begin with: among the first, among the last, or on the stages that have least to do.
  private func starts(_ layouts: ChunkLayouts) -> [[Bool]] {
    let count = layouts.longerCount
    let first = (0..<innerCount).map { $0 < count }
    return [first, first.reversed(), onLightestStages(layouts)]
  }

  private func onLightestStages(_ layouts: ChunkLayouts) -> [Bool] {
    let p = cost.strategy.pipelineDegree, v = cost.strategy.virtualStageCount
    var longer = [Bool](repeating: false, count: innerCount)
    // Beside the ends a stage has chunks of one size.
    func work(_ stage: Int) -> Double {
      let split = split(layouts, longer: longer)
      return cost.passSeconds(stage: stage, cost.content(of: split, stage: stage)).sum
    }
    var seconds = (0..<p).map(work)
    for _ in 0..<layouts.longerCount {
      let free = (0..<p).filter { stage in
        (0..<v).contains { isFree(stage + $0 * p, longer) }
      }
      guard let lightest = free.min(by: { seconds[$0] < seconds[$1] }),
        let chunk = (0..<v).first(where: { isFree(lightest + $0 * p, longer) })
      else { break }
      longer[lightest + chunk * p - 1] = true
      seconds[lightest] = work(lightest)
    }
    return longer
  }

  private func isFree(_ virtualStage: Int, _ longer: [Bool]) -> Bool {
    virtualStage > 0 && virtualStage <= innerCount && !longer[virtualStage - 1]
  }

  /// Virtual stages between the first and the last.
  private var innerCount: Int { cost.strategy.pipelineDegree * cost.strategy.virtualStageCount - 2 }

  private func split(_ layouts: ChunkLayouts, longer: [Bool]) -> Split {
    let inner = longer.map { layouts.shortCount + ($0 ? 1 : 0) }
    return Split([layouts.firstCount] + inner + [layouts.lastCount], stageCount: cost.strategy.pipelineDegree)
  }

  /// Prices a layout exactly, with as little recomputed and offloaded as must be, or with offload wherever it saves
  /// recomputation, and keeps it if it is the best so far; infinite where it does not fit.
  private mutating func evaluate(_ layouts: ChunkLayouts, longer: [Bool]) -> Double {
    let split = split(layouts, longer: longer)
    var least = Double.infinity
    budget -= eventsPerLayout
    var options: [(StageOption?, StageOption?)] = []
    for stage in 0..<split.stageCount {
      options.append(self.options(stage, of: split))
      if options[stage].0 == nil { return least }
    }
    for offloads in options.contains(where: { $0.1 != nil }) ? [false, true] : [false] {
      let chosen = options.compactMap { first, second in offloads ? second ?? first : first }
      guard chosen.count == split.stageCount, source.hosts.hold(chosen) else { continue }
      let chosenSplit = split.with(choices: StageOption.choices(chosen))
      let seconds = cost.iterationSeconds(of: chosenSplit, tails: chosen.map(\.tail), scratch: &scratch)
      least = min(least, seconds)
      if seconds < best.iterationSeconds { (best.split, best.iterationSeconds) = (chosenSplit, seconds) }
    }
    return least
  }

  private mutating func options(_ stage: Int, of split: Split) -> (StageOption?, StageOption?) {
    let placed = PlacedStage(
      stage: stage, content: cost.content(of: split, stage: stage),
      starts: cost.kinds.areAlike ? [] : split.starts(ofStage: stage))
    if let options = known[placed] { return options }
    if stagesChoose { budget -= Self.eventsPerChoice }
    let options = source.options(stage: stage, StageLayers(of: split, stage: stage, cost.kinds))
    known[placed] = options
    return options
  }

  /// What a layout has to beat.
  private var limit: Double { min(cutoffSeconds, best.iterationSeconds) }
}

extension ChunkLayouts {
  /// In how many ways longer chunks can lie among so many; one more than a limit where there are more than that.
  func choiceCount(of count: Int, upTo limit: Int) -> Int {
    var ways = 1
    for taken in 0..<min(longerCount, count - longerCount) {
      ways = ways * (count - taken) / (taken + 1)
      if ways > limit { return limit + 1 }
    }
    return ways
  }

  /// All ways in which longer chunks can lie among so many, those first that have them first.
  func forEachChoice(of count: Int, _ body: (_ longer: [Bool]) -> Void) {
    var longer = [Bool](repeating: false, count: count)
    func choose(from place: Int, left: Int) {
      guard left > 0 else { return body(longer) }
      for next in place...(count - left) {
        longer[next] = true
        choose(from: next + 1, left: left - 1)
        longer[next] = false
      }
    }
    choose(from: 0, left: longerCount)
  }
}
