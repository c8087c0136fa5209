import Costing
import Documents

/// The search in one precision and with the nodes in one order, as far as it went.
struct OrderedSearch {
  private let search: PlanSearch
  /// Whose bounds hold for every order of the nodes that may be chosen.
  private let bounding: CostModel
  private let arranger: NodeArranger
  let priced: PricedLattice
  var frontier: Frontier
  /// The walk to the best of all.
  private(set) var main = Frontier.Walk()

  /// The search's model in this precision and with the nodes in this order.
  let model: CostModel
  /// Whether the whole lattice was priced, so that its bounds hold.
  let isWhole: Bool

  /// - Parameters:
  ///   - model: the search's, in some order of its nodes.
  ///   - bounding: the one that the lattice was priced with.
  private init(
    _ search: PlanSearch, model: CostModel, bounding: CostModel, arranger: NodeArranger, priced: PricedLattice,
    isWhole: Bool
  ) {
    self.search = search
    self.model = model
    self.bounding = bounding
    self.arranger = arranger
    self.priced = priced
    self.isWhole = isWhole
    frontier = Frontier(
      priced: priced, model: bounding, arranger: arranger, layerSplit: search.capabilities?.layerSplit ?? .any,
      fixesHostWeights: search.pattern[dynamicMember: \.hosting.holdsWeights] == true)
  }

  /// Prices the lattice in some orders of the nodes together.
  ///
  /// - Parameters:
  ///   - models: the search's in one precision, each in some order of its nodes; one, or several of which no links were
  ///     measured.
  ///   - pointLimit: how many strategies to price at most, here and there in the lattice; nil for all.
  ///   - other: the search in the same precision and another order of the nodes.
  /// - Returns: in the order of the models.
  /// - Throws: ``Stopped``.
  static func priced(
    _ search: PlanSearch, models: [CostModel], pointLimit: Int? = nil, sharing other: OrderedSearch? = nil,
    watch: StopWatch = .never
  ) throws(Stopped) -> [OrderedSearch] {
    let arrangers = models.map { NodeArranger(model: $0) }
    let boundings = zip(models, arrangers).map { $1.isNeeded ? $0.assumingBestLinks() : $0 }
    let priced = try PricedLattice.priced(
      boundings, pattern: search.pattern, allowance: search.allowance, capabilities: search.capabilities,
      concessions: search.given, threadCount: search.options.threadCount, pointLimit: pointLimit,
      sharing: search.sharesPrices ? other?.priced : nil, watch: watch)
    return models.indices.map {
      OrderedSearch(
        search, model: models[$0], bounding: boundings[$0], arranger: arrangers[$0], priced: priced[$0],
        isWhole: pointLimit == nil)
    }
  }

  /// Walks to the best of all.
  ///
  /// - Parameter cutoffSeconds: what does not score less is of no interest.
  mutating func walk(
    below cutoffSeconds: Double, steps: inout SearchSteps, progress: (Int, Int) -> Void
  ) {
    main = frontier.bestFirst(
      among: priced.order, resultCount: search.options.resultCount, completionLimit: search.options.completionLimit,
      cutoffSeconds: cutoffSeconds, steps: &steps, progress: progress)
  }

  /// The cost of a candidate on the nodes as they stand.
  func cost(of candidate: PricedLattice.Candidate) -> IterationCost {
    arranger.isNeeded ? model.cost(of: candidate.strategy) : priced.cost(of: candidate, model: model)
  }

  /// Completions in a row that find nothing better, after which a family is left: where bounds are far from what measured
  /// links allow thousands would follow.
  private static let familyPatience = 256

  /// The best of every other family than the answer's, with its name; nil where nothing of that family fits.
  ///
  /// Families are walked beside each other, each from what the walk to the best of all learned, so that none waits for
  /// another; those with the same members, as without tensor groups and without sequence parallelism often are, once.
  func families(
    otherThan answer: PlanSearch.Completion, steps: inout SearchSteps
  ) -> [(name: String, completion: PlanSearch.Completion?)] {
    // A family without members is none of this job's.
    let families = StrategyFamily.others(than: answer.strategy, stagesDiffer: answer.split.choices != nil)
      .filter { $0.isPossible(in: priced) }
    let members = valuesBesideEachOther(families.count, threadCount: search.options.threadCount) { place in
      priced.order.filter { families[place].contains(priced.candidates[$0].strategy, priced.candidates[$0].freedom) }
    }
    var walks: [[Int]] = []
    let walkOfFamily = members.map { members in
      if let place = walks.firstIndex(of: members) { return place }
      walks.append(members)
      return walks.count - 1
    }
    let found = steps.takeBesideEachOther(walks.count, threadCount: search.options.threadCount) {
      [walks] (place, watch) throws(Stopped) in try best(of: walks[place], watch: watch)
    }
    return zip(families, walkOfFamily).compactMap { family, place in
      // Of what comes after a stop nothing is known.
      guard place < found.count, found[place].completion != nil || found[place].isKnown else { return nil }
      return (family.name, found[place].completion)
    }
  }

  /// The best of some candidates, as ``best(among:steps:)`` has it.
  ///
  /// - Throws: ``Stopped``.
  private func best(
    of members: [Int], watch: StopWatch
  ) throws(Stopped) -> (completion: PlanSearch.Completion?, isKnown: Bool) {
    var steps = SearchSteps(interruption: { watch.isRequested ? .user : nil })
    var own = self
    let found = own.best(among: members, steps: &steps)
    if steps.stop != nil { throw Stopped() }
    return found
  }

  /// The best of some candidates, least bound first.
  ///
  /// - Returns: whether it is known where there is none: not if the walk was stopped, or came to its limit, before it found any.
  mutating func best(
    among members: [Int], steps: inout SearchSteps
  ) -> (completion: PlanSearch.Completion?, isKnown: Bool) {
    let found = frontier.bestFirst(
      among: members, resultCount: 1, completionLimit: search.options.completionLimit,
      patience: Self.familyPatience, steps: &steps, progress: { _, _ in })
    return (found.best.first, found.ending == .exhausted)
  }

  /// Why nothing fits in this order; nil where something might.
  ///
  /// - Throws: ``Stopped``.
  func shortage(watch: StopWatch) throws(Stopped) -> MemoryShortage? {
    guard main.best.isEmpty, main.ending == .exhausted else { return nil }
    return try MemoryShortage(
      priced: priced, model: search.model(in: model.job.precision), pattern: search.pattern,
      allowance: search.allowance, capabilities: search.capabilities, watch: watch)
  }
}

extension PlanSearch {
  /// Counts add up, and no strategy beats the least of the bounds.
  ///
  /// - Parameters:
  ///   - orderCount: orders of the nodes that are to be searched, of all precisions.
  ///   - steps: of the search; where it was stopped before all orders were priced, nothing is known of the rest.
  func certificate(
    of searches: [OrderedSearch], orderCount: Int, answer: Completion?, fastest: Completion?, plainerCount: Int,
    steps: SearchSteps
  ) -> Certificate {
    let isWhole = searches.count == orderCount && searches.allSatisfy(\.isWhole)
    let ending =
      searches.map(\.main.ending).first { $0 != .exhausted }
      ?? (isWhole ? .exhausted : steps.stop?.ending ?? .interrupted)
    func sum(_ count: (OrderedSearch) -> Int) -> Int { searches.reduce(0) { $0 + count($1) } }
    var rejections: [String: Int] = [:]
    for search in searches { rejections.merge(search.priced.rejections, uniquingKeysWith: +) }
    return Certificate(
      ending: ending,
      // An order without any plan, or none that beats the others', has no bound.
      lowerBoundSeconds: isWhole
        ? searches.filter { !$0.main.best.isEmpty || $0.main.ending != .exhausted }
          .map(\.main.lowerBoundSeconds).min() ?? 0 : 0,
      scoreSeconds: answer?.scoreSeconds ?? 0, fastestScoreSeconds: fastest?.scoreSeconds,
      enumeratedCount: sum(\.priced.enumeratedCount),
      rejections: rejections.sorted { $0.key < $1.key }.map { Certificate.Rejection(rule: $0.key, count: $0.value) },
      memoryRejectedCount: sum(\.priced.memoryRejectedCount), closedByBoundCount: sum(\.main.closedByBoundCount),
      completedCount: sum(\.main.completedCount), unprovenCount: sum(\.main.unprovenCount),
      programCount: sum(\.main.programCount), plainerCount: plainerCount,
      stoppedAfter: steps.stop == nil ? nil : steps.count,
      // Of several orders, strategies would be told apart by no word.
      proofs: orderCount == models.count ? searches.flatMap(proofs) : [])
  }

  /// What is proven in a precision, which is named where there are several.
  private func proofs(of search: OrderedSearch) -> [Certificate.Proof] {
    let precision = allowance.narrowsProducts ? search.model.job.precision : nil
    return precision == nil ? search.main.proofs : search.main.proofs.map { $0.in(precision) }
  }
}
