package import Costing
package import Documents

/// The search for the best plan: the whole lattice priced by bound, the most promising
/// strategies completed first, until no bound is below the answer.
///
/// The answer's *score* is its iteration time, times ``headroomSurcharge`` when its memory is risky: among near-equals
/// the one with headroom wins. Results do not depend on the number of threads: bounds are computed into places of their
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
    /// Threads that price the lattice; at least one.
    package var threadCount: Int

    /// How much to find, and when to stop.
    package init(resultCount: Int = 5, completionLimit: Int = 20_000, threadCount: Int = 1) {
      self.resultCount = max(1, resultCount)
      self.completionLimit = completionLimit
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
    /// Best first; ties in the lattice's order. Empty when nothing fits.
    package let best: [Completion]
    /// How the nodes of the best are arranged; nil when nothing fits.
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
  let options: Options

  /// - Parameters:
  ///   - pattern: what is fixed; the search stays among the strategies that match.
  ///   - allowance: what may change values.
  package init(
    model: CostModel, pattern: StrategyPattern = StrategyPattern(), allowance: Allowance = .exact,
    options: Options = Options()
  ) {
    self.model = model
    self.pattern = pattern
    self.allowance = allowance
    self.options = options
  }

  /// Runs the search.
  ///
  /// - Parameters:
  ///   - interruption: asked between completions; an answer ends the search with what it has.
  ///   - progress: told between completions how many strategies are dealt with, of how many.
  package func run(
    interruption: () -> Interruption? = { nil }, progress: (_ done: Int, _ total: Int) -> Void = { _, _ in }
  ) -> Result {
    model.cluster.isMixed
      ? runOverDeviceOrders(interruption: interruption, progress: progress)
      : runInOrder(interruption: interruption, progress: progress)
  }

  /// The search with models of device in the model's order.
  func runInOrder(interruption: () -> Interruption?, progress: (_ done: Int, _ total: Int) -> Void) -> Result {
    let arranger = NodeArranger(model: model)
    // Bounds must hold for every order of the nodes that may be chosen.
    let bounding = arranger.isNeeded ? model.assumingBestLinks() : model
    let priced = PricedLattice(
      model: bounding, pattern: pattern, allowance: allowance, threadCount: options.threadCount)
    var frontier = Frontier(priced: priced, model: bounding, arranger: arranger)
    let main = frontier.bestFirst(
      among: priced.order, resultCount: options.resultCount, completionLimit: options.completionLimit,
      interruption: interruption, progress: progress)

    var families: [(name: String, completion: Completion?)] = []
    if let winner = main.best.first {
      for family in StrategyFamily.others(than: winner.strategy, stagesDiffer: winner.split.choices != nil) {
        let members = priced.order.filter {
          family.contains(priced.candidates[$0].strategy, priced.candidates[$0].freedom)
        }
        // A family without members is none of this job's.
        guard family.isPossible(in: priced) else { continue }
        let found = frontier.bestFirst(
          among: members, resultCount: 1, completionLimit: options.completionLimit, interruption: interruption,
          progress: { _, _ in })
        // Nothing is known of a family whose walk was stopped before its first completion.
        if found.best.isEmpty, found.ending != .exhausted { continue }
        families.append((family.name, found.best.first))
      }
    }
    let certificate = Certificate(
      ending: main.ending, lowerBoundSeconds: main.lowerBoundSeconds,
      scoreSeconds: main.best.first?.scoreSeconds ?? 0, enumeratedCount: priced.enumeratedCount,
      rejections: priced.rejections.sorted { $0.key < $1.key }.map {
        Certificate.Rejection(rule: $0.key, count: $0.value)
      },
      memoryRejectedCount: priced.memoryRejectedCount, closedByBoundCount: main.closedByBoundCount,
      completedCount: main.completedCount, unprovenCount: main.unprovenCount, programCount: main.programCount,
      proofs: main.proofs)
    return Result(
      best: main.best, arrangement: main.best.first.map(arranger.arrangement), certificate: certificate,
      families: families,
      shortage: main.best.isEmpty && main.ending == .exhausted
        ? MemoryShortage(priced: priced, model: model, pattern: pattern) : nil)
  }
}
