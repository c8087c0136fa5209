import Costing
import Documents

/// Completes candidates, least bound first, and remembers what it learned of each, so that a second walk among some of
/// them repeats nothing.
struct Frontier {
  /// What one walk found.
  struct Walk {
    var best: [PlanSearch.Completion] = []
    var ending = Certificate.Ending.exhausted
    /// No candidate of the walk scores less.
    var lowerBoundSeconds = 0.0
    var closedByBoundCount = 0
    var completedCount = 0
    var unprovenCount = 0
    var programCount = 0
    /// Of what was completed, in that order.
    var proofs: [Certificate.Proof] = []
  }

  /// What is known of a candidate.
  private struct Knowledge {
    /// No split scores less.
    var boundSeconds: Double
    /// The best split, when the last look found one below its cutoff.
    var completion: PlanSearch.Completion?
    /// Whether the last look left nothing out.
    var isProven: Bool
    /// Integer programs that were solved for it.
    var programCount = 0
    var splitProof = Certificate.Proof.Split.single
    var orderProof = Certificate.Proof.Order.alike
  }

  private let priced: PricedLattice
  /// The model whose bounds hold for every order of the nodes.
  private let model: CostModel
  private var arranger: NodeArranger
  /// Who decides which layers a stage has.
  private let layerSplit: Capabilities.LayerSplit
  /// Whether weights on the host are fixed, so that nothing else in the lattice has them on the devices.
  private let fixesHostWeights: Bool
  private var knowledge: [Int: Knowledge] = [:]
  private var scratch = EvaluationScratch()

  /// - Parameters:
  ///   - model: the one that the lattice was priced with.
  ///   - arranger: of the cluster as it was measured.
  ///   - layerSplit: who decides which layers a stage has.
  ///   - fixesHostWeights: whether weights on the host are fixed.
  init(
    priced: PricedLattice, model: CostModel, arranger: NodeArranger, layerSplit: Capabilities.LayerSplit = .any,
    fixesHostWeights: Bool = false
  ) {
    self.fixesHostWeights = fixesHostWeights
    self.priced = priced
    self.layerSplit = layerSplit
    self.model = model
    self.arranger = arranger
  }

  /// The best `resultCount` of some candidates.
  ///
  /// - Parameters:
  ///   - candidates: indices into the priced lattice, least bound first.
  ///   - cutoffSeconds: what does not score less is of no interest.
  ///   - patience: how many completions in a row may find nothing better, where no proof is asked for.
  mutating func bestFirst(
    among candidates: [Int], resultCount: Int, completionLimit: Int, cutoffSeconds: Double = .infinity,
    patience: Int = .max, steps: inout SearchSteps, progress: (Int, Int) -> Void
  ) -> Walk {
    var walk = Walk()
    var lastGain = 0
    var best: [(completion: PlanSearch.Completion, index: Int)] = []
    var lowerBound = Double.infinity
    var position = 0
    while position < candidates.count {
      let index = candidates[position]
      let candidate = priced.candidates[index]
      // What a candidate has to beat to be among the results.
      let cutoff =
        best.count < resultCount ? cutoffSeconds : min(cutoffSeconds, best[best.count - 1].completion.scoreSeconds)
      if candidate.boundSeconds >= cutoff {
        walk.closedByBoundCount += candidates.count - position
        break
      }
      if walk.completedCount >= completionLimit || !best.isEmpty && walk.completedCount - lastGain >= patience {
        walk.ending = .completionLimit
        break
      }
      progress(position, candidates.count)
      let looked = steps.take { (watch) throws(Stopped) in
        try complete(index, cutoffSeconds: cutoff, watch: watch)
      }
      guard let known = looked else {
        walk.ending = steps.stop?.ending ?? .interrupted
        break
      }
      lowerBound = min(lowerBound, known.boundSeconds)
      walk.programCount += known.programCount
      if let completion = known.completion {
        walk.completedCount += 1
        walk.proofs.append(proof(index, known))
        if !known.isProven { walk.unprovenCount += 1 }
        if completion.scoreSeconds < cutoff {
          let place = best.firstIndex { (completion.scoreSeconds, index) < ($0.completion.scoreSeconds, $0.index) }
          best.insert((completion, index), at: place ?? best.count)
          if best.count > resultCount { best.removeLast() }
          lastGain = walk.completedCount
        }
      } else if known.isProven {
        walk.closedByBoundCount += 1
      } else {
        walk.completedCount += 1
        walk.proofs.append(proof(index, known))
        walk.unprovenCount += 1
      }
      position += 1
    }
    // What was not looked at is bounded by its own bound; they come in order.
    if position < candidates.count {
      lowerBound = min(lowerBound, priced.candidates[candidates[position]].boundSeconds)
    }
    walk.best = best.map(\.completion)
    walk.lowerBoundSeconds = min(lowerBound, walk.best.first?.scoreSeconds ?? .infinity)
    if !walk.lowerBoundSeconds.isFinite { walk.lowerBoundSeconds = 0 }
    return walk
  }

  /// A candidate with its best split, if that scores below a cutoff.
  ///
  /// - Throws: ``Stopped``.
  mutating func completion(
    of index: Int, cutoffSeconds: Double, watch: StopWatch
  ) throws(Stopped) -> PlanSearch.Completion? {
    try complete(index, cutoffSeconds: cutoffSeconds, watch: watch).completion
      .flatMap { $0.scoreSeconds < cutoffSeconds ? $0 : nil }
  }

  /// A candidate with given layers, if it fits and scores below a cutoff.
  ///
  /// - Throws: ``Stopped``.
  mutating func completion(
    of index: Int, split: Split, cutoffSeconds: Double, watch: StopWatch
  ) throws(Stopped) -> PlanSearch.Completion? {
    let strategy = priced.candidates[index].strategy
    var cost = priced.cost(of: priced.candidates[index], model: model)
    var nodeOrder = model.nodeOrder
    if arranger.isNeeded {
      let arranged = try arranger.cost(of: strategy, split: split, watch: watch)
      (cost, nodeOrder) = (arranged.cost, arranged.nodeOrder)
    }
    let memory = cost.memory.stageMemory(of: split), verdict = cost.memory.verdict(of: memory)
    guard verdict != .unfit, cost.memory.hostHolds(memory) else { return nil }
    let seconds = cost.iterationSeconds(of: split, scratch: &scratch)
    let score = seconds * (verdict == .fits ? 1 : PlanSearch.headroomSurcharge)
    guard score < cutoffSeconds else { return nil }
    return PlanSearch.Completion(
      strategy: strategy, precision: model.job.precision, split: split, nodeOrder: nodeOrder, iterationSeconds: seconds,
      scoreSeconds: score)
  }

  /// The best split of a candidate, unless none scores below the cutoff.
  private mutating func complete(
    _ index: Int, cutoffSeconds: Double, watch: StopWatch
  ) throws(Stopped) -> Knowledge {
    if let known = knowledge[index],
      known.completion != nil && (known.isProven || arranger.isNeeded) || known.boundSeconds >= cutoffSeconds
    {
      return known
    }
    let candidate = priced.candidates[index]
    if let own = layerSplit.split(of: candidate.strategy, model.job.model) {
      let completion = try completion(of: index, split: own, cutoffSeconds: cutoffSeconds, watch: watch)
      // Where orders of the nodes were searched, what is proven is the bound of all.
      let bound = arranger.isNeeded ? candidate.boundSeconds : completion?.scoreSeconds ?? cutoffSeconds
      let result = Knowledge(
        boundSeconds: bound, completion: completion, isProven: !arranger.isNeeded,
        orderProof: arranger.isNeeded ? .unproven : .alike)
      knowledge[index] = result
      return result
    }
    let cost = priced.cost(of: candidate, model: model)
    var result = Knowledge(boundSeconds: .infinity, isProven: true)
    // What is worse than a split that another point of the lattice has is of no interest.
    var known = Double.infinity
    // First with headroom, then, with the surcharge, without.
    for verdict in [Prediction.Verdict.fits, .risky] where verdict == .risky || candidate.verdict == .fits {
      let surcharge = verdict == .fits ? 1 : PlanSearch.headroomSurcharge
      let cutoff = min(cutoffSeconds, known)
      guard
        let found = try LayerSplitter.bestSplit(
          of: cost, freedom: candidate.freedom, verdict: verdict, cutoffSeconds: cutoff / surcharge, scratch: &scratch,
          watch: watch)
      else { continue }
      result.programCount += found.programCount
      result.isProven = result.isProven && found.isExhausted
      result.splitProof = result.splitProof.weaker(Self.splitProof(found, cost))
      var bound = found.lowerBoundSeconds * surcharge
      defer { result.boundSeconds = min(result.boundSeconds, bound) }
      guard let split = found.split else { continue }
      // The split under the best links, and the best one on the nodes as they are arranged for it.
      var placed = (split: split, seconds: found.iterationSeconds, nodeOrder: model.nodeOrder)
      if arranger.isNeeded {
        let arranged = try arranger.cost(of: candidate.strategy, split: split, watch: watch)
        // No order of the nodes was ruled out: what is proven is the bound.
        result.isProven = false
        result.programCount += arranged.programCount
        result.orderProof = arranged.bounding == nil ? .bound : .integerPrograms
        if let bounding = arranged.bounding,
          let ofAll = try LayerSplitter.bestSplit(
            of: bounding, freedom: candidate.freedom, verdict: verdict, cutoffSeconds: cutoff / surcharge,
            scratch: &scratch, watch: watch)
        {
          bound = max(bound, ofAll.lowerBoundSeconds * surcharge)
        }
        guard
          let best = try LayerSplitter.bestSplit(
            of: arranged.cost, freedom: candidate.freedom, verdict: verdict, cutoffSeconds: cutoff / surcharge,
            scratch: &scratch, watch: watch),
          let bestSplit = best.split
        else { continue }
        result.programCount += best.programCount
        result.splitProof = result.splitProof.weaker(Self.splitProof(best, arranged.cost))
        placed = (bestSplit, best.iterationSeconds, arranged.nodeOrder)
      }
      // A split that was looked for among the risky ones may have headroom all the same.
      let isRisky = isRisky(cost, placed.split)
      let score = placed.seconds * (isRisky ? surcharge : 1)
      if score < cutoff {
        known = score
        result.completion = nil
        guard
          let named = named(candidate.strategy, placed.split)
        else { continue }
        result.completion = PlanSearch.Completion(
          strategy: named, precision: model.job.precision, split: placed.split, nodeOrder: placed.nodeOrder,
          iterationSeconds: placed.seconds, scoreSeconds: score)
      }
    }
    if arranger.isNeeded {
      // What takes no longer than its bound is the best of all orders.
      if let score = result.completion?.scoreSeconds { result.isProven = result.boundSeconds >= score * (1 - 1e-12) }
      if !result.isProven { result.orderProof = .unproven }
    }
    // Rounding of the surcharge aside, nothing is below what was found or asked for.
    if result.isProven { result.boundSeconds = result.completion?.scoreSeconds ?? cutoffSeconds }
    if !result.boundSeconds.isFinite { result.boundSeconds = cutoffSeconds }
    knowledge[index] = result
    return result
  }

  /// What ended a search among splits.
  private static func splitProof(_ found: LayerSplitter.BestSplit, _ cost: IterationCost) -> Certificate.Proof.Split {
    if !found.isExhausted { return .unproven }
    if cost.hasEqualStages || found.isOnly { return .single }
    return found.programCount > 0 ? .integerPrograms : .exhausted
  }

  private func proof(_ index: Int, _ known: Knowledge) -> Certificate.Proof {
    let candidate = priced.candidates[index]
    return Certificate.Proof(
      strategy: candidate.strategy.text, stagesChoose: candidate.freedom != .none,
      scoreSeconds: known.completion?.scoreSeconds, lowerBoundSeconds: known.boundSeconds, split: known.splitProof,
      order: known.orderProof)
  }

  /// The strategy of a split whose stages chose: without recomputed layers its recomputation is none. Nil if stages
  /// chose what another point of the lattice has for all of them.
  private func named(_ strategy: Strategy, _ split: Split) -> Strategy? {
    guard let choices = split.choices else { return strategy }
    if strategy.update == .zerothOrder {
      // With everything on the devices it is another point.
      return fixesHostWeights || choices.contains { $0.hostedLayerCount != 0 } ? strategy : nil
    }
    // What predicts further tokens is recomputed as the strategy says, whatever stages choose of their layers.
    let recomputesNothing =
      choices.allSatisfy { $0.recomputedLayerCount == 0 } && model.job.model.predictionDepth == 0
    if !choices.contains(where: \.offloadsOptimizer) {
      if choices == split.choices(under: strategy) || recomputesNothing { return nil }
    }
    return recomputesNothing && strategy.recompute == .full ? strategy.with(\.recompute, .none) : strategy
  }

  private func isRisky(_ cost: IterationCost, _ split: Split) -> Bool {
    cost.memory.verdict(of: cost.memory.stageMemory(of: split)) != .fits
  }
}

extension Capabilities.LayerSplit {
  /// The layers that the framework itself would give to a strategy's stages; nil where they are free, as they are under
  /// zeroth-order training, which no framework runs.
  func split(of strategy: Strategy, _ model: ModelDescription) -> Split? {
    strategy.update == .zerothOrder ? nil : split(of: model, among: strategy)
  }
}

extension Certificate.Proof.Split {
  /// The one that says less; cases are in that order.
  fileprivate func weaker(_ other: Self) -> Self {
    let order = Self.allCases
    return (order.firstIndex(of: self) ?? 0) < (order.firstIndex(of: other) ?? 0) ? other : self
  }
}
