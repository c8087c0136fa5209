package import Costing
package import Documents

/// The search for the best plan: the whole lattice priced by bound, the most promising
/// strategies completed first, until no bound is below the answer.
///
/// The answer's *score* is its iteration time, times ``headroomSurcharge`` when its memory is risky: among near-equals
/// the one with headroom wins. Of those whose score is within a margin of the least, the plainest is the answer, see
/// ``Plainness``. Results do not depend on the number of threads: bounds are computed into places of their
/// own, and everything after that is in one order.
package struct PlanSearch: Sendable {
  /// How much slower a strategy with headroom may be and still beat a risky one.
  package static let headroomSurcharge = 1.05

  /// When to stop, and how to go about it.
  package struct Options: Sendable {
    /// Best strategies to find, each with its best split; at least one.
    package var resultCount: Int
    /// Strategies to complete at most: a count, so that the same input gives the same answer.
    package var completionLimit: Int
    /// Share by which the answer may score more than the least to be plainer; 0 asks for the fastest.
    package var margin: Double
    /// Threads that price the lattice; at least one.
    package var threadCount: Int
    /// Where a search was stopped that is to be repeated.
    var repeatedStop: (lookCount: Int, interruption: Interruption)?

    /// How much to find, and when to stop.
    ///
    /// - Parameter repeatedStop: where a search was stopped that is to be repeated.
    package init(
      resultCount: Int = Plan.Question.usualResultCount,
      completionLimit: Int = Plan.Question.usualCompletionLimit, margin: Double = 0, threadCount: Int = 1,
      repeatedStop: (lookCount: Int, interruption: Interruption)? = nil
    ) {
      self.repeatedStop = repeatedStop
      self.resultCount = max(1, resultCount)
      self.completionLimit = completionLimit
      self.margin = margin
      self.threadCount = max(1, threadCount)
    }
  }

  /// What stops a search from outside.
  package enum Interruption: Sendable { case timeLimit, user }

  /// A strategy with the best split that was found for it.
  package struct Completion: Sendable, Equatable {
    /// The strategy that was completed.
    package let strategy: Strategy
    /// The best split of its layers that was found.
    package let split: Split
    /// The nodes it was placed on, in order, by their index in the cluster.
    package let nodeOrder: [Int]
    /// The exact time of that split.
    package let iterationSeconds: Double
    /// That time, with the surcharge when memory is risky.
    package let scoreSeconds: Double
  }

  /// What the search found.
  package struct Result: Sendable {
    /// The answer, then the next best; ties in the lattice's order. Empty when nothing fits.
    package let best: [Completion]
    /// The fastest, where a plainer one within the margin is the answer.
    package let fastest: Completion?
    /// How the nodes of the answer are arranged; nil when nothing fits.
    package let arrangement: NodeArrangement?
    /// How sure the answer is.
    package let certificate: Certificate
    /// The best of every other family, with its name; nil where nothing of that family fits.
    package let families: [(name: String, completion: Completion?)]
    /// Why nothing fits; nil when something does.
    package let shortage: MemoryShortage?
  }

  let model: CostModel
  /// What is fixed.
  package let pattern: StrategyPattern
  /// What may change values.
  package let allowance: Allowance
  /// What the framework offers that is to run the plan; nil for the whole lattice.
  let capabilities: Capabilities?
  let options: Options

  /// - Parameters:
  ///   - pattern: what is fixed; the search stays among the strategies that match.
  ///   - allowance: what may change values.
  ///   - capabilities: what the framework offers that is to run the plan; nil for the whole lattice.
  package init(
    model: CostModel, pattern: StrategyPattern = StrategyPattern(), allowance: Allowance = .exact,
    capabilities: Capabilities? = nil, options: Options = Options()
  ) {
    self.capabilities = capabilities
    self.model = model
    self.pattern = pattern
    self.allowance = allowance
    self.options = options
  }

  /// Runs the search.
  ///
  /// - Parameters:
  ///   - interruption: asked before each look at a strategy; an answer ends the search with what it has.
  ///   - progress: told between completions how many strategies are dealt with, of how many.
  package func run(
    interruption: () -> Interruption? = { nil }, progress: (_ done: Int, _ total: Int) -> Void = { _, _ in }
  ) -> Result {
    var lookCount = 0
    var stop: Interruption?
    // Looks are counted, so that a search that was stopped can be repeated up to where it was.
    func isStopped() -> Interruption? {
      if stop == nil {
        stop = options.repeatedStop.map { lookCount >= $0.lookCount ? $0.interruption : nil } ?? interruption()
      }
      if stop == nil { lookCount += 1 }
      return stop
    }
    let orders = model.cluster.isMixed ? deviceOrders : [model]
    var searches = orders.map { OrderedSearch(self, model: $0) }
    for index in searches.indices {
      searches[index].walk(interruption: isStopped) { progress(index * $1 + $0, orders.count * $1) }
    }
    let found = searches.enumerated().flatMap { place, search in search.main.best.map { (place: place, $0) } }
      .stablySorted { $0.1.scoreSeconds }
    let fastest = found.first
    var answer = fastest
    var plainerCount = 0
    if let fastest, options.margin > 0, stop == nil {
      let plainest = plainest(
        within: fastest.1.scoreSeconds * (1 + options.margin), among: &searches, interruption: isStopped)
      answer = plainest.answer ?? fastest
      plainerCount = plainest.lookCount
    }
    let isFastest = answer?.1 == fastest?.1
    let next = found.map(\.1).filter { $0 != answer?.1 && $0 != fastest?.1 }
    let families = answer.map { searches[$0.place].families(otherThan: $0.1, interruption: isStopped) } ?? []
    return Result(
      best: Array(([answer?.1].compactMap { $0 } + next).prefix(options.resultCount)),
      fastest: isFastest ? nil : fastest?.1,
      arrangement: answer.map { NodeArranger(model: model).arrangement(of: $0.1) },
      certificate: certificate(
        of: searches, answer: answer?.1, fastest: fastest?.1, plainerCount: plainerCount,
        stoppedAfter: stop == nil ? nil : lookCount),
      families: families,
      shortage: found.isEmpty
        ? searches.compactMap { $0.shortage(pattern, capabilities) }.min { $0.excessBytes < $1.excessBytes } : nil)
  }
}

extension Array {
  /// In the order of a key, equals as they were.
  func stablySorted(by key: (Element) -> Double) -> [Element] {
    enumerated().sorted { (key($0.element), $0.offset) < (key($1.element), $1.offset) }.map(\.element)
  }
}
