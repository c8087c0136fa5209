package import Costing
package import Documents

/// The search for the best plan: the whole lattice priced by bound, the most promising
/// strategies completed first, until no bound is below the answer.
///
/// The answer's *score* is its iteration time, times ``headroomSurcharge`` when its memory is risky: among near-equals
/// the one with headroom wins. Of those whose score is within a margin of the least, the plainest is the answer, see
/// ``Plainness``. Results do not depend on the number of threads: bounds are computed into places of their
/// own, and everything after that is in one order.
///
/// Where a plan may choose its precision, every precision is searched, see ``model(in:)``.
///
/// Outer steps of workers are searched with the longest period that is allowed; the answer has the least delay that the
/// margin leaves, see ``withLeastDelay(_:within:)``.
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
    var repeatedStop: (stepCount: Int, interruption: Interruption)?

    /// How much to find, and when to stop.
    ///
    /// - Parameter repeatedStop: where a search was stopped that is to be repeated.
    package init(
      resultCount: Int = Plan.Question.usualResultCount,
      completionLimit: Int = Plan.Question.usualCompletionLimit, margin: Double = 0, threadCount: Int = 1,
      repeatedStop: (stepCount: Int, interruption: Interruption)? = nil
    ) {
      self.repeatedStop = repeatedStop
      self.resultCount = max(1, resultCount)
      self.completionLimit = completionLimit
      self.margin = margin
      self.threadCount = max(1, threadCount)
    }
  }

  /// What stops a search from outside.
  package enum Interruption: Sendable {
    case timeLimit, user

    /// What a certificate says of it.
    var ending: Certificate.Ending { self == .user ? .interrupted : .timeLimit }
  }

  /// A strategy with the best split that was found for it.
  package struct Completion: Sendable, Equatable {
    /// The strategy that was completed.
    package let strategy: Strategy
    /// What it multiplies in.
    package let precision: Precision
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
    /// What else would leave a plan; nil when there is one, or the search was stopped before that was worked out.
    package let changes: SmallestChanges?
  }

  let model: CostModel
  /// The same in every precision that a plan may have, the job's own first.
  let models: [CostModel]
  /// What is fixed.
  package let pattern: StrategyPattern
  /// What may change values.
  package let allowance: Allowance
  /// What the framework offers that is to run the plan; nil for the whole lattice.
  let capabilities: Capabilities?
  let options: Options
  /// What is given up so that something fits.
  private(set) var given = Concessions()

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
    models = Self.models(of: model, allowance: allowance, capabilities: capabilities)
  }

  /// Runs the search.
  ///
  /// Precisions, and orders of the nodes in each, come one after another: what is found in one is what the next have to
  /// beat.
  ///
  /// - Parameters:
  ///   - interruption: asked often and on any thread; an answer ends the search within a fraction of a second with the
  ///     best so far, or, where no strategy was completed yet, with the best of a few, see ``firstAnswer(in:)``.
  ///   - progress: told between completions how many strategies are dealt with, of how many.
  package func run(
    interruption: @escaping @Sendable () -> Interruption? = { nil },
    progress: (_ done: Int, _ total: Int) -> Void = { _, _ in }
  ) -> Result {
    var steps = SearchSteps(interruption: interruption, repeatedStop: options.repeatedStop)
    // Why nothing fits is worked out once, with all that may be given up.
    func result(with given: Concessions, explains: Bool) -> Result {
      var search = self
      search.given = given
      return search.result(steps: &steps, explains: explains, progress: progress)
    }
    let concessions = concessions
    for given in concessions.dropLast() {
      let result = result(with: given, explains: false)
      if !result.best.isEmpty || steps.stop != nil { return result }
    }
    return result(with: concessions.last ?? given, explains: true)
  }

  /// What is found with what is given up.
  ///
  /// - Parameter explains: whether it is told why nothing fits, and what would.
  private func result(
    steps: inout SearchSteps, explains: Bool, progress: (_ done: Int, _ total: Int) -> Void
  ) -> Result {
    let orders = models.flatMap { deviceOrders(of: $0) }
    var searches: [OrderedSearch] = []
    var found: [(place: Int, completion: Completion)] = []
    for batch in pricedTogether(orders) {
      let other = searches.first { $0.model.job.precision == batch[0].job.precision }
      let begun = steps.take { (watch) throws(Stopped) in
        try OrderedSearch.priced(self, models: batch, sharing: other, watch: watch)
      }
      guard let begun else { break }
      for var search in begun {
        let place = searches.count
        let cutoff =
          found.count < options.resultCount ? .infinity : found[options.resultCount - 1].completion.scoreSeconds
        search.walk(below: cutoff, steps: &steps) { progress(place * $1 + $0, orders.count * $1) }
        found = (found + search.main.best.map { (place, $0) }).stablySorted { $0.completion.scoreSeconds }
        searches.append(search)
      }
    }
    if steps.stop != nil, found.isEmpty { return stoppedEarly(searches, orders: orders, steps: steps) }
    let fastest = found.first
    var answer = fastest
    var plainerCount = 0
    if let fastest, options.margin > 0, steps.stop == nil {
      let plainest = plainest(
        within: fastest.completion.scoreSeconds * (1 + options.margin), among: &searches, steps: &steps)
      answer = plainest.answer ?? fastest
      plainerCount = plainest.lookCount
    }
    let next = found.map(\.completion).filter { $0 != answer?.completion && $0 != fastest?.completion }
    let families =
      answer.map {
        searches[$0.place].families(otherThan: $0.completion, steps: &steps)
          + otherPrecisions(than: $0.completion, among: &searches, steps: &steps)
      } ?? []
    if let found = answer, let fastest {
      let limit = fastest.completion.scoreSeconds * (1 + options.margin)
      answer = (found.place, withLeastDelay(found.completion, within: limit))
    }
    let isFastest = answer?.completion == fastest?.completion
    // Of layers that were found with outer steps that wait, and with late ones, the same may be left.
    var best = [answer?.completion].compactMap { $0 }
    for other in next.map({ withLeastDelay($0) }) where !best.contains(other) { best.append(other) }
    let shortages = found.isEmpty && explains ? shortages(of: searches, steps: &steps) : []
    let changes =
      found.isEmpty && explains
      ? steps.take { (watch) throws(Stopped) in
        try SmallestChanges(
          model: model, pattern: pattern, allowance: allowance, capabilities: capabilities, watch: watch)
      } : nil
    return Result(
      best: Array(best.prefix(options.resultCount)),
      fastest: isFastest ? nil : fastest?.completion,
      arrangement: answer.map { NodeArranger(model: model(of: $0.completion)).arrangement(of: $0.completion) },
      certificate: certificate(
        of: searches, orderCount: orders.count, answer: answer?.completion, fastest: fastest?.completion,
        plainerCount: plainerCount, steps: steps),
      families: families.map { ($0.name, $0.completion.map { withLeastDelay($0) }) },
      shortage: shortages.min { $0.excessBytes < $1.excessBytes },
      changes: changes)
  }

  /// Why nothing fits, for every order where that is why there is no plan, as far as the search is not stopped.
  private func shortages(of searches: [OrderedSearch], steps: inout SearchSteps) -> [MemoryShortage] {
    searches.compactMap { search in
      steps.take { (watch) throws(Stopped) in try search.shortage(watch: watch) } ?? nil
    }
  }
}

extension Array {
  /// In the order of a key, equals as they were.
  func stablySorted(by key: (Element) -> Double) -> [Element] {
    enumerated().sorted { (key($0.element), $0.offset) < (key($1.element), $1.offset) }.map(\.element)
  }
}
