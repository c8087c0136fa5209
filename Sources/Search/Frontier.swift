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
  }

  /// What is known of a candidate.
  private struct Knowledge {
    /// No split scores less.
    var boundSeconds: Double
    /// The best split, when the last look found one below its cutoff.
    var completion: PlanSearch.Completion?
    /// Whether the last look left nothing out.
    var isProven: Bool
  }

  private let priced: PricedLattice
  private let model: CostModel
  private var knowledge: [Int: Knowledge] = [:]
  private var scratch = EvaluationScratch()

  init(priced: PricedLattice, model: CostModel) {
    self.priced = priced
    self.model = model
  }

  /// The best `resultCount` of some candidates.
  ///
  /// - Parameter candidates: indices into the priced lattice, least bound first.
  mutating func bestFirst(
    among candidates: [Int], resultCount: Int, completionLimit: Int,
    interruption: () -> PlanSearch.Interruption?, progress: (Int, Int) -> Void
  ) -> Walk {
    var walk = Walk()
    var best: [(completion: PlanSearch.Completion, index: Int)] = []
    var lowerBound = Double.infinity
    var position = 0
    while position < candidates.count {
      let index = candidates[position]
      let candidate = priced.candidates[index]
      // What a candidate has to beat to be among the results.
      let cutoff = best.count < resultCount ? Double.infinity : best[best.count - 1].completion.scoreSeconds
      if candidate.boundSeconds >= cutoff {
        walk.closedByBoundCount += candidates.count - position
        break
      }
      if let reason = interruption() {
        walk.ending = reason == .user ? .interrupted : .timeLimit
        break
      }
      if walk.completedCount >= completionLimit {
        walk.ending = .completionLimit
        break
      }
      progress(position, candidates.count)
      let known = complete(index, cutoffSeconds: cutoff)
      lowerBound = min(lowerBound, known.boundSeconds)
      if let completion = known.completion {
        walk.completedCount += 1
        if !known.isProven { walk.unprovenCount += 1 }
        if completion.scoreSeconds < cutoff {
          let place = best.firstIndex { (completion.scoreSeconds, index) < ($0.completion.scoreSeconds, $0.index) }
          best.insert((completion, index), at: place ?? best.count)
          if best.count > resultCount { best.removeLast() }
        }
      } else if known.isProven {
        walk.closedByBoundCount += 1
      } else {
        walk.completedCount += 1
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

  /// The best split of a candidate, unless none scores below the cutoff.
  private mutating func complete(_ index: Int, cutoffSeconds: Double) -> Knowledge {
    if let known = knowledge[index], known.completion != nil && known.isProven || known.boundSeconds >= cutoffSeconds {
      return known
    }
    let candidate = priced.candidates[index]
    let cost = priced.cost(of: candidate, model: model)
    var result = Knowledge(boundSeconds: .infinity, isProven: true)
    // First with headroom, then, with the surcharge, without.
    for verdict in [Prediction.Verdict.fits, .risky] where verdict == .risky || candidate.verdict == .fits {
      let surcharge = verdict == .fits ? 1 : PlanSearch.headroomSurcharge
      let cutoff = min(cutoffSeconds, result.completion?.scoreSeconds ?? .infinity)
      guard
        let outcome = LayerSplitter.bestSplit(
          of: cost, verdict: verdict, cutoffSeconds: cutoff / surcharge, scratch: &scratch)
      else { continue }
      result.isProven = result.isProven && outcome.isExhausted
      result.boundSeconds = min(result.boundSeconds, outcome.lowerBoundSeconds * surcharge)
      guard let layerCounts = outcome.layerCounts else { continue }
      // A split that was looked for among the risky ones may have headroom all the same.
      let score = outcome.iterationSeconds * (isRisky(cost, layerCounts: layerCounts) ? surcharge : 1)
      if score < cutoff {
        result.completion = PlanSearch.Completion(
          strategy: candidate.strategy, layerCounts: layerCounts, iterationSeconds: outcome.iterationSeconds,
          scoreSeconds: score)
      }
    }
    // Rounding of the surcharge aside, nothing is below what was found or asked for.
    if result.isProven { result.boundSeconds = result.completion?.scoreSeconds ?? cutoffSeconds }
    knowledge[index] = result
    return result
  }

  private func isRisky(_ cost: StrategyCost, layerCounts: [Int]) -> Bool {
    cost.stageMemory(layerCounts: layerCounts).contains { cost.memory.verdict(peakBytes: $0.peakBytes) != .fits }
  }
}
