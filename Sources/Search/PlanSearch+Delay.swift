import Costing
import Documents

/// How late workers hear from each other. The lattice has the longest period that is allowed, under which no iteration takes
/// longer than under another, so that its bounds are of all periods; but workers that hear from each other sooner stay
/// closer together, and the margin is there to be spent on that.
///
/// What a worker has found out enters everybody's weights after a period at most where outer steps wait for their mean, and
/// after two where they are one round late.
extension PlanSearch {
  /// The same with the least delay of those that score no more than a limit: a shorter period, or outer steps that wait where
  /// these were late. Itself where there are no outer steps, or all of that is fixed.
  func withLeastDelay(_ completion: Completion, within limitSeconds: Double) -> Completion {
    guard completion.strategy.update == .outer else { return completion }
    let own = withLeastPeriod(completion, within: limitSeconds) ?? completion
    guard own.strategy.outer.staleness > 0, pattern[dynamicMember: \.outer.staleness] == nil,
      // Without a round in flight there is less to keep, so that the same layers fit.
      let waiting = withLeastPeriod(
        completion, with: completion.strategy.with(\.outer.staleness, 0), within: limitSeconds)
    else { return own }
    return waiting.strategy.outer.delay <= own.strategy.outer.delay ? waiting : own
  }

  /// The same within the margin of its own score.
  func withLeastDelay(_ completion: Completion) -> Completion {
    withLeastDelay(completion, within: completion.scoreSeconds * (1 + options.margin))
  }

  /// A strategy with the layers and nodes of a completion and the least period that scores no more than a limit; nil where none
  /// does.
  private func withLeastPeriod(
    _ completion: Completion, with other: Strategy? = nil, within limitSeconds: Double
  ) -> Completion? {
    let strategy = other ?? completion.strategy, model = model(of: completion).arranged(completion.nodeOrder)
    let cost = model.cost(of: strategy)
    let surcharge =
      cost.memory.verdict(of: cost.memory.stageMemory(of: completion.split)) == .fits ? 1 : Self.headroomSurcharge
    var scratch = EvaluationScratch()
    func completed(period: Int) -> Completion {
      let strategy = strategy.with(\.outer.period, period)
      let seconds = model.cost(of: strategy).iterationSeconds(of: completion.split, scratch: &scratch)
      return Completion(
        strategy: strategy, precision: completion.precision, split: completion.split, nodeOrder: completion.nodeOrder,
        iterationSeconds: seconds, scoreSeconds: seconds * surcharge)
    }
    let longest = strategy.outer.period
    var low = pattern[dynamicMember: \.outer.period] ?? allowance.outerPeriods?.lowerBound ?? longest, high = longest
    var best: Completion?
    while low <= high {
      let middle = low + (high - low) / 2
      let other = completed(period: middle)
      if other.scoreSeconds <= limitSeconds { (best, high) = (other, middle - 1) } else { low = middle + 1 }
    }
    return best
  }
}

extension OuterStep {
  /// Iterations until all know what one worker has found out, at most.
  fileprivate var delay: Int { period * (1 + staleness) }
}
