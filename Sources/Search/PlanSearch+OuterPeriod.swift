import Costing
import Documents

/// How often workers meet: the lattice has the longest period that is allowed, under which no iteration takes longer than
/// under another, so that its bounds are of all periods; but workers that meet more often stay closer to each other, and a
/// margin is there to be spent on that.
extension PlanSearch {
  /// The same with the least period that scores no more than a limit; itself where there are no outer steps, or their
  /// period is fixed.
  func meetingOften(_ completion: Completion, within limitSeconds: Double) -> Completion {
    guard completion.strategy.update == .outer, let periods = allowance.outerPeriods,
      pattern[dynamicMember: \.outer.period] == nil
    else { return completion }
    let model = model.arranged(completion.nodeOrder)
    let surcharge = completion.scoreSeconds > completion.iterationSeconds ? Self.headroomSurcharge : 1
    var scratch = EvaluationScratch()
    func completed(period: Int) -> Completion {
      let strategy = completion.strategy.with(\.outer.period, period)
      let seconds = model.cost(of: strategy).iterationSeconds(of: completion.split, scratch: &scratch)
      return Completion(
        strategy: strategy, split: completion.split, nodeOrder: completion.nodeOrder, iterationSeconds: seconds,
        scoreSeconds: seconds * surcharge)
    }
    var best = completion
    var low = periods.lowerBound, high = completion.strategy.outer.period
    while low < high {
      let middle = low + (high - low) / 2
      let other = completed(period: middle)
      if other.scoreSeconds <= limitSeconds { (best, high) = (other, middle) } else { low = middle + 1 }
    }
    return best
  }

  /// The same within the margin of its own score.
  func meetingOften(_ completion: Completion) -> Completion {
    meetingOften(completion, within: completion.scoreSeconds * (1 + options.margin))
  }
}
