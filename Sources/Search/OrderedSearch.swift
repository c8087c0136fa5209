import Costing
import Documents

/// The search with the nodes in one order, as far as it went.
struct OrderedSearch {
  private let search: PlanSearch
  /// Whose bounds hold for every order of the nodes that may be chosen.
  private let bounding: CostModel
  private let arranger: NodeArranger
  let priced: PricedLattice
  var frontier: Frontier
  /// The walk to the best of all.
  private(set) var main = Frontier.Walk()

  /// Prices the lattice.
  ///
  /// - Parameter model: the search's, in some order of its nodes.
  init(_ search: PlanSearch, model: CostModel) {
    self.search = search
    arranger = NodeArranger(model: model)
    bounding = arranger.isNeeded ? model.assumingBestLinks() : model
    priced = PricedLattice(
      model: bounding, pattern: search.pattern, allowance: search.allowance, capabilities: search.capabilities,
      threadCount: search.options.threadCount)
    frontier = Frontier(
      priced: priced, model: bounding, arranger: arranger, layerSplit: search.capabilities?.layerSplit ?? .any)
  }

  /// Walks to the best of all.
  mutating func walk(interruption: () -> PlanSearch.Interruption?, progress: (Int, Int) -> Void) {
    main = frontier.bestFirst(
      among: priced.order, resultCount: search.options.resultCount, completionLimit: search.options.completionLimit,
      interruption: interruption, progress: progress)
  }

  /// The best of every other family than the answer's, with its name; nil where nothing of that family fits.
  mutating func families(
    otherThan answer: PlanSearch.Completion, interruption: () -> PlanSearch.Interruption?
  ) -> [(name: String, completion: PlanSearch.Completion?)] {
    var families: [(name: String, completion: PlanSearch.Completion?)] = []
    for family in StrategyFamily.others(than: answer.strategy, stagesDiffer: answer.split.choices != nil) {
      // A family without members is none of this job's.
      guard family.isPossible(in: priced) else { continue }
      let members = priced.order.filter {
        family.contains(priced.candidates[$0].strategy, priced.candidates[$0].freedom)
      }
      let found = frontier.bestFirst(
        among: members, resultCount: 1, completionLimit: search.options.completionLimit, interruption: interruption,
        progress: { _, _ in })
      // Nothing is known of a family whose walk was stopped before its first completion.
      if found.best.isEmpty, found.ending != .exhausted { continue }
      families.append((family.name, found.best.first))
    }
    return families
  }

  /// Why nothing fits in this order; nil where something might.
  func shortage(_ pattern: StrategyPattern, _ capabilities: Capabilities?) -> MemoryShortage? {
    main.best.isEmpty && main.ending == .exhausted
      ? MemoryShortage(priced: priced, model: search.model, pattern: pattern, capabilities: capabilities) : nil
  }
}

extension PlanSearch {
  /// Counts add up, and no strategy beats the least of the bounds.
  func certificate(
    of searches: [OrderedSearch], answer: Completion?, fastest: Completion?, plainerCount: Int, stoppedAfter: Int?
  ) -> Certificate {
    func sum(_ count: (OrderedSearch) -> Int) -> Int { searches.reduce(0) { $0 + count($1) } }
    var rejections: [String: Int] = [:]
    for search in searches { rejections.merge(search.priced.rejections, uniquingKeysWith: +) }
    return Certificate(
      ending: searches.map(\.main.ending).first { $0 != .exhausted } ?? .exhausted,
      // An order without any plan has no bound.
      lowerBoundSeconds: searches.filter { !$0.main.best.isEmpty || $0.main.ending != .exhausted }
        .map(\.main.lowerBoundSeconds).min() ?? 0,
      scoreSeconds: answer?.scoreSeconds ?? 0, fastestScoreSeconds: fastest?.scoreSeconds,
      enumeratedCount: sum(\.priced.enumeratedCount),
      rejections: rejections.sorted { $0.key < $1.key }.map { Certificate.Rejection(rule: $0.key, count: $0.value) },
      memoryRejectedCount: sum(\.priced.memoryRejectedCount), closedByBoundCount: sum(\.main.closedByBoundCount),
      completedCount: sum(\.main.completedCount), unprovenCount: sum(\.main.unprovenCount),
      programCount: sum(\.main.programCount), plainerCount: plainerCount, stoppedAfter: stoppedAfter,
      // Of several orders, strategies would be told apart by no word.
      proofs: searches.count == 1 ? searches[0].main.proofs : [])
  }
}
